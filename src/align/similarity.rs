//! The similarity transform that takes a face's landmarks to a template.
//!
//! S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE PAMI 13(4),
//! 1991. In the plane, without reflections, the best rotation and scale have a closed form: with both patterns
//! moved to their means and read as complex numbers, it is `sum(conj(s) * d) / sum(|s|^2)`.

use crate::image::affine::Similarity;
use crate::types::face::Landmarks;

/// The usual five points of a 112 x 112 crop (ArcFace), in pixel numbers.
pub const CANONICAL: [(f32, f32); 5] =
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)];

/// The least part of the template's variance that the transform must explain. A head of average shape reaches 1 from
/// the front, 0.84 turned by 60 degrees and 0.7 by 75; evenly spread points on a line reach 0.59, left and right
/// exchanged 0.05.
const LEAST_EXPLAINED: f64 = 0.6;

/// The similarity that takes `landmarks` to `template` with the least sum of squared distances. `None` for
/// landmarks that do not make a face: not finite, all in one place, exchanged, or far from the template's shape.
pub fn fit(landmarks: &Landmarks, template: &Landmarks) -> Option<Similarity> {
    let (source, target) = (Centred::new(landmarks), Centred::new(template));
    // Half a pixel of spread is no face, whatever its shape.
    if !(source.variance > 0.25 && target.variance > 0.0) {
        return None;
    }
    let products = source.points.iter().zip(&target.points);
    let (real, imaginary) = products.fold((0.0, 0.0), |(re, im), (s, d)| {
        (re + s[0] * d[0] + s[1] * d[1], im + s[0] * d[1] - s[1] * d[0])
    });
    let (a, b) = (real / source.square_sum(), imaginary / source.square_sum());
    let explained = (a * a + b * b) * source.variance / target.variance;
    let [sx, sy] = source.mean;
    let transform = Similarity {
        a: a as f32,
        b: b as f32,
        tx: (target.mean[0] - (a * sx - b * sy)) as f32,
        ty: (target.mean[1] - (b * sx + a * sy)) as f32,
    };
    (explained >= LEAST_EXPLAINED && transform.to_affine().is_finite()).then_some(transform)
}

/// Points about their mean.
struct Centred {
    mean: [f64; 2],
    points: [[f64; 2]; 5],
    variance: f64,
}

impl Centred {
    fn new(points: &Landmarks) -> Self {
        let points = points.map(|p| [f64::from(p.x), f64::from(p.y)]);
        let mean = [0, 1].map(|axis| points.iter().map(|p| p[axis]).sum::<f64>() / 5.0);
        let points = points.map(|p| [p[0] - mean[0], p[1] - mean[1]]);
        let variance = points.iter().map(|p| p[0] * p[0] + p[1] * p[1]).sum::<f64>() / 5.0;
        Self { mean, points, variance }
    }

    fn square_sum(&self) -> f64 {
        self.variance * 5.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::geometry::Point;

    fn points(numbers: [(f32, f32); 5]) -> Landmarks {
        numbers.map(|(x, y)| Point { x, y })
    }

    #[test]
    fn the_answer_is_that_of_scikit_image() {
        // skimage.transform.SimilarityTransform.estimate, version 0.26, in f64.
        let face =
            points([(301.5, 212.25), (388.0, 198.5), (352.75, 262.0), (322.25, 310.5), (396.0, 297.75)]);
        let t = fit(&face, &points(CANONICAL)).expect("a face");
        for (got, expected) in
            [t.a, t.b, t.tx, t.ty].into_iter().zip([0.398_035_34, 0.058_680_26, -69.088_2, -50.737_19])
        {
            assert!((got - expected).abs() < 1e-4 * f32::max(1.0, expected.abs()), "{got} {expected}");
        }
    }

    #[test]
    fn what_is_no_face_is_refused() {
        let template = points(CANONICAL);
        let good = CANONICAL.map(|(x, y)| (2.0 * x + 10.0, 2.0 * y));
        assert!(fit(&points(good), &template).is_some());
        let [l, r, n, ml, mr] = good;
        let exchanged = [r, l, n, mr, ml];
        let upside = [ml, mr, n, l, r];
        let line = [0.0, 1.0, 2.0, 3.0, 4.0].map(|x| (x * 20.0, 50.0));
        let infinite = [(f32::INFINITY, 0.0), r, n, ml, mr];
        let nan = [(f32::NAN, 0.0), r, n, ml, mr];
        for bad in [exchanged, upside, line, infinite, nan, [(5.0, 5.0); 5], [(f32::MAX, f32::MAX); 5]] {
            assert!(fit(&points(bad), &template).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_known_transform_is_recovered(
            scale in 0.1f32..20.0,
            degrees in -180f32..180.0,
            (tx, ty) in (-2000f32..2000.0, -2000f32..2000.0),
        ) {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let known = Similarity { a: scale * cos, b: scale * sin, tx, ty };
            let template = points(CANONICAL);
            let found = fit(&template.map(|p| known.apply(p)), &template).expect("a face");
            for (p, back) in template.iter().map(|&p| (p, found.apply(known.apply(p)))) {
                prop_assert!((p.x - back.x).abs() < 0.01 && (p.y - back.y).abs() < 0.01, "{p:?} {back:?}");
            }
        }

        #[test]
        fn no_other_similarity_is_nearer(
            jitter in proptest::array::uniform10(-6f32..6.0),
            change in proptest::array::uniform4(-0.02f32..0.02),
        ) {
            let template = points(CANONICAL);
            let face: Landmarks =
                std::array::from_fn(|i| Point { x: 3.0 * template[i].x + jitter[2 * i], y: 3.0 * template[i].y + jitter[2 * i + 1] });
            let best = fit(&face, &template).expect("a face");
            let distance = |t: &Similarity| -> f64 {
                let squares = face.iter().zip(&template).map(|(&s, d)| {
                    let p = t.apply(s);
                    f64::from(p.x - d.x).powi(2) + f64::from(p.y - d.y).powi(2)
                });
                squares.sum()
            };
            let other = Similarity {
                a: best.a + change[0],
                b: best.b + change[1],
                tx: best.tx + 10.0 * change[2],
                ty: best.ty + 10.0 * change[3],
            };
            prop_assert!(distance(&best) <= distance(&other) + 1e-3);
        }
    }
}
