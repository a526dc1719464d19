//! What can be wrong with a log, in words.

use std::fmt;

/// Something is wrong with the log. It prints as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// These entries are not what was written after the entry before them. Where one alone is named, that one was edited (or
    /// its predecessor was replaced by another true one); of several in a row, at least one.
    Edited {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// No entry fits, from the first to the last.
    NothingFits {
        /// How many there are.
        entries: u64,
    },
    /// These entries are not there, though later ones are.
    Missing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// An entry stands in another's place: swapped, moved or put in twice.
    Misplaced {
        /// Where it stands.
        at: u64,
        /// What it says it is.
        says: u64,
    },
    /// A row comes again, or after a later one.
    OutOfOrder {
        /// Its sequence.
        sequence: u64,
        /// What was already read.
        after: u64,
    },
    /// A row cannot be read at all, or what was written cannot be understood.
    Unreadable {
        /// After this entry, or at it.
        near: u64,
        /// Why.
        why: String,
    },
    /// The log ends before a head that was kept outside.
    CutOff {
        /// Where it ends.
        last: u64,
        /// Who says it was longer.
        label: String,
        /// How long.
        count: u64,
    },
    /// No head is kept outside, though one should be.
    NoHead {
        /// Where it should be.
        label: String,
        /// Where the log ends.
        last: u64,
    },
    /// The entry that a head was taken from is not there, or another stands in its place.
    OtherHead {
        /// Whose head.
        label: String,
        /// Of which entry.
        count: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Edited { from, to } if from == to => {
                write!(f, "entry {to} was edited: it is not what was written {}", after(*from))
            }
            Problem::Edited { from, to } => {
                write!(
                    f,
                    "entries {from} to {to} are not what was written {}: one or more of them was edited",
                    after(*from)
                )
            }
            Problem::NothingFits { entries } => write!(
                f,
                "none of the {entries} entries is what was written: the log was written anew, or this is not the key it was \
                 written with"
            ),
            Problem::Missing { from, to } if from == to => {
                write!(
                    f,
                    "entry {from} is missing, and without it entry {} cannot be proven",
                    to.saturating_add(1)
                )
            }
            Problem::Missing { from, to } => write!(
                f,
                "entries {from} to {to} are missing, and without them entry {} cannot be proven",
                to.saturating_add(1)
            ),
            Problem::Misplaced { at, says } => {
                write!(f, "entry {at} says it is entry {says}: entries were swapped, moved or repeated")
            }
            Problem::OutOfOrder { sequence, after } => {
                write!(f, "entry {sequence} comes after entry {after}: it was put in, repeated or moved")
            }
            Problem::Unreadable { near, why } => write!(f, "near entry {near}: {why}"),
            Problem::CutOff { last, label, count } => write!(
                f,
                "the log ends at entry {last}, and {label} says that entry {count} was written: what came after entry {last} was \
                 cut off"
            ),
            Problem::NoHead { label, last } => {
                write!(f, "{label} is missing: that nothing was cut off after entry {last} cannot be proven")
            }
            Problem::OtherHead { label, count: 0 } => {
                write!(f, "{label} is the head of another log: it was started with another key")
            }
            Problem::OtherHead { label, count } => write!(
                f,
                "entry {count} is not the one that {label} was taken from: the log was changed since, or the head is another \
                 log's"
            ),
        }
    }
}

fn after(first: u64) -> String {
    match first {
        0 | 1 => "at the start of the log".to_owned(),
        first => format!("after entry {}", first - 1),
    }
}
