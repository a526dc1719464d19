//! Which rows can be among the best k, from intervals of their scores.
//!
//! ```text
//!  low ends  ──▶ the k highest so far ──▶ bar: k rows are that good at least
//!  high ends ──▶ reach the bar? ──▶ candidates      a row below it cannot be one of the best k
//! ```
//!
//! The bar only rises, so whoever was below it stays out; who was let in early is asked again at the end.

/// Candidates for the best k, collected row by row.
pub(super) struct Shortlist {
    k: usize,
    /// The k highest low ends, in no order, and more that wait to be looked at.
    lows: Vec<f32>,
    bar: f32,
    candidates: Vec<(u32, f32)>,
}

impl Shortlist {
    /// For the best `k`, which is not 0.
    pub(super) fn new(k: usize) -> Self {
        Self { k, lows: Vec::with_capacity(Self::room(k)), bar: f32::NEG_INFINITY, candidates: Vec::new() }
    }

    /// Low ends that are kept before the best of them are chosen: so that it costs a few comparisons each.
    fn room(k: usize) -> usize {
        2 * k + 16
    }

    /// What a high end must reach.
    pub(super) fn bar(&self) -> f32 {
        self.bar
    }

    /// The row's score lies in `low..=high`.
    #[inline]
    pub(super) fn offer(&mut self, row: u32, low: f32, high: f32) {
        if high < self.bar {
            return;
        }
        self.candidates.push((row, high));
        if low > self.bar {
            self.lows.push(low);
            if self.lows.len() == Self::room(self.k) {
                self.raise();
            }
        }
    }

    #[cold]
    fn raise(&mut self) {
        if self.lows.len() < self.k {
            return;
        }
        let (_, worst, _) = self.lows.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        self.bar = *worst;
        self.lows.truncate(self.k);
    }

    /// The rows that can be among the best k, in the order they came.
    pub(super) fn rows(mut self) -> impl Iterator<Item = u32> {
        self.raise();
        let bar = self.bar;
        self.candidates.into_iter().filter(move |&(_, high)| high >= bar).map(|(row, _)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_be_among_the_best_is_on_it_and_nobody_else() {
        let mut rng = fastrand::Rng::with_seed(1);
        for k in [1, 2, 7, 64] {
            for round in 0..50 {
                let width = [0.0, 0.01, 0.3][round % 3];
                let rows: Vec<(f32, f32)> = (0..500)
                    .map(|_| {
                        let low = (rng.f32() * 50.0).round() / 50.0;
                        (low, low + width * rng.f32())
                    })
                    .collect();
                let mut list = Shortlist::new(k);
                (0..).zip(&rows).for_each(|(row, &(low, high))| list.offer(row, low, high));
                let mut lows: Vec<f32> = rows.iter().map(|row| row.0).collect();
                lows.sort_by(|a, b| b.total_cmp(a));
                let expected: Vec<u32> =
                    (0..).zip(&rows).filter(|(_, row)| row.1 >= lows[k - 1]).map(|(at, _)| at).collect();
                assert_eq!(list.rows().collect::<Vec<_>>(), expected, "k = {k}");
            }
        }
    }

    #[test]
    fn of_fewer_rows_than_are_asked_for_all_are_on_it() {
        let mut list = Shortlist::new(9);
        (0..5).for_each(|row| list.offer(row, 0.1, 0.2));
        assert_eq!(list.rows().count(), 5);
    }
}
