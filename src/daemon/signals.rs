//! Signals as messages.
//!
//! ```text
//!   SIGTERM, SIGINT   first: Stop (drain)      second: exit at once, 128 + signal
//!   SIGHUP            Reload (configuration, files); many while one waits are one
//! ```
//!
//! The second stop is handled in the signal handler itself, so that it works whatever our threads are stuck in.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals as Iterator};

use crate::base::error::Result;
use crate::err;

/// What somebody outside wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Drain and end.
    Stop,
    /// Read the configuration again and open files again.
    Reload,
}

/// The handlers. Dropping it ends the thread; the handlers of the second stop stay.
#[derive(Debug)]
pub struct Signals {
    received: Receiver<Signal>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// Installs the handlers. Once in a process, before other threads start.
    ///
    /// # Errors
    /// `Unavailable`, when the system refuses.
    pub fn install() -> Result<Self> {
        Self::try_install().map_err(|e| err!(Unavailable, "cannot handle signals").because(e))
    }

    fn try_install() -> std::io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, stopping.clone())?;
            flag::register(signal, stopping.clone())?;
        }
        let mut signals = Iterator::new([SIGTERM, SIGINT, SIGHUP])?;
        let handle = signals.handle();
        // Room for one reload and one stop; a second stop never comes this far.
        let (send, received) = bounded(2);
        let thread = std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || signals.forever().for_each(|signal| deliver(signal, &send)))?;
        Ok(Self { received, handle, thread: Some(thread) })
    }

    /// The messages, to select on.
    pub fn receiver(&self) -> &Receiver<Signal> {
        &self.received
    }
}

fn deliver(signal: i32, to: &Sender<Signal>) {
    match signal {
        // One that waits will read what the configuration says then: it covers this one.
        SIGHUP if !to.is_empty() => {}
        // A full or closed channel: a stop waits already, or nobody listens any more.
        SIGHUP => drop(to.try_send(Signal::Reload)),
        _ => drop(to.try_send(Signal::Stop)),
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use signal_hook::low_level::raise;

    use super::*;
    use crate::daemon::child;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_second_stop_ends_the_process_at_once_with_its_code() {
        if child::is_it("second stop") {
            let signals = Signals::install().expect("installed");
            raise(SIGHUP).expect("raised");
            assert_eq!(signals.receiver().recv_timeout(LONG), Ok(Signal::Reload));
            raise(SIGTERM).expect("raised");
            assert_eq!(signals.receiver().recv_timeout(LONG), Ok(Signal::Stop));
            // Stuck in draining: the second signal ends it all the same, though nobody receives.
            raise(SIGINT).expect("raised");
            unreachable!("the process has ended");
        }
        let name = "daemon::signals::tests::the_second_stop_ends_the_process_at_once_with_its_code";
        assert_eq!(child::run(name, "second stop", |_| ()).code(), Some(128 + SIGINT));
    }

    #[test]
    fn one_stop_is_a_request_and_not_an_end() {
        if child::is_it("one stop") {
            let signals = Signals::install().expect("installed");
            raise(SIGINT).expect("raised");
            assert_eq!(signals.receiver().recv_timeout(LONG), Ok(Signal::Stop));
            drop(signals);
            return;
        }
        let name = "daemon::signals::tests::one_stop_is_a_request_and_not_an_end";
        assert!(child::run(name, "one stop", |_| ()).success());
    }

    #[test]
    fn many_reloads_while_one_waits_are_one_and_a_stop_always_fits() {
        let (send, received) = bounded(2);
        (0..1_000).for_each(|_| deliver(SIGHUP, &send));
        deliver(SIGTERM, &send);
        deliver(SIGHUP, &send);
        assert_eq!(received.try_iter().collect::<Vec<_>>(), [Signal::Reload, Signal::Stop]);
        deliver(SIGHUP, &send);
        assert_eq!(received.try_recv(), Ok(Signal::Reload));
    }
}
