//! An open-set partition: who is enrolled, with which pictures, and whose pictures only search.
//!
//! ```text
//!  people ─ shuffled by the seed ─┬ enrolled: K pictures are templates, the others mated probes
//!                                 └ the rest: all pictures are non-mated probes
//! ```

use crate::bail;
use crate::base::error::Result;

use super::random::Random;

/// How people are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Division {
    /// Part of the people who are enrolled, above 0 and under 1.
    pub enrol_share: f64,
    /// Pictures of each that are enrolled; of somebody with fewer than one more than that, all but one.
    pub templates_per_person: usize,
    /// Decides who, and which pictures.
    pub seed: u64,
}

/// Positions of people and of their pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Enrolled pictures: person, picture of the person.
    pub templates: Vec<(u32, u32)>,
    /// Searches of people who are enrolled.
    pub mated: Vec<(u32, u32)>,
    /// Searches of people who are not.
    pub non_mated: Vec<(u32, u32)>,
    /// How many people are enrolled.
    pub enrolled: usize,
}

/// Divides people, of whom there are so many pictures each. Nobody with a single picture is enrolled: nothing would search for them.
///
/// # Errors
/// `Data`, when nobody is left to be enrolled or nobody to be not.
pub fn divide(pictures: &[usize], division: &Division) -> Result<Partition> {
    let mut random = Random::seeded(division.seed);
    let mut order: Vec<usize> = (0..pictures.len()).collect();
    random.shuffle(&mut order);
    let wanted = ((pictures.len() as f64 * division.enrol_share).round() as usize).max(1);
    let mut parts =
        Partition { templates: Vec::new(), mated: Vec::new(), non_mated: Vec::new(), enrolled: 0 };
    for person in order {
        let count = pictures.get(person).copied().unwrap_or(0);
        let mut own: Vec<(u32, u32)> = (0..count as u32).map(|picture| (person as u32, picture)).collect();
        random.shuffle(&mut own);
        if count < 2 || parts.enrolled == wanted {
            parts.non_mated.extend(own);
            continue;
        }
        let probes = own.split_off(division.templates_per_person.clamp(1, count - 1));
        parts.templates.extend(own);
        parts.mated.extend(probes);
        parts.enrolled += 1;
    }
    if parts.enrolled == 0 {
        bail!(Data, "nobody has two pictures: one to enrol and one to search with");
    }
    if parts.non_mated.is_empty() {
        bail!(
            Data,
            "of {} people all would be enrolled, and nobody is left for non-mated searches; use more people or a lower \
             --enrol-share",
            pictures.len()
        );
    }
    for list in [&mut parts.templates, &mut parts.mated, &mut parts.non_mated] {
        list.sort_unstable();
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const HALF: Division = Division { enrol_share: 0.5, templates_per_person: 2, seed: 1 };

    #[test]
    fn nobody_is_on_both_sides_and_every_picture_is_used_once() {
        let pictures: Vec<usize> = (0..24).map(|n| 1 + n % 5).collect();
        let parts = divide(&pictures, &HALF).expect("enough people");
        assert_eq!(parts.enrolled, 12);
        let people = |list: &[(u32, u32)]| list.iter().map(|(person, _)| *person).collect::<HashSet<_>>();
        assert_eq!(people(&parts.templates), people(&parts.mated), "each can be searched for");
        assert!(people(&parts.templates).is_disjoint(&people(&parts.non_mated)));
        let all: HashSet<_> =
            [&parts.templates, &parts.mated, &parts.non_mated].into_iter().flatten().collect();
        assert_eq!(all.len(), pictures.iter().sum::<usize>());
        for person in people(&parts.templates) {
            let enrolled = parts.templates.iter().filter(|(p, _)| *p == person).count();
            assert_eq!(enrolled, 2.min(pictures[person as usize] - 1));
        }
        assert_eq!(parts, divide(&pictures, &HALF).expect("again"));
        assert_ne!(parts, divide(&pictures, &Division { seed: 2, ..HALF }).expect("another"));
    }

    #[test]
    fn a_division_that_leaves_a_side_empty_is_refused() {
        for (pictures, share, part) in [
            (&[1, 1, 1][..], 0.5, "two pictures"),
            (&[5], 0.5, "nobody is left"),
            (&[5, 5], 0.99, "nobody is left"),
        ] {
            let division = Division { enrol_share: share, ..HALF };
            let error = divide(pictures, &division).expect_err("one side is empty");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
