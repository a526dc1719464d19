//! Into a bundle.

use std::collections::BTreeSet;

use super::super::steps::Steps;
use super::super::{Entry, Keeper, json};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::bundle::{
    self, BundledCrop, BundledIdentity, BundledTemplate, Content, Header, MediaType, SigningKey,
};
use crate::gallery::command::{Actor, Progress, Reply, Source};
use crate::gallery::keeper::ChangeSet;
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::report::Exported;
use crate::gallery::store::{StoredTemplate, Tables};
use crate::types::ids::ModelId;

impl Keeper {
    /// Those on one of these lists, or all, as a signed bundle: the answer's body. It is on record before it leaves.
    pub(in crate::gallery::keeper) fn export(
        &mut self,
        actor: &Actor,
        lists: &BTreeSet<ListName>,
        recipients: &[String],
        crops: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply> {
        lists.iter().try_for_each(|list| self.expect_list(list))?;
        let content = self.content(lists, crops, progress)?;
        let signer = SigningKey::from_seed(&self.store.keys().signing);
        let mut signed = bundle::write(&content, &signer)?;
        let body = match recipients {
            [] => std::mem::take(&mut *signed),
            recipients => bundle::encrypt(&signed, recipients)?,
        };
        let count =
            |of: fn(&BundledIdentity) -> usize| content.identities.iter().map(of).sum::<usize>() as u64;
        let report = Exported {
            identities: content.identities.len() as u64,
            templates: count(|identity| identity.templates.len()),
            generation: content.header.generation,
            signer: signer.public().to_string(),
            encrypted: !recipients.is_empty(),
        };
        let mut change = ChangeSet::default();
        change.say(
            Draft::new(Action::Exported)
                .with("identities", report.identities)
                .with("templates", report.templates)
                .with("crops", count(|identity| identity.crops.len()))
                .with("lists", lists.iter().map(ListName::as_str).collect::<Vec<_>>())
                .with("recipients", recipients.len()),
        );
        self.commit(actor, change)?;
        Ok(Reply { body, ..json(&report)? })
    }

    fn content(
        &self,
        lists: &BTreeSet<ListName>,
        crops: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Content> {
        let model = self.contract()?;
        let wanted = |entry: &&Entry| lists.is_empty() || !entry.identity.record.lists.is_disjoint(lists);
        let entries: Vec<&Entry> = self.directory.iter().filter(wanted).collect();
        let mut steps = Steps::begin(progress, "opening templates", entries.len());
        self.store.read(|tables| {
            let mut identities = Vec::with_capacity(entries.len());
            for entry in entries {
                let mut bundled = bundled(tables, entry, model.id, crops)?;
                if !lists.is_empty() {
                    // Whoever gets the list `staff` need not learn who is on another one.
                    bundled.record.lists = &bundled.record.lists & lists;
                }
                identities.push(bundled);
                steps.step();
            }
            let used =
                |list: &&List| identities.iter().any(|identity| identity.record.lists.contains(&list.name));
            Ok(Content {
                lists: self.directory.lists().values().filter(used).cloned().collect(),
                header: Header {
                    origin: origin(),
                    generation: tables.generation()?,
                    created: self.clock.now().wall,
                    models: vec![model],
                },
                identities,
            })
        })
    }
}

/// An identity with its templates of the model in use: those of another would only make the whole bundle be refused.
fn bundled(tables: &Tables<'_>, entry: &Entry, model: ModelId, with_crops: bool) -> Result<BundledIdentity> {
    let identity = &entry.identity;
    let mut templates = Vec::new();
    let mut crops = Vec::new();
    for stored in tables.templates_of(identity.id, &identity.key)? {
        let StoredTemplate { row, source, embedding } = stored;
        if row.model != model {
            continue;
        }
        let source = Source { sha256: source.sha256.to_ascii_lowercase(), ..source };
        if with_crops
            && entry.crops.contains(&row.source_tag)
            && let Some(bytes) = tables.crop(identity.id, &identity.key, &row.source_tag)?
        {
            let media_type = MediaType::of(&bytes).unwrap_or(MediaType::Crop);
            crops.push(BundledCrop { source: source.sha256.clone(), media_type, bytes });
        }
        templates.push(BundledTemplate {
            id: row.id,
            quality: row.quality,
            source,
            created: row.created,
            embedding,
        });
    }
    Ok(BundledIdentity {
        id: identity.id,
        record: identity.record.clone(),
        created: identity.created,
        revision: identity.revision,
        standing: identity.standing,
        templates,
        crops,
    })
}

/// What this box calls itself: for people, as anybody can call a box anything.
fn origin() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(128).collect();
    if name.is_empty() { "watchlistd".to_owned() } else { name }
}
