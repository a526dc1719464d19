//! Scripted trajectories with counted identity switches, and what must hold for any detections.

use proptest::prelude::*;

use super::scenes::*;
use super::*;

/// Plays a scene with several seeds of noise; nobody may change track.
fn nobody_switches(name: &str, people: impl Fn() -> Vec<Path>, camera: impl Fn(u64) -> Camera, seconds: f64) {
    for seed in 0..40 {
        let (mistakes, _) = play_ours(&people(), &mut camera(seed), seconds);
        assert!(mistakes.faces > 5, "{name}: the scene shows somebody");
        assert_eq!(mistakes.switches, 0, "{name}, seed {seed}, {} faces", mistakes.faces);
    }
}

/// From left to right at `speed` face heights a second.
fn walk(start: f64, y: f64, height: f64, speed: f64) -> Path {
    path(move |t| {
        let x = start + speed * height * t;
        (-0.3 * height..1280.0 + 0.3 * height).contains(&x).then_some((x, y, height))
    })
}

#[test]
fn a_straight_walk_faster_than_a_face_width_a_detection_keeps_its_track() {
    // 6 heights a second is 1.3 heights and 1.6 widths between two detections: no box meets the one before.
    nobody_switches("walk", || vec![walk(40.0, 300.0, 50.0, 6.0)], Camera::new, 4.0);
    let camera = |seed| Camera { unsure: 0.0, ..Camera::new(seed) };
    let mut greedy = GreedyIou::default();
    let people = vec![walk(40.0, 300.0, 50.0, 6.0)];
    let lost = play(&people, &mut camera(1), 4.0, |t, seen| greedy.update(t, seen, 0.1)).switches;
    assert!(lost > 5, "IoU alone loses this walk at nearly each step, but lost it {lost} times");
}

#[test]
fn three_missed_detections_in_a_row_do_not_end_a_track() {
    let people = || {
        let seen = walk(40.0, 300.0, 50.0, 4.0);
        vec![path(move |t| (t % 2.0 < 1.2).then(|| seen(t)).flatten())]
    };
    nobody_switches("missed", people, Camera::new, 6.0);
}

#[test]
fn two_who_cross_keep_their_tracks() {
    let people = |gap: f64, speed: f64| {
        vec![
            walk(100.0, 300.0, 60.0, speed),
            path(move |t| Some((1100.0 - speed * 55.0 * t, 300.0 + gap, 55.0))),
        ]
    };
    // Behind each other (one is hidden for a while) and past each other, slowly and fast.
    for (gap, speed) in [(5.0, 2.0), (5.0, 4.0), (25.0, 3.0), (60.0, 5.0)] {
        nobody_switches("crossing", || people(gap, speed), Camera::new, 1000.0 / (60.0 * speed));
    }
}

#[test]
fn stop_and_go_keeps_its_track() {
    // One second of walking, one of standing, with nothing between.
    let people = || {
        vec![path(|t: f64| {
            let walked = (t / 2.0).floor() + (t % 2.0).min(1.0);
            Some((60.0 + 160.0 * walked, 300.0, 50.0))
        })]
    };
    nobody_switches("stop and go", people, Camera::new, 10.0);
}

#[test]
fn who_leaves_does_not_hand_the_track_to_who_enters() {
    // Each next person comes in where and when the last one went out.
    let people = || {
        (0..5)
            .map(|i| {
                let start = 2.0 * f64::from(i);
                let seen = walk(1000.0, 300.0, 50.0, 3.0);
                path(move |t: f64| (start..start + 1.95).contains(&t).then(|| seen(t - start)).flatten())
            })
            .chain((0..3).map(|i| {
                let start = 3.0 * f64::from(i);
                path(move |t: f64| {
                    let x = 1290.0 - 160.0 * (t - start);
                    (t >= start && x < 1290.0 && x > 400.0).then_some((x, 500.0, 45.0))
                })
            }))
            .collect()
    };
    nobody_switches("enter and leave", people, Camera::new, 11.0);
}

/// A shake of 6 pixels (standard deviation, a new one each frame) moves these faces by an eighth of their height.
#[test]
fn a_shaking_camera_does_not_mix_people_up() {
    let people = || {
        vec![
            path(|t: f64| Some((300.0 + 40.0 * t.sin(), 300.0, 50.0))),
            path(|t: f64| Some((420.0, 310.0 + 20.0 * t.sin(), 55.0))),
            walk(20.0, 500.0, 60.0, 2.0),
        ]
    };
    nobody_switches("shake", people, |seed| Camera { shake: 6.0, ..Camera::new(seed) }, 10.0);
}

#[test]
fn a_face_that_grows_keeps_its_track() {
    // From 20 pixels to 160 in 6 s, straight at the camera, beside somebody who stands.
    let people = || {
        vec![
            path(|t: f64| Some((500.0 + 20.0 * t, 200.0 + 20.0 * t, 20.0 * (t * 0.347).exp()))),
            path(|_| Some((760.0, 300.0, 70.0))),
        ]
    };
    nobody_switches("grow", people, Camera::new, 6.0);
}

#[test]
fn a_change_of_resolution_keeps_the_tracks() {
    let mut tracker = tracker();
    let faces = |scale: f64, t: f64| {
        vec![
            detection((200.0 + 150.0 * t) * scale, 200.0 * scale, 50.0 * scale, 0.9),
            detection((900.0 - 150.0 * t) * scale, 400.0 * scale, 60.0 * scale, 0.9),
        ]
    };
    for i in 0..20u32 {
        let (scale, size) = if i < 10 { (1.0, PICTURE) } else { (0.5, Size::new(640, 360)) };
        let t = 0.2 * f64::from(i);
        let update = tracker.update(at(t), i.into(), size, &faces(scale, t));
        assert_eq!(numbers(&update, 2), [Some(1), Some(2)], "update {i}");
        assert!(update.ended.is_empty());
    }
}

#[test]
fn unsure_detections_continue_tracks_and_never_start_one() {
    let mut tracker = tracker();
    let seen = |score| vec![detection(300.0, 300.0, 50.0, score)];
    assert_eq!(tracker.update(at(0.0), 0, PICTURE, &seen(0.6)), TrackUpdate::default());
    tracker.update(at(0.2), 1, PICTURE, &seen(0.9));
    tracker.update(at(0.4), 2, PICTURE, &seen(0.9));
    let update = tracker.update(at(0.6), 3, PICTURE, &seen(0.5));
    assert_eq!(update.matched.first().map(|s| (s.track.number, s.hits, s.confirmed)), Some((1, 3, true)));
    assert!(tracker.update(at(0.8), 4, PICTURE, &seen(0.3)).matched.is_empty(), "below low_score is no face");
}

#[test]
fn a_track_counts_from_min_hits_and_ends_once() {
    let mut tracker = tracker();
    let seen = [detection(300.0, 300.0, 50.0, 0.9), detection(800.0, 300.0, 50.0, 0.9)];
    let first = tracker.update(at(0.0), 0, PICTURE, &seen);
    assert_eq!(first.started.iter().map(|s| (s.hits, s.confirmed)).collect::<Vec<_>>(), [(1, false); 2]);
    let second = tracker.update(at(0.2), 1, PICTURE, &seen[..1]);
    assert_eq!(second.matched.iter().map(|s| (s.hits, s.confirmed)).collect::<Vec<_>>(), [(2, true)]);

    let gone = tracker.update(at(1.0), 2, PICTURE, &[]);
    assert_eq!(gone.ended.iter().map(|e| (e.track.number, e.confirmed)).collect::<Vec<_>>(), [(2, false)]);
    assert!(
        tracker.update(at(1.7), 3, PICTURE, &[]).ended.is_empty(),
        "max_age after the last hit, not before"
    );
    let gone = tracker.update(at(1.8), 4, PICTURE, &[]);
    let ended = gone.ended.first().expect("track 1 has ended");
    assert_eq!((ended.track.number, ended.hits, ended.confirmed, ended.last_sequence), (1, 2, true, 1));
    assert_eq!((ended.first_seen, ended.last_seen), (at(0.0), at(0.2)));
    assert!(tracker.finish().is_empty());

    tracker.update(at(2.0), 5, PICTURE, &seen);
    let left: Vec<u64> = tracker.finish().iter().map(|e| e.track.number).collect();
    assert_eq!(left, [3, 4], "numbers go on");
}

#[test]
fn more_faces_than_the_bound_are_refused_and_counted() {
    let mut tracker = tracker();
    let face = |i: usize| detection((i % 40) as f64 * 30.0, (i / 40) as f64 * 40.0, 20.0, 0.9);
    let many: Vec<Detection> = (0..MAX_DETECTIONS + 50).map(face).collect();
    let update = tracker.update(at(0.0), 0, PICTURE, &many);
    assert_eq!((update.started.len(), update.refused), (MAX_TRACKS, 50));
    let others: Vec<Detection> =
        (0..7).map(|i| detection(1260.0, 20.0 + 90.0 * i as f64, 30.0, 0.9)).collect();
    let update = tracker.update(at(0.2), 1, PICTURE, &others);
    assert_eq!((update.started.len(), update.refused), (0, 7));
}

/// Random walkers who turn, bounce off the edges and walk up to `speed` heights a second.
fn crowd(seed: u64, people: usize, speed: f64) -> Vec<Path> {
    const STEP: f64 = 0.05;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut walker = || {
        let height = 30.0 + 40.0 * random.f64();
        let pace = height * speed * (0.3 + 0.7 * random.f64()) * STEP;
        let (mut x, mut y) = (40.0 + 1200.0 * random.f64(), 40.0 + 640.0 * random.f64());
        let mut angle = std::f64::consts::TAU * random.f64();
        let mut points = Vec::new();
        for _ in 0..1200 {
            points.push((x, y, height));
            angle += (random.f64() - 0.5) * 0.5;
            (x, y) = (x + pace * angle.cos(), y + pace * angle.sin());
            if !(20.0..1260.0).contains(&x) {
                angle = std::f64::consts::PI - angle;
            }
            if !(20.0..700.0).contains(&y) {
                angle = -angle;
            }
            (x, y) = (x.clamp(20.0, 1260.0), y.clamp(20.0, 700.0));
        }
        path(move |t| points.get((t / STEP) as usize).copied())
    };
    (0..people).map(|_| walker()).collect()
}

#[test]
fn in_a_crowd_it_switches_less_than_greedy_iou() {
    for speed in [1.0, 2.0, 4.0, 6.0] {
        let (mut ours, mut greedy, mut faces) = (0, 0, 0);
        for seed in 0..3 {
            let people = crowd(1000 + seed, 20, speed);
            let camera = || Camera { miss: 0.1, false_alarms: 0.2, ..Camera::new(seed) };
            let mistakes = play_ours(&people, &mut camera(), 60.0).0;
            let mut other = GreedyIou::default();
            ours += mistakes.switches;
            faces += mistakes.faces;
            greedy += play(&people, &mut camera(), 60.0, |t, seen| other.update(t, seen, 0.1)).switches;
        }
        eprintln!("crowd of 20, {speed} heights/s, {faces} faces: {ours} switches, greedy IoU {greedy}");
        assert!(ours * 2 < greedy, "{ours} switches against {greedy} at {speed} heights a second");
    }
}

fn any_detection() -> impl Strategy<Value = Detection> {
    let side = prop_oneof![4 => -50.0f32..1400.0, 1 => prop::num::f32::NORMAL | prop::num::f32::ZERO];
    (side.clone(), side.clone(), side.clone(), side, 0.0f32..1.0).prop_map(|(a, b, c, d, score)| Detection {
        bbox: Rect::new(a, b, c, d),
        landmarks: Default::default(),
        score,
    })
}

/// Detections that look like faces, so that many of them do get associated.
fn any_face() -> impl Strategy<Value = Detection> {
    (0u8..20, 0u8..12, 20u8..60, 0.3f32..1.0)
        .prop_map(|(x, y, h, score)| detection(f64::from(x) * 64.0, f64::from(y) * 60.0, f64::from(h), score))
}

fn any_scene() -> impl Strategy<Value = Vec<(u16, Vec<Detection>)>> {
    let seen = prop::collection::vec(prop_oneof![3 => any_face(), 1 => any_detection()], 0..12);
    prop::collection::vec((0u16..3000, seen), 1..12)
}

proptest! {
    #[test]
    fn any_detections_give_sound_tracks(scene in any_scene()) {
        let mut tracker = tracker();
        let (mut time, mut ended) = (0.0, std::collections::HashSet::new());
        let mut newest = 0;
        for (sequence, (gap, seen)) in scene.iter().enumerate() {
            time += f64::from(*gap) / 1000.0;
            let update = tracker.update(at(time), sequence as u64, PICTURE, seen);
            let mut given = std::collections::HashSet::new();
            for sighting in update.sightings() {
                prop_assert!(sighting.detection < seen.len());
                prop_assert!(given.insert(sighting.detection), "a detection belongs to one track");
                prop_assert!(!ended.contains(&sighting.track.number), "an ended track does not come back");
            }
            for sighting in &update.started {
                prop_assert_eq!(sighting.track.number, newest + 1, "ids count up and are never reused");
                newest += 1;
            }
            for over in update.ended {
                prop_assert!(ended.insert(over.track.number), "a track ends once");
            }
        }
        ended.extend(tracker.finish().iter().map(|over| over.track.number));
        prop_assert_eq!(ended.len() as u64, newest, "every track that started has ended");
    }

    #[test]
    fn the_order_of_detections_does_not_matter(scene in any_scene(), seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut tracker, mut shuffled) = (tracker(), tracker());
        let mut time = 0.0;
        for (sequence, (gap, seen)) in scene.iter().enumerate() {
            time += f64::from(*gap) / 1000.0;
            let mut places: Vec<usize> = (0..seen.len()).collect();
            random.shuffle(&mut places);
            let other: Vec<Detection> = places.iter().map(|&p| seen[p].clone()).collect();
            let a = tracker.update(at(time), sequence as u64, PICTURE, seen);
            let b = shuffled.update(at(time), sequence as u64, PICTURE, &other);
            // Compared by what was detected: two detections that are equal in all may change places.
            let with = |update: &TrackUpdate, list: &[Detection]| -> Vec<String> {
                let one = |s: &Sighting| format!("{:?} {} {:?}", s.track, s.hits, list[s.detection]);
                update.sightings().map(one).collect()
            };
            prop_assert_eq!(with(&a, seen), with(&b, &other));
            prop_assert_eq!((a.ended, a.refused), (b.ended, b.refused));
        }
    }
}
