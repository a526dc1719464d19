//! Looking after the gallery, round after round, for as long as the daemon runs.
//!
//! ```text
//!   wait() ──▶ look(): start and end what is due, count the reviews
//!     ▲          │ fails: said once; the next round comes after MAX_WAIT
//!     └──────────┘ sooner, when the gallery was changed meanwhile
//! ```
//!
//! The thread around it (`pipeline::live`) only sleeps and tells others of snapshots: what is promised about time is kept here,
//! and a simulated clock shows it.

use std::time::Duration;

use jiff::Timestamp;

use super::custody::Custody;
use super::life;

/// One round after the other.
pub struct Rounds {
    custody: Custody,
    failing: bool,
    /// Until when review dates were told of.
    told: Timestamp,
    reviews: u64,
}

impl Rounds {
    /// The first round is still to come.
    pub fn new(custody: Custody) -> Self {
        Self { custody, failing: false, told: Timestamp::MIN, reviews: 0 }
    }

    /// How long to sleep before the next look, at most [`life::MAX_WAIT`].
    pub fn wait(&self) -> Duration {
        if self.failing { life::MAX_WAIT } else { self.custody.wait() }
    }

    /// A look.
    pub fn look(&mut self) {
        match self.custody.tend() {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !self.failing {
                    tracing::warn!(
                        error = error.chain(),
                        "the gallery could not be kept up to date; trying again"
                    );
                }
                self.failing = true;
            }
        }
        self.look_at_reviews();
    }

    /// True while looks fail: what is due is tried again and again.
    pub fn failing(&self) -> bool {
        self.failing
    }

    /// Identities whose review date had come at the last look.
    pub fn reviews_due(&self) -> u64 {
        self.reviews
    }

    /// Says so once when a review date comes, and at the first look for all that came before.
    fn look_at_reviews(&mut self) {
        let Some((reviews, now)) = self.custody.reviews_due(self.told) else { return };
        // A clock that is set back makes nothing due again.
        self.told = self.told.max(now);
        self.reviews = reviews.due;
        if reviews.new > 0 {
            tracing::warn!(
                new = reviews.new,
                due = reviews.due,
                "review dates have come: `watchlistd gallery list --review-due` shows whose"
            );
        }
    }
}

#[cfg(test)]
mod tests;
