//! The end of the demo in figures.

use super::{Judge, Outcome};

/// Counted outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Visits that are over.
    pub visits: usize,
    /// Enrolled and confirmed by name.
    pub right: usize,
    /// Taken for somebody else; claims about nobody at all count here too.
    pub wrong: usize,
    /// Enrolled and never confirmed.
    pub missed: usize,
    /// Strangers who were said to be unknown.
    pub unknown: usize,
    /// Strangers of whom nothing was said for sure.
    pub undecided: usize,
    /// Wrong names that were preliminary and withdrawn before they were confirmed.
    pub corrected: usize,
    /// What went wrong, a line each.
    pub remarks: Vec<String>,
}

impl Summary {
    /// True if somebody came, nobody was missed and nobody taken for somebody else.
    pub fn passed(&self) -> bool {
        self.visits > 0 && self.wrong == 0 && self.missed == 0
    }
}

impl Judge {
    /// Counts the visits that are over at `now`, seconds since the scene's zero.
    pub fn summary(&self, now: f64) -> Summary {
        let mut summary = Summary::default();
        for (visit, outcome) in self.outcomes(now) {
            summary.visits += 1;
            *summary.count(outcome) += 1;
            if outcome == Outcome::Missed {
                summary.remarks.push(format!("{} was missed", visit.who));
            }
        }
        for ((_, index), record) in &self.records {
            let Some(visit) = self.visits.get(*index) else { continue };
            let really = visit.enrolled.then_some(visit.who.as_str());
            for name in record.wrong(really) {
                summary.remarks.push(format!("{} was taken for {name}", visit.who));
            }
            for name in record.corrected(really) {
                summary.corrected += 1;
                summary.remarks.push(format!("{} was taken for {name}; withdrawn in time", visit.who));
            }
        }
        for name in self.nobody.wrong(None) {
            summary.wrong += 1;
            summary.remarks.push(format!("{name} was recognised where nobody was"));
        }
        let unsure = self.nobody.unknown + self.nobody.undecided;
        if unsure > 0 {
            summary.remarks.push(format!("{unsure} faces were seen where nobody was"));
        }
        summary
    }
}

impl Summary {
    fn count(&mut self, outcome: Outcome) -> &mut usize {
        match outcome {
            Outcome::Right => &mut self.right,
            Outcome::Wrong => &mut self.wrong,
            Outcome::Missed => &mut self.missed,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Undecided => &mut self.undecided,
        }
    }
}

/// The value that `part` (0 to 1) of the values do not exceed (nearest rank); `None` for none.
pub fn percentile(values: &[u64], part: f64) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
