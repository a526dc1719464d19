//! What of a folder no row names. A row about nothing that is there may be a typing mistake for it, and then somebody would be
//! enrolled without what the row says: without an end, or on another list. Where every folder has a row, it can only be a row too
//! many, and the others may go on.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization as _;

/// The folders and pictures that are there and have no row of their own, composed as in the rows.
#[derive(Debug, Default)]
pub(in crate::gallery::enrol) struct Unnamed {
    /// Folders, and pictures beside them, of which no row says anything.
    places: BTreeSet<String>,
    /// For each folder that is there: a picture in it without a row of its own.
    pictures: BTreeMap<String, Option<String>>,
}

impl Unnamed {
    /// A folder is there; `picture` has no row of its own.
    pub(in crate::gallery::enrol) fn folder(&mut self, name: &str, picture: Option<&str>) {
        let name: String = name.nfc().collect();
        let picture = picture.map(|picture| format!("{name}/{}", picture.nfc().collect::<String>()));
        let known = self.pictures.entry(name).or_default();
        *known = known.take().or(picture);
    }

    /// No row says anything of what is there.
    pub(in crate::gallery::enrol) fn place(&mut self, name: &str) {
        self.places.insert(name.nfc().collect());
    }

    /// What a row for `place`, which is not there, may have been meant for.
    pub(super) fn instead_of(&self, place: &str) -> Option<&str> {
        let inside = place.split_once('/').and_then(|(folder, _)| self.pictures.get(folder));
        match inside {
            Some(picture) => picture.as_deref(),
            None => self.places.first().map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_row_may_be_meant_instead() {
        let mut unnamed = Unnamed::default();
        unnamed.folder("Ana", None);
        unnamed.folder("Jose\u{301}", Some("1.jpg"));
        unnamed.folder("Jose\u{301}", Some("2.jpg"));
        assert_eq!(unnamed.instead_of("Dora"), None);
        assert_eq!(unnamed.instead_of("Ana/9.jpg"), None);
        assert_eq!(unnamed.instead_of("José/9.jpg"), Some("José/1.jpg"));
        unnamed.place("Dor a");
        assert_eq!(unnamed.instead_of("Dora"), Some("Dor a"));
        assert_eq!(unnamed.instead_of("Dora/1.jpg"), Some("Dor a"), "its folder is not there");
        assert_eq!(unnamed.instead_of("Ana/9.jpg"), None);
    }
}
