//! What a threshold stands for: false match rates that were measured, and what follows from them in between.

use std::fmt;

/// Measured false match rates, by threshold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    /// Similarity, and the share of comparisons of two people that reach it: the first rises, the second falls.
    points: Vec<[f32; 2]>,
}

/// The false match rate of a threshold: comparisons of two people that reach it, as a share of all (ISO/IEC 19795-1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fmr {
    /// About that.
    About(f32),
    /// Less than the smallest that was measured.
    Below(f32),
    /// More than the largest that was measured.
    Above(f32),
    /// Nobody has measured any.
    Unknown,
}

impl Rates {
    /// `None`, if they are no rates, or not in order.
    pub fn new(points: Vec<[f32; 2]>) -> Option<Self> {
        let is_rate =
            |[similarity, rate]: &[f32; 2]| (-1.0..=1.0).contains(similarity) && *rate > 0.0 && *rate <= 1.0;
        let in_order = points.windows(2).all(|pair| match pair {
            [[a, more], [b, less]] => a < b && more > less,
            _ => true,
        });
        (points.iter().all(is_rate) && in_order).then_some(Self { points })
    }

    /// What was measured.
    pub fn points(&self) -> &[[f32; 2]] {
        &self.points
    }

    /// The rate of a threshold: between two that were measured, on a straight line for its logarithm, as the tails of similarity
    /// scores are nearly.
    pub fn at(&self, threshold: f32) -> Fmr {
        let (Some([first, most]), Some([last, least])) = (self.points.first(), self.points.last()) else {
            return Fmr::Unknown;
        };
        if threshold < *first {
            return Fmr::Above(*most);
        }
        if threshold > *last {
            return Fmr::Below(*least);
        }
        let between = self.points.windows(2).find_map(|pair| match pair {
            [[a, more], [b, less]] if (*a..=*b).contains(&threshold) => {
                let part = (threshold - a) / (b - a);
                Some((more.ln() + (less.ln() - more.ln()) * part).exp())
            }
            _ => None,
        });
        Fmr::About(between.unwrap_or(*least))
    }
}

impl Fmr {
    /// The number, if one was measured there.
    pub const fn value(self) -> Option<f32> {
        match self {
            Fmr::About(rate) => Some(rate),
            _ => None,
        }
    }
}

impl fmt::Display for Fmr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_in = |rate: f32| (1.0 / rate).round();
        match self {
            Fmr::About(rate) => {
                write!(f, "about {rate:.0e}: one in {} comparisons of two people", one_in(*rate))
            }
            Fmr::Below(rate) => write!(f, "below {rate:.0e}, the least that was measured"),
            Fmr::Above(rate) => write!(f, "above {rate:.0e}, the most that was measured"),
            Fmr::Unknown => f.write_str("not measured for this model"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_from_those_that_were_measured() {
        let rates = Rates::new(vec![[0.3, 1e-2], [0.4, 1e-3], [0.5, 1e-4]]).expect("in order");
        let near =
            |fmr: Fmr, expected: f32| fmr.value().is_some_and(|rate| (rate / expected - 1.0).abs() < 1e-3);
        assert!(near(rates.at(0.3), 1e-2) && near(rates.at(0.5), 1e-4));
        assert!(near(rates.at(0.45), 10f32.powf(-3.5)));
        assert_eq!((rates.at(0.2), rates.at(0.6)), (Fmr::Above(1e-2), Fmr::Below(1e-4)));
        assert_eq!(Rates::default().at(0.4), Fmr::Unknown);
        assert_eq!(rates.at(0.4).to_string(), "about 1e-3: one in 1000 comparisons of two people");
    }

    #[test]
    fn what_is_no_row_of_rates_is_none() {
        for wrong in [
            [[0.3, 1e-3], [0.2, 1e-4]],
            [[0.3, 1e-3], [0.4, 1e-2]],
            [[0.3, 0.0], [0.4, 0.0]],
            [[2.0, 0.1], [3.0, 0.01]],
        ] {
            assert!(Rates::new(wrong.to_vec()).is_none(), "{wrong:?}");
        }
    }
}
