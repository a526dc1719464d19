//! `watchlistd recognize` over a video: who is in it, the same every time, and what a broken one gives.
//!
//! The video is made here from photographs that set-up fetched: an enrolled person, from another photograph than the
//! enrolled one, on the left, and a stranger on the right, both moving over a plain wall.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/cameras.rs"]
mod cameras;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use support::{Site, errors, json_lines, var};
use watchlistd::image::codec::read_image;
use watchlistd::image::warp::stretch;
use watchlistd::source::gst::writer::VideoWriter;
use watchlistd::source::{Failure, gst};
use watchlistd::types::frame::{Pixels, RgbImage};
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::CameraId;

const SIZE: Size = Size::new(640, 480);
const FPS: u32 = 25;
const FRAMES: u32 = 100;
const WALL: [u8; 3] = [150, 156, 164];

/// A part of a photograph, left, top, width and height given, at another size.
fn cut_out(photo: &Path, [x, y, width, height]: [usize; 4], size: Size) -> RgbImage {
    let photo = read_image(photo).expect("set-up fetched it");
    let row = photo.size().width as usize * 3;
    let rows = (y..y + height).map(|y| &photo.data()[y * row + x * 3..][..width * 3]);
    let part = RgbImage::new(Size::new(width as u32, height as u32), rows.collect::<Vec<_>>().concat());
    stretch(&part.expect("inside the photograph"), size).expect("a size")
}

fn paste(canvas: &mut RgbImage, figure: &RgbImage, left: u32, top: u32) {
    let (row, size) = (canvas.size().width as usize * 3, figure.size());
    let wide = size.width as usize * 3;
    for (y, line) in figure.data().chunks_exact(wide).enumerate() {
        canvas.data_mut()[(top as usize + y) * row + left as usize * 3..][..wide].copy_from_slice(line);
    }
}

/// The video, and a site where the person on the left is enrolled.
fn scene(var: &Path) -> (Site, PathBuf) {
    let site = Site::new(var, "");
    let images = var.join("images");
    let enrolled = site.run("enroll", &["Barack Obama", &images.join("obama.jpg").display().to_string()]);
    assert!(enrolled.status.success(), "{}", errors(&enrolled));

    let known = cut_out(&images.join("obama2.jpg"), [110, 60, 500, 740], Size::new(200, 296));
    let stranger = cut_out(&images.join("t1.jpg"), [680, 260, 230, 270], Size::new(230, 270));
    let path = site.folder.path().join("scene.mp4");
    let mut writer = VideoWriter::create(&path, SIZE, FPS as f32).expect("a writer");
    for i in 0..FRAMES {
        let mut picture = RgbImage::new(SIZE, WALL.repeat(SIZE.area() as usize)).expect("a size");
        paste(&mut picture, &known, 10 + i, 90 + i / 4);
        paste(&mut picture, &stranger, 405 - i / 2, 100);
        writer.write(&picture, Duration::from_secs(1) * i / FPS).expect("written");
    }
    writer.finish().expect("complete");
    (site, path)
}

fn recognize(site: &Site, video: &Path, more: &[&str]) -> Output {
    let mut arguments = vec![video.to_str().expect("UTF-8")];
    arguments.extend(more);
    site.run("recognize", &arguments)
}

/// Its last line: totals and tracks.
#[track_caller]
fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", errors(output));
    json_lines(output).pop().expect("a last line")
}

fn tracks(report: &Value) -> Vec<Value> {
    report["tracks"].as_array().expect("a list").clone()
}

/// Frames that our own reader finds in a file, and its codec.
fn played(path: &Path) -> (usize, Option<String>, Size) {
    let mut source =
        gst::open_file(path, &CameraId::new("file").expect("an id"), &cameras::clock()).expect("it opens");
    let (frames, end) = cameras::drain(&mut *source);
    assert_eq!(end.failure, Failure::Ended, "{end}");
    (frames.len(), source.info().codec, frames[0].size())
}

#[test]
fn a_video_gives_the_same_lines_whatever_the_number_of_workers() {
    let Some(var) = var() else { return };
    let (site, video) = scene(&var);
    let first = recognize(&site, &video, &["--workers", "1"]);
    let report = report(&first);
    assert_eq!(report["totals"]["frames"], FRAMES, "{report}");
    assert_eq!(report["totals"]["inferred"], FRAMES, "{report}");
    for workers in ["2", "2", "3", "1"] {
        let again = recognize(&site, &video, &["--workers", workers]);
        assert!(again.status.success(), "{}", errors(&again));
        assert!(again.stdout == first.stdout, "with {workers} workers it says something else");
    }

    // The person on the left is recognised and confirmed; the one on the right is not.
    let events = json_lines(&first);
    let recognized: Vec<&Value> = events.iter().filter(|e| e["data"]["decision"] == "recognized").collect();
    assert!(recognized.iter().all(|e| e["data"]["identity"]["name"] == "Barack Obama"), "{recognized:?}");
    assert!(recognized.iter().any(|e| e["data"]["stage"] == "confirmed"), "{recognized:?}");
    assert!(recognized.iter().all(|e| e["data"]["stage"] != "withdrawn"), "{recognized:?}");
    let tracks = tracks(&report);
    let by = |decision: &str| tracks.iter().filter(|t| t["decision"] == decision).collect::<Vec<_>>();
    assert_eq!((tracks.len(), by("confirmed").len(), by("unknown").len()), (2, 1, 1), "{tracks:?}");
    assert_eq!(by("confirmed")[0]["identity"], "Barack Obama");
    assert!(by("unknown")[0]["identity"].is_null());
    let decided = |e: &&Value| e["data"]["decision"].is_string() && e["data"]["bbox"]["x1"].is_number();
    for event in events.iter().filter(decided) {
        let known = event["data"]["bbox"]["x1"].as_f64().expect("a number") < 320.0;
        assert_eq!(known, event["data"]["decision"] == "recognized", "{event}");
    }
    // Both appear before anything is decided of them, and leave after it, by the visit id that it was decided under.
    for track in &tracks {
        let of: Vec<&Value> = events.iter().filter(|e| e["data"]["track"] == track["track"]).collect();
        let kinds: Vec<&str> = of.iter().filter_map(|e| e["type"].as_str()).collect();
        let (first, last) = (of[0], of[of.len() - 1]);
        assert_eq!(first["type"], "io.watchlistd.appeared.v1", "{kinds:?}");
        assert_eq!(last["type"], "io.watchlistd.left.v1", "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| kind.contains("appeared") || kind.contains("left")).count(), 2);
        assert!(of.iter().all(|e| e["data"]["visit"] == first["data"]["visit"]), "{of:?}");
        assert_eq!(last["data"]["decision"], of[of.len() - 2]["data"]["decision"], "{last}");
    }
}

#[test]
fn a_recording_is_judged_under_another_threshold_beside_the_configured_one() {
    let Some(var) = var() else { return };
    let (site, video) = scene(&var);
    let file = video.to_str().expect("UTF-8");
    let replay = |more: &[&str]| site.run("replay", &[&[file], more].concat());

    let stricter = replay(&["--threshold", "0.99", "--json"]);
    assert_eq!(stricter.status.code(), Some(1), "{}", errors(&stricter));
    let tracks = json_lines(&stricter);
    let differing: Vec<&Value> = tracks.iter().filter(|track| track["differs"] == true).collect();
    assert_eq!((tracks.len(), differing.len()), (2, 1), "{tracks:?}");
    let track = differing[0];
    assert_eq!(
        (&track["old"]["decision"], &track["old"]["identity"]),
        (&"confirmed".into(), &"Barack Obama".into())
    );
    assert_eq!((&track["new"]["decision"], &track["new"]["identity"]), (&"unknown".into(), &Value::Null));
    let threshold = track["new"]["threshold"].as_f64().expect("a threshold");
    assert!((threshold - 0.99).abs() < 1e-6, "{track}");

    let words = replay(&["--threshold", "0.99"]);
    let said = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(said.contains("confirmed Barack Obama") && said.contains("1 of 2 tracks"), "{said}");
    let same = replay(&["--confirm", "2"]);
    assert_eq!(same.status.code(), Some(0), "{}", errors(&same));
    assert_eq!(String::from_utf8_lossy(&same.stdout), "0 of 2 tracks are judged otherwise\n");
    let nothing = replay(&[]);
    assert_eq!(nothing.status.code(), Some(64));
    assert!(errors(&nothing).contains("--threshold"), "{}", errors(&nothing));
}

#[test]
fn the_annotated_video_plays_and_has_every_frame() {
    let Some(var) = var() else { return };
    let (site, video) = scene(&var);
    let out = site.path("named.mp4");
    let output = recognize(&site, &video, &["--out", &out]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(played(Path::new(&out)), (FRAMES as usize, Some("H264".to_owned()), SIZE));
    let header = std::fs::read(&out).expect("written");
    assert_eq!(&header[4..8], b"ftyp", "an MP4 begins so");
    assert!(boxes_drawn(&video, Path::new(&out)) > 20, "boxes are drawn in it");

    let refused = recognize(&site, &video, &["--out", &site.path("named.mkv")]);
    assert_eq!(refused.status.code(), Some(64), "{}", errors(&refused));
    assert!(!Path::new(&site.path("named.mkv")).exists());
}

/// Frames of two videos that differ clearly.
fn boxes_drawn(before: &Path, after: &Path) -> usize {
    let frames = |path: &Path| {
        let id = CameraId::new("file").expect("an id");
        let mut source = gst::open_file(path, &id, &cameras::clock()).expect("it opens");
        let (frames, _) = cameras::drain(&mut *source);
        frames.iter().map(|f| stretch(f.pixels(), f.size()).expect("a size").into_data()).collect::<Vec<_>>()
    };
    let differ =
        |(a, b): (&Vec<u8>, &Vec<u8>)| a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 60).count() > 1_000;
    frames(before).iter().zip(&frames(after)).filter(|pair| differ(*pair)).count()
}

#[test]
fn the_detail_file_has_a_line_for_each_frame_that_was_looked_at() {
    let Some(var) = var() else { return };
    let (site, video) = scene(&var);
    let detail = site.path("detail.jsonl");
    let every = report(&recognize(&site, &video, &["--detail", &detail]));
    let lines = detail_lines(&detail);
    assert_eq!(lines.len(), FRAMES as usize);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], i, "{line}");
        let due = i as f64 / f64::from(FPS);
        assert!((line["time_s"].as_f64().expect("a number") - due).abs() < 0.002, "{line}");
        for face in line["faces"].as_array().expect("a list") {
            let side = |name: &str| face["box"][name].as_f64().expect("a number");
            assert!(side("x1") < side("x2") && side("y1") < side("y2"), "{line}");
            assert!(side("x1") >= 0.0 && side("x2") <= f64::from(SIZE.width), "{line}");
        }
    }
    // Each track's sightings are the lines it stands in.
    for track in tracks(&every) {
        let in_lines = lines.iter().filter(|l| faces(l).any(|f| f["track"] == track["track"])).count();
        assert_eq!(track["sightings"], in_lines, "{track}");
    }

    // Five frames a second are a fifth of them, and enough to recognise.
    let sampled = report(&recognize(&site, &video, &["--fps", "5", "--detail", &detail]));
    assert_eq!(sampled["totals"]["frames"], FRAMES, "{sampled}");
    assert_eq!(sampled["totals"]["inferred"], FRAMES / 5, "{sampled}");
    let frames: Vec<u64> = detail_lines(&detail).iter().filter_map(|l| l["frame"].as_u64()).collect();
    assert_eq!(frames, (0..u64::from(FRAMES)).step_by(5).collect::<Vec<_>>());
    assert!(tracks(&sampled).iter().any(|t| t["identity"] == "Barack Obama"), "{sampled}");
}

fn detail_lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn faces(line: &Value) -> impl Iterator<Item = &Value> {
    line["faces"].as_array().into_iter().flatten()
}

/// The first part of a file.
fn truncated(site: &Site, whole: &Path, name: &str, part: f64) -> PathBuf {
    let bytes = std::fs::read(whole).expect("there");
    let path = site.folder.path().join(name);
    std::fs::write(&path, &bytes[..(bytes.len() as f64 * part) as usize]).expect("writable");
    path
}

#[test]
fn a_video_without_its_index_gives_one_line_and_nothing_else() {
    let Some(var) = var() else { return };
    let (site, video) = scene(&var);
    // The index of an MP4 stands at its end, unless somebody moved it.
    let half = truncated(&site, &video, "half.mp4", 0.5);
    let output = recognize(&site, &half, &["--out", &site.path("named.mp4")]);
    assert_eq!(output.status.code(), Some(65), "{}", errors(&output));
    assert!(output.stdout.is_empty());
    let said = errors(&output);
    assert!(said.lines().count() == 1 && said.contains("half.mp4") && !said.contains("panicked"), "{said}");
    assert!(!Path::new(&site.path("named.mp4")).exists());
}

#[test]
fn what_came_before_a_video_breaks_off_is_reported() {
    let Some(var) = var() else { return };
    let (site, video) = scene(&var);
    for (muxer, name) in [("mp4mux faststart=true", "index-first.mp4"), ("matroskamux", "scene.mkv")] {
        let whole = site.path(name);
        let script = format!(
            "gst-launch-1.0 -q filesrc location={video:?} ! qtdemux ! h264parse ! {muxer} ! filesink location={whole:?}"
        );
        let made = Command::new("sh").args(["-c", &script]).output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: gst-launch-1.0 cannot write {name} here");
            continue;
        }
        let all = recognize(&site, Path::new(&whole), &[]);
        assert_eq!(report(&all)["totals"]["frames"], FRAMES, "{name}");
        let cut = truncated(&site, Path::new(&whole), &format!("cut-{name}"), 0.6);
        let output = recognize(&site, &cut, &["--workers", "2"]);

        // GStreamer's demultiplexers take the end of the data for the end of the recording, so this is a success; how
        // far it came stands in the last line. Everything up to there is what the whole recording gives.
        let frames = report(&output)["totals"]["frames"].as_u64().expect("a number");
        assert!((20..u64::from(FRAMES)).contains(&frames), "{name}: {frames} frames");
        let (mut some, every) = (lines(&output), lines(&all));
        some.pop();
        // Who is there when it breaks off leaves then.
        let leaves = |line: &String| line.contains("\"io.watchlistd.left.v1\"");
        while some.pop_if(|line| leaves(line)).is_some() {}
        assert!(some.len() >= 2 && every.starts_with(&some), "{name}: {some:?}");
        assert!(some.iter().any(|line| line.contains("\"confirmed\"")), "{name}: {some:?}");
    }
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
