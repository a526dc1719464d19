//! What an operator says of somebody besides the pictures: on the command line, or in a row beside the pictures.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::base::error::Result;
use crate::err;
use crate::gallery::dates::{self, Edge};
use crate::gallery::name::Name;
use crate::gallery::record::{ExternalId, ListName, Record};

/// Parts of a [`Record`]. What is not given is left to somebody else: the folder's name, the row of the folder, the command
/// line, and last the record's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Display name.
    pub name: Option<Name>,
    /// Another system's id.
    pub external_id: Option<ExternalId>,
    /// The lists. An empty set is an answer: on none.
    pub lists: Option<BTreeSet<ListName>>,
    /// Why the person is looked for.
    pub purpose: Option<String>,
    /// By whose authority, or the record of the consent.
    pub authority: Option<String>,
    /// Where the pictures come from.
    pub image_source: Option<String>,
    /// Looked for from then on.
    pub valid_from: Option<Timestamp>,
    /// Looked for until then (exclusive).
    pub valid_until: Option<Timestamp>,
    /// When somebody should look whether it still belongs here.
    pub review: Option<Timestamp>,
    /// Anything else.
    pub notes: Option<String>,
}

impl Details {
    /// These, and what they leave open from `base`.
    #[must_use]
    pub fn over(self, base: &Details) -> Self {
        Self {
            name: self.name.or_else(|| base.name.clone()),
            external_id: self.external_id.or_else(|| base.external_id.clone()),
            lists: self.lists.or_else(|| base.lists.clone()),
            purpose: self.purpose.or_else(|| base.purpose.clone()),
            authority: self.authority.or_else(|| base.authority.clone()),
            image_source: self.image_source.or_else(|| base.image_source.clone()),
            valid_from: self.valid_from.or(base.valid_from),
            valid_until: self.valid_until.or(base.valid_until),
            review: self.review.or(base.review),
            notes: self.notes.or_else(|| base.notes.clone()),
        }
    }

    /// The record of somebody, by the name given here, else by `name`.
    ///
    /// # Errors
    /// As [`Record::check`].
    pub fn record(self, name: Name) -> Result<Record> {
        let mut record = Record::new(self.name.unwrap_or(name));
        if let Some(lists) = self.lists {
            record.lists = lists;
        }
        record.external_id = self.external_id;
        record.purpose = self.purpose;
        record.authority = self.authority;
        record.image_source = self.image_source;
        record.valid_from = self.valid_from;
        record.valid_until = self.valid_until;
        record.review = self.review;
        record.notes = self.notes;
        record.check()?;
        Ok(record)
    }
}

/// A moment that somebody typed, as [`dates::parse`] reads it; here it cannot be `none`.
///
/// # Errors
/// `Data`, with the text and what was expected.
pub fn moment(text: &str, edge: Edge) -> Result<Timestamp> {
    let moment = dates::parse(text, Timestamp::now(), &dates::zone()?, edge)?;
    moment.ok_or_else(|| err!(Data, "{text:?}: leave it out where there is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(purpose: &str) -> Details {
        Details { purpose: Some(purpose.to_owned()), ..Details::default() }
    }

    #[test]
    fn what_is_said_closer_counts_and_the_rest_comes_from_further_away() {
        let base = Details { notes: Some("base".to_owned()), ..details("base") };
        let merged = details("row").over(&base);
        assert_eq!((merged.purpose.as_deref(), merged.notes.as_deref()), (Some("row"), Some("base")));
        let none = Details { lists: Some(BTreeSet::new()), ..Details::default() };
        let staff = Details { lists: Some([ListName::new("staff").expect("a list")].into()), ..base };
        assert_eq!(none.over(&staff).lists, Some(BTreeSet::new()), "on no list is an answer");
    }

    #[test]
    fn a_record_has_the_defaults_where_nothing_is_said_and_is_checked() {
        let name = Name::new("Ana").expect("a name");
        assert_eq!(Details::default().record(name.clone()).expect("a record"), Record::new(name.clone()));
        let (from, until) = (moment("2027-03-02", Edge::Start).ok(), moment("2027-03-01", Edge::End).ok());
        assert_eq!(from, until, "a day ends where the next starts");
        let nothing = Details { valid_from: from, valid_until: until, ..Details::default() };
        assert!(nothing.record(name).expect_err("no time at all").to_string().contains("valid until"));
    }

    #[test]
    fn dates_and_times_are_read() {
        let utc = moment("2027-03-01T18:00:00+01:00", Edge::End).expect("a time");
        assert_eq!(utc.to_string(), "2027-03-01T17:00:00Z");
        for bad in ["", "tomorrow", "2027-02-30", "2027-03-01T18:00", "01.03.2027", "9999-12-31"] {
            assert!(moment(bad, Edge::End).expect_err(bad).to_string().contains(bad), "{bad}");
        }
    }
}
