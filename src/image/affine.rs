//! Transforms of the plane, in continuous coordinates: a pixel's centre lies at +0.5.

use crate::types::geometry::{Point, Rect, Size};

/// `x' = a x + b y + tx`, `y' = c x + d y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Of x, in x'.
    pub a: f32,
    /// Of y, in x'.
    pub b: f32,
    /// Of x, in y'.
    pub c: f32,
    /// Of y, in y'.
    pub d: f32,
    /// Shift to the right, pixels.
    pub tx: f32,
    /// Shift down, pixels.
    pub ty: f32,
}

impl Affine {
    /// The stretch that takes a crop of `size` to the box `source`.
    pub fn from_crop_to_rect(size: Size, source: &Rect) -> Self {
        let (a, d) = (source.width() / size.width as f32, source.height() / size.height as f32);
        Self { a, b: 0.0, c: 0.0, d, tx: source.x1, ty: source.y1 }
    }

    /// Where a point goes.
    pub fn apply(&self, p: Point) -> Point {
        Point { x: self.a * p.x + self.b * p.y + self.tx, y: self.c * p.x + self.d * p.y + self.ty }
    }

    /// Square root of the area that a unit square becomes.
    pub fn scale(&self) -> f32 {
        (self.a * self.d - self.b * self.c).abs().sqrt()
    }

    /// The same numbers, applied to coordinates in which a pixel's centre is a whole number, as OpenCV's
    /// `warpAffine` does. Embedders were trained on crops that were cut so.
    pub fn on_pixel_centres(self) -> Self {
        let half = |x: f32, y: f32| 0.5 - 0.5 * (x + y);
        Self { tx: self.tx + half(self.a, self.b), ty: self.ty + half(self.c, self.d), ..self }
    }

    /// True if all numbers are finite.
    pub fn is_finite(&self) -> bool {
        [self.a, self.b, self.c, self.d, self.tx, self.ty].iter().all(|x| x.is_finite())
    }
}

/// Scaling, rotation and shift: `x' = a x - b y + tx`, `y' = b x + a y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the angle.
    pub a: f32,
    /// Scale times the sine of the angle (clockwise, as y points down).
    pub b: f32,
    /// Shift to the right, pixels.
    pub tx: f32,
    /// Shift down, pixels.
    pub ty: f32,
}

impl Similarity {
    /// Where a point goes.
    pub fn apply(&self, p: Point) -> Point {
        self.to_affine().apply(p)
    }

    /// How much lengths grow.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Rotation in degrees, clockwise, -180 to 180.
    pub fn angle(&self) -> f32 {
        self.b.atan2(self.a).to_degrees()
    }

    /// The way back; `None` if the transform takes everything to one point, or is not finite.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, tx, ty] = [self.a, self.b, self.tx, self.ty].map(f64::from);
        let square = a * a + b * b;
        let (a, b) = (a / square, -b / square);
        let back =
            Self { a: a as f32, b: b as f32, tx: (-a * tx + b * ty) as f32, ty: (-b * tx - a * ty) as f32 };
        back.to_affine().is_finite().then_some(back)
    }

    /// The same as an affine transform.
    pub fn to_affine(self) -> Affine {
        Affine { a: self.a, b: -self.b, c: self.b, d: self.a, tx: self.tx, ty: self.ty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let t = Similarity { a: 0.3, b: -0.2, tx: 40.0, ty: -7.0 };
        let p = Point { x: 512.0, y: 300.0 };
        let back = t.inverse().expect("invertible").apply(t.apply(p));
        assert!((back.x - p.x).abs() < 1e-3 && (back.y - p.y).abs() < 1e-3);
        assert!(Similarity { a: 0.0, b: 0.0, tx: 1.0, ty: 1.0 }.inverse().is_none());
        assert!((Similarity { a: 0.0, b: 2.0, tx: 0.0, ty: 0.0 }.angle() - 90.0).abs() < 1e-4);
    }

    #[test]
    fn pixel_centres_follow_the_whole_numbers() {
        let t = Affine { a: 2.0, b: 0.5, c: -0.5, d: 2.0, tx: 10.0, ty: 20.0 };
        let whole = t.apply(Point { x: 3.0, y: 4.0 });
        let centre = t.on_pixel_centres().apply(Point { x: 3.5, y: 4.5 });
        assert_eq!((centre.x, centre.y), (whole.x + 0.5, whole.y + 0.5));
    }
}
