//! Which error rates a number of trials can speak of.
//!
//! ```text
//!  non-mated trials    0 ........ 3 / rate .................. 30 / rate ........
//!                      not enough      indicative                   supported
//! ```
//!
//! Rule of 3 (ISO/IEC 19795-1:2021, Annex B; Louis 1981): no error in N independent trials shows, with 95 % confidence, only that the rate
//! is under 3/N. Rule of 30 (Doddington et al. 2000): with 30 errors the true rate is, with 90 % confidence, within 30 % of the
//! observed one.

use serde::Serialize;

/// Errors that have to be expected before there is a figure.
const RULE_OF_3: u64 = 3;
/// Errors that have to be expected before the figure may be claimed.
pub const RULE_OF_30: u64 = 30;

/// An error rate that is aimed at: `errors` in `trials`. Whole numbers, so that "at most this rate" is counted exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    errors: u64,
    trials: u64,
}

/// What may be said of an error rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// Fewer than 3 errors are expected: there is no figure.
    NotEnoughTrials,
    /// 3 to 30 errors are expected: a hint, not a claim.
    Indicative,
    /// 30 errors or more are expected.
    Supported,
}

impl Target {
    /// One error in so many trials; 0 is taken as 1.
    pub const fn one_in(trials: u64) -> Self {
        Self::of(1, trials)
    }

    /// So many errors in so many trials, 0 taken as 1.
    pub const fn of(errors: u64, trials: u64) -> Self {
        Self { errors: if errors == 0 { 1 } else { errors }, trials: if trials == 0 { 1 } else { trials } }
    }

    /// As a number, above 0.
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.trials as f64
    }

    /// Most errors in so many trials at which the rate is not above the target.
    pub fn allowed(self, trials: u64) -> u64 {
        let allowed = u128::from(trials) * u128::from(self.errors) / u128::from(self.trials);
        u64::try_from(allowed).unwrap_or(u64::MAX)
    }

    /// What so many trials may say of this rate.
    pub fn claim(self, trials: u64) -> Claim {
        if trials < self.needed(RULE_OF_3) {
            Claim::NotEnoughTrials
        } else if trials < self.needed(RULE_OF_30) {
            Claim::Indicative
        } else {
            Claim::Supported
        }
    }

    /// Least trials for a figure.
    pub fn least_trials(self) -> u64 {
        self.needed(RULE_OF_3)
    }

    /// Trials in which so many errors are expected.
    fn needed(self, errors: u64) -> u64 {
        let needed = (u128::from(errors) * u128::from(self.trials)).div_ceil(u128::from(self.errors));
        u64::try_from(needed).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_claimed_only_from_thirty_expected_errors_on() {
        let target = Target::one_in(1_000);
        for (trials, claim) in [
            (0, Claim::NotEnoughTrials),
            (2_999, Claim::NotEnoughTrials),
            (3_000, Claim::Indicative),
            (29_999, Claim::Indicative),
            (30_000, Claim::Supported),
            (u64::MAX, Claim::Supported),
        ] {
            assert_eq!(target.claim(trials), claim, "{trials}");
        }
        assert_eq!(Target::of(3, 1_000).least_trials(), 1_000);
        assert_eq!(Target::of(7, 1_000).least_trials(), 429, "rounded up");
    }

    #[test]
    fn the_allowed_errors_are_exact() {
        // 0.1 * 30 and 0.001 * 3,000 in binary fractions miss these.
        assert_eq!(Target::one_in(10).allowed(30), 3);
        assert_eq!(Target::one_in(1_000).allowed(3_000), 3);
        assert_eq!(Target::one_in(1_000).allowed(2_999), 2);
        assert_eq!(Target::of(3, 1_000).allowed(u64::MAX), u64::MAX / 1_000 * 3 + 1);
        assert_eq!(Target::of(0, 0).rate(), 1.0);
    }
}
