//! Weights and pictures drawn from a generator that `tests/torch/fixture.py` has too.

use super::Architecture;
use crate::infer::torch::{StateDictionary, Tensor};

/// Uniform numbers, by splitmix64 (Steele et al., OOPSLA 2014) seeded with the key's FNV-1a.
pub fn draw(key: &str, count: usize, low: f64, high: f64) -> Vec<f32> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let seed = key.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let number = |step: u64| {
        let z = step.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1u32 << 24);
        (low + (high - low) * unit) as f32
    };
    (1..=count as u64).map(number).collect()
}

/// A parameter with which signals neither vanish nor explode.
fn parameter(key: &str, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    let values = match shape {
        [_, inner @ ..] if !inner.is_empty() => {
            let most = (6.0 / inner.iter().product::<usize>() as f64).sqrt();
            draw(key, count, -most, most)
        }
        _ if key.ends_with(".running_var") => draw(key, count, 0.1, 1.1),
        _ if key.ends_with(".weight") => draw(key, count, 0.3, 0.9),
        _ => draw(key, count, -0.05, 0.05),
    };
    Tensor::new(shape.to_vec(), values).expect("as many numbers as the shape has")
}

/// Weights for a network.
pub fn drawn(architecture: Architecture) -> StateDictionary {
    let parameters = architecture.parameters().into_iter();
    parameters.map(|(key, shape)| (key.clone(), parameter(&key, &shape))).collect()
}

/// A picture of squares, by channel, row and column.
pub fn blocks(key: &str, [height, width, side]: [usize; 3], low: f64, high: f64) -> Vec<f32> {
    let (rows, columns) = (height / side, width / side);
    let small = draw(key, 3 * rows * columns, low, high);
    let at = |c: usize, y: usize, x: usize| small[(c * rows + y / side) * columns + x / side];
    let places = (0..3).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x))));
    places.map(|(c, y, x)| at(c, y, x)).collect()
}
