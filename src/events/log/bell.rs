//! Tells those who read that something was accepted.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::store::State;

/// The state that is on the disk, and whether it is the last; for those who wait without a thread of their own.
pub type Rung = watch::Receiver<(State, bool)>;

/// The state that is on the disk, and who waits for the next one.
#[derive(Debug)]
pub(super) struct Bell {
    state: Mutex<(State, bool)>,
    rung: Condvar,
    told: watch::Sender<(State, bool)>,
}

impl Bell {
    pub fn new(state: State) -> Self {
        let (told, _) = watch::channel((state, false));
        Self { state: Mutex::new((state, false)), rung: Condvar::new(), told }
    }

    /// The state that is on the disk.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Another state is on the disk.
    pub fn ring(&self, state: State) {
        self.change(|now| now.0 = state);
    }

    /// Nothing comes any more.
    pub fn close(&self) {
        self.change(|now| now.1 = true);
    }

    /// For those who wait without a thread of their own.
    pub fn listen(&self) -> Rung {
        self.told.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut (State, bool))) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut now);
        self.told.send_replace(*now);
        drop(now);
        self.rung.notify_all();
    }

    /// Waits until there is something after `cursor` of that epoch, another epoch, or the end; at most `time`. True at the end.
    pub fn wait(&self, epoch: uuid::Uuid, cursor: u64, time: Duration) -> bool {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing =
            |(state, closed): &mut (State, bool)| !*closed && state.epoch == epoch && state.last <= cursor;
        let waited = self.rung.wait_timeout_while(guard, time, nothing);
        waited.map_or_else(|poisoned| poisoned.into_inner().0.1, |(guard, _)| guard.1)
    }
}
