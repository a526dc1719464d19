//! Which failures get a line in the log: the first of each kind at once, then one line in ten minutes with the
//! number of those it stands for.

use std::collections::HashMap;
use std::time::Duration;

use crate::source::Failure;

/// Time between two lines about the same failure.
const QUIET: Duration = Duration::from_secs(600);

/// Counts failures and says when to write.
#[derive(Debug, Default)]
pub(super) struct Report {
    seen: HashMap<Failure, Seen>,
    said: bool,
}

#[derive(Debug)]
struct Seen {
    said_at: Duration,
    unsaid: u64,
}

impl Report {
    /// One more failure. `Some(n)`: write a line, which stands for `n` failures.
    pub(super) fn failure(&mut self, now: Duration, failure: Failure) -> Option<u64> {
        let Some(seen) = self.seen.get_mut(&failure) else {
            self.seen.insert(failure, Seen { said_at: now, unsaid: 0 });
            self.said = true;
            return Some(1);
        };
        seen.unsaid += 1;
        if now.saturating_sub(seen.said_at) < QUIET {
            return None;
        }
        seen.said_at = now;
        self.said = true;
        Some(std::mem::take(&mut seen.unsaid))
    }

    /// Frames come. True if a failure was reported since the last time, so that its end must be, too.
    pub(super) fn recovered(&mut self) -> bool {
        std::mem::take(&mut self.said)
    }

    /// The connection has proved itself: the next failure is news again.
    pub(super) fn healthy(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_one_line_and_then_a_count() {
        let mut report = Report::default();
        let lines: Vec<(u64, u64)> = (0..1_300)
            .filter_map(|s| Some((s, report.failure(Duration::from_secs(s), Failure::Unreachable)?)))
            .collect();
        assert_eq!(lines, [(0, 1), (600, 600), (1_200, 600)]);
        assert_eq!(report.failure(Duration::from_secs(1_300), Failure::Tls), Some(1));
        assert!(report.recovered());
        assert!(!report.recovered());
        report.healthy();
        assert_eq!(report.failure(Duration::from_secs(1_301), Failure::Unreachable), Some(1));
    }
}
