//! Non-maximum suppression: of boxes that overlap too much, the best one stays.

use crate::types::geometry::Rect;

/// Something with a box and a score.
pub trait Scored {
    /// The box. Its numbers are finite.
    fn bbox(&self) -> &Rect;
    /// The score. Finite.
    fn score(&self) -> f32;
}

/// Most candidates compared, the best by score: the reference implementation's `top_k`. It bounds the time a
/// picture can take, which grows with the square.
pub const MAX_CANDIDATES: usize = 5000;

/// Keeps the best boxes, best first, such that no two overlap by more than `iou` (greedy suppression).
///
/// The result does not depend on the order of the candidates: equal scores are ordered by their boxes.
pub fn suppress<T: Scored>(candidates: &mut Vec<T>, iou: f32) {
    candidates.sort_by(|a, b| {
        let corners = |r: &Rect| [r.x1, r.y1, r.x2, r.y2].map(Ordered);
        b.score().total_cmp(&a.score()).then_with(|| corners(a.bbox()).cmp(&corners(b.bbox())))
    });
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Rect> = Vec::new();
    candidates.retain(|candidate| {
        let bbox = candidate.bbox();
        let stays = kept.iter().all(|better| overlap_at_most(better, bbox, iou));
        if stays {
            kept.push(*bbox);
        }
        stays
    });
}

/// `a.iou(b) <= iou`, without the division and, for most pairs, without the areas.
fn overlap_at_most(a: &Rect, b: &Rect, iou: f32) -> bool {
    let width = a.x2.min(b.x2) - a.x1.max(b.x1);
    let height = a.y2.min(b.y2) - a.y1.max(b.y1);
    width <= 0.0 || height <= 0.0 || a.iou(b) <= iou
}

/// Numbers in their total order.
#[derive(PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Box(Rect, f32);

    impl Scored for Box {
        fn bbox(&self) -> &Rect {
            &self.0
        }
        fn score(&self) -> f32 {
            self.1
        }
    }

    fn at(x: f32, score: f32) -> Box {
        Box(Rect::new(x, 0.0, x + 10.0, 10.0), score)
    }

    fn kept(boxes: &[Box], iou: f32) -> Vec<Box> {
        let mut boxes = boxes.to_vec();
        suppress(&mut boxes, iou);
        boxes
    }

    #[test]
    fn the_best_of_an_overlapping_group_stays_and_chains_do_not_eat_each_other() {
        // b overlaps a and c; a and c do not overlap each other.
        let (a, b, c) = (at(0.0, 0.9), at(4.0, 0.8), at(8.0, 0.7));
        assert_eq!(kept(&[c.clone(), b.clone(), a.clone()], 0.4), [a.clone(), c.clone()]);
        assert_eq!(kept(&[at(0.0, 0.7), at(4.0, 0.9), at(8.0, 0.8)], 0.4), [at(4.0, 0.9)]);
        assert!(kept(&[], 0.4).is_empty());
    }

    #[test]
    fn an_overlap_of_exactly_the_limit_stays() {
        // 5 of 15: IoU 1/3.
        let pair = [at(0.0, 0.9), at(5.0, 0.8)];
        assert_eq!(kept(&pair, 1.0 / 3.0 + 1e-6).len(), 2);
        assert_eq!(kept(&pair, 1.0 / 3.0 - 1e-3).len(), 1);
    }

    #[test]
    fn a_flood_is_bounded_to_the_best() {
        let flood: Vec<Box> =
            (0..MAX_CANDIDATES + 500).map(|i| at(i as f32 * 20.0, 1.0 / (i + 1) as f32)).collect();
        let kept = kept(&flood, 0.4);
        assert_eq!(kept.len(), MAX_CANDIDATES);
        assert_eq!(kept[0], flood[0]);
    }

    fn boxes() -> impl Strategy<Value = Vec<Box>> {
        let one = (0.0f32..60.0, 0.0f32..60.0, 0.0f32..30.0, 0.0f32..30.0, 0u8..8);
        // Few scores, so that many are equal.
        let one = one.prop_map(|(x, y, w, h, s)| Box(Rect::new(x, y, x + w, y + h), f32::from(s) / 8.0));
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn no_two_that_stay_overlap_more_and_each_that_goes_had_a_better_one(list in boxes(), iou in 0.1f32..0.9) {
            let stay = kept(&list, iou);
            for (i, a) in stay.iter().enumerate() {
                for b in &stay[i + 1..] {
                    prop_assert!(a.0.iou(&b.0) <= iou);
                    prop_assert!(a.1 >= b.1);
                }
            }
            for gone in list.iter().filter(|b| !stay.contains(b)) {
                prop_assert!(stay.iter().any(|s| s.1 >= gone.1 && s.0.iou(&gone.0) > iou));
            }
        }

        #[test]
        fn the_order_they_come_in_does_not_matter(list in boxes().prop_shuffle(), seed in any::<u64>()) {
            let mut shuffled = list.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(kept(&list, 0.4), kept(&shuffled, 0.4));
        }
    }
}
