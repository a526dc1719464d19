//! Moments at which validities begin and end: mostly edges of days where an operator types dates, and those at which programs
//! go wrong.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::gallery::dates::{self, Edge};

pub const DAY: i64 = 86_400;

/// The clocks change, February has a day more, a year ends; each with its neighbours.
const SPECIAL: [&str; 20] = [
    "2026-03-29T00:59:59.999999999Z",
    "2026-03-29T01:00:00Z",
    "2026-03-29T03:00:00+02:00",
    "2026-10-25T02:30:00+02:00",
    "2026-10-25T02:30:00+01:00",
    "2026-10-25T01:00:00Z",
    "2027-03-28T01:00:00Z",
    "2027-03-28T01:00:00.000000001Z",
    "2027-10-31T02:00:00+02:00",
    "2027-10-31T02:00:00+01:00",
    "2028-02-28T23:59:59.999999999Z",
    "2028-02-29T00:00:00Z",
    "2028-02-29T12:00:00Z",
    "2028-02-29T23:59:59.999999999Z",
    "2028-03-01T00:00:00Z",
    "2028-03-26T01:00:00Z",
    "2028-10-29T01:00:00Z",
    "2028-10-29T01:00:00.5Z",
    "2027-12-31T23:59:59.999999999Z",
    "2028-01-01T00:00:00Z",
];

/// Chooses moments.
pub struct Moments {
    zone: TimeZone,
    special: Vec<Timestamp>,
    /// How many of 100 are nobody else's.
    own: u8,
}

impl Moments {
    pub fn new(own: u8) -> Self {
        // Central European time by rule, so that no test needs the system's time zones.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        let special = SPECIAL.iter().map(|text| text.parse().expect("a moment")).collect();
        Self { zone, special, own }
    }

    /// A validity as somebody may give it at `now`: none, one or both ends, past or to come, some shorter than a sleep.
    pub fn validity(
        &self,
        random: &mut fastrand::Rng,
        now: Timestamp,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let from = now + days(random, -180, 1000);
        let from = self.near(random, from, Edge::Start);
        let from = (random.u8(0..5) > 0).then_some(from);
        let brief = random.u8(0..40) == 0;
        let begun = from.unwrap_or(now);
        let until = if brief {
            begun + SignedDuration::from_millis(random.i64(1..60_000))
        } else {
            let until = begun + days(random, 1, 800);
            let until = self.near(random, until, Edge::End);
            if until > begun { until } else { begun + SignedDuration::from_nanos(1) }
        };
        (from, (random.u8(0..7) > 0).then_some(until))
    }

    fn near(&self, random: &mut fastrand::Rng, about: Timestamp, edge: Edge) -> Timestamp {
        if random.u8(0..100) < self.own {
            return about;
        }
        if random.u8(0..20) == 0 {
            return self.special[random.usize(0..self.special.len())];
        }
        let date = about.to_zoned_datetime(self.zone.clone()).date();
        let read = dates::parse(&date.to_string(), about, &self.zone, edge).expect("a date");
        read.expect("a moment")
    }
}

fn days(random: &mut fastrand::Rng, least: i64, most: i64) -> SignedDuration {
    SignedDuration::from_nanos(random.i64(least * DAY * 1_000_000_000..most * DAY * 1_000_000_000))
}
