//! Changes of identities and of whose a template is.

use jiff::Timestamp;

use super::Keeper;
use super::change::{ChangeSet, IdentityChange, TemplateChange};
use crate::bail;
use crate::base::error::Result;
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::{Actor, Change, SourceKind, Who};
use crate::gallery::crypt::Key;
use crate::gallery::life::standing_after_change;
use crate::gallery::name::Name;
use crate::gallery::record::{ListName, Record};
use crate::gallery::report::{Moved, Person};
use crate::gallery::store::{StoredIdentity, StoredTemplate, TemplateRow};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

impl Keeper {
    /// Changes a record.
    pub(super) fn change(&mut self, actor: &Actor, who: &Who, change: Change) -> Result<Person> {
        let id = self.directory.find(who)?;
        let before = self.directory.expect(id)?.identity.clone();
        for list in change.onto.iter().chain(&change.off) {
            self.expect_list(list)?;
        }
        let record = change.applied(before.record.clone());
        self.put_record(actor, &before, record, Action::Changed)
    }

    /// Notes that somebody looked whether the identity still belongs here.
    pub(super) fn reviewed(&mut self, actor: &Actor, who: &Who, next: Option<Timestamp>) -> Result<Person> {
        let id = self.directory.find(who)?;
        let before = self.directory.expect(id)?.identity.clone();
        let record = Record { review: next, ..before.record.clone() };
        self.put_record(actor, &before, record, Action::Reviewed)
    }

    fn put_record(
        &mut self,
        actor: &Actor,
        before: &StoredIdentity,
        record: Record,
        action: Action,
    ) -> Result<Person> {
        record.check()?;
        if record == before.record && action == Action::Changed {
            return Ok(self.directory.expect(before.id)?.report());
        }
        self.refuse_taken(&record, before.id)?;
        let now = self.clock.now().wall;
        let standing = standing_after_change(&before.record, before.standing, &record, now);
        let after = StoredIdentity { record, standing, revision: before.revision + 1, ..before.clone() };
        let named = SealedPart::of(&after.record).with("before", before.record.name.as_str());
        let draft = Draft::new(action)
            .about(after.id, named)
            .member(&after.record.lists, after.standing)
            .with("revision", after.revision);
        let draft = with_changes(draft, &before.record, &after.record);
        let left = self.left_behind(&before.record, Some(&after.record))?;
        let mut change = ChangeSet::default();
        change.say_of(&after, with_external_tag(draft, left));
        let id = after.id;
        change.identities.push(IdentityChange::Put(after));
        self.commit(actor, change)?;
        Ok(self.directory.expect(id)?.report())
    }

    /// Keyed tag of the external id that somebody has no more: an older copy has them under it.
    pub(super) fn left_behind(&self, before: &Record, after: Option<&Record>) -> Result<Option<[u8; 32]>> {
        let kept = after.and_then(|record| record.external_id.as_ref());
        match before.external_id.as_ref().filter(|external| Some(*external) != kept) {
            Some(external) => self.store.read(|tables| Ok(Some(tables.external_tag(external)))),
            None => Ok(None),
        }
    }

    /// An external id is one identity's.
    pub(super) fn refuse_taken(&self, record: &Record, but: IdentityId) -> Result<()> {
        let Some(external) = &record.external_id else { return Ok(()) };
        match self.directory.by_external_id(external).filter(|id| *id != but) {
            None => Ok(()),
            Some(other) => {
                let name = &self.directory.expect(other)?.identity.record.name;
                bail!(Data, "external id {external} is {:?}'s already ({other})", name.as_str())
            }
        }
    }

    /// Gives everything of one identity to another.
    pub(super) fn merge(&mut self, actor: &Actor, from: &Who, into: &Who) -> Result<Moved> {
        let (from, into) = (self.directory.find(from)?, self.directory.find(into)?);
        if from == into {
            bail!(Usage, "both are the same identity, {into}");
        }
        let (gone, kept) =
            (self.directory.expect(from)?.identity.clone(), self.directory.expect(into)?.identity.clone());
        let mut change = ChangeSet::default();
        let moved = self.moved(&gone, &kept, Names::Stay, |_| true, &mut change)?;
        let repeated = self.directory.expect(from)?.templates.len() - moved;
        // Whom it was dissolved from stands there by the id alone: a name under another's key would outlive its person.
        let draft = Draft::new(Action::Merged)
            .about(into, SealedPart::of(&kept.record))
            .member(&kept.record.lists, kept.standing)
            .with("from", from.to_string())
            .with("templates", moved)
            .with("repeated", repeated);
        change.say_of(&kept, draft);
        // The one that is dissolved is on no list any more. Its key goes with it, so this names nobody.
        let none = Draft::new(Action::Merged)
            .about_id(from)
            .member(Vec::<String>::new(), gone.standing)
            .with("into", into.to_string());
        change.say(with_external_tag(none, self.left_behind(&gone.record, None)?));
        change.identities.push(IdentityChange::Remove(from));
        change.wipe = true;
        self.commit(actor, change)?;
        Ok(Moved {
            person: self.directory.expect(into)?.report(),
            from,
            moved: moved as u64,
            repeated: repeated as u64,
            left: None,
        })
    }

    /// Gives some templates to a new identity.
    pub(super) fn split(
        &mut self,
        actor: &Actor,
        who: &Who,
        templates: &[String],
        name: Name,
    ) -> Result<Person> {
        let from = self.directory.find(who)?;
        let before = self.directory.expect(from)?.identity.clone();
        let mut wanted: Vec<TemplateId> = Vec::new();
        for text in templates {
            let row = self.directory.template(text)?;
            if row.identity != from {
                bail!(Usage, "template {} is not {:?}'s", row.id, before.record.name.as_str());
            }
            wanted.push(row.id);
        }
        if wanted.is_empty() || wanted.len() >= self.directory.expect(from)?.templates.len() {
            bail!(Usage, "name some of {:?}'s templates, and not all of them", before.record.name.as_str());
        }
        // What stood there of the other person is not this one's: neither a consent nor what somebody wrote about them.
        let record = Record {
            name,
            external_id: None,
            authority: None,
            image_source: None,
            notes: None,
            ..before.record.clone()
        };
        let new = StoredIdentity {
            id: IdentityId::generate(),
            record,
            standing: before.standing,
            created: self.clock.now().wall,
            revision: 1,
            key: Key::generate()?,
            older: Vec::new(),
        };
        let mut change = ChangeSet::default();
        change.identities.push(IdentityChange::Add(new.clone()));
        let moved = self.moved(&before, &new, Names::Go, |id| wanted.contains(&id), &mut change)?;
        let ids: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let draft = Draft::new(Action::Split)
            .about(new.id, SealedPart::of(&new.record))
            .member(&new.record.lists, new.standing)
            .with("from", from.to_string())
            .with("templates", moved)
            .with("moved", ids);
        let draft = with_times(draft, &new.record);
        change.say_of(&new, draft);
        change.wipe = true;
        self.commit(actor, change)?;
        Ok(self.directory.expect(new.id)?.report())
    }

    /// Gives a template to another identity.
    pub(super) fn move_template(&mut self, actor: &Actor, template: &str, to: &Who) -> Result<Moved> {
        let row = self.directory.template(template)?.clone();
        let to = self.directory.find(to)?;
        let (before, after) = (
            self.directory.expect(row.identity)?.identity.clone(),
            self.directory.expect(to)?.identity.clone(),
        );
        if before.id == after.id {
            return self.moved_to(to, before.id, 0);
        }
        let mut change = ChangeSet::default();
        if self.moved(&before, &after, Names::Go, |id| id == row.id, &mut change)? == 0 {
            bail!(
                Data,
                "{:?} has a template of that face in that picture already: remove this one (gallery remove-template {})",
                after.record.name.as_str(),
                row.id
            );
        }
        let draft = Draft::new(Action::TemplateMoved)
            .about(after.id, SealedPart::of(&after.record))
            .with("from", before.id.to_string())
            .with("template", row.id.to_string());
        change.say_of(&after, draft);
        change.wipe = true;
        self.commit(actor, change)?;
        self.moved_to(to, before.id, 1)
    }

    fn moved_to(&self, to: IdentityId, from: IdentityId, moved: u64) -> Result<Moved> {
        let left = Some(self.directory.expect(from)?.templates.len() as u64);
        Ok(Moved { person: self.directory.expect(to)?.report(), from, moved, repeated: 0, left })
    }

    /// Removes a template.
    pub(super) fn remove_template(&mut self, actor: &Actor, template: &str) -> Result<Person> {
        let row = self.directory.template(template)?.clone();
        let owner = self.directory.expect(row.identity)?.identity.clone();
        let mut change = ChangeSet::default();
        let draft = Draft::new(Action::TemplateRemoved)
            .about(owner.id, SealedPart::of(&owner.record))
            .with("template", row.id.to_string())
            .with("model", row.model.hex());
        change.say_of(&owner, draft);
        change.templates.push(TemplateChange::Remove(row));
        change.wipe = true;
        self.commit(actor, change)?;
        Ok(self.directory.expect(owner.id)?.report())
    }

    /// Moves the templates that are `wanted`, with their crops; how many. Of a face in a picture that both have, the other keeps
    /// its own.
    fn moved(
        &self,
        from: &StoredIdentity,
        to: &StoredIdentity,
        names: Names,
        wanted: impl Fn(TemplateId) -> bool,
        change: &mut ChangeSet,
    ) -> Result<usize> {
        let has = self.directory.get(to.id).map(|entry| entry.templates.clone()).unwrap_or_default();
        let crops = self.directory.expect(from.id)?.crops.clone();
        self.store.read(|tables| {
            let theirs: Vec<StoredTemplate> = tables.templates_of(from.id, &from.key)?;
            let (go, stay): (Vec<_>, Vec<_>) = theirs.into_iter().partition(|template| {
                let row = &template.row;
                let same =
                    |known: &TemplateRow| known.model == row.model && known.source_tag == row.source_tag;
                wanted(row.id) && !has.iter().any(same)
            });
            let count = go.len();
            for mut template in go {
                if names == Names::Go && template.source.kind != SourceKind::Import {
                    template.source.name = MOVED.to_owned();
                }
                let row = &template.row;
                if crops.contains(&row.source_tag)
                    && let Some(bytes) = tables.crop(from.id, &from.key, &row.source_tag)?
                {
                    change.crops.push(super::change::CropChange::Put {
                        identity: to.id,
                        tag: row.source_tag,
                        bytes,
                    });
                    // It goes along: nobody would look for it here when the other one is forgotten.
                    if !stay.iter().any(|left| left.row.source_tag == row.source_tag) {
                        let (identity, tag) = (from.id, row.source_tag);
                        change.crops.push(super::change::CropChange::Remove { identity, tag });
                    }
                }
                change.templates.push(TemplateChange::Move { template, to: to.id });
            }
            Ok(count)
        })
    }
}

/// What becomes of the names of the files that templates were made from, and of where they came from otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The other identity is the same person.
    Stay,
    /// It is another person, and a file's name often is that of whom it was taken for. The digest goes along, so that the picture is
    /// known when it is enrolled again.
    Go,
}

/// Stands for the name of a file that stayed with whom the template was taken from.
const MOVED: &str = "(moved)";

/// A draft with the fields that are not as before: of times and lists, which name nobody, also what they were and are; of the
/// others, what they hold is in the record, and not in the audit log.
pub(super) fn with_changes(draft: Draft, before: &Record, after: &Record) -> Draft {
    let mut draft = draft.with("fields", changed_fields(before, after));
    if before.lists != after.lists {
        let lists: Vec<&str> = before.lists.iter().map(ListName::as_str).collect();
        draft = draft.with("lists_before", lists);
    }
    let written = |time: Option<Timestamp>| time.map(|time| time.to_string());
    for ((field, was), (_, is)) in times(before).into_iter().zip(times(after)) {
        if was != is {
            draft = draft.with(field, written(is)).with(&format!("{field}_before"), written(was));
        }
    }
    draft
}

/// A draft with the keyed tag of an external id that somebody has no more, for when they are forgotten.
pub(super) fn with_external_tag(draft: Draft, left: Option<[u8; 32]>) -> Draft {
    match left {
        Some(tag) => draft.with(EXTERNAL_TAG, ModelId(tag).hex()),
        None => draft,
    }
}

/// The field of it.
pub(super) const EXTERNAL_TAG: &str = "external_tag_before";

/// A draft with the times of a new record.
pub(super) fn with_times(draft: Draft, record: &Record) -> Draft {
    times(record).into_iter().fold(draft, |draft, (field, time)| match time {
        Some(time) => draft.with(field, time.to_string()),
        None => draft,
    })
}

fn times(record: &Record) -> [(&'static str, Option<Timestamp>); 3] {
    [("valid_from", record.valid_from), ("valid_until", record.valid_until), ("review", record.review)]
}

/// The fields that are not as before, by name.
fn changed_fields(before: &Record, after: &Record) -> Vec<&'static str> {
    let fields = [
        ("name", before.name != after.name),
        ("external_id", before.external_id != after.external_id),
        ("lists", before.lists != after.lists),
        ("purpose", before.purpose != after.purpose),
        ("authority", before.authority != after.authority),
        ("image_source", before.image_source != after.image_source),
        ("valid_from", before.valid_from != after.valid_from),
        ("valid_until", before.valid_until != after.valid_until),
        ("review", before.review != after.review),
        ("notes", before.notes != after.notes),
    ];
    fields.into_iter().filter(|(_, changed)| *changed).map(|(field, _)| field).collect()
}
