//! What an identity's lists ask of its score at a camera.
//!
//! ```text
//!   score  ──┬───────────┬──────────────┬────────▶
//!          lowest       .5             .6
//!          staff .4     camera's       blocked
//!                       (watchlist)
//!            └ recognised from here; the more lists, the further it reaches
//! ```

use std::sync::Arc;

use crate::types::matching::{Candidate, ListRule, Publish};

use super::judge::HYSTERESIS;
use super::threshold::{AtCamera, Threshold};

/// Rules of lists, the highest priority first.
pub type Rules = Vec<Arc<ListRule>>;

/// The least threshold that makes a recognition of the candidate: the lowest of its lists', or the camera's without lists.
pub fn lowest(candidate: &Candidate, base: &AtCamera) -> Threshold {
    let all = candidate.lists.iter().map(|rule| base.of_list(rule));
    all.min_by(|a, b| a.value.total_cmp(&b.value)).unwrap_or(base.own)
}

/// The lists whose threshold the score reaches; `None` if it is too low for any. Without lists the camera's threshold
/// decides, and the answer is an empty list.
///
/// A track that holds the identity for `held` lists keeps them down to [`HYSTERESIS`] under their thresholds. New ones
/// are added only if it is `clear` who this is.
pub(super) fn reached(
    candidate: &Candidate,
    base: &AtCamera,
    clear: bool,
    held: Option<&Rules>,
) -> Option<Rules> {
    let reaches = |threshold: Threshold, held: bool| {
        (clear && candidate.score >= threshold.value)
            || (held && candidate.score >= threshold.value - HYSTERESIS)
    };
    if candidate.lists.is_empty() {
        return reaches(base.own, held.is_some()).then(Vec::new);
    }
    let is_held = |rule: &ListRule| held.is_some_and(|held| has(held, rule));
    let rules = candidate.lists.iter().filter(|rule| reaches(base.of_list(rule), is_held(rule)));
    Some(rules.cloned().collect()).filter(|rules: &Rules| !rules.is_empty())
}

/// The threshold that a decision names: of the first of `rules` for which the candidate is recognised, else the least that would do.
pub fn named(candidate: &Candidate, rules: &[Arc<ListRule>], base: &AtCamera) -> Threshold {
    rules.first().map_or_else(|| lowest(candidate, base), |rule| base.of_list(rule))
}

/// What may be said of a recognition for these lists: of several, the one that says most counts.
pub fn publish<'a>(rules: impl IntoIterator<Item = &'a Arc<ListRule>>) -> Publish {
    rules.into_iter().map(|rule| rule.publish).max().unwrap_or_default()
}

/// True if a list of that name is among them. Its settings may have changed.
fn has(rules: &[Arc<ListRule>], rule: &ListRule) -> bool {
    rules.iter().any(|known| known.name == rule.name)
}

/// True if `rules` names a list that `known` does not.
pub(super) fn adds(rules: &[Arc<ListRule>], known: &[Arc<ListRule>]) -> bool {
    rules.iter().any(|rule| !has(known, rule))
}

/// Adds what is not there yet.
pub(super) fn merge(rules: &mut Rules, more: &[Arc<ListRule>]) {
    let new: Vec<_> = more.iter().filter(|rule| !has(rules, rule)).cloned().collect();
    rules.extend(new);
}
