//! Where a head that was kept outside stands beside the log.
//!
//! ```text
//!  kept outside      the log                              what it means, and what is done
//!  ───────────────   ──────────────────────────────────   ─────────────────────────────────────────────────────────
//!  nothing           no entries                           Fresh: a new gallery; the head is written
//!  nothing           entries                              Missing: told, and written anew; what was cut off before is not seen
//!  (n, mac)          ends at n with that mac              Same
//!  (n, mac)          has that mac at n, and goes on       Behind: the process died between commit and head; moved forward
//!  (n, mac)          ends before n                        Ahead: cut off, or an old copy; told, and left as it is
//!  (n, mac)          has another mac at n                 Other: not the same log; told, and left as it is
//! ```

use super::head::Head;
use super::problem::Problem;

/// What [`compare`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadState {
    /// Neither a head nor an entry.
    Fresh,
    /// Entries, and no head.
    Missing {
        /// Entries in the log.
        count: u64,
    },
    /// The log ends where the head says.
    Same,
    /// The log has gone on since.
    Behind {
        /// By so many entries.
        by: u64,
    },
    /// The log ends before the head.
    Ahead {
        /// Entries by the head.
        kept: u64,
        /// Entries in the log.
        count: u64,
    },
    /// The log does not pass through the head.
    Other {
        /// Entries by the head.
        kept: u64,
    },
}

/// Compares the head that was kept (`file`) with the end of the log (`last`). `mac_at` gives the MAC that is stored for a
/// sequence; it is asked once at most, and never for 0.
pub fn compare(file: Option<Head>, mac_at: impl FnOnce(u64) -> Option<[u8; 32]>, last: Head) -> HeadState {
    let Some(file) = file else {
        return if last.count == 0 { HeadState::Fresh } else { HeadState::Missing { count: last.count } };
    };
    if file == last {
        HeadState::Same
    } else if file.count > last.count {
        HeadState::Ahead { kept: file.count, count: last.count }
    } else if file.count < last.count && (file.count == 0 || mac_at(file.count) == Some(file.mac)) {
        // The start's MAC is in no row. The file was sealed with the same key, and so was its start.
        HeadState::Behind { by: last.count - file.count }
    } else {
        HeadState::Other { kept: file.count }
    }
}

impl HeadState {
    /// True if the log goes on from the head: entries may be appended, and the head moved.
    pub fn follows(&self) -> bool {
        matches!(self, Self::Fresh | Self::Missing { .. } | Self::Same | Self::Behind { .. })
    }

    /// What is wrong, as `audit verify` says it.
    pub fn problem(&self, label: &str) -> Option<Problem> {
        let label = label.to_owned();
        match *self {
            Self::Ahead { kept: count, count: last } => Some(Problem::CutOff { last, label, count }),
            Self::Other { kept: count } => Some(Problem::OtherHead { label, count }),
            Self::Missing { count: last } => Some(Problem::NoHead { label, last }),
            Self::Fresh | Self::Same | Self::Behind { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(count: u64, fill: u8) -> Head {
        Head { count, mac: [fill; 32] }
    }

    #[test]
    fn each_state_is_told_apart() {
        let mac_at = |sequence: u64| (sequence <= 10).then_some([sequence as u8; 32]);
        let last = head(10, 10);
        let cases = [
            (None, head(0, 0), HeadState::Fresh),
            (None, last, HeadState::Missing { count: 10 }),
            (Some(last), last, HeadState::Same),
            (Some(head(0, 0)), head(0, 0), HeadState::Same),
            (Some(head(7, 7)), last, HeadState::Behind { by: 3 }),
            (Some(head(0, 0)), last, HeadState::Behind { by: 10 }),
            (Some(head(11, 11)), last, HeadState::Ahead { kept: 11, count: 10 }),
            (Some(head(1, 1)), head(0, 0), HeadState::Ahead { kept: 1, count: 0 }),
            (Some(head(7, 8)), last, HeadState::Other { kept: 7 }),
            (Some(head(10, 9)), last, HeadState::Other { kept: 10 }),
            (Some(head(0, 1)), head(0, 0), HeadState::Other { kept: 0 }),
        ];
        for (file, last, expected) in cases {
            let state = compare(file, mac_at, last);
            assert_eq!(state, expected, "{file:?} beside {last:?}");
            let stays = matches!(state, HeadState::Ahead { .. } | HeadState::Other { .. });
            assert_eq!(state.follows(), !stays);
        }
    }

    #[test]
    fn what_is_wrong_is_a_sentence_and_is_told_even_where_work_goes_on() {
        let ahead = HeadState::Ahead { kept: 12, count: 10 };
        let told = ahead.problem("gallery.head").expect("a problem").to_string();
        assert!(told.contains("gallery.head says that entry 12 was written"), "{told}");
        let missing =
            HeadState::Missing { count: 10 }.problem("gallery.head").expect("a problem").to_string();
        assert!(missing.contains("gallery.head is missing"), "{missing}");
        assert_eq!(HeadState::Behind { by: 1 }.problem("gallery.head"), None);
    }
}
