//! Forgetting somebody: the key, and with it everything that was ever sealed under it.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::change::{ChangeSet, IdentityChange, TemplateChange};
use super::edit::EXTERNAL_TAG;
use super::{Directory, Keeper};
use crate::base::error::{Kind, Result};
use crate::gallery::audit::{Action, Draft, Entry, SealedPart};
use crate::gallery::command::{Actor, Who};
use crate::gallery::record::{ExternalId, Standing};
use crate::gallery::report::Receipt;
use crate::gallery::store::Forgotten;
use crate::types::ids::{IdentityId, ModelId, TemplateId};
use crate::{bail, err};

/// Neighbours that are looked through for somebody who must not be among them.
const AROUND: usize = 16;

/// What forgetting an identity changes; `dissolved` are the ids of those who were merged into it.
pub(super) fn plan(
    directory: &Directory,
    id: IdentityId,
    reason: Option<&str>,
    dissolved: &[IdentityId],
    change: &mut ChangeSet,
) -> Result<()> {
    let entry = directory.expect(id)?;
    let mut draft = Draft::new(Action::Forgotten)
        .about_id(id)
        .member(Vec::<String>::new(), Standing::Expired)
        .with("templates", entry.templates.len())
        .with("crops", entry.crops.len());
    if let Some(reason) = reason {
        draft = draft.with("reason", reason);
    }
    if !dissolved.is_empty() {
        let ids: Vec<String> = dissolved.iter().map(ToString::to_string).collect();
        draft = draft.with("dissolved", ids);
    }
    change.say(draft);
    change.identities.push(IdentityChange::Remove(id));
    change.wipe = true;
    Ok(())
}

/// Templates that are there and must not be: pictures of somebody who was forgotten, under another's name in an older store.
pub(super) fn plan_pictures(directory: &Directory, gone: &HashSet<TemplateId>, change: &mut ChangeSet) {
    for entry in directory.iter() {
        for row in entry.templates.iter().filter(|row| gone.contains(&row.id)) {
            let identity = &entry.identity;
            let draft = Draft::new(Action::TemplateRemoved)
                .about(identity.id, SealedPart::of(&identity.record))
                .with("template", row.id.to_string())
                .with("model", row.model.hex())
                .with("reason", "a picture of somebody who was forgotten");
            change.say_of(identity, draft);
            change.templates.push(TemplateChange::Remove(row.clone()));
            change.wipe = true;
        }
    }
}

/// Under what an older copy has somebody besides the id.
struct Traces {
    /// Those who were merged into this one, also by way of others, and are not here in their own right again: a backup or a
    /// bundle of before the merge has the same person under their ids.
    dissolved: Vec<IdentityId>,
    /// Pictures of this person: those stored, and those that were moved here, which an older copy has under another's name.
    templates: Vec<TemplateId>,
    /// Keyed tags of the external ids that they had before.
    tags: BTreeSet<[u8; 32]>,
}

/// The templates that went to the identity that the entry is about.
fn moved_by(entry: &Entry) -> impl Iterator<Item = TemplateId> {
    let field = match entry.action() {
        Some(Action::TemplateMoved) => "template",
        Some(Action::Split) => "moved",
        _ => "",
    };
    ids(entry, field)
}

/// Ids in a field of an entry: one, or several.
fn ids<T: std::str::FromStr>(entry: &Entry, field: &str) -> impl Iterator<Item = T> {
    let ids = match entry.detail.get(field) {
        Some(serde_json::Value::Array(ids)) => ids.as_slice(),
        one => one.map(std::slice::from_ref).unwrap_or_default(),
    };
    ids.iter().filter_map(|id| id.as_str()?.parse().ok())
}

impl Keeper {
    /// Destroys an identity, and looks that it is gone.
    pub(super) fn forget(&mut self, actor: &Actor, who: &Who, reason: Option<String>) -> Result<Receipt> {
        let id = match self.directory.find(who) {
            Ok(id) => id,
            Err(nobody) if nobody.kind() == Kind::NoInput => return self.receipt_again(who)?.ok_or(nobody),
            Err(error) => return Err(error),
        };
        let entry = self.directory.expect(id)?;
        let (templates, crops) = (entry.templates.len() as u64, entry.crops.len() as u64);
        // In memory until the search has been tried; wiped when they go.
        let gone = self.store.read(|tables| tables.templates_of(id, &entry.identity.key)).unwrap_or_default();
        let at = self.clock.now().wall;
        let external_id = entry.identity.record.external_id.clone();
        let external_tag = match external_id {
            Some(external) => Some(self.store.read(|tables| Ok(tables.external_tag(&external)))?),
            None => None,
        };
        let told = self.told(u64::MAX)?;
        let Traces { dissolved, templates: pictures, mut tags } = self.traces_of(id, &told);
        let mut change = ChangeSet::default();
        plan(&self.directory, id, reason.as_deref(), &dissolved, &mut change)?;
        let all: Vec<IdentityId> = std::iter::once(id).chain(dissolved.iter().copied()).collect();
        let snapshots = self.snapshots_of(&all);
        if let Some((draft, _)) = change.entries.last_mut().filter(|_| snapshots > 0) {
            draft.detail.insert("snapshots".to_owned(), snapshots.into());
        }
        if let Some(tag) = &external_tag {
            tags.remove(tag);
        }
        change.forgotten.push(Forgotten { identity: id, external_tag, at, templates: pictures });
        let none = |identity| Forgotten { identity, external_tag: None, at, templates: Vec::new() };
        change.forgotten.extend(dissolved.iter().copied().map(none));
        change.forgotten.extend(tags.into_iter().map(|tag| Forgotten::of_tag(tag, at)));
        let done = self.commit(actor, change)?;
        // The key is gone: what cannot be deleted now cannot be opened either, and goes with the next round or start of the daemon.
        let mut beyond = told.beyond();
        let removed = self.forget_snapshots(&all);
        // Some may be gone already: whoever saw the key go, or the recognition withdrawn, was quicker.
        let snapshots = removed.map(|removed| removed.max(snapshots)).unwrap_or_else(|error| {
            tracing::error!(error = error.chain(), "snapshots of somebody who was forgotten are not deleted yet");
            beyond.push(
                "the snapshot store, which cannot be written now: what it holds of this identity cannot be opened any more, and is \
                 deleted as soon as it can be"
                    .to_owned(),
            );
            0
        });

        let snapshot = self.shared.current();
        let probes: Vec<_> = gone.iter().filter(|t| t.row.model == snapshot.model()).collect();
        let returned = probes
            .iter()
            .filter(|t| {
                snapshot.nearest_of_all(&t.embedding, AROUND).iter().any(|found| found.identity == id)
            })
            .count() as u64;
        if returned > 0 {
            return Err(err!(
                Software,
                "identity {id} was removed and a search still finds it: stop the daemon, and report this"
            ));
        }
        Ok(Receipt {
            identity: id,
            at,
            templates,
            crops,
            snapshots,
            wiped: done.wiped,
            probes: probes.len() as u64,
            returned,
            generation: done.generation,
            audit: done.audit,
            beyond,
            dissolved,
            again: false,
        })
    }

    /// The receipt for somebody who was forgotten before, by id or external id, from what the audit log says.
    ///
    /// # Errors
    /// `NoInput`, when the log does not go back that far.
    fn receipt_again(&self, who: &Who) -> Result<Option<Receipt>> {
        let text = who.0.trim();
        let tag = match ExternalId::new(text) {
            Ok(external) => Some(self.store.read(|tables| Ok(tables.external_tag(&external)))?),
            Err(_) => None,
        };
        let told = self.told(u64::MAX)?;
        let had = || told.called.iter().rev().find(|(_, had)| Some(*had) == tag).map(|(id, _)| *id);
        let id: Option<IdentityId> = text.parse().ok().or_else(had);
        let Some(gone) = meant(self.forgotten()?, id, tag) else { return Ok(None) };
        let Some(entry) = self.entry_of_forgetting(gone.identity)? else {
            bail!(
                NoInput,
                "{} was forgotten at {}, and the audit log has no entry of it: there is no receipt",
                gone.identity,
                gone.at
            );
        };
        let told = self.told(entry.sequence)?;
        let count = |key: &str| entry.detail.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
        Ok(Some(Receipt {
            identity: entry.identity.unwrap_or(gone.identity),
            at: entry.at,
            templates: count("templates"),
            crops: count("crops"),
            snapshots: count("snapshots"),
            wiped: self.store.checkpoint(),
            probes: 0,
            returned: 0,
            generation: entry.generation,
            audit: entry.sequence,
            beyond: told.beyond(),
            dissolved: ids(&entry, "dissolved").collect(),
            again: true,
        }))
    }

    /// The entry that says that somebody was forgotten, or whoever it had been merged into.
    fn entry_of_forgetting(&self, id: IdentityId) -> Result<Option<Entry>> {
        let (mut about, mut found) = (id, None);
        self.store.read(|tables| {
            for row in tables.audit_rows() {
                let Ok(entry) = row.and_then(|row| row.entry()) else { continue };
                if entry.identity != Some(about) {
                    continue;
                }
                let into = entry.detail.get("into").and_then(|into| into.as_str()?.parse().ok());
                match (entry.action(), into) {
                    (Some(Action::Forgotten), _) => found = Some(entry),
                    (Some(Action::Merged), Some(into)) => about = into,
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// What the audit log tells before that entry that matters to somebody who is forgotten. An entry that cannot be read keeps
    /// nobody here.
    fn told(&self, before: u64) -> Result<Told> {
        self.store.read(|tables| {
            let mut told = Told::default();
            for row in tables.audit_rows() {
                match row.and_then(|row| row.entry()) {
                    Ok(entry) if entry.sequence >= before => break,
                    Ok(entry) => told.take(&entry),
                    Err(_) => told.unreadable += 1,
                }
            }
            Ok(told)
        })
    }

    /// Under what else an older copy has somebody.
    fn traces_of(&self, id: IdentityId, told: &Told) -> Traces {
        let into = &told.into;
        let mut found = BTreeSet::from([id]);
        loop {
            let more: Vec<IdentityId> = into
                .iter()
                .filter(|(from, target)| found.contains(target) && !found.contains(from))
                .map(|(from, _)| *from)
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        // What is here and somebody else's stays theirs.
        let moved = told.moved.iter().filter(|(_, to)| found.contains(to));
        let mut templates: BTreeSet<TemplateId> = moved.map(|(template, _)| *template).collect();
        for entry in self.directory.iter() {
            let own = entry.identity.id == id;
            entry.templates.iter().for_each(|row| {
                if own {
                    templates.insert(row.id)
                } else {
                    templates.remove(&row.id)
                };
            });
        }
        let tags = told.called.iter().filter(|(who, _)| found.contains(who)).map(|(_, tag)| *tag).collect();
        let dissolved = found.into_iter().filter(|other| self.directory.get(*other).is_none());
        Traces { dissolved: dissolved.collect(), templates: templates.into_iter().collect(), tags }
    }
}

/// Who of the forgotten has that id, else that external id: an external id of before stands there by itself, under an id that is
/// nobody's.
fn meant(all: Vec<Forgotten>, id: Option<IdentityId>, tag: Option<[u8; 32]>) -> Option<Forgotten> {
    let by_id = all.iter().position(|gone| id == Some(gone.identity));
    let by_tag = || all.iter().position(|gone| tag.is_some() && gone.external_tag == tag);
    let at = by_id.or_else(by_tag)?;
    all.into_iter().nth(at)
}

/// What the audit log tells that matters to somebody who is forgotten.
#[derive(Default)]
struct Told {
    /// Who was merged, into whom.
    into: HashMap<IdentityId, IdentityId>,
    /// Templates that went from one to another, and to whom last.
    moved: HashMap<TemplateId, IdentityId>,
    /// Keyed tags of external ids that somebody had.
    called: Vec<(IdentityId, [u8; 32])>,
    /// When something was taken out.
    backups: Vec<Timestamp>,
    exports: Vec<Timestamp>,
    /// Entries that say nothing any more.
    unreadable: u64,
}

impl Told {
    fn take(&mut self, entry: &Entry) {
        let action = entry.action();
        let taken_out = match action {
            Some(Action::BackedUp) => Some(&mut self.backups),
            Some(Action::Exported) => Some(&mut self.exports),
            _ => None,
        };
        if let Some(all) = taken_out {
            if entry.detail.get("stage").is_some_and(|stage| stage == "failed") {
                all.pop();
            } else {
                all.push(entry.at);
            }
        }
        let Some(about) = entry.identity else { return };
        let tag = entry.detail.get(EXTERNAL_TAG).and_then(|tag| ModelId::from_hex(tag.as_str()?));
        self.called.extend(tag.map(|ModelId(tag)| (about, tag)));
        self.moved.extend(moved_by(entry).map(|template| (template, about)));
        let target = entry.detail.get("into").and_then(|id| id.as_str()?.parse().ok());
        match (action, target) {
            (Some(Action::Merged), Some(target)) => {
                self.into.insert(about, target);
            }
            (Some(Action::Enrolled | Action::Restored), _) if entry.sealed => {
                self.into.remove(&about);
            }
            _ => {}
        }
    }

    /// What forgetting cannot reach. What became of a file only its writer knows, so one that was begun counts unless it failed
    /// here.
    fn beyond(&self) -> Vec<String> {
        let mut beyond = Vec::new();
        for (all, what, advice) in [
            (&self.backups, "backup", "delete them; a restore from one forgets this identity again"),
            (&self.exports, "export", "delete them, and have it forgotten where they were imported"),
        ] {
            beyond.push(match all.last() {
                Some(last) => {
                    format!("{what}s that may exist: {}, the last begun at {last}: {advice}", all.len())
                }
                None => {
                    format!("no {what} was ever made by this program; copies of the disk are not known to it")
                }
            });
        }
        if self.unreadable > 0 {
            let entries = if self.unreadable == 1 { "entry" } else { "entries" };
            beyond.push(format!(
                "{} {entries} of the audit log cannot be read (run watchlistd audit verify): if another identity was merged into this \
                 one there, a restore may bring it back, and backups and exports of then are not counted",
                self.unreadable
            ));
        }
        beyond.push(
            "events about this identity that were delivered: whoever received them has its id, and its name if it was published"
                .to_owned(),
        );
        beyond.push(
            "what the file system or a flash drive keeps of overwritten blocks: it is encrypted, and its key is among it only until \
             the block is used again"
                .to_owned(),
        );
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_found_by_id_before_what_stands_for_an_external_id_of_theirs() {
        let (at, tag, id) = (Timestamp::UNIX_EPOCH, [7; 32], IdentityId::generate());
        let person = Forgotten { identity: id, external_tag: None, at, templates: Vec::new() };
        let (of_tag, other) = (Forgotten::of_tag(tag, at), Forgotten::of_tag([8; 32], at));
        for all in [[&other, &of_tag, &person], [&person, &of_tag, &other]] {
            let all: Vec<Forgotten> = all.into_iter().cloned().collect();
            assert_eq!(meant(all.clone(), Some(id), Some(tag)), Some(person.clone()));
            assert_eq!(meant(all.clone(), None, Some(tag)), Some(of_tag.clone()));
            assert_eq!(meant(all.clone(), Some(id), None), Some(person.clone()));
            assert_eq!(meant(all, None, None), None);
        }
    }
}
