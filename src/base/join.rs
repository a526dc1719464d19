//! Waiting for a thread, but not for ever.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;

/// Joins a thread that should end within `limit`. False, and logged, if it did not, or if it panicked; a thread that did not
/// end goes on by itself.
pub fn join_within(thread: JoinHandle<()>, limit: Duration) -> bool {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let (done, joined) = bounded(1);
    std::thread::spawn(move || {
        // Nobody listens any more if it took too long.
        let _ = done.send(thread.join().is_ok());
    });
    match joined.recv_timeout(limit) {
        Ok(true) => true,
        Ok(false) => {
            tracing::error!(thread = name, "panicked; this is a bug");
            false
        }
        Err(_) => {
            tracing::error!(thread = name, "did not end in time");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_never_ends_is_left_behind() {
        let (hold, held) = bounded::<()>(0);
        let stuck = std::thread::spawn(move || {
            let _ = held.recv();
        });
        assert!(!join_within(stuck, Duration::ZERO));
        drop(hold);
        assert!(join_within(std::thread::spawn(|| ()), Duration::from_secs(60)));
    }
}
