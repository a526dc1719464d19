//! Optimal assignment: the shortest augmenting path algorithm of Jonker and Volgenant (1987) in the rectangular
//! form of Crouse (2016). Every row may also stay alone at a price.

/// Costs of pairing rows with columns; what is not set is forbidden.
#[derive(Debug)]
pub(super) struct Costs {
    rows: usize,
    columns: usize,
    cells: Vec<f64>,
    /// What a row without a column costs.
    alone: f64,
}

const NONE: usize = usize::MAX;

impl Costs {
    pub(super) fn new(rows: usize, columns: usize, alone: f64) -> Self {
        Self { rows, columns, cells: vec![f64::INFINITY; rows * columns], alone }
    }

    /// Allows a pair. The cost must be finite.
    pub(super) fn set(&mut self, row: usize, column: usize, cost: f64) {
        if let Some(cell) = self.cells.get_mut(row * self.columns + column) {
            *cell = cost;
        }
    }

    /// Columns after the real ones are the rows' places of their own, for staying alone.
    fn get(&self, row: usize, column: usize) -> f64 {
        if column < self.columns {
            self.cells.get(row * self.columns + column).copied().unwrap_or(f64::INFINITY)
        } else if column - self.columns == row {
            self.alone
        } else {
            f64::INFINITY
        }
    }

    /// The column of each row so that the sum of costs is least. Equal costs go to the lower index.
    pub(super) fn solve(&self) -> Vec<Option<usize>> {
        let mut state = Solver::new(self);
        for row in 0..self.rows {
            state.augment(row);
        }
        let real = |column: &usize| (*column < self.columns).then_some(*column);
        state.column_of.iter().map(real).collect()
    }
}

/// Dual prices and the matching so far.
struct Solver<'a> {
    costs: &'a Costs,
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
}

impl<'a> Solver<'a> {
    fn new(costs: &'a Costs) -> Self {
        let width = costs.columns + costs.rows;
        Self {
            costs,
            row_price: vec![0.0; costs.rows],
            column_price: vec![0.0; width],
            column_of: vec![NONE; costs.rows],
            row_of: vec![NONE; width],
        }
    }

    /// Adds `start` to the matching along the cheapest path that ends in a free column. There always is one: the
    /// row's own place. All indices are rows or columns of these very tables.
    fn augment(&mut self, start: usize) {
        let width = self.row_of.len();
        let mut cheapest = vec![f64::INFINITY; width];
        let mut came_from = vec![NONE; width];
        let mut done = vec![false; width];
        let mut rows_seen = vec![start];
        let (mut row, mut so_far) = (start, 0.0);
        let end = loop {
            let mut next = NONE;
            for column in 0..width {
                if done[column] {
                    continue;
                }
                let through =
                    so_far + self.costs.get(row, column) - self.row_price[row] - self.column_price[column];
                if through < cheapest[column] {
                    cheapest[column] = through;
                    came_from[column] = row;
                }
                if cheapest[column].is_finite() && (next == NONE || cheapest[column] < cheapest[next]) {
                    next = column;
                }
            }
            if next == NONE {
                return;
            }
            done[next] = true;
            so_far = cheapest[next];
            match self.row_of[next] {
                NONE => break next,
                taken => row = taken,
            }
            rows_seen.push(row);
        };
        for &row in &rows_seen {
            let reached = if row == start { 0.0 } else { cheapest[self.column_of[row]] };
            self.row_price[row] += so_far - reached;
        }
        for column in (0..width).filter(|&c| done[c]) {
            self.column_price[column] -= so_far - cheapest[column];
        }
        let mut column = end;
        loop {
            let row = came_from[column];
            self.row_of[column] = row;
            column = std::mem::replace(&mut self.column_of[row], column);
            if row == start {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The least total by trying everything.
    fn brute_force(costs: &Costs, row: usize, used: &mut Vec<bool>) -> f64 {
        if row == costs.rows {
            return 0.0;
        }
        let mut best = costs.alone + brute_force(costs, row + 1, used);
        for column in 0..costs.columns {
            let cost = costs.get(row, column);
            if !used[column] && cost.is_finite() {
                used[column] = true;
                best = best.min(cost + brute_force(costs, row + 1, used));
                used[column] = false;
            }
        }
        best
    }

    #[test]
    fn the_sum_counts_not_the_first_come() {
        // Row 0 prefers column 0 a little; row 1 can have nothing else.
        let mut costs = Costs::new(2, 2, 20.0);
        costs.set(0, 0, 1.0);
        costs.set(0, 1, 2.0);
        costs.set(1, 0, 3.0);
        assert_eq!(costs.solve(), [Some(1), Some(0)]);
    }

    #[test]
    fn a_row_stays_alone_rather_than_pay_more() {
        // Shifting both rows by one column is possible, but a row left alone is cheaper.
        let mut costs = Costs::new(2, 2, 18.0);
        costs.set(0, 0, 15.0);
        costs.set(1, 0, 0.1);
        costs.set(1, 1, 15.0);
        assert_eq!(costs.solve(), [None, Some(0)]);
        assert_eq!(Costs::new(2, 0, 1.0).solve(), [None, None]);
        assert!(Costs::new(0, 2, 1.0).solve().is_empty());
    }

    proptest! {
        #[test]
        fn it_is_optimal(
            rows in 0usize..6,
            columns in 0usize..6,
            cells in prop::collection::vec(prop::option::of(0.0f64..30.0), 36),
        ) {
            let mut costs = Costs::new(rows, columns, 18.0);
            for row in 0..rows {
                for column in 0..columns {
                    if let Some(cost) = cells[row * 6 + column] {
                        costs.set(row, column, cost);
                    }
                }
            }
            let answer = costs.solve();
            let mut used = vec![false; columns];
            let mut total = 0.0;
            for (row, column) in answer.iter().enumerate() {
                total += match column {
                    Some(column) => {
                        prop_assert!(!std::mem::replace(&mut used[*column], true), "a column is given once");
                        costs.get(row, *column)
                    }
                    None => costs.alone,
                };
            }
            let best = brute_force(&costs, 0, &mut vec![false; columns]);
            prop_assert!((total - best).abs() < 1e-9, "{total} for {best}");
        }
    }
}
