//! Questions to the audit log.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{ChangeSet, Keeper};
use crate::bail;
use crate::base::error::Result;
use crate::gallery::audit::{self, Action, Draft, Entry, FORGOTTEN, Filter, Head, HeadFile, HeadState, Row};
use crate::gallery::command::{Actor, AuditFilter, Who};
use crate::gallery::report::{AuditEntry, AuditReport, Member};
use crate::gallery::store::Store;
use crate::types::ids::IdentityId;

impl Keeper {
    /// Checks the chain, against the head file and against a head that was kept elsewhere.
    pub(super) fn audit_verify(&self, head: Option<&str>) -> Result<AuditReport> {
        let mut report = verify_log(&self.store, &self.head_file, head)?;
        if let Some(problem) = &self.head_problem {
            report.problems.insert(0, format!("when the gallery was opened: {problem}"));
        }
        Ok(report)
    }

    /// The end of the log, `count:hex`, to be kept elsewhere.
    pub(super) fn audit_head(&self) -> String {
        self.chain.head().to_string()
    }

    /// The head file follows the log again, whatever it held; what it held is in the log.
    pub(super) fn audit_accept_head(&mut self, actor: &Actor) -> Result<AuditReport> {
        if self.head_file.follows() {
            bail!(
                Usage,
                "the audit log follows the head kept beside the gallery: there is nothing to accept"
            );
        }
        let kept = match self.head_file.read() {
            Ok(kept) => kept.map_or_else(|| "none".to_owned(), |head| head.to_string()),
            Err(_) => "unreadable".to_owned(),
        };
        let accepted = self.chain.head().to_string();
        let mut change = ChangeSet::default();
        change.say(Draft::new(Action::HeadAccepted).with("kept", kept).with("accepted", accepted));
        self.commit(actor, change)?;
        self.head_file.accept(self.chain.head(), self.clock.now().wall)?;
        self.audit_verify(None)
    }

    /// Entries that fit.
    pub(super) fn audit_show(&self, asked: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let who = asked.who.as_ref().map(|who| self.find_in_log(who)).transpose()?;
        let filter = Filter::new(asked, who)?;
        let found = self.store.read(|tables| audit::select(tables.audit_rows(), &filter))?;
        let survey = self.survey()?;
        Ok(found
            .into_iter()
            .map(|(row, entry)| {
                let name = entry.identity.and_then(|id| self.name_in(&row, id, &survey));
                entry.report(name)
            })
            .collect())
    }

    /// Who was on which list then.
    ///
    /// # Errors
    /// `Usage`, when that is still to come; `NoInput`, when nothing was on record yet.
    pub(super) fn audit_at(&self, at: Timestamp) -> Result<Vec<Member>> {
        let survey = self.survey()?;
        let now = self.clock.now().wall;
        // A clock that was ahead has left entries of what is still to come.
        if at > survey.last.unwrap_or(now).max(now) {
            bail!(Usage, "{at} is still to come: the audit log says who was on which list, not who will be");
        }
        if let Some(first) = survey.first.filter(|first| at < *first) {
            bail!(NoInput, "the audit log begins at {first}: who was on which list at {at} is not on record");
        }
        let name_of = |row: &Row, id: IdentityId| self.name_in(row, id, &survey);
        self.store.read(|tables| audit::members_at(tables.audit_rows(), at, name_of))
    }

    /// Somebody who was forgotten is in the log too, by the id.
    fn find_in_log(&self, who: &Who) -> Result<IdentityId> {
        match who.0.trim().parse() {
            Ok(id) => Ok(id),
            Err(_) => self.directory.find(who),
        }
    }

    fn name_in(&self, row: &Row, id: IdentityId, survey: &Survey) -> Option<String> {
        let Some(entry) = self.directory.get(id) else {
            let without = row.name(id, None)?;
            return Some(survey.fates.get(&id).cloned().unwrap_or(without));
        };
        let identity = &entry.identity;
        // What was written before a deep rotation stays under the key of its time.
        let mut keys = std::iter::once(&identity.key).chain(&identity.older);
        let opens = keys.find(|key| row.open(id, key).is_some());
        row.name(id, Some(opens.unwrap_or(&identity.key)))
    }
}

/// What is known of the log as a whole.
#[derive(Default)]
struct Survey {
    /// The earliest time in it, and the latest.
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Why those who are not here any more are not.
    fates: HashMap<IdentityId, String>,
}

/// Stands for the name of somebody whom an older backup did not have.
const REMOVED: &str = "removed by a restore";

impl Keeper {
    fn survey(&self) -> Result<Survey> {
        let mut survey = Survey::default();
        self.store.read(|tables| {
            for row in tables.audit_rows() {
                let entry = row?.entry()?;
                survey.first = Some(survey.first.map_or(entry.at, |first| first.min(entry.at)));
                survey.last = survey.last.max(Some(entry.at));
                let Some(id) = entry.identity.filter(|id| self.directory.get(*id).is_none()) else {
                    continue;
                };
                if let Some(fate) = self.fate_in(&entry) {
                    survey.fates.insert(id, fate);
                }
            }
            Ok(())
        })?;
        // Also of whoever was merged into somebody who was forgotten then.
        let forgotten = self.forgotten()?.into_iter();
        survey.fates.extend(forgotten.map(|forgotten| (forgotten.identity, FORGOTTEN.to_owned())));
        Ok(survey)
    }

    /// How an identity went, if the entry says that.
    fn fate_in(&self, entry: &Entry) -> Option<String> {
        match entry.action()? {
            Action::Forgotten => Some(FORGOTTEN.to_owned()),
            Action::Restored if !entry.sealed => Some(REMOVED.to_owned()),
            Action::Merged if !entry.sealed => {
                let into = entry.detail.get("into")?.as_str()?;
                let known = into.parse().ok().and_then(|id| self.directory.get(id));
                let name = known.map_or(into, |entry| entry.identity.record.name.as_str());
                Some(format!("merged into {name}"))
            }
            _ => None,
        }
    }
}

/// As [`Keeper::audit_verify`], of a store that may not open as a gallery.
pub(super) fn verify_log(store: &Store, head_file: &HeadFile, head: Option<&str>) -> Result<AuditReport> {
    let mut against: Vec<(&str, Head)> = Vec::new();
    if let Some(head) = head {
        against.push(("the head that was given", head.parse()?));
    }
    let last = store.read(|tables| tables.last_audit_row()).ok().flatten().map_or(0, |row| row.sequence);
    let mut problems = Vec::new();
    match head_file.read() {
        Ok(Some(file)) => against.push(("the head kept beside the gallery", file)),
        Ok(None) => problems.extend(
            HeadState::Missing { count: last }
                .problem("the head kept beside the gallery")
                .map(|problem| problem.to_string()),
        ),
        Err(error) => problems.push(error.chain()),
    }
    let key = &store.keys().audit;
    let report = store.read(|tables| Ok(audit::verify(key, tables.audit_rows(), &against)))?;
    problems.extend(report.sentences());
    Ok(AuditReport { entries: report.entries, head: report.head.to_string(), problems })
}
