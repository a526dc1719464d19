//! A cut-out of a photograph that can be painted at any place and size.

use watchlistd::types::geometry::Rect;

use super::photo::Photo;

/// Luma, blue difference, red difference, opacity.
type Texel = [u8; 4];

/// The cut-out at full, half, quarter ... size, so that painting it small does not flicker.
pub struct Sprite {
    levels: Vec<Level>,
}

struct Level {
    width: usize,
    texels: Vec<Texel>,
}

/// A plane of the frame, or one of its two chroma planes.
pub struct Target<'a> {
    /// The samples, row by row, without padding.
    pub samples: &'a mut [u8],
    /// Samples in a row.
    pub width: usize,
}

impl Sprite {
    /// Cuts the picture out with soft, rounded edges.
    pub fn new(photo: &Photo) -> Self {
        let mut levels = vec![Level::cut_out(photo)];
        while let Some(next) = levels.last().and_then(Level::halved) {
            levels.push(next);
        }
        Self { levels }
    }

    /// Paints one channel (0 luma, 1 and 2 chroma) over `place`, given in samples of the target.
    /// `light` is a factor on the luma.
    pub fn paint(&self, target: &mut Target<'_>, place: &Rect, channel: usize, light: f32) {
        let Some(full) = self.levels.first() else { return };
        // The level whose texels are at most twice as dense as the target's samples.
        let ratio = full.width as f32 / place.width().max(1.0);
        let index = (ratio.max(1.0).log2().floor() as usize).min(self.levels.len() - 1);
        let Some(level) = self.levels.get(index) else { return };
        let light = if channel == 0 { (light * 256.0) as i32 } else { 256 };
        level.paint(target, place, channel, light);
    }
}

impl Level {
    fn cut_out(photo: &Photo) -> Self {
        let size = photo.size();
        let (width, height) = (size.width as f32, size.height as f32);
        let texels = photo.rows().zip(0u16..).flat_map(|(row, y)| {
            row.iter().zip(0u16..).map(move |(&rgb, x)| {
                let [luma, blue, red] = bt709(rgb);
                [luma, blue, red, opacity((f32::from(x) + 0.5) / width, (f32::from(y) + 0.5) / height)]
            })
        });
        Self { width: size.width as usize, texels: texels.collect() }
    }

    fn rows(&self) -> impl Iterator<Item = &[Texel]> {
        self.texels.chunks_exact(self.width.max(1))
    }

    /// Each texel the mean of four. `None` when there is nothing left to halve.
    fn halved(&self) -> Option<Self> {
        let rows: Vec<&[Texel]> = self.rows().collect();
        let width = self.width / 2;
        if width < 8 || rows.len() < 16 {
            return None;
        }
        let mut texels = Vec::with_capacity(width * rows.len() / 2);
        for pair in rows.chunks_exact(2) {
            let [upper, lower] = pair else { continue };
            for (a, b) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                let mean = |c: usize| {
                    let sum: u16 = a.iter().chain(b).filter_map(|t| t.get(c)).map(|&v| u16::from(v)).sum();
                    ((sum + 2) / 4) as u8
                };
                texels.push([mean(0), mean(1), mean(2), mean(3)]);
            }
        }
        Some(Self { width, texels })
    }

    /// Bilinear, in fixed point with 16 bits of fraction.
    fn paint(&self, target: &mut Target<'_>, place: &Rect, channel: usize, light: i32) {
        let rows: Vec<&[Texel]> = self.rows().collect();
        let (step_x, first_x) = steps(place.x1, place.width(), self.width);
        let (step_y, first_y) = steps(place.y1, place.height(), rows.len());
        let columns = covered(place.x1, place.x2, target.width);
        let lines = covered(place.y1, place.y2, target.samples.len() / target.width.max(1));
        for y in lines {
            let at = first_y + y as i64 * step_y;
            let Ok(line) = usize::try_from(at >> 16) else { continue };
            let Some([upper, lower]) = rows.get(line..line + 2) else { continue };
            let fraction_y = ((at & 0xffff) >> 8) as i32;
            let start = y * target.width;
            let samples = target.samples.get_mut(start + columns.start..start + columns.end);
            let Some(samples) = samples else { continue };
            let mut at = first_x + columns.start as i64 * step_x;
            for sample in samples {
                if let Ok(column) = usize::try_from(at >> 16)
                    && let (Some([a, b]), Some([c, d])) =
                        (upper.get(column..column + 2), lower.get(column..column + 2))
                {
                    let fraction_x = ((at & 0xffff) >> 8) as i32;
                    let mix = |channel: usize| {
                        let value = |t: &Texel| i32::from(t.get(channel).copied().unwrap_or_default());
                        let top = value(a) * (256 - fraction_x) + value(b) * fraction_x;
                        let bottom = value(c) * (256 - fraction_x) + value(d) * fraction_x;
                        (top * (256 - fraction_y) + bottom * fraction_y) >> 16
                    };
                    let opacity = mix(3);
                    if opacity > 0 {
                        let value = lit(mix(channel), light);
                        let below = i32::from(*sample);
                        *sample = (below + (value - below) * opacity / 255).clamp(0, 255) as u8;
                    }
                }
                at += step_x;
            }
        }
    }
}

/// Texels a sample, and the texel position of sample 0, both times 65,536.
fn steps(start: f32, length: f32, texels: usize) -> (i64, i64) {
    let step = texels as f64 / f64::from(length.max(1.0));
    let first = (0.5 - f64::from(start)) * step - 0.5;
    ((step * 65536.0) as i64, (first * 65536.0) as i64)
}

/// The samples between two positions that the target has.
fn covered(from: f32, to: f32, length: usize) -> std::ops::Range<usize> {
    // Casts from float saturate: what lies left of the picture becomes 0.
    let end = (to.ceil() as usize).min(length);
    (from.floor() as usize).min(end)..end
}

/// Light on limited-range luma: black stays black.
fn lit(luma: i32, light: i32) -> i32 {
    if light == 256 { luma } else { (16 + (((luma - 16) * light) >> 8)).min(235) }
}

/// Opacity at a place in the cut-out (0 to 1 across): full inside a rounded box, nothing at its edge.
fn opacity(x: f32, y: f32) -> u8 {
    const ROUND: f32 = 2.6;
    const SOLID: f32 = 0.82;
    let (dx, dy) = ((2.0 * x - 1.0).abs(), (2.0 * y - 1.0).abs());
    let distance = (dx.powf(ROUND) + dy.powf(ROUND)).powf(1.0 / ROUND);
    let edge = ((0.98 - distance) / (0.98 - SOLID)).clamp(0.0, 1.0);
    (255.0 * edge * edge * (3.0 - 2.0 * edge)).round() as u8
}

/// Full-range RGB to limited-range BT.709.
pub fn bt709([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(f32::from);
    let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let blue = (b - luma) / 1.8556;
    let red = (r - luma) / 1.5748;
    let chroma = |value: f32| (128.0 + value * 224.0 / 255.0).round() as u8;
    [(16.0 + luma * 219.0 / 255.0).round() as u8, chroma(blue), chroma(red)]
}

#[cfg(test)]
mod tests {
    use watchlistd::types::geometry::Size;

    use super::*;

    fn flat(width: u32, height: u32) -> Sprite {
        let photo = Photo::new(Size::new(width, height), vec![[255; 3]; (width * height) as usize]);
        Sprite::new(&photo.expect("a picture"))
    }

    fn painted(sprite: &Sprite, place: Rect, light: f32) -> Vec<u8> {
        let mut samples = vec![16; 64 * 64];
        sprite.paint(&mut Target { samples: &mut samples, width: 64 }, &place, 0, light);
        samples
    }

    #[test]
    fn colours_are_those_of_the_standard() {
        // ITU-R BT.709, limited range.
        assert_eq!(bt709([0, 0, 0]), [16, 128, 128]);
        assert_eq!(bt709([255, 255, 255]), [235, 128, 128]);
        assert_eq!(bt709([255, 0, 0]), [63, 102, 240]);
        assert_eq!(bt709([0, 0, 255]), [32, 240, 118]);
    }

    #[test]
    fn the_middle_is_solid_and_the_corners_show_the_backdrop() {
        for side in [8.0, 32.0, 64.0] {
            let samples = painted(&flat(200, 200), Rect::new(0.0, 0.0, side, side), 1.0);
            let middle = side as usize / 2;
            assert_eq!(samples[middle * 64 + middle], 235, "side {side}");
            assert_eq!(samples[0], 16, "side {side}");
        }
    }

    #[test]
    fn light_dims_what_is_painted() {
        let dim = painted(&flat(100, 100), Rect::new(0.0, 0.0, 64.0, 64.0), 0.5);
        assert_eq!(dim[32 * 64 + 32], 16 + 219 / 2);
    }

    #[test]
    fn what_hangs_over_an_edge_is_cut_off_and_what_is_outside_paints_nothing() {
        let sprite = flat(100, 100);
        let over = painted(&sprite, Rect::new(-32.0, -32.0, 32.0, 32.0), 1.0);
        assert_eq!(over[0], 235, "the middle of the sprite");
        assert_eq!(over[40 * 64 + 40], 16);
        for (x, y) in [(-200.0, 0.0), (0.0, -200.0), (200.0, 0.0), (0.0, 200.0), (1e9, -1e9)] {
            let samples = painted(&sprite, Rect::new(x, y, x + 64.0, y + 64.0), 1.0);
            assert!(samples.iter().all(|&s| s == 16), "at {x}, {y}");
        }
    }

    #[test]
    fn a_part_of_a_sample_moves_the_picture_a_part() {
        let sprite = flat(100, 100);
        let sum = |x: f32| -> i64 {
            let samples = painted(&sprite, Rect::new(x, 8.0, x + 40.0, 48.0), 1.0);
            let weighted = samples.iter().enumerate().map(|(i, &s)| (i as i64 % 64) * i64::from(s - 16));
            weighted.sum::<i64>() * 100 / samples.iter().map(|&s| i64::from(s - 16)).sum::<i64>()
        };
        let moved = sum(10.5) - sum(10.0);
        assert!((30..=70).contains(&moved), "{moved} hundredths of a sample");
    }
}
