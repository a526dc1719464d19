//! A queue of one: the newest value replaces the one that waits.
//!
//! ```text
//!            put(b)                 take()
//!   [ a ] ──────────▶ [ b ]  a is handed back to the writer, who counts the drop
//! ```
//!
//! This is what keeps latency flat when a stage is slow: the reader always gets the newest frame, and
//! what was not read in time is returned to the writer instead of waiting its turn.

use std::sync::{Mutex, PoisonError};

/// The mailbox. Reader and writer share it behind an `Arc`.
#[derive(Debug)]
pub struct Mailbox<T> {
    slot: Mutex<Option<T>>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { slot: Mutex::new(None) }
    }
}

impl<T> Mailbox<T> {
    /// Leaves `value` for the reader; returns the older value it replaced, if that was never read.
    pub fn put(&self, value: T) -> Option<T> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).replace(value)
    }

    /// Takes what waits.
    pub fn take(&self) -> Option<T> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_the_loser_comes_back() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.put(1), None);
        assert_eq!(mailbox.put(2), Some(1));
        assert_eq!(mailbox.take(), Some(2));
        assert!(mailbox.is_empty());
    }
}
