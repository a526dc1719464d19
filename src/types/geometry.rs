//! Points, boxes and sizes, in pixels. The origin is the picture's top left corner; a pixel's centre lies at +0.5.

use serde::Serialize;

/// A point, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// Width and height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Size {
    /// To the right.
    pub width: u32,
    /// Down.
    pub height: u32,
}

impl Size {
    /// A size.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// An axis-aligned box: left, top inclusive; right, bottom exclusive. Never inside out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rect {
    /// Left.
    pub x1: f32,
    /// Top.
    pub y1: f32,
    /// Right.
    pub x2: f32,
    /// Bottom.
    pub y2: f32,
}

impl Rect {
    /// The box spanned by two corners given in any order.
    pub fn new(xa: f32, ya: f32, xb: f32, yb: f32) -> Self {
        Self { x1: xa.min(xb), y1: ya.min(yb), x2: xa.max(xb), y2: ya.max(yb) }
    }

    /// Width.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// Area.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// Centre.
    pub fn center(&self) -> Point {
        Point { x: (self.x1 + self.x2) / 2.0, y: (self.y1 + self.y2) / 2.0 }
    }

    /// The part of both; of zero area where they do not meet.
    pub fn intersect(&self, other: &Rect) -> Rect {
        let x1 = self.x1.max(other.x1);
        let y1 = self.y1.max(other.y1);
        Rect { x1, y1, x2: self.x2.min(other.x2).max(x1), y2: self.y2.min(other.y2).max(y1) }
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &Rect) -> f32 {
        let inter = self.intersect(other).area();
        let union = self.area() + other.area() - inter;
        if union > 0.0 { inter / union } else { 0.0 }
    }

    /// The part inside a picture of `size`.
    pub fn clamp_to(&self, size: Size) -> Rect {
        self.intersect(&Rect { x1: 0.0, y1: 0.0, x2: size.width as f32, y2: size.height as f32 })
    }

    /// True if the point lies in the box.
    pub fn contains(&self, p: Point) -> bool {
        p.x >= self.x1 && p.x < self.x2 && p.y >= self.y1 && p.y < self.y2
    }

    /// True if all four numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.x1.is_finite() && self.y1.is_finite() && self.x2.is_finite() && self.y2.is_finite()
    }
}

/// True if `p` lies inside the polygon (even-odd rule). Fewer than three corners hold nothing.
pub fn polygon_contains(polygon: &[Point], p: Point) -> bool {
    let mut inside = false;
    let mut previous = match polygon.last() {
        Some(last) if polygon.len() >= 3 => *last,
        _ => return false,
    };
    for &corner in polygon {
        if (corner.y > p.y) != (previous.y > p.y) {
            let x = (previous.x - corner.x) * (p.y - corner.y) / (previous.y - corner.y) + corner.x;
            if p.x < x {
                inside = !inside;
            }
        }
        previous = corner;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_the_same_and_of_strangers() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&Rect::new(20.0, 20.0, 30.0, 30.0)), 0.0);
        assert!((a.iou(&Rect::new(0.0, 5.0, 10.0, 15.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(Rect::new(0.0, 0.0, 0.0, 0.0).iou(&Rect::new(0.0, 0.0, 0.0, 0.0)), 0.0);
    }

    #[test]
    fn a_concave_polygon_knows_its_notch() {
        let l: Vec<Point> = [(0.0, 0.0), (10.0, 0.0), (10.0, 5.0), (5.0, 5.0), (5.0, 10.0), (0.0, 10.0)]
            .map(|(x, y)| Point { x, y })
            .to_vec();
        assert!(polygon_contains(&l, Point { x: 2.0, y: 8.0 }));
        assert!(!polygon_contains(&l, Point { x: 8.0, y: 8.0 }));
        assert!(!polygon_contains(&l[..2], Point { x: 0.0, y: 0.0 }));
    }
}
