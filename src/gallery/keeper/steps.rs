//! Telling how far a long command has come, without telling it a million times.

use crate::gallery::command::Progress;

/// How often a count is told at most.
const TOLD: u64 = 100;

/// Tells what is being done now, of which nothing can be counted.
pub(super) fn tell(tell: &mut dyn FnMut(Progress), what: &str) {
    tell(Progress { what: what.to_owned(), done: 0, of: 1 });
}

/// A count that is told every hundredth of the way.
pub(super) struct Steps<'a> {
    tell: &'a mut dyn FnMut(Progress),
    what: &'static str,
    done: u64,
    of: u64,
}

impl<'a> Steps<'a> {
    /// Tells that it begins.
    pub(super) fn begin(tell: &'a mut dyn FnMut(Progress), what: &'static str, of: usize) -> Self {
        let mut steps = Self { tell, what, done: 0, of: of as u64 };
        steps.say();
        steps
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        self.done += 1;
        if self.done == self.of || self.done.is_multiple_of((self.of / TOLD).max(1)) {
            self.say();
        }
    }

    fn say(&mut self) {
        (self.tell)(Progress { what: self.what.to_owned(), done: self.done, of: self.of });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_told_and_not_every_step_between() {
        for of in [0, 1, 99, 100, 12_345] {
            let mut told = Vec::new();
            let mut tell = |progress: Progress| told.push(progress.done);
            let mut steps = Steps::begin(&mut tell, "counting", of);
            (0..of).for_each(|_| steps.step());
            assert_eq!((told.first(), told.last()), (Some(&0), Some(&(of as u64))), "{of}");
            assert!(told.len() <= 202 && told.is_sorted_by(|a, b| a < b), "{told:?}");
        }
    }
}
