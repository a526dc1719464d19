//! How sure a rate is that was counted.

use serde::Serialize;

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A 95 % interval of a rate, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Wilson's score interval (Wilson 1927) of `count` in `trials`; `None` without trials. It takes the trials as independent; trials that
/// share people are not, see [`super::bootstrap`].
pub fn wilson(count: u64, trials: u64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let (n, p) = (trials as f64, count.min(trials) as f64 / trials as f64);
    let scale = 1.0 / (1.0 + Z * Z / n);
    let centre = (p + Z * Z / (2.0 * n)) * scale;
    let half = Z * scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if count == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if count >= trials { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

/// A counted rate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How often.
    pub count: u64,
    /// Of how many.
    pub trials: u64,
    /// One by the other, 0 to 1; `None` without trials.
    pub rate: Option<f64>,
    /// 95 %, Wilson.
    pub interval: Option<Interval>,
}

impl Share {
    /// Of a count.
    pub fn of(count: u64, trials: u64) -> Self {
        let rate = (trials > 0).then(|| count as f64 / trials as f64);
        Self { count, trials, rate, interval: wilson(count, trials) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_published_figures() {
        // Newcombe 1998, table I, method 3 (Wilson's score without continuity correction).
        for (count, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson(count, trials).expect("trials");
            assert!((interval.low - low).abs() < 5e-5 && (interval.high - high).abs() < 5e-5, "{interval:?}");
        }
    }

    #[test]
    fn it_holds_the_rate_and_stays_in_its_range() {
        assert_eq!(wilson(0, 0), None);
        for trials in [1, 2, 7, 100, 6_000, 1_000_000] {
            for count in [0, 1, trials / 3, trials - 1, trials] {
                let interval = wilson(count, trials).expect("trials");
                let rate = count as f64 / trials as f64;
                assert!(0.0 <= interval.low && interval.low <= rate, "{count} of {trials}: {interval:?}");
                assert!(rate <= interval.high && interval.high <= 1.0, "{count} of {trials}: {interval:?}");
            }
        }
    }
}
