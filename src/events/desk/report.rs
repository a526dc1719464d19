//! The answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A part of the log. The body of the answer has a line for each [`Entry::Event`], in their order: the event, as sinks get it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The log's epoch. Another one than was asked for: nothing was read.
    pub log: Uuid,
    /// The first number that there is anything of.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The cursor behind what was read.
    pub until: u64,
    /// Nothing comes any more: the daemon ends, or there is none.
    #[serde(default)]
    pub ended: bool,
    /// What was read.
    pub entries: Vec<Entry>,
}

/// What stands at some place of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// An event.
    Event {
        /// The first number that it stands for: its own, but of a loss event.
        first: u64,
        /// Its number.
        sequence: u64,
        /// When it was accepted.
        at: Timestamp,
    },
    /// Retention took these.
    Gone {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// These are not as they were written, or are missing.
    Damaged {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A later version of the program wrote this one.
    Unread {
        /// Its number.
        sequence: u64,
    },
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The log's epoch.
    pub log: Uuid,
    /// The first number that there is anything of.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The cursor.
    pub cursor: u64,
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The log's epoch.
    pub log: Uuid,
    /// Its number; `None`: it is not in the log.
    pub sequence: Option<u64>,
}

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Whether what it has not had is kept, within the budget.
    pub required: bool,
    /// The last number that it has had, or that was not for it.
    pub cursor: u64,
    /// How many numbers come after that.
    pub behind: u64,
    /// When the first of these was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// Events that it refused for good.
    pub dead: u64,
}

/// A dead letter: an event that a sink refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buried {
    /// The sink.
    pub sink: String,
    /// The event's number.
    pub sequence: u64,
    /// When it was given up.
    pub at: Timestamp,
    /// What the sink said.
    pub why: String,
}

/// Whether the log is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The log's epoch.
    pub log: Uuid,
    /// The first number that there is anything of.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Events that are as they were written.
    pub events: u64,
    /// Names that are kept and open.
    pub names: u64,
    /// Names that are kept and open for nobody any more: the people were forgotten.
    pub closed_names: u64,
    /// Ranges that retention took.
    pub expired: Vec<(u64, u64)>,
    /// Ranges that are not as they were written, or are missing.
    pub damaged: Vec<(u64, u64)>,
    /// What the head beside the log says.
    pub head_beside: HeadState,
    /// What the head that was given says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_given: Option<HeadState>,
    /// The head now.
    pub head: String,
}

/// What a head says of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HeadState {
    /// The log has as much as it had then.
    Agrees {
        /// The last number then.
        last: u64,
    },
    /// The log had more then: its tail was cut off.
    Cut {
        /// The last number then.
        last: u64,
    },
    /// It is of another epoch: the log was damaged and saved, lost, or replaced since.
    OtherLog {
        /// The epoch.
        log: Uuid,
        /// The last number then.
        last: u64,
    },
    /// This program did not write it with this gallery's key.
    NotOurs,
    /// There is none.
    Missing,
}
