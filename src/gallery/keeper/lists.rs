//! Lists.

use super::Keeper;
use super::change::{ChangeSet, ListChange};
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft};
use crate::gallery::command::Actor;
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::report::{ListSet, ListUse};
use crate::{bail, err};

impl Keeper {
    /// All lists.
    pub(super) fn lists(&self) -> Vec<ListUse> {
        self.directory.lists().values().map(|list| self.list_use(list)).collect()
    }

    /// Makes a list, or changes its settings.
    pub(super) fn set_list(&mut self, actor: &Actor, list: List) -> Result<ListSet> {
        list.check()?;
        let name = list.name.clone();
        let before = self.directory.lists().get(&name);
        if before != Some(&list) {
            let mut change = ChangeSet::default();
            change.say(set_draft(&list, before));
            change.lists.push(ListChange::Put(list));
            self.commit(actor, change)?;
        }
        let stored = self.directory.lists().get(&name);
        let used = stored.map(|list| self.list_use(list));
        let used = used.ok_or_else(|| err!(Software, "list {name} was not stored"))?;
        let model_threshold = (!self.model.name.is_empty()).then_some(self.model.threshold);
        Ok(ListSet { used, model_threshold })
    }

    /// Removes a list nobody is on.
    pub(super) fn remove_list(&mut self, actor: &Actor, name: &ListName) -> Result<Vec<ListUse>> {
        self.expect_list(name)?;
        if *name == ListName::default() {
            bail!(Usage, "list {name} is the one that new identities are put on: it stays");
        }
        match self.directory.on_list(name) {
            0 => {}
            on => bail!(
                Usage,
                "{on} identities are on list {name}: take them off first (gallery change WHO --off {name})"
            ),
        }
        let mut change = ChangeSet::default();
        change.say(Draft::new(Action::ListRemoved).with("list", name.as_str()));
        change.lists.push(ListChange::Remove(name.clone()));
        self.commit(actor, change)?;
        Ok(self.lists())
    }

    /// The list is there.
    ///
    /// # Errors
    /// `NoInput`, naming those that are.
    pub(super) fn expect_list(&self, name: &ListName) -> Result<()> {
        if self.directory.lists().contains_key(name) {
            return Ok(());
        }
        let known: Vec<&str> = self.directory.lists().keys().map(ListName::as_str).collect();
        bail!(
            NoInput,
            "there is no list {name}; there are: {}. `watchlistd gallery set-list {name}` makes it",
            known.join(", ")
        )
    }

    fn list_use(&self, list: &List) -> ListUse {
        ListUse { list: list.clone(), identities: self.directory.on_list(&list.name) }
    }
}

/// What the audit log says of a list that is made or changed.
pub(super) fn set_draft(list: &List, before: Option<&List>) -> Draft {
    let draft = Draft::new(Action::ListSet)
        .with("list", list.name.as_str())
        .with("priority", list.priority)
        .with("publish", serde_json::to_value(list.publish).unwrap_or_default())
        .with("threshold", list.threshold);
    match before {
        Some(before) => draft.with("threshold_before", before.threshold),
        None => draft,
    }
}
