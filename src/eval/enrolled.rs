//! The gallery of an identification: who is enrolled, and each one's score for a probe.

use std::collections::{HashMap, HashSet};

use super::identify::Found;
use crate::base::error::Result;
use crate::err;
use crate::index::exact::Exact;
use crate::index::{Index, Rows};
use crate::types::embedding::Embedding;

/// Who is enrolled.
pub(super) struct Enrolled {
    index: Exact,
    /// Whose each row is.
    owners: Vec<u32>,
    /// Templates whose mean makes an identity's score: its best ones.
    best: usize,
    /// Identities.
    pub(super) identities: usize,
}

impl Enrolled {
    /// Of templates with whose they are. An identity's score is the mean of its `best` best templates', of all where it has fewer.
    ///
    /// # Errors
    /// `Data`, without templates.
    pub(super) fn of(templates: &[(u32, &Embedding)], best: usize) -> Result<Self> {
        let Some((_, first)) = templates.first() else {
            return Err(err!(Data, "no picture that was to be enrolled gave a template"));
        };
        let mut rows = Rows::with_capacity(first.model(), first.dimension(), templates.len())?;
        templates.iter().try_for_each(|(_, template)| rows.push(template))?;
        let owners: Vec<u32> = templates.iter().map(|(person, _)| *person).collect();
        let identities = owners.iter().collect::<HashSet<_>>().len();
        Ok(Self { index: Exact::new(rows), owners, best: best.max(1), identities })
    }

    /// Of somebody who is enrolled the own score and rank, of anybody else the highest score. `None`, where the own identity has no
    /// template.
    pub(super) fn search(&self, probe: &Embedding, own: Option<u32>) -> Option<Found> {
        let scores = self.scores(probe);
        let Some(own) = own else {
            let highest = scores.values().copied().max_by(f32::total_cmp)?;
            return Some(Found { score: highest, rank: 1 });
        };
        let score = *scores.get(&own)?;
        let others = scores.iter().filter(|(other, theirs)| **other != own && **theirs >= score).count();
        Some(Found { score, rank: others + 1 })
    }

    fn scores(&self, probe: &Embedding) -> HashMap<u32, f32> {
        let mut sums: HashMap<u32, (f32, usize)> = HashMap::with_capacity(self.identities);
        // Best first, so that an identity's first rows are its best.
        for hit in self.index.search(probe, self.owners.len()) {
            let Some(owner) = self.owners.get(hit.row as usize) else { continue };
            let (sum, count) = sums.entry(*owner).or_insert((0.0, 0));
            if *count < self.best {
                *sum += hit.score;
                *count += 1;
            }
        }
        sums.into_iter().map(|(owner, (sum, count))| (owner, sum / count as f32)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ids::ModelId;

    fn vector(x: f32, y: f32) -> Embedding {
        Embedding::new(ModelId([1; 32]), vec![x, y]).unwrap()
    }

    #[test]
    fn the_mean_of_the_best_templates_can_put_another_first() {
        let (near, far, middling) = (vector(1.0, 0.0), vector(0.0, 1.0), vector(0.9, 0.435_889_9));
        let templates = [(7, &near), (7, &far), (9, &middling), (9, &middling)];
        let probe = vector(1.0, 0.0);
        let found = |best: usize, own| Enrolled::of(&templates, best).unwrap().search(&probe, own).unwrap();
        assert_eq!(found(1, Some(7)).rank, 1);
        let behind = found(2, Some(7));
        assert!(behind.rank == 2 && (behind.score - 0.5).abs() < 1e-6, "{behind:?}");
        assert!(
            (found(5, None).score - 0.9).abs() < 1e-6,
            "an identity with fewer counts with all of its own"
        );
        assert!(Enrolled::of(&templates, 1).unwrap().search(&probe, Some(1)).is_none());
    }
}
