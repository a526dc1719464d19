//! Times on the command line: as everywhere, and so long ago.

use jiff::{SignedDuration, Timestamp};

use crate::base::error::Result;
use crate::cli::console::Console;
use crate::err;
use crate::gallery::dates::{self, Edge};

/// Reads what was typed after `option`: `30m`, `2h`, `7d` ago, a date, an RFC 3339 time, or now.
pub(super) fn moment(option: &str, text: &str, edge: Edge, console: &Console) -> Result<Timestamp> {
    if let Some(ago) = ago(text.trim()) {
        return console
            .now()
            .checked_sub(ago)
            .map_err(|e| err!(Usage, "{option}: {text:?} is too long ago").because(e));
    }
    let unclear = || {
        err!(
            Usage,
            "{option}: {text:?}: expected so long ago (30m, 2h, 7d), a date (2027-03-01), or an RFC 3339 time \
             (2027-03-01T18:00:00Z)"
        )
    };
    match dates::parse(text, console.now(), console.zone(), edge) {
        Ok(Some(moment)) => Ok(moment),
        Ok(None) => Err(unclear()),
        Err(why) => Err(unclear().because(why)),
    }
}

/// `2h`: digits and a unit.
fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back().filter(char::is_ascii_alphabetic)?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    count.checked_mul(seconds).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;
    use crate::cli::console::testing::console;

    #[test]
    fn so_long_ago_a_date_and_a_time() {
        let (console, ..) = console(false, None);
        let read = |text| moment("--since", text, Edge::Start, &console).map(|at| at.to_string());
        for (text, at) in [
            ("90s", "2026-10-01T10:58:30Z"),
            ("30m", "2026-10-01T10:30:00Z"),
            ("2h", "2026-10-01T09:00:00Z"),
            ("7d", "2026-09-24T11:00:00Z"),
            ("1w", "2026-09-24T11:00:00Z"),
            ("now", "2026-10-01T11:00:00Z"),
            ("2026-10-01", "2026-09-30T23:00:00Z"),
            ("2026-10-01T18:00:00Z", "2026-10-01T18:00:00Z"),
        ] {
            assert_eq!(read(text).expect(text), at, "{text}");
        }
        for text in ["", "2", "h", "-2h", "2x", "yesterday", "none", "99999999999999w", "2026-13-01"] {
            let error = read(text).expect_err(text);
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.to_string().starts_with("--since"), "{error}");
        }
    }
}
