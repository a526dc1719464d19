//! What of the daemon fails, for `health` events: told once when it begins, and once when it is over.
//!
//! ```text
//!   part ─▶ well ── fails for longer than its patience ─▶ degraded (told)
//!             ▲                                               │
//!             └────────────── works again (told) ◀────────────┘
//!   a camera that is away is neither: its own events say so
//! ```
//!
//! | part | fails while |
//! | --- | --- |
//! | `log` | it cannot be written |
//! | `snapshots` | their store cannot be written or read |
//! | `index` | the HNSW index answered otherwise than exact search, and is out of use until the next start |
//! | `sink:NAME` | its attempts fail |
//! | `camera:NAME` | frames arrive, and none is looked at: inference is overloaded or stuck |

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::clock::Moment;
use crate::events::HealthState;
use crate::stats::CameraState;
use crate::stats::snapshot::Snapshot;

/// How long something may fail before it is told: a broker that is started again, or one slow frame, is no news.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is to tell of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// [`HealthState::Degraded`] or [`HealthState::Recovered`].
    pub state: HealthState,
    /// The part.
    pub part: String,
    /// For a person.
    pub message: &'static str,
}

/// How the parts were, the last time.
#[derive(Debug, Default)]
pub struct Health(BTreeMap<String, Since>);

/// A part that fails.
#[derive(Debug, Clone, Copy)]
struct Since {
    failing: Duration,
    told: bool,
}

/// A part, now.
struct Part {
    name: String,
    /// `None`: nothing can be said.
    works: Option<bool>,
    /// What is said when it fails, and when it works again.
    words: (&'static str, &'static str),
}

impl Health {
    /// Looks at every part; what there is to tell.
    pub fn look(&mut self, snapshot: &Snapshot, now: Moment) -> Vec<Told> {
        let parts = parts(snapshot);
        // What is not configured any more is nobody's trouble.
        self.0.retain(|name, _| parts.iter().any(|part| part.name == *name));
        parts.into_iter().filter_map(|part| self.part(part, now)).collect()
    }

    fn part(&mut self, part: Part, now: Moment) -> Option<Told> {
        let Part { name, works, words: (fails, again) } = part;
        match works {
            None => None,
            Some(true) => {
                let told = self.0.remove(&name)?.told;
                told.then_some(Told { state: HealthState::Recovered, part: name, message: again })
            }
            Some(false) => {
                let since = self.0.entry(name.clone()).or_insert(Since { failing: now.mono, told: false });
                let over = now.mono.saturating_sub(since.failing) >= PATIENCE;
                let news = over && !since.told;
                since.told |= over;
                news.then_some(Told { state: HealthState::Degraded, part: name, message: fails })
            }
        }
    }
}

fn parts(snapshot: &Snapshot) -> Vec<Part> {
    let log = Part {
        name: "log".to_owned(),
        works: Some(!snapshot.events.log_failing),
        words: (
            "the event log cannot be written: events wait; see the log",
            "the event log is written again",
        ),
    };
    let snapshots = Part {
        name: "snapshots".to_owned(),
        works: Some(!snapshot.snapshots.failing),
        words: (
            "the snapshot store fails: events go without snapshots; see the log",
            "the snapshot store works again",
        ),
    };
    let index = Part {
        name: "index".to_owned(),
        works: Some(!snapshot.gallery.index_distrusted),
        words: (
            "the hnsw index answered otherwise than exact search: every template is compared until the next start; see the log",
            "the hnsw index is in use again",
        ),
    };
    let sinks = snapshot.events.sinks.iter().map(|sink| Part {
        name: format!("sink:{}", sink.name),
        works: Some(sink.healthy),
        words: ("the sink does not take events: they wait in the event log", "the sink takes events again"),
    });
    let cameras = snapshot.cameras.iter().map(|camera| Part {
        name: format!("camera:{}", camera.id),
        works: (camera.state == CameraState::Connected).then_some(camera.recognising),
        words: (
            "frames arrive and none is looked at: inference is overloaded or stuck",
            "the camera's frames are looked at again",
        ),
    });
    [log, snapshots, index].into_iter().chain(sinks).chain(cameras).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Clock, SimulatedClock};
    use crate::stats::Stats;
    use crate::types::ids::CameraId;

    struct Site {
        clock: SimulatedClock,
        stats: Stats,
        health: Health,
    }

    impl Site {
        fn new() -> Self {
            let clock = SimulatedClock::new("2026-03-01T08:30:00Z".parse().expect("a time"));
            let stats = Stats::new(clock.now());
            Self { clock, stats, health: Health::default() }
        }

        fn after(&mut self, secs: u64) -> Vec<(HealthState, String)> {
            self.clock.advance(Duration::from_secs(secs));
            let now = self.clock.now();
            let told = self.health.look(&self.stats.snapshot(now, "ready", Vec::new()), now);
            told.into_iter().map(|told| (told.state, told.part)).collect()
        }
    }

    #[test]
    fn a_part_that_fails_is_told_once_when_it_lasts_and_once_when_it_is_over() {
        let mut at = Site::new();
        let sink = at.stats.events.add_sink("hook");
        sink.failing.set(1);
        assert_eq!(at.after(1), []);
        sink.failing.set(0);
        assert_eq!(at.after(60), [], "a moment is no news");
        sink.failing.set(1);
        at.stats.events.log_failing.set(1);
        assert_eq!(at.after(1), []);
        let both =
            [(HealthState::Degraded, "log".to_owned()), (HealthState::Degraded, "sink:hook".to_owned())];
        assert_eq!(at.after(10), both);
        assert_eq!(at.after(100), []);
        sink.failing.set(0);
        assert_eq!(at.after(1), [(HealthState::Recovered, "sink:hook".to_owned())]);
        at.stats.events.log_failing.set(0);
        assert_eq!(at.after(1), [(HealthState::Recovered, "log".to_owned())]);
    }

    #[test]
    fn an_index_that_is_distrusted_is_told_once() {
        let mut at = Site::new();
        assert_eq!(at.after(60), []);
        at.stats.gallery.distrusted();
        assert_eq!(at.after(1), []);
        assert_eq!(at.after(10), [(HealthState::Degraded, "index".to_owned())]);
        assert_eq!(at.after(100), []);
    }

    #[test]
    fn a_camera_whose_frames_nobody_looks_at_is_told_and_one_that_is_away_or_removed_is_not() {
        let mut at = Site::new();
        let id = CameraId::new("door").expect("valid");
        let camera = at.stats.add_camera(&id, at.clock.now(), Duration::from_secs(5));
        assert_eq!(at.after(60), [], "it is not connected");
        camera.connected(1, crate::source::StreamInfo::default(), at.clock.now());
        camera.frames_received(25, at.clock.now());
        assert_eq!(at.after(6), []);
        assert_eq!(at.after(10), [(HealthState::Degraded, "camera:door".to_owned())]);
        camera.frame_inferred(0, at.clock.now());
        assert_eq!(at.after(0), [(HealthState::Recovered, "camera:door".to_owned())]);
        assert_eq!(at.after(20), []);
        at.stats.remove_camera(&id);
        assert_eq!(at.after(60), []);
    }
}
