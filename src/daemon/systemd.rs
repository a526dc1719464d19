//! Talking to systemd (`sd_notify(3)`). Without `NOTIFY_SOCKET` every call does nothing.
//!
//! ```text
//!   EXTEND_TIMEOUT_USEC  while a GPU engine builds
//!   READY=1              models loaded, gallery open, stages run
//!   WATCHDOG=1           every third of WatchdogSec, while nobody is stuck
//!   RELOADING=1          with MONOTONIC_USEC, then READY=1 again
//!   STOPPING=1           at the first SIGTERM
//! ```

use std::sync::Once;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::base::shutdown;

/// The connection. Cheap to clone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Notifier;

/// How often a long start asks for more time, and for how much.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
const EXTEND_BY: Duration = Duration::from_secs(30);

static COMPLAINED: Once = Once::new();

impl Notifier {
    /// Ready for work, at start and after a reload. `status` is shown by `systemctl status`.
    pub fn ready(self, status: &str) {
        send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// A reload begins; [`ready`](Self::ready) ends it, whether it worked or not.
    pub fn reloading(self) {
        // systemd 253 and later tells old and new messages apart by this time, and refuses a reload without it.
        match NotifyState::monotonic_usec_now() {
            Ok(time) => send(&[NotifyState::Reloading, time]),
            Err(_) => send(&[NotifyState::Reloading]),
        }
    }

    /// Draining begins.
    pub fn stopping(self) {
        send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// One line for `systemctl status`.
    pub fn status(self, status: &str) {
        send(&[NotifyState::Status(&one_line(status))]);
    }

    /// Start, reload or stop takes longer: `more` from now, whatever the unit's timeout says.
    pub fn extend_timeout(self, more: Duration) {
        let micros = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
        send(&[NotifyState::ExtendTimeoutUsec(micros)]);
    }

    /// Does `work`, which may take long (a GPU's engine is built), and extends the start's timeout meanwhile, for
    /// `most` in all: what takes longer is stuck, and systemd may end it.
    pub fn extend_during<T>(self, most: Duration, work: impl FnOnce() -> T) -> T {
        let (stopper, stop) = shutdown::channel();
        std::thread::scope(|scope| {
            let extend = move || {
                let turns = most.as_secs().div_ceil(EXTEND_EVERY.as_secs());
                for _ in 0..turns {
                    self.extend_timeout(EXTEND_BY);
                    if stop.wait(EXTEND_EVERY) {
                        break;
                    }
                }
            };
            // Without a thread the timeout is what the unit says.
            let _ = std::thread::Builder::new().name("extend".into()).spawn_scoped(scope, extend);
            let done = work();
            drop(stopper);
            done
        })
    }

    /// Alive.
    pub fn watchdog(self) {
        send(&[NotifyState::Watchdog]);
    }

    /// `WatchdogSec` of the unit, if it watches this process.
    pub fn watchdog_limit(self) -> Option<Duration> {
        sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        COMPLAINED.call_once(|| tracing::warn!(%error, "systemd cannot be told (NOTIFY_SOCKET)"));
    }
}

/// A line break in a status would start another assignment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::daemon::child;

    #[test]
    fn systemd_hears_what_it_expects() {
        if child::is_it("systemd") {
            let notifier = Notifier;
            assert_eq!(notifier.extend_during(Duration::from_secs(600), || 7), 7);
            notifier.ready("2 cameras\nREADY=0");
            notifier.reloading();
            notifier.watchdog();
            notifier.stopping();
            assert_eq!(notifier.watchdog_limit(), Some(Duration::from_secs(30)));
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let status =
            child::run("daemon::systemd::tests::systemd_hears_what_it_expects", "systemd", |command| {
                command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "30000000");
            });
        assert!(status.success(), "{status}");
        let mut heard = Vec::new();
        socket.set_nonblocking(true).expect("set");
        let mut buffer = [0u8; 4096];
        while let Ok(n) = socket.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
        }
        assert_eq!(heard[0], "EXTEND_TIMEOUT_USEC=30000000\n");
        assert_eq!(heard[1], "READY=1\nSTATUS=2 cameras READY=0\n");
        let micros =
            heard[2].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both in one message").trim();
        assert!(micros.parse::<u64>().is_ok_and(|n| n > 0), "{micros}");
        assert_eq!(heard[3], "WATCHDOG=1\n");
        assert_eq!(heard[4], "STOPPING=1\nSTATUS=draining\n");
    }

    #[test]
    fn without_systemd_nothing_happens() {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            Notifier.ready("fine");
        }
    }
}
