//! What speaks against a template beside those that are enrolled. Pure: scores in, a verdict out.
//!
//! ```text
//!  -1 ............ 0 ...... outlier ...... threshold .. certain .............. duplicate .. 1
//!                           │              │            │                      └ own: the same picture again
//!                           │              │            └ another's: the same person, under two names
//!                           │              └ another's: may be taken for that person
//!                           └ own: not like the identity's other pictures
//! ```

use crate::gallery::command::Review;
use crate::gallery::report::Doubt;
use crate::types::ids::{IdentityId, TemplateId};

/// Most other identities that are named.
const MOST_NAMED: usize = 3;

/// Similarity scores (-1 to 1) of a new template with what is enrolled for its model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Neighbours {
    /// With each template of its own identity. None: the identity is new to this model.
    pub own: Vec<(TemplateId, f32)>,
    /// With the best template of each of the nearest other identities, and their names. Three are enough.
    pub others: Vec<(IdentityId, String, f32)>,
}

/// Scores at which something is doubtful.
///
/// Measured with the shipped embedder (threshold 0.45) on 228 pictures of 24 people and on copies of the pictures that set-up
/// fetches; `enrol::measured` holds these figures to account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Least score of a recognition.
    pub threshold: f32,
    /// From here on, two templates of one identity are of one picture. 0.95: re-encoded (JPEG 50 to 95) and resized copies (3/4
    /// to twice) score 0.957 to 1.000; of 1,002 pairs of different pictures of one person, the highest has 0.879.
    pub duplicate: f32,
    /// From here on, two identities are one person. A quarter of the way from the threshold to 1 (0.59): none of 24,876 pairs
    /// of two people reach it (the highest: 0.471), and 49 % of the pairs of one person.
    pub certain: f32,
    /// Under this, a picture does not fit the identity's others. Half the threshold (0.225): 0.9 % of good pictures are
    /// under it beside two others, 0.2 % beside five; so are 97 % and 95 % of the pictures of somebody else.
    pub outlier: f32,
}

impl Limits {
    /// The limits for a model's threshold, 0 to 1.
    pub fn of(threshold: f32) -> Self {
        let certain = threshold + (1.0 - threshold) / 4.0;
        Self { threshold, duplicate: 0.95_f32.max(certain), certain, outlier: threshold / 2.0 }
    }
}

/// What is said about a template.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// True if it is not to be stored.
    pub refused: bool,
    /// What speaks against it, whether it is refused or not.
    pub doubts: Vec<Doubt>,
}

/// Judges a template. `Strict` refuses whatever is doubtful; `Standard` refuses a duplicate, a template that is nearer to another
/// identity and would be taken for it, and a new identity that is certainly somebody who is enrolled; `Off` refuses nothing. All of
/// them tell everything.
pub fn judge(neighbours: &Neighbours, limits: &Limits, review: Review) -> Verdict {
    let own = best(&neighbours.own);
    let mut verdict = Verdict::default();
    let mut doubt = |doubt, nearly_certain: bool| {
        verdict.doubts.push(doubt);
        verdict.refused |= match review {
            Review::Strict => true,
            Review::Standard => nearly_certain,
            Review::Off => false,
        };
    };
    if let Some((template, score)) = own.filter(|(_, score)| *score >= limits.duplicate) {
        doubt(Doubt::Duplicate { template, score }, true);
    }
    let own = own.map(|(_, score)| score);
    for (identity, name, score) in nearest(&neighbours.others) {
        let nearer = own.is_some_and(|own| score > own);
        if !nearer && score < limits.threshold {
            break;
        }
        let refuse = match own {
            Some(_) => nearer && score >= limits.threshold,
            None => score >= limits.certain,
        };
        doubt(Doubt::NearerToAnother { identity, name: name.to_owned(), score, own }, refuse);
    }
    if let Some(own) = own.filter(|own| neighbours.own.len() >= 2 && *own < limits.outlier) {
        doubt(Doubt::Outlier { own, least: limits.outlier }, false);
    }
    verdict
}

fn best(own: &[(TemplateId, f32)]) -> Option<(TemplateId, f32)> {
    own.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The nearest others, best first.
fn nearest(others: &[(IdentityId, String, f32)]) -> impl Iterator<Item = (IdentityId, &str, f32)> {
    let mut sorted: Vec<_> = others.iter().map(|(id, name, score)| (*id, name.as_str(), *score)).collect();
    sorted.sort_by(|a, b| b.2.total_cmp(&a.2));
    sorted.into_iter().take(MOST_NAMED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn neighbours(own: &[f32], others: &[f32]) -> Neighbours {
        Neighbours {
            own: own.iter().map(|&score| (TemplateId::generate(), score)).collect(),
            others: others.iter().map(|&s| (IdentityId::generate(), format!("somebody {s}"), s)).collect(),
        }
    }

    /// Kinds of doubts as letters, and whether each review refuses: strict, standard, off.
    fn judged(own: &[f32], others: &[f32]) -> (String, [bool; 3]) {
        let (neighbours, limits) = (neighbours(own, others), Limits::of(0.45));
        let verdicts =
            [Review::Strict, Review::Standard, Review::Off].map(|review| judge(&neighbours, &limits, review));
        assert!(verdicts.iter().all(|v| v.doubts == verdicts[0].doubts), "every review tells the same");
        let letter = |doubt: &Doubt| match doubt {
            Doubt::Duplicate { .. } => 'd',
            Doubt::NearerToAnother { .. } => 'n',
            Doubt::Outlier { .. } => 'o',
        };
        (verdicts[0].doubts.iter().map(letter).collect(), verdicts.map(|v| v.refused))
    }

    #[test]
    fn each_review_refuses_what_it_says() {
        const NOBODY: [bool; 3] = [false; 3];
        const STRICT: [bool; 3] = [true, false, false];
        const BOTH: [bool; 3] = [true, true, false];
        /// What it is, the scores with its own and with others, the doubts, and whether it is refused.
        type Case = (&'static str, &'static [f32], &'static [f32], &'static str, [bool; 3]);
        let table: [Case; 13] = [
            ("the first of an empty gallery", &[], &[], "", NOBODY),
            ("a good further picture", &[0.61, 0.72], &[0.21], "", NOBODY),
            ("a new person like nobody", &[], &[0.44, 0.1], "", NOBODY),
            ("the same picture", &[0.6, 0.99], &[0.1], "d", BOTH),
            ("a new person like another", &[], &[0.5], "n", STRICT),
            ("one person under two names", &[], &[0.2, 0.6], "n", BOTH),
            ("nearer to another, and taken for it", &[0.4, 0.3], &[0.5], "n", BOTH),
            ("nearer to another, far from both", &[0.28], &[0.3], "n", STRICT),
            ("near enough to be taken for a twin", &[0.8], &[0.7], "n", STRICT),
            ("unlike its identity", &[0.2, 0.1], &[0.15], "o", STRICT),
            ("one other picture tells too little", &[0.2], &[0.15], "", NOBODY),
            ("unlike its identity and like another", &[0.1, 0.1], &[0.7, 0.3, 0.05], "nno", BOTH),
            ("a copy in the wrong folder", &[0.1, 0.1], &[0.99], "no", BOTH),
        ];
        for (what, own, others, doubts, refused) in table {
            assert_eq!(judged(own, others), (doubts.to_owned(), refused), "{what}");
        }
    }

    #[test]
    fn the_nearest_others_are_named_nearest_first() {
        let verdict = judge(&neighbours(&[0.1], &[0.5, 0.9, 0.6, 0.7]), &Limits::of(0.45), Review::Standard);
        let names: Vec<&str> = verdict
            .doubts
            .iter()
            .map(|doubt| match doubt {
                Doubt::NearerToAnother { name, own: Some(_), .. } => name.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["somebody 0.9", "somebody 0.7", "somebody 0.6"]);
    }

    proptest! {
        #[test]
        fn a_milder_review_never_refuses_more_and_nothing_is_refused_without_a_reason(
            own in proptest::collection::vec(-1.0f32..=1.0, 0..5),
            others in proptest::collection::vec(-1.0f32..=1.0, 0..5),
            threshold in 0.0f32..=1.0,
        ) {
            let (neighbours, limits) = (neighbours(&own, &others), Limits::of(threshold));
            prop_assert!(limits.outlier <= limits.threshold && limits.threshold <= limits.certain);
            prop_assert!(limits.certain <= limits.duplicate && limits.duplicate <= 1.0);
            let [strict, standard, off] =
                [Review::Strict, Review::Standard, Review::Off].map(|r| judge(&neighbours, &limits, r));
            prop_assert_eq!(strict.refused, !strict.doubts.is_empty());
            prop_assert!(strict.refused || !standard.refused);
            prop_assert!(!off.refused);
        }
    }
}
