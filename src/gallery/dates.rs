//! The moments an operator types: when an identity's validity starts and ends, and when it is to be reviewed.
//!
//! | typed | means |
//! | --- | --- |
//! | `2027-03-01` | that day in the box's time zone: its first moment as a start or a review date, its end as an end |
//! | `2027-03-01T18:00:00+01:00`, `...Z` | that moment (RFC 3339) |
//! | `+12h` `+90d` `+2w` `+6mo` `+2y` | so long from now |
//! | `now` | now |
//! | `none` | no such moment |
//!
//! "Valid until 2027-03-01" includes the first of March, as it does on a passport; a validity's end is exclusive, so it is
//! the first moment of the second. Days, weeks, months and years from now are those of the calendar: the time of
//! day stays when the clocks change, and where a month is too short its last day counts (31 January + 1mo is 28 or 29
//! February).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::base::error::{Error, Result};
use crate::err;

/// Which end of a day a date means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its first moment: of a start, of a review.
    Start,
    /// The first moment after it: of an exclusive end.
    End,
}

/// What is accepted, for messages and help.
pub const FORMS: &str = "a date (2027-03-01), an RFC 3339 time (2027-03-01T18:00:00Z), a time from now (+12h, +90d, +2w, +6mo, \
    +2y), \"now\" or \"none\"";

/// Where the operator is: `TZ`, else the box's time zone, else UTC.
///
/// # Errors
/// `Usage`, for a `TZ` that cannot be had: a day would end at another hour than the one that was meant.
pub fn zone() -> Result<TimeZone> {
    let set = std::env::var_os("TZ");
    TimeZone::try_system().or_else(|why| match set {
        Some(name) => Err(err!(
            Usage,
            "TZ={}: there is no such time zone here; name one of /usr/share/zoneinfo, as Europe/Lisbon, or leave TZ out",
            name.display()
        )
        .because(why)),
        None => Ok(TimeZone::UTC),
    })
}

/// Reads what was typed; `None` is `none`. `zone` is the box's ([`TimeZone::system`]), `edge` what a date means.
///
/// # Errors
/// `Data`, with the value and the accepted forms; also for a moment after the year 9999.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone, edge: Edge) -> Result<Option<Timestamp>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    if text.eq_ignore_ascii_case("now") {
        return Ok(Some(now));
    }
    let moment = match text.strip_prefix('+') {
        Some(span) => now
            .to_zoned_datetime(zone.clone())
            .checked_add(from_now(span).ok_or_else(|| unclear(text))?)
            .map(|then| then.timestamp()),
        // A date's parser also takes a time after the date, and forgets it.
        None if text.len() == "2027-03-01".len() => day(text.parse().map_err(|_| unclear(text))?, zone, edge),
        None => Ok(text.parse().map_err(|_| unclear(text))?),
    };
    moment
        .map(Some)
        .map_err(|cause| err!(Data, "{text:?} is out of range: expected a year up to 9999").because(cause))
}

/// The edge of a day. Where the clocks skip midnight, the day starts when they go on.
fn day(date: Date, zone: &TimeZone, edge: Edge) -> Result<Timestamp, jiff::Error> {
    let first = match edge {
        Edge::Start => date,
        Edge::End => date.tomorrow()?,
    };
    Ok(first.to_zoned_datetime(zone.clone())?.timestamp())
}

/// `90d`: digits and a unit.
fn from_now(text: &str) -> Option<Span> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at_checked(digits)?;
    let count: i64 = count.parse().ok()?;
    let span = Span::new();
    match unit {
        "h" => span.try_hours(count),
        "d" => span.try_days(count),
        "w" => span.try_weeks(count),
        "mo" => span.try_months(count),
        "y" => span.try_years(count),
        _ => return None,
    }
    .ok()
}

fn unclear(text: &str) -> Error {
    let hint = if text.len() > 10 && text.parse::<Date>().is_ok() {
        "; a time needs its offset from UTC or Z"
    } else {
        ""
    };
    err!(Data, "{text:?} is no moment: expected {FORMS}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time by rule, so that no test needs the system's time zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule")
    }

    fn now() -> Timestamp {
        "2026-01-31T10:00:00Z".parse().expect("a moment")
    }

    fn read(text: &str, edge: Edge) -> String {
        match parse(text, now(), &berlin(), edge) {
            Ok(moment) => moment.map_or("none".to_owned(), |moment| moment.to_string()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_date_is_a_local_day_and_an_end_includes_it() {
        assert_eq!(read("2027-03-01", Edge::Start), "2027-02-28T23:00:00Z");
        assert_eq!(read(" 2027-03-01 ", Edge::End), "2027-03-01T23:00:00Z");
        assert_eq!(read("2028-02-29", Edge::Start), "2028-02-28T23:00:00Z");
        assert_eq!(read("2028-02-29", Edge::End), "2028-02-29T23:00:00Z");
        // The days on which the clocks change have 23 and 25 hours.
        assert_eq!(read("2026-03-29", Edge::Start), "2026-03-28T23:00:00Z");
        assert_eq!(read("2026-03-29", Edge::End), "2026-03-29T22:00:00Z");
        assert_eq!(read("2026-10-25", Edge::Start), "2026-10-24T22:00:00Z");
        assert_eq!(read("2026-10-25", Edge::End), "2026-10-25T23:00:00Z");
        assert_eq!(read("2026-12-31", Edge::End), "2026-12-31T23:00:00Z");
    }

    #[test]
    fn a_day_without_midnight_starts_when_the_clocks_go_on() {
        // Clocks go from 00:00 to 01:00 on the last Sunday of March, and back at 24:00 on the last Sunday of October.
        let beirut = TimeZone::posix("EET-2EEST,M3.5.0/0,M10.5.0/0").expect("a rule");
        let parsed =
            |text, edge| parse(text, now(), &beirut, edge).expect("a date").expect("a moment").to_string();
        assert_eq!(parsed("2026-03-28", Edge::End), "2026-03-28T22:00:00Z");
        assert_eq!(parsed("2026-03-29", Edge::Start), "2026-03-28T22:00:00Z", "01:00 there");
    }

    #[test]
    fn a_moment_is_what_it_says_whatever_the_edge() {
        for edge in [Edge::Start, Edge::End] {
            assert_eq!(read("2027-03-01T18:00:00+01:00", edge), "2027-03-01T17:00:00Z");
            assert_eq!(read("2027-03-01T18:00:00Z", edge), "2027-03-01T18:00:00Z");
            assert_eq!(read("2027-03-01 18:00:00.5-05:30", edge), "2027-03-01T23:30:00.5Z");
            assert_eq!(read("now", edge), "2026-01-31T10:00:00Z");
            assert_eq!(read("NONE", edge), "none");
        }
    }

    #[test]
    fn a_time_from_now_is_counted_by_the_calendar() {
        assert_eq!(read("+12h", Edge::End), "2026-01-31T22:00:00Z");
        assert_eq!(read("+1d", Edge::End), "2026-02-01T10:00:00Z");
        assert_eq!(read("+2w", Edge::Start), "2026-02-14T10:00:00Z");
        assert_eq!(read("+90d", Edge::End), "2026-05-01T09:00:00Z", "summer time: 11:00 there as today");
        assert_eq!(read("+1mo", Edge::End), "2026-02-28T10:00:00Z", "February is short");
        assert_eq!(read("+25mo", Edge::End), "2028-02-29T10:00:00Z", "and has a leap day");
        assert_eq!(read("+2y", Edge::End), "2028-01-31T10:00:00Z");
        let leap = "2028-02-29T10:00:00Z".parse().expect("a moment");
        let later = parse("+1y", leap, &berlin(), Edge::End).expect("a span").expect("a moment");
        assert_eq!(later.to_string(), "2029-02-28T10:00:00Z");
        assert_eq!(read("+0d", Edge::End), "2026-01-31T10:00:00Z");
    }

    #[test]
    fn what_is_unclear_is_refused_with_the_value_and_what_is_accepted() {
        let bad = [
            "",
            "tomorrow",
            "2027-02-29",
            "2027-13-01",
            "01.03.2027",
            "20270301",
            "2027-3-1",
            "+6m",
            "+6 mo",
            "+d",
            "+",
            "90d",
            "-1d",
            "+-1d",
            "+1.5y",
            "+99999999999999999999d",
            "2027-03-01T25:00:00Z",
            "\u{663}\u{663}",
        ];
        for text in bad {
            let message = read(text, Edge::Start);
            assert!(message.contains(&format!("{text:?}")) && message.contains(FORMS), "{text:?}: {message}");
        }
        let message = read("2027-03-01T18:00:00", Edge::Start);
        assert!(message.ends_with("a time needs its offset from UTC or Z"), "{message}");
        for far in ["+9000y", "9999-12-31"] {
            let message = read(far, Edge::End);
            assert!(message.contains("out of range"), "{far}: {message}");
        }
        let kind = parse("soon", now(), &berlin(), Edge::Start).expect_err("unclear").kind();
        assert_eq!(kind, crate::base::error::Kind::Data);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_typed_is_read_or_refused(text in ".{0,40}") {
            let _ = parse(&text, now(), &berlin(), Edge::End);
        }

        /// A date's end is the next one's start, so that two validities can follow each other without a gap.
        #[test]
        fn days_follow_each_other(day in 0i64..40_000) {
            let date = jiff::civil::date(2020, 1, 1).checked_add(Span::new().days(day)).expect("a date");
            let next = date.tomorrow().expect("a date");
            proptest::prop_assert_eq!(
                read(&date.to_string(), Edge::End),
                read(&next.to_string(), Edge::Start)
            );
        }
    }
}
