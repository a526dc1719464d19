//! Cameras that belong together.

use super::*;
use crate::config::{Camera, CameraSource};
use crate::decide::Places;

fn at_camera(camera: &str, number: u64) -> TrackId {
    TrackId { camera: CameraId::new(camera).unwrap(), epoch: 1, number }
}

fn places(cameras: &[(&str, Option<&str>)]) -> Places {
    let source = || CameraSource::V4l2 { device: "/dev/video0".into() };
    let camera = |(id, place): &(&str, Option<&str>)| Camera {
        place: place.map(str::to_owned),
        ..Camera::new(CameraId::new(id).unwrap(), source())
    };
    Places::new(&cameras.iter().map(camera).collect::<Vec<_>>())
}

/// A shot of person 0 at a camera, and the track's end half a second later.
fn seen(scene: &mut Scene, camera: &str, number: u64, seconds: f64) -> Vec<(String, Uuid)> {
    let world = scene.world.clone();
    let id = at_camera(camera, number);
    let sequence = (seconds * 1000.0) as u64;
    let mut told = scene.decider.shot(&id, shot(sequence, seconds, &[(0, 0.9)], 0.5), &|p| world.search(p));
    told.extend(scene.decider.ended(&id, at(seconds + 0.5)));
    told.iter().filter_map(Notice::decision).map(|d| (d.track.camera.to_string(), d.visit)).collect()
}

#[test]
fn who_goes_from_one_camera_of_a_place_to_another_makes_one_visit() {
    let mut scene = Scene::with(config::Decide { confirm: 1, ..rules() }, World::of(0..4));
    scene.decider.set_places(places(&[
        ("door", Some("entrance")),
        ("hall", Some("entrance")),
        ("yard", None),
    ]));
    let first = seen(&mut scene, "door", 1, 0.0);
    assert_eq!(first.len(), 1);
    assert_eq!(seen(&mut scene, "hall", 1, 10.0), [], "the visit goes on, and all was said");
    let yard = seen(&mut scene, "yard", 1, 12.0);
    assert_eq!(yard.len(), 1, "a place of its own");
    assert_ne!(yard[0].1, first[0].1);
    assert_eq!(seen(&mut scene, "door", 2, 60.0).len(), 1, "after the cool-down of both another begins");
}

#[test]
fn what_one_camera_said_preliminarily_another_of_the_place_confirms() {
    let mut scene = Scene::new();
    scene.decider.set_places(places(&[("door", Some("entrance")), ("hall", Some("entrance"))]));
    let first = seen(&mut scene, "door", 1, 0.0);
    let world = scene.world.clone();
    let id = at_camera("hall", 1);
    let mut told = Vec::new();
    for (sequence, seconds) in [(1, 5.0), (2, 5.5)] {
        told.extend(scene.decider.shot(&id, shot(sequence, seconds, &[(0, 0.9)], 0.5), &|p| world.search(p)));
    }
    let [decision] = &told.iter().filter_map(Notice::decision).collect::<Vec<_>>()[..] else {
        panic!("confirmed, once")
    };
    assert!(matches!(decision.verdict, Verdict::Recognized { stage: Stage::Confirmed, .. }));
    assert_eq!(decision.visit, first[0].1);
}

#[test]
fn a_visit_stays_where_it_began_when_the_places_change() {
    let mut scene = Scene::with(config::Decide { confirm: 1, fuse: 1, ..rules() }, World::of(0..4));
    let world = scene.world.clone();
    let id = at_camera("door", 1);
    let search = |p: &Embedding| world.search(p);
    assert_eq!(scene.decider.shot(&id, shot(1, 0.0, &[(0, 0.9)], 0.1), &search).len(), 1);
    scene.decider.set_places(places(&[("door", Some("entrance"))]));
    // It is taken back under the id that it was said with, and nothing is left of it.
    let told = scene.decider.shot(&id, shot(2, 0.5, &[(0, 0.1)], 0.9), &search);
    assert!(told.iter().filter_map(Notice::decision).count() == 1, "{told:?}");
    scene.decider.ended(&id, at(1.0));
    scene.decider.ended(&at_camera("door", 2), at(60.0));
    assert_eq!(scene.decider.load(), (0, 0));
}
