//! The rules, as one function of the evidence.

use std::sync::Arc;

use crate::config;
use crate::types::decision::Stage;
use crate::types::ids::IdentityId;

use super::evidence::Evidence;

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
    Recognized { identity: IdentityId, name: Arc<str>, stage: Stage },
    /// Nobody, after a fair look.
    Unknown,
    /// The two best are too near each other.
    Ambiguous,
    /// Not enough was seen.
    Open,
}

/// Judges the evidence. `held` is the identity the track has been recognised as so far: it is kept a little below
/// the threshold and without the margin, as long as it stays the best. With `None` the rules hold strictly and the
/// outcome depends on the set of shots alone.
pub(super) fn judge(
    evidence: &Evidence,
    rules: &config::Decide,
    threshold: f32,
    held: Option<IdentityId>,
) -> Outcome {
    let Some(fused) = evidence.fused() else { return Outcome::Open };
    let Some(best) = fused.best() else { return unknown_or_open(evidence, rules) };
    let kept = held == Some(best.identity) && best.score >= threshold - HYSTERESIS;
    let reached = best.score >= threshold;
    if kept || (reached && fused.margin() >= rules.margin) {
        let agreeing = evidence.agreeing(best.identity);
        let stage = if agreeing >= rules.confirm.max(1) { Stage::Confirmed } else { Stage::Preliminary };
        return Outcome::Recognized { identity: best.identity, name: best.name.clone(), stage };
    }
    if reached { Outcome::Ambiguous } else { unknown_or_open(evidence, rules) }
}

fn unknown_or_open(evidence: &Evidence, rules: &config::Decide) -> Outcome {
    let fair = evidence.shots() >= rules.fair_shots.max(1) && evidence.looked() >= rules.fair_look;
    if fair { Outcome::Unknown } else { Outcome::Open }
}
