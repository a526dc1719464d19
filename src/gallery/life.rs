//! An identity's life by the clock: it starts and ends by itself.
//!
//! ```text
//!   Pending ──valid from──▶ Active ──valid until──▶ Expired
//!      └───────────────valid until─────────────────────▲      (both passed while nobody looked)
//! ```
//!
//! What holds, whatever the clock does:
//! - **Never early.** A step is due once the wall clock shows its moment, and not a nanosecond before.
//! - **Late by less than a minute.** The thread that looks sleeps [`Schedule::wait`]: until the next step is due, and
//!   never longer than [`MAX_WAIT`], so that a clock that was set forward is noticed.
//! - **Each step once, and only forward.** A clock that is set back brings nobody back: who has expired stays so
//!   when the same moment comes again, and who was started is not put off. If a clock was wrong for an hour and somebody
//!   expired in it, an operator gives that identity another validity ([`standing_after_change`]): nothing else can tell
//!   such an hour from one that was real.
//! - **One step says the truth.** Who was pending when both moments passed (the box was off) goes to expired in one
//!   step: it was never looked for, and for no instant is.
//!
//! Moments are in UTC, so daylight saving is no matter here; [`super::dates`] reads what people type.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::record::{Record, Standing};
use crate::types::ids::IdentityId;

/// The longest the thread that looks may sleep. A clock set forward by hand is noticed after at most this.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// A step in an identity's life whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub id: IdentityId,
    /// The standing it had.
    pub from: Standing,
    /// The one it has from now on; always a later one.
    pub to: Standing,
    /// When it was due: the validity's start or end. Never after the moment it was asked for.
    pub due: Timestamp,
}

/// The standing after an operator changed a record, at `now`. Another validity is judged afresh by the clock: only this
/// brings an expired identity back. With the validity untouched (another name, another list) the standing is what
/// it was.
pub fn standing_after_change(
    before: &Record,
    standing: Standing,
    after: &Record,
    now: Timestamp,
) -> Standing {
    let same = (before.valid_from, before.valid_until) == (after.valid_from, after.valid_until);
    if same { standing } else { after.standing_at(now) }
}

/// Identities that somebody should look at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reviews {
    /// Whose review date has come.
    pub due: u64,
    /// Those of them whose date came since it was last asked.
    pub new: u64,
}

/// One identity, as far as the clock matters.
#[derive(Debug, Clone, Copy)]
struct Life {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    review: Option<Timestamp>,
    standing: Standing,
}

impl Life {
    /// The standing after a step that is due at `now`. Always a later one, as nobody is looked at before [`Self::next`].
    fn step(&self, now: Timestamp) -> Standing {
        if self.until.is_some_and(|until| now >= until) { Standing::Expired } else { Standing::Active }
    }

    /// When the next step is due. A pending identity without a start is overdue.
    fn next(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Pending => {
                let from = self.from.unwrap_or(Timestamp::MIN);
                Some(self.until.map_or(from, |until| until.min(from)))
            }
            Standing::Active => self.until,
            Standing::Expired => None,
        }
    }

    /// The moment at which `to` was due, for a step that is taken at `now`.
    fn due(&self, to: Standing, now: Timestamp) -> Timestamp {
        let moment = if to == Standing::Expired { self.until } else { self.from };
        moment.unwrap_or(now)
    }
}

/// Which identity's time comes when. A call costs O(log n), and `due` and `reviews_due` for each step or review that they tell.
#[derive(Debug, Default)]
pub struct Schedule {
    lives: BTreeMap<IdentityId, Life>,
    /// Of those whose life has another step.
    queue: BTreeSet<(Timestamp, IdentityId)>,
    /// Of those that somebody should look at again, whatever their standing.
    reviews: BTreeSet<(Timestamp, IdentityId)>,
}

impl Schedule {
    /// Knows nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an identity in, or its changed record: the record's validity and the standing that is stored for it.
    pub fn set(&mut self, id: IdentityId, record: &Record, standing: Standing) {
        let &Record { valid_from, valid_until, review, .. } = record;
        self.put(id, Life { from: valid_from, until: valid_until, review, standing });
    }

    /// The identity is gone.
    pub fn remove(&mut self, id: IdentityId) {
        let Some(life) = self.lives.remove(&id) else { return };
        if let Some(next) = life.next() {
            self.queue.remove(&(next, id));
        }
        if let Some(review) = life.review {
            self.reviews.remove(&(review, id));
        }
    }

    /// When the next step of anybody is due, perhaps in the past.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(next, _)| *next)
    }

    /// How long the thread that looks may sleep: until something is due, at most [`MAX_WAIT`], and not at all if something
    /// is overdue.
    pub fn wait(&self, now: Timestamp) -> Duration {
        let until = |next: Timestamp| Duration::try_from(now.duration_until(next)).unwrap_or(Duration::ZERO);
        self.next().map_or(MAX_WAIT, |next| until(next).min(MAX_WAIT))
    }

    /// The steps that are due at `now`, in the order in which they were, each returned once. The caller stores them as one change;
    /// if that fails it gives them back with [`Self::put_back`].
    pub fn due(&mut self, now: Timestamp) -> Vec<Transition> {
        let mut steps = Vec::new();
        while let Some(&(_, id)) = self.queue.first().filter(|(next, _)| *next <= now) {
            self.queue.pop_first();
            let Some(life) = self.lives.get(&id).copied() else { continue };
            let to = life.step(now);
            steps.push(Transition { id, from: life.standing, to, due: life.due(to, now) });
            self.put(id, Life { standing: to, ..life });
        }
        steps.sort_by_key(|step| (step.due, step.id));
        steps
    }

    /// These steps could not be stored: they are due as before. [`Self::wait`] is zero then; the caller waits for
    /// [`MAX_WAIT`] before it tries again, so that a full disk does not keep a core busy.
    pub fn put_back(&mut self, steps: &[Transition]) {
        for step in steps {
            if let Some(life) = self.lives.get(&step.id).copied().filter(|life| life.standing == step.to) {
                self.put(step.id, Life { standing: step.from, ..life });
            }
        }
    }

    /// How many review dates have come at `now`, in all and after `since`. They stay until somebody notes the review.
    pub fn reviews_due(&self, since: Timestamp, now: Timestamp) -> Reviews {
        let due = self.reviews.iter().take_while(|(review, _)| *review <= now);
        due.fold(Reviews::default(), |sum, (review, _)| Reviews {
            due: sum.due + 1,
            new: sum.new + u64::from(*review > since),
        })
    }

    /// Identities known, in any standing.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    /// True if it knows nobody.
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    fn put(&mut self, id: IdentityId, life: Life) {
        self.remove(id);
        self.queue.extend(life.next().map(|next| (next, id)));
        self.reviews.extend(life.review.map(|review| (review, id)));
        self.lives.insert(id, life);
    }
}

#[cfg(test)]
mod tests;
