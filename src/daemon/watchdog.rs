//! The watchdog tells the truth: it is fed only while every stage that has work gets on with it.
//!
//! ```text
//!   stage:   idle ── begin_work ──▶ busy ── progress ──▶ busy ── end_work ──▶ idle
//!                                    │
//!                       no progress for longer than its limit
//!                                    ▼
//!                                  stuck ──▶ nobody feeds systemd's watchdog ──▶ it restarts us
//! ```
//!
//! A stage that waits for work is fine for however long: a box whose cameras are all away is healthy, and a
//! restart would not bring them back. A stage that panicked is stuck for good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::systemd::Notifier;
use crate::base::clock::{Clock, Moment};
use crate::base::error::Result;
use crate::base::shutdown::Stop;
use crate::err;

/// What a stage is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It waits for work.
    Idle,
    /// It works, and last got on at this time of the monotonic clock.
    Busy(Duration),
    /// Its thread panicked.
    Dead,
}

impl Activity {
    /// True if the stage has not got on for longer than `limit`. This is the whole policy.
    pub fn is_stuck(self, limit: Duration, now: Moment) -> bool {
        match self {
            Activity::Idle => false,
            Activity::Busy(last) => now.mono.saturating_sub(last) > limit,
            Activity::Dead => true,
        }
    }
}

// An activity in one word: 0 idle, MAX dead, else the milliseconds of the last progress plus one.
const IDLE: u64 = 0;
const DEAD: u64 = u64::MAX;

#[derive(Debug)]
struct Stage {
    name: String,
    limit: Duration,
    word: AtomicU64,
}

impl Stage {
    fn activity(&self) -> Activity {
        match self.word.load(Ordering::Acquire) {
            IDLE => Activity::Idle,
            DEAD => Activity::Dead,
            word => Activity::Busy(Duration::from_millis(word - 1)),
        }
    }
}

/// Every stage's heartbeat. Shared by `Arc`.
pub struct Heartbeats {
    clock: Arc<dyn Clock>,
    stages: Mutex<Vec<Arc<Stage>>>,
}

impl Heartbeats {
    /// Without stages.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, stages: Mutex::default() })
    }

    /// A stage that must get on within `limit` while it is busy. The stage's thread owns the beat: dropping it
    /// unregisters the stage, a panic leaves it behind as dead.
    pub fn register(self: &Arc<Self>, name: impl Into<String>, limit: Duration) -> Beat {
        let stage = Arc::new(Stage { name: name.into(), limit, word: AtomicU64::new(IDLE) });
        self.lock().push(stage.clone());
        Beat { stage, beats: self.clone() }
    }

    /// Names of the stages that are stuck at `now`.
    pub fn stuck(&self, now: Moment) -> Vec<String> {
        let stages = self.lock();
        stages.iter().filter(|s| s.activity().is_stuck(s.limit, now)).map(|s| s.name.clone()).collect()
    }

    /// Names of the stages that are stuck now.
    pub fn stuck_now(&self) -> Vec<String> {
        self.stuck(self.clock.now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Stage>>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lock().iter().map(|s| (&s.name, s.activity()))).finish()
    }
}

/// One stage's heartbeat; its thread owns it.
#[derive(Debug)]
pub struct Beat {
    stage: Arc<Stage>,
    beats: Arc<Heartbeats>,
}

impl Beat {
    /// Work was taken up.
    pub fn begin_work(&self) {
        self.progress();
    }

    /// The work got on: a frame, a batch, a step of a long task.
    pub fn progress(&self) {
        let millis = u64::try_from(self.beats.clock.now().mono.as_millis()).unwrap_or(DEAD - 2);
        self.stage.word.store(millis.min(DEAD - 2) + 1, Ordering::Release);
    }

    /// The work is done; the stage waits for more.
    pub fn end_work(&self) {
        self.stage.word.store(IDLE, Ordering::Release);
    }

    /// Does `work` as one piece of work.
    pub fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        self.begin_work();
        let done = work();
        self.end_work();
        done
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stage.word.store(DEAD, Ordering::Release);
        } else {
            self.beats.lock().retain(|s| !Arc::ptr_eq(s, &self.stage));
        }
    }
}

/// Decides at each turn whether the watchdog is fed, and says so once when that changes.
#[derive(Debug, Default)]
pub struct Feeder {
    starving: bool,
}

impl Feeder {
    /// True if the watchdog is to be fed, given who is stuck.
    pub fn turn(&mut self, stuck: &[String]) -> bool {
        let starving = !stuck.is_empty();
        if starving && !self.starving {
            let stages = stuck.join(", ");
            tracing::error!(stages, "busy without progress: the watchdog is not fed until they get on");
        }
        if self.starving && !starving {
            tracing::info!("every stage gets on again");
        }
        self.starving = starving;
        !starving
    }
}

/// Feeds systemd's watchdog from a thread of its own until told to stop. `None` when systemd does not watch us.
///
/// # Errors
/// `Unavailable`, when there is no thread.
pub fn feed(beats: Arc<Heartbeats>, notifier: Notifier, stop: Stop) -> Result<Option<JoinHandle<()>>> {
    let Some(limit) = notifier.watchdog_limit() else { return Ok(None) };
    // sd_watchdog_enabled(3) advises half of it; a third forgives one turn that comes late.
    let pause = limit / 3;
    let run = move || {
        let mut feeder = Feeder::default();
        loop {
            if feeder.turn(&beats.stuck_now()) {
                notifier.watchdog();
            }
            if stop.wait(pause) {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(run)
        .map(Some)
        .map_err(|e| err!(Unavailable, "cannot start the watchdog's thread").because(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SimulatedClock;

    const LIMIT: Duration = Duration::from_secs(20);
    const WATCHDOG: Duration = Duration::from_secs(30);
    const TURN: Duration = Duration::from_secs(10);

    /// systemd, on the simulated clock: it restarts what was not fed for `WATCHDOG`.
    struct Box7 {
        clock: Arc<SimulatedClock>,
        beats: Arc<Heartbeats>,
        feeder: Feeder,
        fed: Moment,
    }

    impl Box7 {
        fn new() -> Self {
            let clock = Arc::new(SimulatedClock::new(jiff::Timestamp::UNIX_EPOCH));
            let beats = Heartbeats::new(clock.clone());
            Self { fed: clock.now(), clock, beats, feeder: Feeder::default() }
        }

        /// Lets `time` pass; calls `each` every second. True if systemd would have restarted us.
        fn pass(&mut self, time: Duration, mut each: impl FnMut(u64)) -> bool {
            for second in 1..=time.as_secs() {
                self.clock.advance(Duration::from_secs(1));
                each(second);
                let now = self.clock.now();
                if second.is_multiple_of(TURN.as_secs()) && self.feeder.turn(&self.beats.stuck_now()) {
                    self.fed = now;
                }
                if now.since(self.fed) > WATCHDOG {
                    return true;
                }
            }
            false
        }
    }

    #[test]
    fn a_box_whose_cameras_are_all_away_is_never_restarted() {
        let mut here = Box7::new();
        let _inference = here.beats.register("inference-0", LIMIT);
        let _decider = here.beats.register("decide", LIMIT);
        assert!(!here.pass(Duration::from_secs(72 * 3_600), |_| ()));
    }

    #[test]
    fn a_stuck_inference_is_restarted_and_nothing_else_hides_it() {
        let mut here = Box7::new();
        let inference = here.beats.register("inference-0", LIMIT);
        let other = here.beats.register("inference-1", LIMIT);
        assert!(!here.pass(Duration::from_secs(600), |_| inference.work(|| other.work(|| ()))));
        inference.begin_work();
        let restarted = here.pass(LIMIT + WATCHDOG + TURN, |_| other.work(|| ()));
        assert!(restarted, "the other worker's progress must not feed the watchdog");
        assert_eq!(here.beats.stuck_now(), ["inference-0"]);
    }

    #[test]
    fn slow_is_not_stuck() {
        let mut here = Box7::new();
        let builder = here.beats.register("inference-0", LIMIT);
        builder.begin_work();
        assert!(!here.pass(Duration::from_secs(3_600), |s| if s % 15 == 0 {
            builder.progress()
        }));
    }

    #[test]
    fn a_stage_that_gets_on_again_feeds_again() {
        let mut here = Box7::new();
        let stage = here.beats.register("publish", LIMIT);
        stage.begin_work();
        assert!(!here.pass(Duration::from_secs(25), |_| ()), "not yet");
        assert_eq!(here.beats.stuck_now(), ["publish"]);
        stage.end_work();
        assert!(!here.pass(Duration::from_secs(600), |_| ()));
    }

    #[test]
    fn a_panic_is_seen_and_a_regular_end_is_not() {
        let here = Box7::new();
        let (panics, ends) = (here.beats.register("panics", LIMIT), here.beats.register("ends", LIMIT));
        let _ = std::thread::spawn(move || {
            let _owned = panics;
            std::panic::resume_unwind(Box::new("quietly"));
        })
        .join();
        let _ = std::thread::spawn(move || ends.begin_work()).join();
        assert_eq!(here.beats.stuck(here.clock.now()), ["panics"]);
    }

    #[test]
    fn busy_at_time_zero_is_not_idle() {
        let now = Moment { mono: Duration::from_secs(21), wall: jiff::Timestamp::UNIX_EPOCH };
        let here = Box7::new();
        let stage = here.beats.register("first", LIMIT);
        stage.begin_work();
        assert_eq!(here.beats.stuck(now), ["first"]);
    }
}
