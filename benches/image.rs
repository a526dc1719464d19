//! Preprocessing on one core: frame to detector tensor, frame to crop, crop to embedder tensor.

#![allow(clippy::expect_used, reason = "a bench may fail loudly")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use watchlistd::align::Aligner;
use watchlistd::config::QualityLimits;
use watchlistd::image::codec::encode_jpeg;
use watchlistd::image::resize::{Pad, Resizer};
use watchlistd::image::tensor::{ChannelOrder, CropScaling, Normalize, crop_to_tensor};
use watchlistd::image::warp::{Border, Similarity, stretch, warp_into};
use watchlistd::infer::Alignment;
use watchlistd::snapshots::cut::{Cutting, View, cut};
use watchlistd::types::face::{Detection, Landmarks};
use watchlistd::types::frame::{Colorimetry, Matrix, Pixels, Plane, Planes, RgbImage};
use watchlistd::types::geometry::{Point, Rect, Size};

const TEMPLATE: [(f32, f32); 5] =
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)];

/// A frame of random samples, with rows as decoders pad them.
struct Frame {
    size: Size,
    interleaved: bool,
    stride: usize,
    data: Vec<u8>,
}

impl Frame {
    fn new(width: u32, height: u32, interleaved: bool) -> Self {
        let stride = (width as usize).next_multiple_of(64);
        let mut random = fastrand::Rng::with_seed(1);
        let data = (0..stride * height as usize * 2).map(|_| random.u8(..)).collect();
        Self { size: Size::new(width, height), interleaved, stride, data }
    }
}

impl Pixels for Frame {
    fn size(&self) -> Size {
        self.size
    }

    fn planes(&self) -> Planes<'_> {
        let color = Colorimetry { matrix: Matrix::Bt709, full_range: false };
        let (luma, chroma) = self.data.split_at(self.stride * self.size.height as usize);
        let y = Plane { data: luma, stride: self.stride };
        if self.interleaved {
            return Planes::Nv12 { y, uv: Plane { data: chroma, stride: self.stride }, color };
        }
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let half = |data| Plane { data, stride: self.stride / 2 };
        Planes::I420 { y, u: half(u), v: half(v), color }
    }
}

const FORMATS: [(&str, bool); 2] = [("nv12", true), ("i420", false)];

fn resize(c: &mut Criterion) {
    let mut group = c.benchmark_group("resize+convert+normalise");
    let normalize = Normalize { order: ChannelOrder::Bgr, mean: [104.0, 117.0, 127.0], scale: [1.0; 3] };
    for (name, width, height) in
        [("1080p", 1920, 1080), ("720p", 1280, 720), ("360p", 640, 360), ("d1", 704, 576)]
    {
        for (format, interleaved) in FORMATS {
            let frame = Frame::new(width, height, interleaved);
            let (mut resizer, mut out) = (Resizer::new(), Vec::new());
            group.bench_function(format!("{name} {format} to 640"), |b| {
                b.iter(|| {
                    let target = Size::new(640, 640);
                    resizer.fit(black_box(&frame), None, target, Pad::None, &normalize, &mut out)
                });
            });
        }
    }
}

fn place(scale: f32) -> Similarity {
    let (sin, cos) = 0.15f32.sin_cos();
    Similarity { a: scale * cos, b: scale * sin, tx: 700.0, ty: 250.0 }
}

fn warp(c: &mut Criterion) {
    let mut group = c.benchmark_group("warp 112x112 from 1080p");
    for (format, interleaved) in FORMATS {
        let frame = Frame::new(1920, 1080, interleaved);
        for (name, scale) in [("face of 100", 1.2), ("face of 200", 2.4), ("face of 400", 4.8)] {
            let map = place(scale).to_affine();
            let mut crop = RgbImage::new(Size::new(112, 112), vec![0; 112 * 112 * 3]).expect("a size");
            group.bench_function(format!("{name} {format}"), |b| {
                b.iter(|| warp_into(black_box(&frame), &map, Border::Black, &mut crop));
            });
        }
    }
}

fn tensor(c: &mut Criterion) {
    let mut group = c.benchmark_group("crop to tensor 112x112");
    let crop = RgbImage::new(Size::new(112, 112), vec![100; 112 * 112 * 3]).expect("a size");
    let mut out = vec![0.0; 3 * 112 * 112];
    let normalize = Normalize::uniform(ChannelOrder::Bgr, 127.5, 1.0 / 128.0);
    group.bench_function("fixed", |b| b.iter(|| crop_to_tensor(black_box(&crop), &normalize, &mut out)));
    let whiten = CropScaling::Whiten(ChannelOrder::Rgb);
    group.bench_function("whitened", |b| b.iter(|| whiten.write(black_box(&crop), &mut out)));
}

fn align(c: &mut Criterion) {
    let template: Landmarks = TEMPLATE.map(|(x, y)| Point { x, y });
    let limits = QualityLimits {
        min_face: 40.0,
        min_sharpness: 8.0,
        max_yaw: 45.0,
        max_pitch: 35.0,
        max_roll: 60.0,
        min_brightness: 35.0,
        max_brightness: 225.0,
    };
    let alignment = Alignment::FivePoint { size: Size::new(112, 112), template };
    let aligner = Aligner::new(alignment, limits).expect("a size");
    let frame = Frame::new(1920, 1080, true);
    let face = Detection {
        bbox: Rect::new(700.0, 250.0, 820.0, 400.0),
        landmarks: template.map(|p| place(1.2).apply(p)),
        score: 0.9,
    };
    let mut group = c.benchmark_group("align");
    group.bench_function("screen", |b| b.iter(|| aligner.screen(black_box(&face), frame.size())));
    group.bench_function("crop+quality, face of 100", |b| b.iter(|| aligner.align(&frame, black_box(&face))));
}

/// What a picture costs that may be kept; without `[snapshots]` none of it is done. The second look is a run of the detector more.
fn snapshot(c: &mut Criterion) {
    let own = Rect::new(900.0, 400.0, 1000.0, 530.0);
    let other = Rect::new(700.0, 380.0, 790.0, 490.0);
    let cutting = Cutting { scene: Some(6.0), side: 640 };
    let view = View { roi: None, masks: &[] };
    let mut group = c.benchmark_group("snapshot from 1080p");
    for (format, interleaved) in FORMATS {
        let frame = Frame::new(1920, 1080, interleaved);
        let faces = [own, other];
        group.bench_function(format!("cut, face of 100, another beside it, {format}"), |b| {
            b.iter(|| cut(black_box(&frame), &own, &faces, view, &cutting));
        });
    }
    let scene = stretch(&Frame::new(1920, 1080, true), Size::new(640, 480)).expect("a size");
    group.bench_function("JPEG of a scene (of who is kept)", |b| {
        b.iter(|| encode_jpeg(black_box(&scene), 85))
    });
}

criterion_group!(benches, resize, warp, tensor, align, snapshot);
criterion_main!(benches);
