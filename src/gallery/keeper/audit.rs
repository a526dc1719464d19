//! Questions to the audit log.

use jiff::Timestamp;

use super::Keeper;
use crate::base::error::Result;
use crate::gallery::audit::{self, Filter, Head, HeadFile, HeadState, Row};
use crate::gallery::command::{AuditFilter, Who};
use crate::gallery::report::{AuditEntry, AuditReport, Member};
use crate::gallery::store::Store;
use crate::types::ids::IdentityId;

impl Keeper {
    /// Checks the chain, against the head file and against a head that was kept elsewhere.
    pub(super) fn audit_verify(&self, head: Option<&str>) -> Result<AuditReport> {
        verify_log(&self.store, &self.head_file, head)
    }

    /// The end of the log, `count:hex`, to be kept elsewhere.
    pub(super) fn audit_head(&self) -> String {
        self.chain.head().to_string()
    }

    /// Entries that fit.
    pub(super) fn audit_show(&self, asked: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let who = asked.who.as_ref().map(|who| self.find_in_log(who)).transpose()?;
        let filter = Filter::new(asked, who)?;
        let found = self.store.read(|tables| audit::select(tables.audit_rows(), &filter))?;
        Ok(found
            .into_iter()
            .map(|(row, entry)| {
                let name = entry.identity.and_then(|id| self.name_in(&row, id));
                entry.report(name)
            })
            .collect())
    }

    /// Who was on which list then.
    pub(super) fn audit_at(&self, at: Timestamp) -> Result<Vec<Member>> {
        let name_of = |row: &Row, id: IdentityId| self.name_in(row, id);
        self.store.read(|tables| audit::members_at(tables.audit_rows(), at, name_of))
    }

    /// Somebody who was forgotten is in the log too, by the id.
    fn find_in_log(&self, who: &Who) -> Result<IdentityId> {
        match who.0.trim().parse() {
            Ok(id) => Ok(id),
            Err(_) => self.directory.find(who),
        }
    }

    fn name_in(&self, row: &Row, id: IdentityId) -> Option<String> {
        let Some(entry) = self.directory.get(id) else { return row.name(id, None) };
        let identity = &entry.identity;
        // What was written before a deep rotation stays under the key of its time.
        let mut keys = std::iter::once(&identity.key).chain(&identity.older);
        let opens = keys.find(|key| row.open(id, key).is_some());
        row.name(id, Some(opens.unwrap_or(&identity.key)))
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
