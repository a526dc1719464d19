//! What the audit log has to say, worked out from what the clock showed and what operators did, and from nothing that the
//! gallery keeps: no queue, no look, no standing of it.
//!
//! ```text
//!   clock shows:        ────────before────────┃──────── at or after the moment ────────▶
//!   gallery kept up:    ──────────────   away ┃   ─────────────────────────────────────▶
//!   an entry may come:                            [ first ························ first + 60 s ]
//! ```

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::gallery::record::Standing;
use crate::types::ids::IdentityId;

/// Never later than this after the clock showed the moment, or after the gallery was kept up again.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What the wall clock showed, and when nobody kept the gallery up. All in uptime.
pub struct Timeline {
    /// From then on the clock ran on evenly from that moment.
    stretches: Vec<(Duration, Timestamp)>,
    /// The daemon was off, or its disk took nothing.
    away: Vec<(Duration, Duration)>,
}

/// From then until then (exclusive) the clock showed some moment or a later one, and the gallery was kept up.
type Span = (Duration, Duration);

impl Timeline {
    pub fn new(wall: Timestamp) -> Self {
        Self { stretches: vec![(Duration::ZERO, wall)], away: Vec::new() }
    }

    /// Somebody set the clock.
    pub fn set(&mut self, at: Duration, wall: Timestamp) {
        self.stretches.push((at, wall));
    }

    /// Nobody kept the gallery up.
    pub fn away(&mut self, from: Duration, until: Duration) {
        self.away.push((from, until));
    }

    /// When `due` was shown and the gallery kept up, from `since` on.
    fn spans(&self, since: Duration, due: Timestamp) -> Vec<Span> {
        let begun = self.stretches.partition_point(|(at, _)| *at <= since).saturating_sub(1);
        let mut spans: Vec<Span> = Vec::new();
        for (number, &(at, wall)) in self.stretches.iter().enumerate().skip(begun) {
            let end = self.stretches.get(number + 1).map_or(Duration::MAX, |(next, _)| *next);
            let shown = at + Duration::try_from(wall.duration_until(due)).unwrap_or(Duration::ZERO);
            let shown = shown.max(since);
            match spans.last_mut() {
                _ if shown >= end => (),
                Some(last) if last.1 == shown => last.1 = end,
                _ => spans.push((shown, end)),
            }
        }
        for &(from, until) in &self.away {
            let cut = |(a, b): Span| [(a, b.min(from)), (a.max(until), b)];
            spans = spans.into_iter().flat_map(cut).filter(|(a, b)| a < b).collect();
        }
        spans
    }
}

/// A validity of somebody, from one change of it to the next.
pub struct Period {
    pub who: IdentityId,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The standing that it began with.
    pub first: Standing,
    /// Uptime and number of audit entries when it was set, and when it was over.
    pub set: (Duration, u64),
    pub over: Option<(Duration, u64)>,
}

/// A step that is on record.
pub struct Step {
    pub who: IdentityId,
    pub to: Standing,
    pub sequence: u64,
    /// The moment it names, and its own time.
    pub due: Timestamp,
    pub at: Timestamp,
    /// Uptime when it was written.
    pub written: Duration,
}

/// What was found right.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    pub starts: u64,
    pub ends: u64,
    /// Starts that came and went in one step, because the end came before anybody had to look.
    pub unseen: u64,
    pub latest: Duration,
}

/// Every step that is due is on record once, in time, and no other.
pub fn check(
    timeline: &Timeline,
    periods: &[Period],
    steps: &[Step],
    end: Duration,
) -> Result<Tally, String> {
    let mut of: HashMap<IdentityId, Vec<&Step>> = HashMap::new();
    steps.iter().for_each(|step| of.entry(step.who).or_default().push(step));
    let (mut tally, mut accounted) = (Tally::default(), 0);
    for period in periods {
        let over = period.over.map_or(u64::MAX, |(_, entries)| entries);
        let within = |step: &&Step| step.sequence > period.set.1 && step.sequence <= over;
        let own: Vec<&Step> = of.get(&period.who).into_iter().flatten().copied().filter(within).collect();
        accounted += own.len();
        judge(timeline, period, &own, end, &mut tally)
            .map_err(|why| format!("{}, {:?} to {:?}: {why}", period.who, period.from, period.until))?;
    }
    if accounted != steps.len() {
        return Err(format!("{} steps belong to no validity", steps.len() - accounted));
    }
    Ok(tally)
}

fn judge(
    timeline: &Timeline,
    period: &Period,
    own: &[&Step],
    end: Duration,
    tally: &mut Tally,
) -> Result<(), String> {
    let (started, ended) = match own {
        [] => (None, None),
        [one] if one.to == Standing::Active => (Some(*one), None),
        [one] if one.to == Standing::Expired => (None, Some(*one)),
        [one, two] if (one.to, two.to) == (Standing::Active, Standing::Expired) => (Some(*one), Some(*two)),
        other => return Err(format!("{} steps in a wrong order", other.len())),
    };
    let over = period.over.map_or(end, |(at, _)| at);
    let spans =
        |moment: Option<Timestamp>| moment.map_or(Vec::new(), |due| timeline.spans(period.set.0, due));
    let (starts, ends) = (spans(period.from), spans(period.until));
    let must_by = |spans: &[Span]| {
        spans.iter().find(|(a, b)| *b - *a >= LIMIT).map_or(Duration::MAX, |(a, _)| *a + LIMIT)
    };
    if let Some(step) = started {
        let late = in_time(step, period.from, &starts, must_by(&starts))?;
        if period.first != Standing::Pending {
            return Err("started, and had begun before".to_owned());
        }
        tally.starts += 1;
        tally.latest = tally.latest.max(late);
    } else if period.first == Standing::Pending && must_by(&starts) < over {
        // The end may have come first.
        if ended.is_none() || ends.first().is_none_or(|(shown, _)| *shown > must_by(&starts)) {
            return Err("never started".to_owned());
        }
        tally.unseen += 1;
    }
    if let Some(step) = ended {
        let late = in_time(step, period.until, &ends, must_by(&ends))?;
        if period.first == Standing::Expired {
            return Err("ended, and was over before".to_owned());
        }
        tally.ends += 1;
        tally.latest = tally.latest.max(late);
    } else if period.first != Standing::Expired && must_by(&ends) < over {
        return Err("never ended".to_owned());
    }
    Ok(())
}

/// How late the step is.
fn in_time(
    step: &Step,
    moment: Option<Timestamp>,
    spans: &[Span],
    must_by: Duration,
) -> Result<Duration, String> {
    if Some(step.due) != moment || step.at < step.due {
        return Err(format!("a step says that it was due at {} and came at {}", step.due, step.at));
    }
    let Some((shown, _)) = spans.iter().find(|(a, b)| (*a..*b).contains(&step.written)) else {
        return Err(format!("early: {} was not shown at {}", step.due, step.at));
    };
    if step.written > must_by {
        return Err(format!("late: {:?} after {}", step.written - must_by + LIMIT, step.due));
    }
    Ok(step.written - *shown)
}

mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a moment")
    }

    const fn up(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    const WHO: IdentityId = IdentityId(Uuid::nil());

    fn step(to: Standing, sequence: u64, due: i64, written: u64) -> Step {
        let at_then = at(written as i64);
        Step { who: WHO, to, sequence, due: at(due), at: at_then, written: up(written) }
    }

    /// From second 100 to 500, set at 10, on a clock that shows the uptime.
    fn verdict(timeline: &Timeline, steps: &[Step]) -> String {
        let period = Period {
            who: WHO,
            from: Some(at(100)),
            until: Some(at(500)),
            first: Standing::Pending,
            set: (up(10), 1),
            over: None,
        };
        check(timeline, &[period], steps, up(1000)).map_or_else(|why| why, |tally| format!("{tally:?}"))
    }

    #[test]
    fn a_wrong_log_is_seen() {
        use Standing::{Active, Expired};
        let plain = Timeline::new(at(0));
        let said = |steps: &[Step]| verdict(&plain, steps);
        assert_eq!(
            said(&[step(Active, 2, 100, 130), step(Expired, 3, 500, 560)]),
            "Tally { starts: 1, ends: 1, unseen: 0, latest: 60s }"
        );
        for (steps, why) in [
            (vec![step(Active, 2, 100, 99), step(Expired, 3, 500, 500)], "was due at"),
            (vec![step(Active, 2, 100, 161), step(Expired, 3, 500, 500)], "late"),
            (vec![step(Active, 2, 100, 100), step(Expired, 3, 500, 561)], "late"),
            (vec![step(Active, 2, 100, 100)], "never ended"),
            (vec![step(Expired, 3, 500, 500)], "never started"),
            (vec![step(Active, 2, 100, 100), step(Active, 3, 100, 100), step(Expired, 4, 500, 500)], "order"),
            (vec![step(Expired, 2, 500, 500), step(Active, 3, 100, 500)], "order"),
            (vec![step(Active, 1, 100, 100), step(Expired, 3, 500, 500)], "never started"),
        ] {
            let said = said(&steps);
            assert!(said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn a_clock_that_is_set_and_a_daemon_that_is_off_move_what_is_due() {
        use Standing::{Active, Expired};
        // Off around the start; set back by 100 s just after the end was shown.
        let mut timeline = Timeline::new(at(0));
        timeline.away(up(90), up(300));
        timeline.set(up(510), at(410));
        let ended_at = |written: u64, wall: i64| Step { at: at(wall), ..step(Expired, 3, 500, written) };
        let ended = |written, wall| verdict(&timeline, &[step(Active, 2, 100, 355), ended_at(written, wall)]);
        assert!(ended(505, 505).starts_with("Tally"), "while it was shown");
        assert!(ended(650, 550).starts_with("Tally"), "when it was shown again");
        assert!(ended(590, 500).contains("early"), "in between");
        assert!(ended(661, 561).contains("late"));
        assert!(
            verdict(&timeline, &[step(Active, 2, 100, 200), ended_at(650, 550)]).contains("early"),
            "off"
        );
        assert!(verdict(&timeline, &[step(Active, 2, 100, 361), ended_at(650, 550)]).contains("late"));
    }
}
