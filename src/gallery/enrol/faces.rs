//! Which face of a picture is meant.

use super::outcome::{Reason, Seen};
use crate::types::face::Detection;

/// Which face to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The only one; several are refused, however small the others are.
    #[default]
    Only,
    /// The one with the largest box.
    Largest,
    /// The one of this number: from 1, from left to right.
    Number(usize),
}

/// A face, and how many there are.
pub(super) struct Chosen {
    pub(super) face: Detection,
    pub(super) of: usize,
}

/// Chooses among the faces with at least `min_score`.
pub(super) fn choose(found: Vec<Detection>, min_score: f32, choice: Choice) -> Result<Chosen, Reason> {
    let best = found.iter().map(|face| face.score).max_by(f32::total_cmp);
    let mut faces: Vec<Detection> = found.into_iter().filter(|face| face.score >= min_score).collect();
    let corner = |face: &Detection| (face.bbox.center().x, face.bbox.center().y);
    faces.sort_by(|a, b| {
        let (a, b) = (corner(a), corner(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    if faces.is_empty() {
        return Err(Reason::NoFace { best, least: min_score });
    }
    let position = match choice {
        Choice::Only if faces.len() > 1 => return Err(Reason::SeveralFaces { faces: seen(&faces) }),
        Choice::Only => 0,
        Choice::Largest => largest(&faces),
        Choice::Number(number) => match number.checked_sub(1).filter(|&n| n < faces.len()) {
            Some(position) => position,
            None => return Err(Reason::NoSuchFace { asked: number, faces: seen(&faces) }),
        },
    };
    let of = faces.len();
    Ok(Chosen { face: faces.swap_remove(position), of })
}

/// Of equal ones the leftmost.
fn largest(faces: &[Detection]) -> usize {
    let areas = faces.iter().map(|face| face.bbox.area()).enumerate();
    areas.rev().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(position, _)| position)
}

fn seen(faces: &[Detection]) -> Vec<Seen> {
    let numbered = (1..).zip(faces);
    numbered.map(|(number, face)| Seen { number, bbox: face.bbox, score: face.score }).collect()
}
