//! The rules, as one function of the evidence.

use crate::config;
use crate::types::decision::Stage;
use crate::types::ids::IdentityId;
use crate::types::matching::Match;

use super::evidence::Evidence;
use super::lists::{self, Rules};
use super::threshold::AtCamera;

/// A single shot agrees with the fused verdict if it names the same identity as its best, at a score at most this
/// far under the threshold.
///
/// Fusing takes noise away, so single genuine shots score lower than the fused embedding, and to ask the full
/// threshold of them would leave most people preliminary. Half a standard deviation of the scores of strangers
/// (0.097 for the default model) gives little away: the fused score must meet the threshold in any case, and a
/// stranger's shots would all have to name the same wrong identity.
pub const AGREE_SLACK: f32 = 0.05;

/// A live recognition is withdrawn only when its fused score falls this far below the threshold.
pub const HYSTERESIS: f32 = 0.03;

/// What the evidence says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Somebody; `stage` is preliminary or confirmed.
    Recognized { identity: IdentityId, lists: Rules, stage: Stage },
    /// Nobody, after a fair look.
    Unknown,
    /// Two are too near each other to say which it is.
    Ambiguous,
    /// Not enough was seen.
    Open,
}

/// Judges the evidence. `base` is the camera's threshold; a candidate's lists may ask for others. `held` is the identity the
/// track has been recognised as so far, and for which lists: it is kept a little below their thresholds and without the
/// margin, as long as it stays the best. With `None` the rules hold strictly and the outcome depends on the set of shots alone.
///
/// Only the best candidate is ever recognised. If it misses its threshold, a second one that reaches a lower one of its
/// own does not take its place: the face is more like somebody else.
pub(super) fn judge(
    evidence: &Evidence,
    rules: &config::Decide,
    base: &AtCamera,
    held: Option<(IdentityId, &Rules)>,
) -> Outcome {
    let Some(fused) = evidence.fused() else { return Outcome::Open };
    let Some(best) = fused.best() else { return unknown_or_open(evidence, rules) };
    let held = held.filter(|(identity, _)| *identity == best.identity).map(|(_, lists)| lists);
    match glance(fused, rules.margin, base, held) {
        Glance::Somebody(lists) => {
            // One that is held without the margin stays what it was: of two who look alike nobody is newly sure.
            let sure =
                evidence.agreeing(best.identity) >= rules.confirm.max(1) && fused.margin() >= rules.margin;
            let stage = if sure { Stage::Confirmed } else { Stage::Preliminary };
            Outcome::Recognized { identity: best.identity, lists, stage }
        }
        Glance::Ambiguous => Outcome::Ambiguous,
        Glance::Nobody => unknown_or_open(evidence, rules),
    }
}

/// What one search says by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Glance {
    /// It is the best candidate, for these lists (none, in a gallery without lists).
    Somebody(Rules),
    /// Two are too near each other to say which it is.
    Ambiguous,
    /// Nobody is near enough.
    Nobody,
}

/// What one search says: of a picture, which has no track. `least_margin` is `decide.margin`.
pub fn at_a_glance(found: &Match, least_margin: f32, base: &AtCamera) -> Glance {
    glance(found, least_margin, base, None)
}

fn glance(found: &Match, least_margin: f32, base: &AtCamera, held: Option<&Rules>) -> Glance {
    let clear = found.margin() >= least_margin;
    if let Some(lists) = found.best().and_then(|best| lists::reached(best, base, clear, held)) {
        return Glance::Somebody(lists);
    }
    // Who is clearly further away than the best is not meant, whatever their lists ask for.
    let best = found.best().map_or(0.0, |best| best.score);
    let mut near = found.candidates.iter().take_while(|candidate| best - candidate.score < least_margin);
    let could_be = near.any(|candidate| candidate.score >= lists::lowest(candidate, base).value);
    if could_be { Glance::Ambiguous } else { Glance::Nobody }
}

/// True once so much was seen that finding nobody means that it is nobody.
pub(super) fn fair(evidence: &Evidence, rules: &config::Decide) -> bool {
    evidence.shots() >= rules.fair_shots.max(1) && evidence.looked() >= rules.fair_look
}

fn unknown_or_open(evidence: &Evidence, rules: &config::Decide) -> Outcome {
    if fair(evidence, rules) { Outcome::Unknown } else { Outcome::Open }
}
