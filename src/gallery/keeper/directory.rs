//! Everybody in the gallery, in memory: what is known of each, and what is stored of each without its vectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::change::ListChange;
use crate::base::error::Result;
use crate::err;
use crate::gallery::command::{Subject, Who};
use crate::gallery::list::List;
use crate::gallery::name::Name;
use crate::gallery::record::{ExternalId, ListName};
use crate::gallery::report;
use crate::gallery::snapshot::Person;
use crate::gallery::store::{StoredIdentity, Tables, TemplateRow};
use crate::types::ids::{IdentityId, TemplateId};
use crate::types::matching::ListRule;

/// An identity with what is stored of it.
#[derive(Debug, Clone)]
pub(in crate::gallery) struct Entry {
    pub(in crate::gallery) identity: StoredIdentity,
    pub(in crate::gallery) templates: Vec<TemplateRow>,
    /// Sources whose crops are kept.
    pub(in crate::gallery) crops: BTreeSet<[u8; 32]>,
}

impl Entry {
    pub(in crate::gallery) fn report(&self) -> report::Person {
        report::Person {
            id: self.identity.id,
            record: self.identity.record.clone(),
            standing: self.identity.standing,
            created: self.identity.created,
            revision: self.identity.revision,
            templates: self.templates.len() as u64,
        }
    }
}

/// Everybody.
#[derive(Debug, Clone, Default)]
pub(in crate::gallery) struct Directory {
    entries: BTreeMap<IdentityId, Entry>,
    by_external_id: HashMap<ExternalId, IdentityId>,
    by_name: HashMap<Name, BTreeSet<IdentityId>>,
    lists: BTreeMap<ListName, List>,
    rules: HashMap<String, Arc<ListRule>>,
}

impl Directory {
    /// Reads it.
    ///
    /// # Errors
    /// `Data`, naming the first row that does not open.
    pub(in crate::gallery) fn read(tables: &Tables<'_>) -> Result<Self> {
        let mut directory = Self::without_pictures(tables)?;
        directory.put_pictures(tables.template_rows()?, tables.crop_rows()?)?;
        Ok(directory)
    }

    /// Reads it, but for what is stored of pictures.
    ///
    /// # Errors
    /// As [`Directory::read`].
    pub(super) fn without_pictures(tables: &Tables<'_>) -> Result<Self> {
        let mut directory = Self::default();
        for list in tables.lists()? {
            directory.put_list(list);
        }
        for identity in tables.identities()? {
            directory.put(Entry { identity, templates: Vec::new(), crops: BTreeSet::new() });
        }
        Ok(directory)
    }

    /// Gives templates, in the order of their ids, and crops to those they are of.
    ///
    /// # Errors
    /// `Data`, naming the first that is nobody's.
    pub(super) fn put_pictures(
        &mut self,
        templates: Vec<TemplateRow>,
        crops: Vec<(IdentityId, [u8; 32])>,
    ) -> Result<()> {
        for row in templates {
            let entry = self.entries.get_mut(&row.identity);
            entry
                .ok_or_else(|| err!(Data, "template {} belongs to no identity", row.id))?
                .templates
                .push(row);
        }
        for (identity, tag) in crops {
            let entry = self.entries.get_mut(&identity);
            entry.ok_or_else(|| err!(Data, "a crop belongs to no identity: {identity}"))?.crops.insert(tag);
        }
        Ok(())
    }

    /// Everybody's standing as the clock has it, for those who may not store it.
    pub(in crate::gallery) fn at(&mut self, now: jiff::Timestamp) {
        for entry in self.entries.values_mut() {
            // Never back: who has expired stays so.
            entry.identity.standing = entry.identity.standing.max(entry.identity.record.standing_at(now));
        }
    }

    /// Takes these templates out.
    pub(in crate::gallery) fn without_templates(&mut self, gone: &BTreeSet<TemplateId>) {
        for entry in self.entries.values_mut() {
            entry.templates.retain(|row| !gone.contains(&row.id));
        }
    }

    /// Everybody, by id.
    pub(in crate::gallery) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(in crate::gallery) fn get(&self, id: IdentityId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(in crate::gallery) fn get_mut(&mut self, id: IdentityId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(in crate::gallery) fn expect(&self, id: IdentityId) -> Result<&Entry> {
        self.get(id).ok_or_else(|| err!(Data, "the gallery has no identity {id}"))
    }

    /// Adds somebody, or replaces what is known.
    pub(in crate::gallery) fn put(&mut self, entry: Entry) {
        self.remove(entry.identity.id);
        let record = &entry.identity.record;
        if let Some(external) = &record.external_id {
            self.by_external_id.insert(external.clone(), entry.identity.id);
        }
        self.by_name.entry(record.name.clone()).or_default().insert(entry.identity.id);
        self.entries.insert(entry.identity.id, entry);
    }

    pub(in crate::gallery) fn remove(&mut self, id: IdentityId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let record = &entry.identity.record;
        if let Some(external) = &record.external_id
            && self.by_external_id(external) == Some(id)
        {
            // Else it is somebody else's already, in the same change.
            self.by_external_id.remove(external);
        }
        if let Some(same) = self.by_name.get_mut(&record.name) {
            same.remove(&id);
            if same.is_empty() {
                self.by_name.remove(&record.name);
            }
        }
        Some(entry)
    }

    pub(in crate::gallery) fn lists(&self) -> &BTreeMap<ListName, List> {
        &self.lists
    }

    pub(in crate::gallery) fn put_list(&mut self, list: List) {
        self.rules.insert(list.name.to_string(), Arc::new(rule(&list)));
        self.lists.insert(list.name.clone(), list);
    }

    /// What searches see of the lists after these changes of them.
    pub(in crate::gallery) fn rules_after(&self, changes: &[ListChange]) -> HashMap<String, Arc<ListRule>> {
        let mut rules = self.rules.clone();
        for change in changes {
            match change {
                ListChange::Put(list) => drop(rules.insert(list.name.to_string(), Arc::new(rule(list)))),
                ListChange::Remove(name) => drop(rules.remove(name.as_str())),
            }
        }
        rules
    }

    pub(in crate::gallery) fn remove_list(&mut self, name: &ListName) {
        self.rules.remove(name.as_str());
        self.lists.remove(name);
    }

    /// How many are on a list, in any standing.
    pub(in crate::gallery) fn on_list(&self, name: &ListName) -> u64 {
        self.iter().filter(|entry| entry.identity.record.lists.contains(name)).count() as u64
    }

    /// What a search needs to know of somebody.
    pub(in crate::gallery) fn person(&self, id: IdentityId) -> Option<Person> {
        let identity = &self.get(id)?.identity;
        Some(Person::of(&identity.record, identity.standing, &self.rules))
    }

    pub(in crate::gallery) fn by_external_id(&self, external: &ExternalId) -> Option<IdentityId> {
        self.by_external_id.get(external).copied()
    }

    /// The identity that is meant: by id, external id, or name.
    ///
    /// # Errors
    /// `NoInput`, with what is near, when there is none; `Usage` when a name has several.
    pub(in crate::gallery) fn find(&self, who: &Who) -> Result<IdentityId> {
        let text = who.0.trim();
        if let Some(id) = text.parse().ok().filter(|id| self.entries.contains_key(id)) {
            return Ok(id);
        }
        let external = ExternalId::new(text).ok().and_then(|external| self.by_external_id(&external));
        let same = Name::new(text).ok().and_then(|name| self.by_name.get(&name));
        let mut same: Vec<IdentityId> = same.map(|same| same.iter().copied().collect()).unwrap_or_default();
        if let Some(id) = external {
            same.retain(|other| *other != id);
            if !same.is_empty() {
                return Err(err!(
                    Usage,
                    "{text:?} is the external id of {} and the name of {}; say which by the id",
                    self.described(id),
                    same.iter().map(|id| self.described(*id)).collect::<Vec<_>>().join(", ")
                ));
            }
            return Ok(id);
        }
        match same.as_slice() {
            [one] => Ok(*one),
            several @ [_, _, ..] => Err(err!(
                Usage,
                "{} identities are named {text:?}; say which by its id or external id: {}",
                several.len(),
                several.iter().map(|id| self.described(*id)).collect::<Vec<_>>().join(", ")
            )),
            [] => Err(err!(NoInput, "nobody in the gallery is {text:?}{}", self.near(text))),
        }
    }

    fn described(&self, id: IdentityId) -> String {
        let external = self.get(id).and_then(|entry| entry.identity.record.external_id.as_ref());
        external.map_or_else(|| id.to_string(), |external| format!("{id} ({external})"))
    }

    fn near(&self, text: &str) -> String {
        let wanted = text.to_lowercase();
        let like = |name: &&Name| {
            let name = name.as_str().to_lowercase();
            let shared = name.split_whitespace().any(|word| wanted.split_whitespace().any(|w| w == word));
            shared || name.contains(&wanted) || wanted.contains(&name)
        };
        let mut near: Vec<String> =
            self.by_name.keys().filter(like).map(|name| format!("{:?}", name.as_str())).collect();
        near.sort();
        near.truncate(5);
        if near.is_empty() {
            "; `watchlistd gallery list` shows everybody".to_owned()
        } else {
            format!("; did you mean {}?", near.join(", "))
        }
    }

    /// Whom a new template is for, if that identity is there already. With an external id only that one is meant: people who
    /// share a name are told apart by it.
    ///
    /// # Errors
    /// `Usage`, when the name alone does not say who is meant.
    pub(in crate::gallery) fn subject(&self, subject: &Subject) -> Result<Option<IdentityId>> {
        let record = &subject.record;
        if let Some(external) = &record.external_id {
            return Ok(self.by_external_id(external));
        }
        let same: Vec<IdentityId> = self.by_name.get(&record.name).into_iter().flatten().copied().collect();
        match same.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            several => Err(err!(
                Usage,
                "{} identities are named {:?}; say which with --external-id: {}",
                several.len(),
                record.name.as_str(),
                several.iter().map(|id| self.described(*id)).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// The template of that id, or of the only id that holds `text`.
    ///
    /// # Errors
    /// `NoInput` when there is none, `Usage` when there are several.
    pub(in crate::gallery) fn template(&self, text: &str) -> Result<&TemplateRow> {
        let wanted = text.trim().to_ascii_lowercase();
        if wanted.len() < 4 {
            return Err(err!(Usage, "template {text:?}: give at least 4 characters of its id"));
        }
        let all = self.iter().flat_map(|entry| &entry.templates);
        let fits: Vec<&TemplateRow> = all.filter(|row| row.id.to_string().contains(&wanted)).collect();
        match fits.as_slice() {
            [one] => Ok(one),
            [] => Err(err!(
                NoInput,
                "no template's id holds {text:?}; `watchlistd gallery show WHO` lists them"
            )),
            several => Err(err!(Usage, "{} templates' ids hold {text:?}: give more of it", several.len())),
        }
    }
}

/// What searches see of a list.
fn rule(list: &List) -> ListRule {
    ListRule {
        name: list.name.as_str().into(),
        threshold: list.threshold,
        priority: list.priority,
        publish: list.publish,
    }
}
