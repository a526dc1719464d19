//! People dealt into folds: nobody is in two of them.

use super::random::Random;

/// Which fold each person is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    /// By person, from 0.
    pub of_person: Vec<u16>,
    /// How many there are: as many as were asked for, or fewer, so that each holds two people, and one of them with two pictures. Under
    /// 2 there is nothing to cross-validate.
    pub count: u16,
}

/// Deals people, of whom there are so many pictures each, in an order that the seed decides. Those with two pictures or more come
/// first, so that they are spread evenly.
pub fn deal(pictures: &[usize], wanted: u16, seed: u64) -> Folds {
    let several = |person: &usize| pictures.get(*person).is_some_and(|count| *count >= 2);
    let with_pairs = (0..pictures.len()).filter(several).count();
    let most = (pictures.len() / 2).min(with_pairs);
    let count = u16::try_from(most).unwrap_or(u16::MAX).min(wanted).max(1);
    let mut order: Vec<usize> = (0..pictures.len()).collect();
    Random::seeded(seed).shuffle(&mut order);
    // Stable: within both groups the seed's order stays.
    order.sort_by_key(|person| !several(person));
    let mut of_person = vec![0; pictures.len()];
    for (fold, person) in (0..count).cycle().zip(order) {
        if let Some(place) = of_person.get_mut(person) {
            *place = fold;
        }
    }
    Folds { of_person, count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fold_gets_its_share_of_people_and_of_mated_pairs() {
        let pictures: Vec<usize> = (0..57).map(|n| if n % 3 == 0 { 4 } else { 1 }).collect();
        let folds = deal(&pictures, 10, 7);
        assert_eq!((folds.count, folds.of_person.len()), (10, 57));
        for fold in 0..10 {
            let here: Vec<usize> = (0..57).filter(|p| folds.of_person[*p] == fold).collect();
            let several = here.iter().filter(|p| pictures[**p] >= 2).count();
            assert!((5..=6).contains(&here.len()) && (1..=2).contains(&several), "{here:?}");
        }
        assert_eq!(folds, deal(&pictures, 10, 7));
        assert_ne!(folds, deal(&pictures, 10, 8));
    }

    #[test]
    fn there_are_no_more_folds_than_people_can_fill() {
        for (pictures, count) in [
            (&[3, 3, 3, 3, 3][..], 2),
            (&[3, 1, 1, 1, 1, 1], 1),
            (&[2, 2, 2, 2, 1, 1, 1, 1], 4),
            (&[2, 2], 1),
            (&[], 1),
        ] {
            assert_eq!(deal(pictures, 10, 1).count, count, "{pictures:?}");
        }
    }
}
