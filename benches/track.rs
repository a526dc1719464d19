//! Criterion benches: association of one frame's faces with the tracks of a crowd.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use watchlistd::base::clock::Moment;
use watchlistd::config;
use watchlistd::track::Tracker;
use watchlistd::types::face::Detection;
use watchlistd::types::geometry::{Point, Rect, Size};
use watchlistd::types::ids::CameraId;

const SIZE: Size = Size::new(1920, 1080);
const WARM_UP: u32 = 5;

fn config() -> config::Track {
    config::Track {
        high_score: 0.7,
        low_score: 0.4,
        min_iou: 0.1,
        min_hits: 2,
        max_age: Duration::from_millis(1500),
        shot_interval: Duration::from_millis(500),
        max_shots: 8,
    }
}

fn moment(step: u32) -> Moment {
    Moment { mono: Duration::from_millis(200) * step, wall: Timestamp::UNIX_EPOCH }
}

/// `count` walkers at random places, most of them near each other, 3 heights a second in random directions.
fn crowd(count: usize, steps: u32) -> Vec<Vec<Detection>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut spot = |side: u32| 60.0 + random.f32() * (side as f32 - 120.0);
    let starts: Vec<(f32, f32)> = (0..count).map(|_| (spot(SIZE.width), spot(SIZE.height))).collect();
    let paces: Vec<(f32, f32)> = (0..count)
        .map(|_| (std::f32::consts::TAU * random.f32()).sin_cos())
        .map(|(s, c)| (24.0 * s, 24.0 * c))
        .collect();
    let mut face = |(x, y): (f32, f32), (dx, dy): (f32, f32), step: u32| {
        let noise = random.f32() * 2.0;
        let (x, y) = (x + dx * step as f32 + noise, y + dy * step as f32 + noise);
        Detection {
            bbox: Rect::new(x - 15.0, y - 20.0, x + 15.0, y + 20.0),
            landmarks: [Point { x, y }; 5],
            score: 0.9,
        }
    };
    (0..steps).map(|step| starts.iter().zip(&paces).map(|(&s, &p)| face(s, p, step)).collect()).collect()
}

fn association(c: &mut Criterion) {
    let mut group = c.benchmark_group("associate");
    for count in [20, 100] {
        let frames = crowd(count, WARM_UP + 1);
        let warm = || {
            let camera = CameraId::new("bench").unwrap_or_else(|e| panic!("{e}"));
            let mut tracker = Tracker::new(camera, 1, config());
            for (step, frame) in (0..WARM_UP).zip(&frames) {
                tracker.update(moment(step), step.into(), SIZE, frame);
            }
            tracker
        };
        group.bench_function(BenchmarkId::new("faces", count), |b| {
            b.iter_batched(
                warm,
                |mut tracker| {
                    black_box(tracker.update(
                        moment(WARM_UP),
                        WARM_UP.into(),
                        SIZE,
                        &frames[WARM_UP as usize],
                    ));
                    tracker
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, association);
criterion_main!(benches);
