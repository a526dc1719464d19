//! Tells those who read that something was accepted.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::store::State;

/// The state that is on the disk, and who waits for the next one.
#[derive(Debug)]
pub(super) struct Bell {
    state: Mutex<(State, bool)>,
    rung: Condvar,
}

impl Bell {
    pub fn new(state: State) -> Self {
        Self { state: Mutex::new((state, false)), rung: Condvar::new() }
    }

    /// The state that is on the disk.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Another state is on the disk.
    pub fn ring(&self, state: State) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = state;
        self.rung.notify_all();
    }

    /// Nothing comes any more.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
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
