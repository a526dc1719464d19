//! Quantities as people write them: `500ms`, `640x384`, `100MiB`.

use std::time::Duration;

use crate::types::geometry::Size;

/// `500ms`, `5s`, `2m`, `1.5h`, `30d`: a number and a unit. A day has 24 hours.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Whole milliseconds: 0.1s is 100ms, and nothing here is finer.
    let millis = (decimal(number)? * seconds * 1000.0).round();
    Some(Duration::from_millis((millis < 1e15).then_some(millis as u64)?))
}

/// A duration as [`duration`] reads it. A single day is `24h`.
pub(super) fn show_duration(d: Duration) -> String {
    const DAY: u128 = 86_400_000;
    let ms = d.as_millis();
    match ms {
        0 => "0s".into(),
        _ if ms > DAY && ms.is_multiple_of(DAY) => format!("{}d", ms / DAY),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// `64KiB`, `100MiB`, `1GiB`, `100MB`, `4096B`: a whole number and a unit.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    whole(number)?.checked_mul(factor)
}

/// A number of bytes as [`bytes`] reads it.
pub(super) fn show_bytes(n: u64) -> String {
    match n {
        _ if n >= 1 << 30 && n.is_multiple_of(1 << 30) => format!("{}GiB", n >> 30),
        _ if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{}MiB", n >> 20),
        _ if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("{}KiB", n >> 10),
        _ => format!("{n}B"),
    }
}

/// `640x384`
pub(super) fn size(text: &str) -> Option<Size> {
    let (width, height) = text.split_once('x')?;
    Some(Size::new(whole(width)?.try_into().ok()?, whole(height)?.try_into().ok()?))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// Digits only: what `parse` takes besides (a sign, an exponent) is not how these are written.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn decimal(text: &str) -> Option<f64> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_digit());
    (starts_well && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_show() {
        for (text, ms) in
            [("500ms", 500), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000), ("0.1s", 100), ("0s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in
            ["", "5", "s", "-5s", "5 days", "1e3s", "1.2.3s", "inf s", "99999999999999999h", ".5s", "5sec"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(duration("30d"), Some(Duration::from_secs(30 * 86_400)));
        for text in ["0s", "500ms", "5s", "2m", "1h", "24h", "36h", "30d"] {
            assert_eq!(duration(text).map(show_duration).as_deref(), Some(text));
        }
    }

    #[test]
    fn bytes_read_and_show() {
        assert_eq!(bytes("100MiB"), Some(100 << 20));
        assert_eq!(bytes("100 MB"), Some(100_000_000));
        for bad in ["", "100", "1.5MiB", "-1B", "99999999999999999999B", "99999999999GiB", "1mib", "MiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        for text in ["1B", "64KiB", "100MiB", "1GiB"] {
            assert_eq!(bytes(text).map(show_bytes).as_deref(), Some(text));
        }
    }

    #[test]
    fn sizes_read() {
        assert_eq!(size("640x384"), Some(Size::new(640, 384)));
        for bad in ["", "640", "640x", "x384", "640X384", "640x384x3", "-1x2", "+640x384", "5000000000x1"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
