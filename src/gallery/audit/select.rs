//! Entries that fit a filter.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::action::Action;
use super::entry::{Entry, Row};
use crate::base::error::Result;
use crate::gallery::command::AuditFilter;
use crate::types::ids::IdentityId;

/// Which entries. What is `None` is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// About this identity.
    pub who: Option<IdentityId>,
    /// Of this action.
    pub action: Option<Action>,
    /// Whose time is then or later.
    pub since: Option<Timestamp>,
    /// Whose time is before then.
    pub until: Option<Timestamp>,
    /// At most so many, the newest of them.
    pub most: Option<usize>,
}

impl Filter {
    /// The filter that was asked for; `who` is the identity its `who` names.
    ///
    /// # Errors
    /// `Usage`, when there is no such action.
    pub fn new(asked: &AuditFilter, who: Option<IdentityId>) -> Result<Self> {
        Ok(Self {
            who,
            action: asked.action.as_deref().map(str::parse).transpose()?,
            since: asked.since,
            until: asked.until,
            most: asked.most,
        })
    }

    /// True if the entry fits, `most` aside.
    pub fn fits(&self, entry: &Entry) -> bool {
        self.who.is_none_or(|who| entry.concerns(who))
            && self.action.is_none_or(|action| entry.action == action.as_str())
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// The entries that fit, with their rows, oldest first. Holds no more than it returns.
///
/// # Errors
/// Of the first row that cannot be read.
pub fn select(rows: impl Iterator<Item = Result<Row>>, filter: &Filter) -> Result<Vec<(Row, Entry)>> {
    let most = filter.most.unwrap_or(usize::MAX);
    let mut found = VecDeque::new();
    for row in rows {
        let row = row?;
        let entry = row.entry()?;
        if filter.fits(&entry) {
            found.push_back((row, entry));
        }
        if found.len() > most {
            found.pop_front();
        }
    }
    Ok(found.into())
}
