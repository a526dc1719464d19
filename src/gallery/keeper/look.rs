//! Questions that change nothing.

use std::collections::BTreeMap;

use super::{Entry, Keeper};
use crate::base::error::Result;
use crate::gallery::command::{Subject, Who};
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
            keeps_crops: self.keeps_crops,
            master_key: self.store.keys().master().to_string(),
            audit: self.chain.head().count,
        })
    }

    /// Which of these pictures the subject has, for that model.
    pub(super) fn known(&self, subject: &Subject, model: ModelId, sources: &[String]) -> Result<Vec<bool>> {
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
    pub(super) fn list(
        &self,
        list: Option<&ListName>,
        standing: Option<Standing>,
        text: Option<&str>,
    ) -> Vec<Person> {
        let text = text.map(str::to_lowercase);
        let fits = |entry: &&Entry| {
            let identity = &entry.identity;
            list.is_none_or(|list| identity.record.lists.contains(list))
                && standing.is_none_or(|standing| identity.standing == standing)
                && text.as_ref().is_none_or(|text| holds(entry, text))
        };
        let mut people: Vec<Person> = self.directory.iter().filter(fits).map(Entry::report).collect();
        people.sort_by(|a, b| a.record.name.cmp(&b.record.name).then(a.id.cmp(&b.id)));
        people
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

    /// The closest pairs of identities.
    pub(super) fn confusable(&self, most: usize) -> Vec<Pair> {
        let named = |id: IdentityId| {
            let name = self.directory.get(id).map(|entry| entry.identity.record.name.to_string());
            (id, name.unwrap_or_default())
        };
        let pairs = self.shared.current().closest_pairs(most);
        pairs
            .into_iter()
            .map(|(a, b, score)| Pair {
                score,
                identities: [named(a), named(b)],
                above_threshold: score >= self.model.threshold,
            })
            .collect()
    }
}

fn holds(entry: &Entry, text: &str) -> bool {
    let record = &entry.identity.record;
    let external = record.external_id.as_ref().is_some_and(|id| id.as_str().to_lowercase().contains(text));
    external
        || record.name.as_str().to_lowercase().contains(text)
        || entry.identity.id.to_string().contains(text)
}
