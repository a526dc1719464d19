//! The questions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most rows, sinks or dead letters in one answer.
pub const MOST_ROWS: usize = 1000;

/// A question about the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Question {
    /// What stands after a cursor: a [`super::Page`].
    Read {
        /// The epoch that the cursor is of; `None`: the one that is there.
        #[serde(default)]
        log: Option<Uuid>,
        /// The cursor: the last sequence that is not wanted.
        after: u64,
        /// Most rows, 1 to [`MOST_ROWS`].
        most: usize,
        /// How long to wait if there is nothing yet, in milliseconds; the daemon waits a few seconds at most.
        #[serde(default)]
        wait_ms: u64,
    },
    /// The cursor that has so many rows behind it: a [`super::Place`].
    Back {
        /// Rows up to the one that ends here; `None`: up to the last.
        #[serde(default)]
        before: Option<u64>,
        /// How many.
        rows: u64,
    },
    /// The cursor before the first event that was accepted then or later: a [`super::Place`].
    Since {
        /// When.
        at: Timestamp,
    },
    /// Where the event of this id is: a [`super::Found`].
    Find {
        /// The id.
        id: Uuid,
    },
    /// How far each sink is: [`super::Sink`]s.
    Sinks,
    /// What sinks refused for good: [`super::Buried`], at most [`MOST_ROWS`].
    Dead {
        /// Of this sink only.
        #[serde(default)]
        sink: Option<String>,
        /// About the event of this number only.
        #[serde(default)]
        sequence: Option<u64>,
        /// Behind this one, by sink and number.
        #[serde(default)]
        behind: Option<(String, u64)>,
    },
    /// The head, to keep elsewhere: text.
    Head,
    /// Whether every row is as it was written: a [`super::Verification`].
    Verify {
        /// A head that was kept elsewhere.
        #[serde(default)]
        head: Option<String>,
    },
}
