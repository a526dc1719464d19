//! Numbers that are the same for a seed on every machine, in every version, and in `tests/eval/reference.py`.

/// SplitMix64 (Steele, Lea and Flood 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed; each seed gives another sequence.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number under `bound`, 0 for a bound of 0. Uneven by less than `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Evenly between 0 and 1, both left out.
    pub fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Puts the items into an order of its own (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_published_sequence() {
        // From the reference implementation (Vigna, splitmix64.c) with the state 1234567.
        let mut random = Random::seeded(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423_u64];
        assert_eq!(expected.map(|_| random.next_u64()), expected);
    }

    #[test]
    fn a_shuffle_keeps_everything_and_every_place_is_reached() {
        let mut random = Random::seeded(3);
        let mut seen = [[0u32; 5]; 5];
        for _ in 0..2_000 {
            let mut items = [0, 1, 2, 3, 4];
            random.shuffle(&mut items);
            items.iter().enumerate().for_each(|(place, item)| seen[place][*item] += 1);
        }
        // 400 expected each; six standard deviations are 108.
        assert!(seen.iter().flatten().all(|count| (292..508).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
    }
}
