//! The comparisons of a folder of people: all mated pairs, and all non-mated ones or a sample of them.
//!
//! ```text
//!  pictures, person after person   a0 a1 a2 | b0 b1 | c0
//!  number of a non-mated pair      a0: b0 b1 c0 = 0 1 2    a1: 3 4 5   a2: 6 7 8   b0: c0 = 9   b1: 10
//!  a sample: so many numbers, none twice (Floyd), each turned into its pair
//! ```

use std::collections::HashSet;

use super::{People, Picture, Protocol, Trial};
use crate::bail;
use crate::base::error::Result;
use crate::eval::folds;
use crate::eval::random::Random;

/// Most mated pairs; people with very many pictures have very many.
const MAX_MATED: u64 = 20_000_000;

/// How the comparisons of a folder are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Most non-mated pairs. If there are more, so many are drawn.
    pub non_mated: u64,
    /// Folds that are wanted.
    pub folds: u16,
    /// Decides who is in which fold, and which pairs are drawn.
    pub seed: u64,
}

/// All mated pairs of all people, non-mated ones as chosen, and folds that share no person. A non-mated pair is in a fold if both of
/// its people are.
///
/// # Errors
/// `Usage`, when there are more than 20 million mated pairs.
pub fn protocol(people: &People, choice: &Choice) -> Result<Protocol> {
    let counts = people.counts();
    let folds = folds::deal(&counts, choice.folds, choice.seed);
    let owned = (0u32..).zip(&people.people);
    let pictures: Vec<Picture> = owned
        .flat_map(|(person, known)| {
            known.pictures.iter().map(move |path| Picture { path: path.clone(), person })
        })
        .collect();
    let pairs_of = |count: &usize| (*count as u64) * (*count as u64).saturating_sub(1) / 2;
    let mated = counts.iter().map(pairs_of).sum::<u64>();
    if mated > MAX_MATED {
        bail!(
            Usage,
            "{mated} mated pairs are more than the {MAX_MATED} that are compared; use a pairs file (--pairs)"
        );
    }
    let fold_of = |picture: u32| {
        let person = pictures.get(picture as usize).map(|p| p.person as usize);
        person.and_then(|person| folds.of_person.get(person)).copied()
    };
    let mut trials = mated_pairs(&counts);
    let space = NonMated::new(&counts);
    let numbers = draw(space.count(), choice.non_mated, choice.seed);
    trials.extend(numbers.into_iter().filter_map(|number| space.pair(number)).map(|(a, b)| (a, b, false)));
    let trials = trials.into_iter().map(|(a, b, mated)| {
        let fold = fold_of(a).filter(|fold| fold_of(b) == Some(*fold));
        Trial { a, b, mated, fold }
    });
    Ok(Protocol {
        people: people.people.iter().map(|person| person.name.clone()).collect(),
        trials: trials.collect(),
        pictures,
        folds: folds.count,
        possible_non_mated: Some(space.count()),
    })
}

fn mated_pairs(counts: &[usize]) -> Vec<(u32, u32, bool)> {
    let (mut first, mut pairs) = (0u32, Vec::new());
    for count in counts {
        let end = first + *count as u32;
        pairs.extend((first..end).flat_map(|a| (a + 1..end).map(move |b| (a, b, true))));
        first = end;
    }
    pairs
}

/// All non-mated pairs, numbered.
struct NonMated {
    /// For each picture, the number of its first pair, and the first picture of the next person. Pairs go to later people only.
    starts: Vec<(u64, u32)>,
    count: u64,
}

impl NonMated {
    fn new(counts: &[usize]) -> Self {
        let all = counts.iter().sum::<usize>() as u64;
        let (mut starts, mut count, mut end) = (Vec::new(), 0u64, 0u64);
        for pictures in counts {
            end += *pictures as u64;
            for _ in 0..*pictures {
                starts.push((count, end as u32));
                count += all - end;
            }
        }
        Self { starts, count }
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn pair(&self, number: u64) -> Option<(u32, u32)> {
        if number >= self.count {
            return None;
        }
        // Pictures of the last person have no pairs and start where the one before ends: the last that starts here has one.
        let a = self.starts.partition_point(|(start, _)| *start <= number).checked_sub(1)?;
        let (start, next) = self.starts.get(a)?;
        Some((a as u32, next + (number - start) as u32))
    }
}

/// `most` different numbers under `count`, or all of them; ascending.
fn draw(count: u64, most: u64, seed: u64) -> Vec<u64> {
    if count <= most {
        return (0..count).collect();
    }
    let mut random = Random::seeded(seed);
    // Floyd's algorithm (Bentley and Floyd 1987): each set of numbers is as likely as another.
    let mut drawn = HashSet::new();
    for last in count - most..count {
        let number = random.below(last + 1);
        drawn.insert(if drawn.contains(&number) { last } else { number });
    }
    let mut numbers: Vec<u64> = drawn.into_iter().collect();
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::protocol::Person;

    fn people(counts: &[usize]) -> People {
        let person = |(n, count): (usize, &usize)| Person {
            name: format!("p{n}"),
            pictures: (0..*count).map(|i| format!("p{n}/{i}.jpg").into()).collect(),
        };
        People { people: counts.iter().enumerate().map(person).collect(), passed_over: 0 }
    }

    fn choice(non_mated: u64) -> Choice {
        Choice { non_mated, folds: 10, seed: 1 }
    }

    #[test]
    fn all_pairs_are_there_once_and_labelled_by_their_people() {
        let counts = [3, 1, 4, 2];
        let protocol = protocol(&people(&counts), &choice(u64::MAX)).expect("a protocol");
        let mut pairs: Vec<_> = protocol.trials.iter().map(|t| (t.a, t.b)).collect();
        pairs.sort_unstable();
        let all: Vec<_> = (0..10u32).flat_map(|a| (a + 1..10).map(move |b| (a, b))).collect();
        assert_eq!(pairs, all);
        let person = |picture: u32| protocol.pictures[picture as usize].person;
        assert!(protocol.trials.iter().all(|t| t.mated == (person(t.a) == person(t.b))));
        assert_eq!(protocol.possible_non_mated, Some(45 - 10));
    }

    #[test]
    fn a_sample_has_no_pair_twice_and_the_seed_decides() {
        let counts = vec![5; 40];
        let drawn = |seed| {
            let protocol = protocol(&people(&counts), &Choice { seed, ..choice(500) }).expect("a protocol");
            let pairs = protocol.trials.iter().filter(|t| !t.mated).map(|t| (t.a, t.b));
            pairs.collect::<HashSet<_>>()
        };
        let pairs = drawn(1);
        assert_eq!(pairs.len(), 500);
        assert!(pairs.iter().all(|(a, b)| a / 5 < b / 5 && *b < 200));
        assert!(pairs == drawn(1) && pairs != drawn(2));
    }

    #[test]
    fn folds_share_no_person() {
        let protocol = protocol(&people(&[4; 24]), &choice(u64::MAX)).expect("a protocol");
        assert_eq!(protocol.folds, 10);
        let mut of_person = [None; 24];
        for trial in &protocol.trials {
            let people = [trial.a, trial.b].map(|p| protocol.pictures[p as usize].person as usize);
            for person in people.into_iter().filter(|_| trial.fold.is_some()) {
                assert!(of_person[person].is_none_or(|fold| Some(fold) == trial.fold));
                of_person[person] = trial.fold;
            }
            assert!(!trial.mated || trial.fold.is_some());
        }
        assert!(protocol.trials.iter().any(|t| t.fold.is_none()), "two people of different folds");
    }
}
