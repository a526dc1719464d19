//! One stop signal for every thread: checked, waited for, or selected on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// The side that stops. Dropping it stops too, so that a panicking owner never leaves threads behind.
#[derive(Debug)]
pub struct Stopper {
    stopped: Arc<AtomicBool>,
    // Never sent on: closing it wakes every waiter.
    open: Option<Sender<()>>,
}

/// The side that is told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    stopped: Arc<AtomicBool>,
    closed: Receiver<()>,
}

/// A connected pair.
pub fn channel() -> (Stopper, Stop) {
    let (open, closed) = bounded(0);
    let stopped = Arc::new(AtomicBool::new(false));
    (Stopper { stopped: stopped.clone(), open: Some(open) }, Stop { stopped, closed })
}

impl Stopper {
    /// Tells everybody to stop. Calling it again changes nothing.
    pub fn stop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.open = None;
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Stop {
    /// True once told to stop.
    pub fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Sleeps for `time` or until told to stop; true if told to stop.
    pub fn wait(&self, time: Duration) -> bool {
        !matches!(self.closed.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    /// A channel that closes on stop, to select on.
    pub fn closed(&self) -> &Receiver<()> {
        &self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_wakes_when_the_stopper_is_dropped() {
        let (stopper, stop) = channel();
        let waiter = std::thread::spawn(move || stop.wait(Duration::from_secs(60)));
        drop(stopper);
        assert!(waiter.join().is_ok_and(|told| told));
    }
}
