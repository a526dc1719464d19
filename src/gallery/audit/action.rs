//! What is done to a gallery, by its name in the log.

use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result};
use crate::err;

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal,)+) => {
        /// What was done. The names never change: logs hold them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $action,)+
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Action] = &[$(Action::$action,)+];

            /// The name in the log.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Action::$action => $name,)+
                }
            }
        }
    };
}

actions! {
    /// A new identity.
    Enrolled = "enrolled",
    /// A template was added to an identity.
    TemplateAdded = "template-added",
    /// A template was removed.
    TemplateRemoved = "template-removed",
    /// A template went to another identity.
    TemplateMoved = "template-moved",
    /// An identity's record was changed.
    Changed = "changed",
    /// An identity's validity began.
    Started = "started",
    /// An identity's validity ended.
    Expired = "expired",
    /// Somebody looked whether an identity still belongs here.
    Reviewed = "reviewed",
    /// An identity was dissolved into another.
    Merged = "merged",
    /// Templates of an identity became another identity.
    Split = "split",
    /// An identity's key and rows were destroyed. Nothing about it follows.
    Forgotten = "forgotten",
    /// A list was made, or its settings changed.
    ListSet = "list-set",
    /// A list was removed.
    ListRemoved = "list-removed",
    /// A threshold in force is another one.
    ThresholdChanged = "threshold-changed",
    /// Pictures of people who are not enrolled are kept from now on, for another time, or no longer.
    UnknownSnapshots = "unknown-snapshots",
    /// Somebody looked at a snapshot.
    SnapshotFetched = "snapshot-fetched",
    /// Somebody said whether a recognition was right.
    EventReviewed = "event-reviewed",
    /// Another model's templates are searched.
    ModelChanged = "model-changed",
    /// The model before the last change is searched again.
    ModelRolledBack = "model-rolled-back",
    /// A bundle came in.
    Imported = "imported",
    /// A bundle was handed out: what becomes of it only the receiver knows.
    Exported = "exported",
    /// Another box's bundles are imported from now on.
    Trusted = "trusted",
    /// They are no longer.
    Distrusted = "distrusted",
    /// A backup was begun, or, as its `stage` says, failed. What becomes of its file only its writer knows.
    BackedUp = "backed-up",
    /// A backup was put in place of what was stored. An entry for each identity touched follows.
    Restored = "restored",
    /// A master key was made.
    KeyMade = "key-made",
    /// The master key was replaced.
    KeyRotated = "key-rotated",
    /// The master key went out, encrypted.
    KeyExported = "key-exported",
    /// The store was brought to another schema.
    Migrated = "migrated",
    /// The store was made.
    StoreMade = "store-made",
    /// The head file was missing when the gallery was opened, and begun again.
    HeadMissing = "head-missing",
    /// The log was taken as it is, although the head file said otherwise.
    HeadAccepted = "head-accepted",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = Error;

    /// # Errors
    /// `Usage`, with all names.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|action| action.as_str()).collect();
            err!(Usage, "action {text:?} is not one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_unique_and_come_back() {
        for (i, action) in Action::ALL.iter().enumerate() {
            let name = action.as_str();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert_eq!(name.parse::<Action>().expect(name), *action);
            assert!(Action::ALL.iter().skip(i + 1).all(|other| other.as_str() != name), "{name} twice");
        }
        let refused = "enroled".parse::<Action>().expect_err("a typing mistake");
        assert!(refused.to_string().contains("enrolled, template-added"), "{refused}");
    }
}
