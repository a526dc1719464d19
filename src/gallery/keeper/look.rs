//! Questions that change nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::held::Held;
use super::{Entry, Keeper, steps};
use crate::base::error::Result;
use crate::gallery::command::{Progress, Subject, Who};
use crate::gallery::record::{ListName, Standing};
use crate::gallery::report::{Description, Pair, Person, Portrait, StoredTemplate};
use crate::types::ids::{IdentityId, ModelId};

impl Keeper {
    /// What the gallery is.
    pub(super) fn describe(&self) -> Result<Description> {
        let mut templates: BTreeMap<ModelId, u64> = BTreeMap::new();
        let mut standings: BTreeMap<Standing, u64> = BTreeMap::new();
        for entry in self.directory.iter() {
            *standings.entry(entry.identity.standing).or_default() += 1;
            entry.templates.iter().for_each(|row| *templates.entry(row.model).or_default() += 1);
        }
        Ok(Description {
            generation: self.store.read(|tables| tables.generation())?,
            model: (!self.model.name.is_empty()).then_some(self.model.id),
            templates,
            standings,
            reviews_due: self.reviews_due(Timestamp::MIN).0.due,
            keeps_crops: self.keeps_crops,
            master_key: self.store.keys().master().to_string(),
            audit: self.chain.head().count,
        })
    }

    /// Which of these pictures the subject has, for that model.
    pub(super) fn known(&self, subject: &Subject, model: ModelId, sources: &[String]) -> Result<Vec<bool>> {
        subject.record.lists.iter().try_for_each(|list| self.expect_list(list))?;
        let entry = self.directory.subject(subject)?.and_then(|id| self.directory.get(id));
        let Some(entry) = entry else { return Ok(vec![false; sources.len()]) };
        self.store.read(|tables| {
            let has = |sha256: &String| {
                let tag = tables.source_tag(sha256);
                entry.templates.iter().any(|row| row.model == model && row.source_tag == tag)
            };
            Ok(sources.iter().map(has).collect())
        })
    }

    /// Those who fit, by name.
    ///
    /// # Errors
    /// `NoInput`, when there is no such list.
    pub(super) fn list(
        &self,
        list: Option<&ListName>,
        standing: Option<Standing>,
        text: Option<&str>,
    ) -> Result<Vec<Person>> {
        list.map_or(Ok(()), |list| self.expect_list(list))?;
        let text = text.map(str::to_lowercase);
        let fits = |entry: &&Entry| {
            let identity = &entry.identity;
            list.is_none_or(|list| identity.record.lists.contains(list))
                && standing.is_none_or(|standing| identity.standing == standing)
                && text.as_ref().is_none_or(|text| holds(entry, text))
        };
        let mut people: Vec<Person> =
            self.directory.iter().filter(fits).map(|entry| self.with_searched(entry)).collect();
        people.sort_by(|a, b| a.record.name.cmp(&b.record.name).then(a.id.cmp(&b.id)));
        Ok(people)
    }

    /// Somebody, with the number of templates that are searched: after a switch those of the model before are there as well.
    fn with_searched(&self, entry: &Entry) -> Person {
        let searched = entry.templates.iter().filter(|row| row.model == self.model.id).count() as u64;
        let report = entry.report();
        if self.model.name.is_empty() { report } else { Person { templates: searched, ..report } }
    }

    /// Somebody, with what is stored.
    pub(super) fn show_one(&self, who: &Who) -> Result<Portrait> {
        let entry = self.directory.expect(self.directory.find(who)?)?;
        let nearest = self.shared.current().nearest_own(entry.identity.id);
        let opened = self.store.read(|tables| tables.templates_of(entry.identity.id, &entry.identity.key))?;
        let stored = opened
            .into_iter()
            .map(|template| StoredTemplate {
                id: template.row.id,
                model: template.row.model,
                quality: template.row.quality,
                created: template.row.created,
                crop: entry.crops.contains(&template.row.source_tag),
                nearest_own: nearest.get(&template.row.id).copied(),
                source: template.source,
            })
            .collect();
        Ok(Portrait { person: entry.report(), stored })
    }
}

/// The closest pairs of identities, in the snapshot of now: everybody is compared with everybody, beside the others.
pub(super) fn confusable(held: &mut impl Held, most: usize, progress: &mut dyn FnMut(Progress)) -> Vec<Pair> {
    let (snapshot, threshold) = held.with(|keeper| (keeper.shared.current(), keeper.model.threshold));
    steps::tell(progress, "comparing everybody with everybody");
    let named =
        |id: IdentityId| (id, snapshot.people().get(&id).map_or_else(String::new, |p| p.name.to_string()));
    let pairs = snapshot.closest_pairs(most).into_iter();
    pairs
        .map(|(a, b, score)| Pair {
            score,
            identities: [named(a), named(b)],
            above_threshold: score >= threshold,
        })
        .collect()
}

fn holds(entry: &Entry, text: &str) -> bool {
    let record = &entry.identity.record;
    let external = record.external_id.as_ref().is_some_and(|id| id.as_str().to_lowercase().contains(text));
    external
        || record.name.as_str().to_lowercase().contains(text)
        || entry.identity.id.to_string().contains(text)
}
