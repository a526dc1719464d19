//! One line of text in any script: shaped, in the direction it is read, with DejaVu Sans, which is built in, and where that has no
//! glyph with a font of the system.
//!
//! ```text
//!  text ─▶ cosmic-text: bidirectional order, shaping, ligatures ─▶ glyphs ─┬─ all there ─▶ Line
//!                                                                          └─ one is missing: the system's fonts, once a process
//! ```

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cosmic_text::{
    Attrs, Buffer, Ellipsize, EllipsizeHeightLimit, Family, FontSystem, Metrics, Shaping, SwashCache, Wrap,
    fontdb,
};

use super::draw::Color;
use crate::types::frame::{Pixels, RgbImage};

/// The font that is built in.
const FONT: &str = "DejaVu Sans";
/// Most characters that are laid out: a label is a name and a number.
const MOST: usize = 200;

/// Fonts, and glyphs that were drawn before.
struct Typesetter {
    fonts: FontSystem,
    glyphs: SwashCache,
    has_systems_fonts: bool,
}

impl Typesetter {
    /// The process's.
    fn get() -> MutexGuard<'static, Self> {
        static TYPESETTER: OnceLock<Mutex<Typesetter>> = OnceLock::new();
        let new = || Mutex::new(Self::new());
        // Whatever a thread that panicked left half done is a cache.
        TYPESETTER.get_or_init(new).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new() -> Self {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(dejavu::sans::regular())));
        // The locale only says which Han characters are preferred where fonts differ.
        let fonts = FontSystem::new_with_locale_and_db("en-US".to_owned(), fonts);
        Self { fonts, glyphs: SwashCache::new(), has_systems_fonts: false }
    }

    fn lay_out(&mut self, text: &str, height: f32, most: f32) -> Buffer {
        let mut line = self.try_lay_out(text, height, most);
        let misses =
            |line: &Buffer| line.layout_runs().flat_map(|run| run.glyphs).any(|glyph| glyph.glyph_id == 0);
        if !self.has_systems_fonts && misses(&line) {
            self.has_systems_fonts = true;
            self.fonts.db_mut().load_system_fonts();
            line = self.try_lay_out(text, height, most);
        }
        line
    }

    fn try_lay_out(&mut self, text: &str, height: f32, most: f32) -> Buffer {
        let mut line = Buffer::new(&mut self.fonts, Metrics::relative(height, 1.2));
        line.set_wrap(Wrap::None);
        line.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(1)));
        line.set_size(Some(most), None);
        line.set_text(text, &Attrs::new().family(Family::Name(FONT)), Shaping::Advanced, None);
        line.shape_until_scroll(&mut self.fonts, false);
        line
    }
}

/// One line of text, laid out.
pub(super) struct Line {
    buffer: Buffer,
    /// In pixels.
    pub width: f32,
    /// In pixels, with room for what reaches below the line.
    pub height: f32,
    /// Where its first glyph begins: not at 0, where text is read from the right.
    left: f32,
}

impl Line {
    /// A line of that height. What goes beyond `most` pixels is left out, with an ellipsis in its place. `None` if there is nothing
    /// to show.
    pub fn new(text: &str, height: f32, most: f32) -> Option<Self> {
        // Control characters would end the line, and what turns its direction would take the number after a name along.
        let shown = |c: char| if c.is_control() || is_turn(c) { ' ' } else { c };
        let text: String = text.chars().map(shown).take(MOST).collect();
        if text.chars().all(|c| c.is_whitespace() || is_isolate(c)) || !(height > 0.0 && most > 0.0) {
            return None;
        }
        let buffer = Typesetter::get().lay_out(text.trim(), height, most);
        let run = buffer.layout_runs().next()?;
        let left = run.glyphs.iter().map(|glyph| glyph.x).fold(f32::INFINITY, f32::min);
        let right = run.glyphs.iter().map(|glyph| glyph.x + glyph.w).fold(f32::NEG_INFINITY, f32::max);
        let (width, height) = (right - left, run.line_height);
        (width > 0.0).then_some(Self { width, height, left, buffer })
    }

    /// Draws with the upper left corner at `(x, y)`.
    pub fn draw(mut self, picture: &mut RgbImage, x: f32, y: f32, color: Color) {
        let Typesetter { fonts, glyphs, .. } = &mut *Typesetter::get();
        let [r, g, b] = color;
        let (left, top) = ((x - self.left) as i64, y as i64);
        let ink = cosmic_text::Color::rgb(r, g, b);
        self.buffer.draw(fonts, glyphs, ink, |dx, dy, width, height, ink| {
            let cover = f32::from(ink.a()) / 255.0;
            for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
                let (x, y) = (left + i64::from(dx) + i64::from(column), top + i64::from(dy) + i64::from(row));
                blend(picture, x, y, [ink.r(), ink.g(), ink.b()], cover);
            }
        });
    }
}

/// A text that keeps its own direction in a line, and leaves that of what stands beside it alone: a name from the right would take a
/// number after it to its other side.
pub fn isolated(text: &str) -> String {
    let own: String = text.chars().filter(|c| !is_turn(*c) && !is_isolate(*c)).collect();
    format!("\u{2068}{own}\u{2069}")
}

/// Characters that only turn the direction of text.
fn is_turn(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}')
}

/// Those that keep directions apart, which [`isolated`] writes.
fn is_isolate(c: char) -> bool {
    matches!(c, '\u{2066}'..='\u{2069}')
}

/// Mixes a color into a pixel, if it is in the picture.
fn blend(picture: &mut RgbImage, x: i64, y: i64, color: Color, cover: f32) {
    let (width, height) = (i64::from(picture.size().width), i64::from(picture.size().height));
    if x < 0 || y < 0 || x >= width || y >= height {
        return;
    }
    let at = (y * width + x) as usize * 3;
    let cover = cover.clamp(0.0, 1.0);
    for (old, new) in picture.data_mut().iter_mut().skip(at).take(3).zip(color) {
        *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * cover).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::geometry::Size;

    /// The glyphs of a text, as the font numbers them, from left to right.
    fn glyphs(text: &str) -> Vec<u16> {
        let line = Line::new(text, 20.0, 2000.0).expect("text");
        let mut glyphs: Vec<_> = line.buffer.layout_runs().flat_map(|run| run.glyphs).cloned().collect();
        glyphs.sort_by(|a, b| a.x.total_cmp(&b.x));
        glyphs.into_iter().map(|glyph| glyph.glyph_id).collect()
    }

    #[test]
    fn names_in_the_scripts_of_dejavu_have_all_their_glyphs() {
        for name in
            ["Ada Łovelace", "Σωκράτης", "Анна Каренина", "Նարեկ", "ნინო", "עדה", "ليلى", "Nguyễn Thị Ánh"]
        {
            let glyphs = glyphs(name);
            assert!(!glyphs.is_empty() && !glyphs.contains(&0), "{name}: {glyphs:?}");
        }
    }

    #[test]
    fn text_from_the_right_is_drawn_backwards_and_arabic_letters_join() {
        let alone: Vec<u16> = "עדה".chars().map(|c| glyphs(&c.to_string())[0]).collect();
        let mut drawn = glyphs("עדה");
        drawn.reverse();
        assert_eq!(drawn, alone, "the first letter is the rightmost");
        let isolated: Vec<u16> = "ليلى".chars().flat_map(|c| glyphs(&c.to_string())).collect();
        let joined = glyphs("ليلى");
        assert!(
            joined.iter().filter(|glyph| !isolated.contains(glyph)).count() >= 2,
            "{joined:?} of {isolated:?}"
        );
    }

    #[test]
    fn a_number_stands_behind_a_name_in_either_direction() {
        let number = glyphs("0.71");
        for name in ["Ada", "עדה", "ليلى", "\u{202e}Ada"] {
            let line = glyphs(&format!("{} 0.71", isolated(name)));
            assert!(line.ends_with(&number), "{name}: {line:?}");
        }
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis_and_nothing_is_no_line() {
        let long = Line::new(&"Wolfeschlegelsteinhausen ".repeat(9), 20.0, 200.0).expect("text");
        assert!(long.width <= 200.0, "{}", long.width);
        let dots = glyphs("…")[0];
        assert!(long.buffer.layout_runs().flat_map(|run| run.glyphs).any(|glyph| glyph.glyph_id == dots));
        assert!(["", " ", "\n\t", "\u{202e}"].iter().all(|text| Line::new(text, 20.0, 200.0).is_none()));
        assert!(Line::new("x", 20.0, 0.0).is_none() && Line::new("x", f32::NAN, 9.0).is_none());
    }

    #[test]
    fn ink_stays_within_the_line_s_box() {
        for text in ["Åg|", "ليلى 0.71", "x"] {
            let line = Line::new(text, 24.0, 400.0).expect("text");
            let (width, height) = (line.width, line.height);
            let mut picture = RgbImage::new(Size::new(480, 80), vec![0; 480 * 80 * 3]).expect("a picture");
            line.draw(&mut picture, 40.0, 20.0, [255; 3]);
            for (n, pixel) in picture.data().chunks(3).enumerate().filter(|(_, pixel)| pixel[0] > 0) {
                let (x, y) = ((n % 480) as f32, (n / 480) as f32);
                let inside = x >= 38.0 && x <= 42.0 + width && y >= 19.0 && y <= 21.0 + height;
                assert!(inside, "{text}: ink {} at {x}, {y} outside {width} x {height}", pixel[0]);
            }
            assert!(picture.data().iter().any(|&x| x > 200), "{text} is drawn");
        }
    }
}
