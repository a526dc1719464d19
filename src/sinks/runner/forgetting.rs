//! What a sink has left outside about people who are gone, such as retained messages, and when to take it away.
//!
//! ```text
//!   forgotten before the start ─┐
//!   gone since then ────────────┼─▶ due ─▶ Sink::forget ─ done ─▶ nothing is left
//!   sent about somebody gone ───┘    ▲                  └ fails: again after a while; events go on meanwhile
//! ```
//!
//! At each start everybody who was ever forgotten is due once: what an earlier run, or a broker's backup, has left is found too.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::sink::{Delivery, Sink, Trouble};
use crate::base::shutdown::Stop;
use crate::events::log::Reading;
use crate::types::ids::IdentityId;

/// How long to wait after a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Who is due.
#[derive(Default)]
pub(super) struct Forgetting {
    /// So many of the departed have been looked at.
    seen: usize,
    due: BTreeSet<IdentityId>,
    failures: u32,
    /// On the runner's clock.
    not_before: Option<Duration>,
}

impl Forgetting {
    /// Takes away what is due; what failed, the first time in a row.
    pub fn catch_up(
        &mut self,
        sink: &mut dyn Sink,
        reading: &Reading,
        now: Duration,
        stop: &Stop,
    ) -> Option<Trouble> {
        let departed = reading.departed(self.seen);
        self.seen += departed.len();
        self.due.extend(departed.into_iter().filter(|id| reading.is_gone(*id)));
        if self.not_before.is_some_and(|time| now < time) {
            return None;
        }
        while let Some(id) = self.due.first().copied() {
            if stop.is_set() {
                return None;
            }
            if let Err(trouble) = sink.forget(id, stop) {
                return self.failed(trouble, now);
            }
            self.due.remove(&id);
            (self.failures, self.not_before) = (0, None);
        }
        None
    }

    /// These may have arrived: what they left about somebody who is gone is due, whatever was taken away before.
    pub fn sent(&mut self, batch: &[Delivery], reading: &Reading) {
        let identities = batch.iter().filter_map(|delivery| Some(delivery.event.identity()?.id));
        self.due.extend(identities.filter(|id| reading.is_gone(*id)));
    }

    fn failed(&mut self, trouble: Trouble, now: Duration) -> Option<Trouble> {
        let (first, most) = BACKOFF;
        let wait = first.saturating_mul(2u32.saturating_pow(self.failures.min(20))).min(most);
        self.not_before = Some(now + wait);
        self.failures = self.failures.saturating_add(1);
        (self.failures == 1).then_some(trouble)
    }
}
