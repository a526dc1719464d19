//! Which part of a picture goes where in a tensor, and back.

use super::{MIN_SIDE, Pad};
use crate::types::geometry::{Point, Rect, Size};

/// How a picture was fitted into a tensor. Tensor coordinates are continuous, as the picture's are: a pixel's
/// centre lies at +0.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The tensor's size.
    pub size: Size,
    /// The part of it, from its top left corner, that shows the picture. The rest is padding.
    pub content: Size,
    /// Frame pixels per tensor pixel, to the right; 1 or more.
    pub scale_x: f32,
    /// Frame pixels per tensor pixel, down; 1 or more.
    pub scale_y: f32,
    /// The frame's point at the tensor's origin.
    pub origin: Point,
}

impl Fit {
    /// A tensor's point in the frame.
    pub fn point_to_frame(&self, p: Point) -> Point {
        Point { x: self.origin.x + p.x * self.scale_x, y: self.origin.y + p.y * self.scale_y }
    }

    /// A tensor's box in the frame.
    pub fn rect_to_frame(&self, r: Rect) -> Rect {
        let a = self.point_to_frame(Point { x: r.x1, y: r.y1 });
        let b = self.point_to_frame(Point { x: r.x2, y: r.y2 });
        Rect::new(a.x, a.y, b.x, b.y)
    }

    /// A frame's point in the tensor.
    pub fn point_to_tensor(&self, p: Point) -> Point {
        Point { x: (p.x - self.origin.x) / self.scale_x, y: (p.y - self.origin.y) / self.scale_y }
    }
}

/// A part of the picture in whole pixels. Left and top are even, so that chroma samples are not cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Window {
    /// The smallest window that holds the part of `roi` inside the picture; at least one pixel.
    pub fn new(size: Size, roi: Option<Rect>) -> Self {
        let roi = roi.unwrap_or(Rect::new(0.0, 0.0, size.width as f32, size.height as f32));
        let side = |from: f32, to: f32, limit: u32| {
            // Casts saturate, and take NaN to 0.
            let start = (from.floor() as u32).min(limit.saturating_sub(1)) & !1;
            let end = (to.ceil() as u32).clamp(start + 1, limit.max(start + 1));
            (start as usize, (end - start) as usize)
        };
        let (left, width) = side(roi.x1, roi.x2, size.width);
        let (top, height) = side(roi.y1, roi.y2, size.height);
        Self { left, top, width, height }
    }

    /// Fits the window into `target`: aspect kept, never enlarged.
    pub fn fit(&self, target: Size, pad: Pad) -> Fit {
        let target = Size::new(target.width.max(1), target.height.max(1));
        let (width, height) = (self.width as f64, self.height as f64);
        let scale = (width / f64::from(target.width)).max(height / f64::from(target.height)).max(1.0);
        let fitted = |side: f64, most: u32| ((side / scale).round() as u32).clamp(1, most);
        let content = Size::new(fitted(width, target.width), fitted(height, target.height));
        let size = match pad {
            Pad::None => Size::new(content.width.max(MIN_SIDE), content.height.max(MIN_SIDE)),
            Pad::Multiple { of, .. } => {
                let side = |side: u32| side.max(MIN_SIDE).next_multiple_of(of.max(1));
                Size::new(side(content.width), side(content.height))
            }
            Pad::Full { .. } => target,
        };
        Fit {
            size,
            content,
            scale_x: (width / f64::from(content.width)) as f32,
            scale_y: (height / f64::from(content.height)) as f32,
            origin: Point { x: self.left as f32, y: self.top as f32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(size: (u32, u32), roi: Option<Rect>, target: (u32, u32), pad: Pad) -> Fit {
        Window::new(Size::new(size.0, size.1), roi).fit(Size::new(target.0, target.1), pad)
    }

    #[test]
    fn the_aspect_is_kept_and_nothing_is_enlarged() {
        let full_hd = fit((1920, 1080), None, (640, 640), Pad::None);
        assert_eq!((full_hd.size, full_hd.scale_x, full_hd.scale_y), (Size::new(640, 360), 3.0, 3.0));
        let padded = fit((1920, 1080), None, (640, 640), Pad::Full { level: 0 });
        assert_eq!((padded.size, padded.content), (Size::new(640, 640), Size::new(640, 360)));
        let whole = fit((1920, 1080), None, (640, 640), Pad::Multiple { of: 32, level: 0 });
        assert_eq!((whole.size, whole.content), (Size::new(640, 384), Size::new(640, 360)));
        let small = fit((320, 180), None, (640, 640), Pad::None);
        assert_eq!((small.size, small.scale_x), (Size::new(320, 180), 1.0));
        let portrait = fit((1080, 1920), None, (640, 360), Pad::None);
        assert_eq!(portrait.content, Size::new(203, 360));
        let sliver = fit((4000, 10), None, (640, 640), Pad::None);
        assert_eq!((sliver.size, sliver.content), (Size::new(640, 32), Size::new(640, 2)));
    }

    #[test]
    fn points_go_there_and_back() {
        let fit = fit((1920, 1080), Some(Rect::new(101.0, 50.0, 901.5, 850.0)), (320, 320), Pad::None);
        assert_eq!(fit.origin, Point { x: 100.0, y: 50.0 });
        let p = Point { x: 333.0, y: 444.0 };
        let back = fit.point_to_frame(fit.point_to_tensor(p));
        assert!((back.x - p.x).abs() < 1e-3 && (back.y - p.y).abs() < 1e-3);
        let whole =
            fit.rect_to_frame(Rect::new(0.0, 0.0, fit.content.width as f32, fit.content.height as f32));
        assert!((whole.x2 - 902.0).abs() < 1e-2 && (whole.y2 - 850.0).abs() < 1e-2, "{whole:?}");
    }

    #[test]
    fn any_region_becomes_a_window_inside() {
        let size = Size::new(101, 51);
        let odd = |roi| {
            let w = Window::new(size, Some(roi));
            (w.left, w.top, w.width, w.height)
        };
        assert_eq!(odd(Rect::new(-50.0, -50.0, 500.0, 500.0)), (0, 0, 101, 51));
        assert_eq!(odd(Rect::new(3.2, 5.9, 10.1, 20.0)), (2, 4, 9, 16));
        assert_eq!(odd(Rect::new(900.0, 900.0, 910.0, 910.0)), (100, 50, 1, 1));
        assert_eq!(odd(Rect { x1: f32::NAN, y1: 0.0, x2: f32::NAN, y2: 9.0 }), (0, 0, 1, 9));
    }
}
