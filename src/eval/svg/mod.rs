//! Curves as SVG: a chart with one curve, marks on it, and axes that say what they are. No library: it is lines and words.
//!
//! ```text
//!   title
//!   y │      ┌── mark          data ─▶ Axis::place ─▶ pixels
//!     │ ░░░░░│────────         ░: where there are too few trials for a claim
//!     └──────────────── x
//! ```

mod axis;
mod curves;

pub use axis::Axis;
pub use curves::{det, roc};

use std::fmt::Write as _;

/// The picture's size, pixels.
const SIZE: (f64, f64) = (760.0, 560.0);
/// Where the axes lie: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (80.0, 50.0, 730.0, 490.0);
/// Room for a mark's label, and for that of the threshold in use.
const LABEL: (f64, f64) = (80.0, 140.0);
/// A curve moves by this many pixels before it gets another corner.
const CORNER: f64 = 0.25;

/// A point of the curve that is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Where.
    pub at: (f64, f64),
    /// What is written beside it.
    pub label: String,
    /// True for the threshold in use: it looks different.
    pub in_use: bool,
}

/// A chart of one curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Left to right.
    pub x: Axis,
    /// Bottom to top.
    pub y: Axis,
    /// Corners of the curve, x rising.
    pub curve: Vec<(f64, f64)>,
    /// Named points.
    pub marks: Vec<Mark>,
    /// Left of this nothing may be claimed; what is written there.
    pub doubtful: Option<(f64, String)>,
}

impl Chart {
    /// The SVG document.
    pub fn to_svg(&self) -> String {
        let (width, height) = SIZE;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        self.doubt(&mut out);
        self.axes(&mut out);
        self.line(&mut out);
        self.marks.iter().for_each(|mark| self.mark(&mut out, mark));
        out + "</svg>\n"
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (left, top, right, bottom) = FRAME;
        (left + self.x.place(x) * (right - left), bottom - self.y.place(y) * (bottom - top))
    }

    fn doubt(&self, out: &mut String) {
        let Some((until, text)) = &self.doubtful else { return };
        let ((left, top, _, bottom), (right, _)) = (FRAME, self.place((*until, 0.0)));
        if right - left < 1.0 {
            return;
        }
        push(
            out,
            format_args!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#f1f1f1\"/>",
                right - left,
                bottom - top
            ),
        );
        words(out, (left + 6.0, top + 16.0), "start", text);
    }

    fn axes(&self, out: &mut String) {
        let (left, top, right, bottom) = FRAME;
        for (value, label) in self.x.ticks() {
            let x = left + self.x.place(value) * (right - left);
            push(out, format_args!("<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#ddd\"/>"));
            words(out, (x, bottom + 20.0), "middle", &label);
        }
        for (value, label) in self.y.ticks() {
            let y = bottom - self.y.place(value) * (bottom - top);
            push(out, format_args!("<path d=\"M{left} {y:.1}H{right}\" stroke=\"#ddd\"/>"));
            words(out, (left - 8.0, y + 4.0), "end", &label);
        }
        let (wide, high) = (right - left, bottom - top);
        push(
            out,
            format_args!(
                "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" fill=\"none\" stroke=\"#222\"/>"
            ),
        );
        let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
        words(out, (middle.0, bottom + 48.0), "middle", self.x.label());
        push(out, format_args!("<g transform=\"translate(22 {:.1}) rotate(-90)\">", middle.1));
        words(out, (0.0, 0.0), "middle", self.y.label());
        push(out, format_args!("</g>"));
        push(out, format_args!("<g font-size=\"15\" font-weight=\"bold\">"));
        words(out, (left, top - 20.0), "start", &self.title);
        push(out, format_args!("</g>"));
    }

    fn line(&self, out: &mut String) {
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        let corners = self.curve.len();
        for (n, point) in self.curve.iter().enumerate() {
            let (x, y) = self.place(*point);
            let near = last.is_some_and(|(px, py)| (x - px).abs() < CORNER && (y - py).abs() < CORNER);
            if near && n + 1 < corners {
                continue;
            }
            // A step: along at the height of before, then up or down. Writing to a String cannot fail.
            let _ = match last {
                None => write!(path, "M{x:.2} {y:.2}"),
                Some(_) => write!(path, "H{x:.2}V{y:.2}"),
            };
            last = Some((x, y));
        }
        if !path.is_empty() {
            push(
                out,
                format_args!("<path d=\"{path}\" fill=\"none\" stroke=\"#0b62a4\" stroke-width=\"2\"/>"),
            );
        }
    }

    fn mark(&self, out: &mut String, mark: &Mark) {
        let (x, y) = self.place(mark.at);
        let colour = if mark.in_use { "#b3261e" } else { "#0b62a4" };
        push(out, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"));
        // Away from the curve: under a rising one and over a falling one to the right, the other way round to the left.
        let (left, top, right, bottom) = FRAME;
        let falls = self.curve.first().zip(self.curve.last()).is_some_and(|(first, last)| last.1 < first.1);
        let to_left = if mark.in_use { x > left + LABEL.1 } else { x > right - LABEL.0 };
        let (anchor, along) = if to_left { ("end", -8.0) } else { ("start", 8.0) };
        let down = if mark.in_use == falls { 18.0 } else { -10.0 };
        let beside = (x + along, (y + down).clamp(top + 32.0, bottom - 6.0));
        push(out, format_args!("<g fill=\"{colour}\" font-size=\"12\">"));
        words(out, beside, anchor, &mark.label);
        push(out, format_args!("</g>"));
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

fn words(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    push(
        out,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text)),
    );
}

/// Text that is no markup, and no control characters, which XML does not allow.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
