//! The policy of one camera's connection.
//!
//! ```text
//!                 open                   first frame
//!    start ─────────────▶ Connecting ─────────────────▶ Connected ──┐ frames
//!                           ▲    │                        │    ▲────┘
//!                           │    └──────── failure ───────┤   nothing for `stall` is a failure, too
//!          time is up or    │                             │
//!          retry_now()      │     any but a refusal       ▼     wrong password
//!                           ├──────────── Waiting ◀───────┴─────────▶ Refused ─┐
//!                           │   1 s doubling to 30 s, +-25 %;                  │  5 min doubling to 1 h:
//!                           │   1 s again after 60 s of health                 │  cameras lock accounts
//!                           └──────────────────────────────────────────────────┘
//!    a file that is not repeated: its end ──▶ Ended          any ── stop ──▶ Stopped
//! ```
//!
//! Pure: it is told the time and what happened, and says what to do next.

use std::time::Duration;

use super::backoff::Backoff;
use crate::source::Failure;

/// First and longest wait before a camera is opened again.
pub const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// First and longest wait after the camera refused user or password.
pub const REFUSED: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3600));
/// A connection that delivered for this long was healthy: the next failure waits the first time again.
pub const HEALTHY: Duration = Duration::from_secs(60);

/// Where a camera's connection stands. Times are on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameraState {
    /// Opened, no frame yet.
    Connecting,
    /// Frames come.
    Connected,
    /// Opened again at `until`.
    Waiting {
        /// When.
        until: Duration,
        /// What ended the last connection.
        failure: Failure,
    },
    /// User or password were refused; tried again at `until`.
    Refused {
        /// When.
        until: Duration,
    },
    /// A file was played to its end.
    Ended,
    /// Told to stop.
    Stopped,
}

impl CameraState {
    /// The name in metrics, status and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            CameraState::Connecting => "connecting",
            CameraState::Connected => "connected",
            CameraState::Waiting { .. } => "waiting",
            CameraState::Refused { .. } => "refused",
            CameraState::Ended => "ended",
            CameraState::Stopped => "stopped",
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Open the camera under this epoch.
    Open {
        /// Counts from 1.
        epoch: u32,
    },
    /// Read a frame; ask again after this time at the latest.
    Read(Duration),
    /// Do nothing; ask again after this time at the latest.
    Wait(Duration),
    /// It is over.
    Finish,
}

/// The state machine of one camera.
#[derive(Debug)]
pub struct Machine {
    state: CameraState,
    /// In `Connecting`: the camera still has to be opened.
    to_open: bool,
    epoch: u32,
    stall: Duration,
    /// The end of a stream is the end of the camera.
    finite: bool,
    /// Opening, or the newest frame.
    last_sign: Duration,
    connected_at: Duration,
    retry: Backoff,
    refusal: Backoff,
    rng: fastrand::Rng,
}

impl Machine {
    /// A camera that has stalled after `stall` without a frame. `finite`: its regular end is final (a file that is
    /// not repeated). `seed` starts the jitter.
    pub fn new(stall: Duration, finite: bool, seed: u64) -> Self {
        Self {
            state: CameraState::Connecting,
            to_open: true,
            epoch: 0,
            stall,
            finite,
            last_sign: Duration::ZERO,
            connected_at: Duration::ZERO,
            retry: Backoff::new(RETRY.0, RETRY.1, 0.75..=1.25),
            // Never sooner than promised: each try may be one of the few the camera allows.
            refusal: Backoff::new(REFUSED.0, REFUSED.1, 1.0..=1.25),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// The same, counting its connections from `epoch`: those before belonged to a machine it takes the place of.
    #[must_use]
    pub fn from_epoch(mut self, epoch: u32) -> Self {
        self.epoch = epoch.saturating_sub(1);
        self
    }

    /// Number of the newest connection; 0 before the first, or the last of the machine before.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Where it stands.
    pub fn state(&self) -> CameraState {
        self.state
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Action {
        match self.state {
            CameraState::Waiting { until, .. } | CameraState::Refused { until } if now < until => {
                Action::Wait(until - now)
            }
            CameraState::Waiting { .. } | CameraState::Refused { .. } => self.open(now),
            CameraState::Connecting if self.to_open => self.open(now),
            CameraState::Connecting | CameraState::Connected => {
                Action::Read((self.last_sign + self.stall).saturating_sub(now))
            }
            CameraState::Ended | CameraState::Stopped => Action::Finish,
        }
    }

    fn open(&mut self, now: Duration) -> Action {
        self.state = CameraState::Connecting;
        self.to_open = false;
        self.epoch = self.epoch.saturating_add(1);
        self.last_sign = now;
        Action::Open { epoch: self.epoch }
    }

    /// A frame came. True if it is the first of the connection.
    pub fn frame(&mut self, now: Duration) -> bool {
        self.last_sign = now;
        if self.state == CameraState::Connecting {
            self.state = CameraState::Connected;
            self.connected_at = now;
            // The password was right.
            self.refusal.reset();
            return true;
        }
        if self.is_healthy(now) {
            self.retry.reset();
        }
        false
    }

    /// True once the connection has delivered for [`HEALTHY`].
    pub fn is_healthy(&self, now: Duration) -> bool {
        self.state == CameraState::Connected && now.saturating_sub(self.connected_at) >= HEALTHY
    }

    /// No frame came. True if that has lasted for `stall`: the connection has then to be given up.
    pub fn has_stalled(&self, now: Duration) -> bool {
        matches!(self.state, CameraState::Connecting | CameraState::Connected)
            && now.saturating_sub(self.last_sign) >= self.stall
    }

    /// The connection failed.
    pub fn failed(&mut self, now: Duration, failure: Failure) {
        if matches!(self.state, CameraState::Ended | CameraState::Stopped) {
            return;
        }
        self.state = match failure {
            Failure::Ended if self.finite => CameraState::Ended,
            Failure::Unauthorized => CameraState::Refused { until: now + self.refusal.wait(&mut self.rng) },
            failure => CameraState::Waiting { until: now + self.retry.wait(&mut self.rng), failure },
        };
    }

    /// Opens at once if it waits. True if it did.
    pub fn retry_now(&mut self, now: Duration) -> bool {
        match &mut self.state {
            CameraState::Waiting { until, .. } | CameraState::Refused { until } => {
                *until = now;
                true
            }
            _ => false,
        }
    }

    /// It is over.
    pub fn stop(&mut self) {
        self.state = CameraState::Stopped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(10);

    fn secs(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    fn wait(machine: &mut Machine, now: Duration) -> Duration {
        match machine.next(now) {
            Action::Wait(time) => time,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_double_to_thirty_seconds_within_a_quarter() {
        for seed in 0..50 {
            let mut machine = Machine::new(STALL, false, seed);
            let mut now = Duration::ZERO;
            for (attempt, base) in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0].into_iter().enumerate() {
                assert_eq!(machine.next(now), Action::Open { epoch: attempt as u32 + 1 });
                machine.failed(now, Failure::Unreachable);
                let waited = wait(&mut machine, now);
                assert!((secs(base * 0.75)..=secs(base * 1.25)).contains(&waited), "{base}: {waited:?}");
                assert_eq!(
                    machine.next(now + waited - Duration::from_nanos(1)),
                    Action::Wait(Duration::from_nanos(1))
                );
                now += waited;
            }
        }
    }

    #[test]
    fn waits_differ_between_cameras() {
        let waits: std::collections::HashSet<Duration> = (0..20)
            .map(|seed| {
                let mut machine = Machine::new(STALL, false, seed);
                machine.next(Duration::ZERO);
                machine.failed(Duration::ZERO, Failure::Unreachable);
                wait(&mut machine, Duration::ZERO)
            })
            .collect();
        assert!(waits.len() > 15);
    }

    #[test]
    fn a_refused_password_is_not_tried_within_five_minutes() {
        for seed in 0..50 {
            let mut machine = Machine::new(STALL, false, seed);
            let mut now = Duration::ZERO;
            for minutes in [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] {
                assert!(matches!(machine.next(now), Action::Open { .. }));
                machine.failed(now, Failure::Unauthorized);
                let waited = wait(&mut machine, now);
                assert!(waited >= secs(minutes * 60.0) && waited <= secs(minutes * 75.0), "{waited:?}");
                now += waited;
            }
        }
    }

    #[test]
    fn retry_now_opens_at_once_but_does_not_forget_the_refusals() {
        let mut machine = Machine::new(STALL, false, 1);
        machine.next(Duration::ZERO);
        machine.failed(Duration::ZERO, Failure::Unauthorized);
        assert!(machine.retry_now(secs(3.0)));
        assert_eq!(machine.next(secs(3.0)), Action::Open { epoch: 2 });
        machine.failed(secs(3.0), Failure::Unauthorized);
        assert!(wait(&mut machine, secs(3.0)) >= secs(600.0));
        // A frame proves the password: the next refusal starts at five minutes again.
        machine.retry_now(secs(4.0));
        machine.next(secs(4.0));
        assert!(!machine.retry_now(secs(4.0)));
        assert!(machine.frame(secs(5.0)));
        machine.failed(secs(6.0), Failure::Unauthorized);
        assert!(wait(&mut machine, secs(6.0)) < secs(600.0));
    }

    #[test]
    fn only_a_minute_of_health_resets_the_wait() {
        let mut machine = Machine::new(STALL, false, 2);
        let mut now = Duration::ZERO;
        // It connects, delivers for 59 s, and fails: the wait keeps growing.
        for base in [1.0, 2.0, 4.0] {
            assert!(matches!(machine.next(now), Action::Open { .. }));
            machine.frame(now);
            machine.frame(now + secs(59.0));
            now += secs(59.0);
            machine.failed(now, Failure::Ended);
            let waited = wait(&mut machine, now);
            assert!(waited >= secs(base * 0.75) && waited <= secs(base * 1.25));
            now += waited;
        }
        machine.next(now);
        machine.frame(now);
        assert!(!machine.is_healthy(now + secs(59.9)));
        machine.frame(now + HEALTHY);
        machine.failed(now + HEALTHY, Failure::Stalled);
        assert!(wait(&mut machine, now + HEALTHY) <= secs(1.25));
    }

    #[test]
    fn silence_is_a_stall_before_and_after_the_first_frame() {
        let mut machine = Machine::new(STALL, false, 3);
        machine.next(secs(100.0));
        assert_eq!(machine.next(secs(104.0)), Action::Read(secs(6.0)));
        assert!(!machine.has_stalled(secs(109.9)));
        assert!(machine.has_stalled(secs(110.0)));
        machine.frame(secs(109.9));
        assert!(!machine.has_stalled(secs(119.0)));
        assert!(machine.has_stalled(secs(119.9)));
        machine.failed(secs(119.9), Failure::Stalled);
        assert!(!machine.has_stalled(secs(900.0)));
        assert_eq!(machine.state().as_str(), "waiting");
    }

    #[test]
    fn the_end_of_a_file_is_final_and_the_end_of_a_stream_is_not() {
        let mut file = Machine::new(STALL, true, 4);
        file.next(Duration::ZERO);
        file.failed(Duration::ZERO, Failure::Ended);
        assert_eq!((file.state(), file.next(secs(1e6))), (CameraState::Ended, Action::Finish));
        let mut live = Machine::new(STALL, false, 4);
        live.next(Duration::ZERO);
        live.failed(Duration::ZERO, Failure::Ended);
        assert!(matches!(live.state(), CameraState::Waiting { failure: Failure::Ended, .. }));
        live.stop();
        live.failed(Duration::ZERO, Failure::Ended);
        assert_eq!(live.next(Duration::ZERO), Action::Finish);
    }
}
