//! Which detection continues which track: gate, price, and assign each cluster of rivals on its own.
//!
//! ```text
//!  prediction ─┬─ buffered IoU enough? ─▶ cost ─▶ clusters of rivals ─▶ optimal assignment
//!  detection  ─┘                          (a pair that costs more than staying alone is not made)
//! ```
//!
//! The cost is the negative logarithm of a likelihood, times two:
//! - the tails are Student's, not Gauss's: most people walk on, but now and then one stops at once;
//! - doubt counts: of two predictions as far from a face in standard deviations, the sharper one explains it better.
//!   Without that, a track lost a second ago takes the faces of those who are in view.
//!
//! Sure and unsure detections are assigned together. ByteTrack's order (sure ones first) lets a track whose face is
//! unsure in this frame take the sure face beside it, and switched more on the scripted crowds.

use super::assign::Costs;
use super::motion::{Likeness, Motion, Observed};

/// What a track without a detection costs. A pair that costs more is not made.
const ALONE: f64 = 25.0;
/// Degrees of freedom of Student's distribution: the fewer, the heavier the tails.
const TAIL: f64 = 6.0;
/// Weight of doubt in the cost; 1 would be the likelihood, if the filter's noise were the truth.
const DOUBT: f64 = 0.7;
/// Boxes are grown by this many standard deviations of the prediction before their IoU is taken.
const BUFFER: f64 = 1.5;

/// A track and a detection that may be the same face.
struct Pair {
    track: usize,
    detection: usize,
    cost: f64,
}

/// Pairs of (track, detection) by their places in the slices, by track.
pub(super) fn associate(tracks: &[&Motion], seen: &[&Observed], min_iou: f64) -> Vec<(usize, usize)> {
    let pairs = candidates(tracks, seen, min_iou);
    let mut found: Vec<(usize, usize)> =
        clusters(tracks.len(), seen.len(), pairs).iter().flat_map(|cluster| best_of(cluster)).collect();
    found.sort_unstable();
    found
}

fn candidates(tracks: &[&Motion], seen: &[&Observed], min_iou: f64) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (track, motion) in tracks.iter().enumerate() {
        for (detection, observed) in seen.iter().enumerate() {
            let cost = cost(motion.likeness(observed));
            if cost <= ALONE && motion.buffered_iou(observed, BUFFER) >= min_iou {
                pairs.push(Pair { track, detection, cost });
            }
        }
    }
    pairs
}

/// The distance has three dimensions.
fn cost(likeness: Likeness) -> f64 {
    (TAIL + 3.0) * (likeness.distance / TAIL).ln_1p() + DOUBT * likeness.doubt
}

/// Splits the pairs into groups that share no track and no detection: most hold one pair, and the rest stay small.
fn clusters(tracks: usize, detections: usize, pairs: Vec<Pair>) -> Vec<Vec<Pair>> {
    let mut leader: Vec<usize> = (0..tracks + detections).collect();
    for pair in &pairs {
        let (a, b) = (find(&mut leader, pair.track), find(&mut leader, tracks + pair.detection));
        if let Some(slot) = leader.get_mut(a.max(b)) {
            *slot = a.min(b);
        }
    }
    let mut groups = std::collections::BTreeMap::<usize, Vec<Pair>>::new();
    for pair in pairs {
        groups.entry(find(&mut leader, pair.track)).or_default().push(pair);
    }
    groups.into_values().collect()
}

/// The leader of a node's group. Every entry is an index of the same table.
fn find(leader: &mut [usize], mut node: usize) -> usize {
    while leader[node] != node {
        leader[node] = leader[leader[node]];
        node = leader[node];
    }
    node
}

fn best_of(cluster: &[Pair]) -> Vec<(usize, usize)> {
    if let [only] = cluster {
        return vec![(only.track, only.detection)];
    }
    let rows = distinct(cluster.iter().map(|p| p.track));
    let columns = distinct(cluster.iter().map(|p| p.detection));
    let mut costs = Costs::new(rows.len(), columns.len(), ALONE);
    for pair in cluster {
        if let (Ok(row), Ok(column)) =
            (rows.binary_search(&pair.track), columns.binary_search(&pair.detection))
        {
            costs.set(row, column, pair.cost);
        }
    }
    let answer = costs.solve();
    rows.iter().zip(answer).filter_map(|(&row, column)| Some((row, *columns.get(column?)?))).collect()
}

fn distinct(values: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut all: Vec<usize> = values.collect();
    all.sort_unstable();
    all.dedup();
    all
}
