//! The normal distribution, far into its tail.

use std::f64::consts::SQRT_2;

/// Complementary error function, with a relative error under 1.2e-7 everywhere (Press et al., Numerical Recipes, 6.2, `erfcc`):
/// tails need a relative one.
fn erfc(x: f64) -> f64 {
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let series = C.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let value = t * (-x * x + series).exp();
    if x >= 0.0 { value } else { 2.0 - value }
}

/// The standard normal's probability above `z`.
pub fn above(z: f64) -> f64 {
    0.5 * erfc(z / SQRT_2)
}

/// The standard normal's probability below `z`.
pub fn below(z: f64) -> f64 {
    above(-z)
}

/// Where the standard normal has `p` below it, 0 < p < 1 (Acklam's rational approximation, relative error 1.2e-9).
pub fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let horner = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    let p = p.clamp(1e-300, 1.0 - 1e-16);
    let outer = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    if p < 0.024_25 {
        outer(p)
    } else if p > 1.0 - 0.024_25 {
        -outer(1.0 - p)
    } else {
        let (q, r) = (p - 0.5, (p - 0.5) * (p - 0.5));
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_published_figures_far_into_the_tail() {
        // Abramowitz and Stegun, tables 26.1 and 26.2.
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.158_655_254),
            (3.0, 1.349_898_0e-3),
            (5.0, 2.866_516e-7),
            (8.0, 6.220_96e-16),
        ] {
            assert!((above(z) / expected - 1.0).abs() < 1e-6, "{z}: {}", above(z));
        }
        assert!((below(1.0) + above(1.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_quantile_goes_back_where_it_came_from() {
        for z in [-8.0, -4.0, -1.5, -0.1, 0.0, 0.7, 2.0, 4.0] {
            assert!((quantile(below(z)) - z).abs() < 1e-5, "{z}: {}", quantile(below(z)));
        }
    }
}
