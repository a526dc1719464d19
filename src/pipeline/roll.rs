//! Who stands in the gallery: what changed from one snapshot to the next, for an event.
//!
//! ```text
//!   snapshot ─▶ roll: by identity { fingerprint of name, lists and templates; looked for?; may its id be told? }
//!   the next ─▶ call(): added, removed, activated, deactivated, changed ─▶ GalleryNews
//! ```
//!
//! It keeps no snapshot, no name and no vector: who was forgotten is to leave memory. A fingerprint is a hash under a key of this
//! process.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use crate::decide::lists;
use crate::events::{GalleryAction, GalleryChange, GalleryNews, Listed};
use crate::gallery::GallerySnapshot;
use crate::gallery::snapshot::Person;
use crate::types::ids::{IdentityId, ModelId};
use crate::types::matching::Publish;

/// Most identities that one entry of an event names.
const MOST_NAMED: usize = 100;

/// What is remembered of an identity.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    person: u64,
    /// Of all its templates, whatever their order.
    templates: u64,
    searched: bool,
    /// Its lists that publish anything; `None` if none of them does.
    told: Option<Vec<String>>,
}

/// Who stands in the gallery.
#[derive(Debug)]
pub struct Roll {
    keys: RandomState,
    model: ModelId,
    entries: HashMap<IdentityId, Entry>,
}

impl Roll {
    /// Of a snapshot.
    pub fn of(snapshot: &GallerySnapshot) -> Self {
        let keys = RandomState::new();
        Self { entries: entries(snapshot, &keys), keys, model: snapshot.model() }
    }

    /// Calls the roll again; what changed, if anything did that a search or a consumer can tell.
    pub fn call(&mut self, snapshot: &GallerySnapshot) -> Option<GalleryNews> {
        let now = entries(snapshot, &self.keys);
        let before = std::mem::replace(&mut self.entries, now);
        let other_model = std::mem::replace(&mut self.model, snapshot.model()) != self.model;
        let mut changes = differences(&before, &self.entries, other_model);
        if other_model {
            let count = snapshot.identities() as u64;
            changes.push(GalleryChange { what: GalleryAction::Model, count, identities: Vec::new() });
        }
        (!changes.is_empty()).then(|| GalleryNews {
            generation: snapshot.generation(),
            identities: snapshot.identities() as u64,
            templates: snapshot.templates() as u64,
            model: snapshot.model(),
            index: snapshot.index(),
            changes,
        })
    }
}

fn entries(snapshot: &GallerySnapshot, keys: &RandomState) -> HashMap<IdentityId, Entry> {
    let entry = |(id, person): (&IdentityId, &Person)| (*id, Entry::of(person, keys));
    let mut entries: HashMap<IdentityId, Entry> = snapshot.people().iter().map(entry).collect();
    for (identity, template) in snapshot.held() {
        if let Some(entry) = entries.get_mut(&identity) {
            // A sum does not depend on the order, nor on which part of the index holds the row.
            entry.templates = entry.templates.wrapping_add(keys.hash_one(template));
        }
    }
    entries
}

impl Entry {
    fn of(person: &Person, keys: &RandomState) -> Self {
        let rules: Vec<_> = person
            .lists
            .iter()
            .map(|rule| (&rule.name, rule.threshold.map(f32::to_bits), rule.priority, rule.publish as u8))
            .collect();
        let told = (lists::publish(person.lists.iter()) > Publish::Nothing).then(|| {
            let told = person.lists.iter().filter(|rule| rule.publish > Publish::Nothing);
            told.map(|rule| rule.name.to_string()).collect()
        });
        Self {
            person: keys.hash_one((&person.name, &person.external_id, rules)),
            templates: 0,
            searched: person.searched,
            told,
        }
    }
}

/// One entry for each kind of change. Where the model is another one, every template is, and that alone is no change of anybody.
fn differences(
    before: &HashMap<IdentityId, Entry>,
    now: &HashMap<IdentityId, Entry>,
    other_model: bool,
) -> Vec<GalleryChange> {
    let mut found: BTreeMap<GalleryAction, Vec<(IdentityId, &Entry)>> = BTreeMap::new();
    for (id, entry) in now {
        let what = match before.get(id) {
            None => GalleryAction::Added,
            Some(old) if old.searched != entry.searched && entry.searched => GalleryAction::Activated,
            Some(old) if old.searched != entry.searched => GalleryAction::Deactivated,
            Some(old) if old.person != entry.person => GalleryAction::Changed,
            Some(old) if old.templates != entry.templates && !other_model => GalleryAction::Changed,
            Some(_) => continue,
        };
        found.entry(what).or_default().push((*id, entry));
    }
    for (id, entry) in before.iter().filter(|(id, _)| !now.contains_key(id)) {
        found.entry(GalleryAction::Removed).or_default().push((*id, entry));
    }
    found.into_iter().map(|(what, who)| change(what, who)).collect()
}

fn change(what: GalleryAction, mut who: Vec<(IdentityId, &Entry)>) -> GalleryChange {
    who.sort_unstable_by_key(|(id, _)| *id);
    let listed = |(id, entry): &(IdentityId, &Entry)| Some(Listed { id: *id, lists: entry.told.clone()? });
    let identities = who.iter().filter_map(listed).take(MOST_NAMED).collect();
    GalleryChange { what, count: who.len() as u64, identities }
}

#[cfg(test)]
mod tests;
