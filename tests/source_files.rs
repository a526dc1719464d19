//! Files, devices and the test picture, over real GStreamer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/cameras.rs"]
mod cameras;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cameras::{camera, clock, drain, failure, frames};
use watchlistd::config::{Camera, CameraSource};
use watchlistd::source::gst::writer::VideoWriter;
use watchlistd::source::{Failure, Next, Source, SourceError, gst};
use watchlistd::types::frame::{Frame, Planes, RgbImage};
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::CameraId;

const SIZE: Size = Size::new(321, 181);

fn offline(path: &Path) -> Result<Box<dyn Source>, SourceError> {
    gst::open_file(path, &CameraId::new("file").unwrap(), &clock())
}

/// A video whose frames get lighter one by one, at 20 frames a second.
fn video(folder: &Path, name: &str, size: Size, count: u32) -> PathBuf {
    let path = folder.join(name);
    let mut writer = VideoWriter::create(&path, size, 20.0).unwrap();
    for i in 0..count {
        let picture = RgbImage::new(size, vec![(40 + 4 * i) as u8; size.area() as usize * 3]).unwrap();
        writer.write(&picture, Duration::from_millis(50) * i).unwrap();
    }
    assert!(!path.exists(), "the file has its name before it is complete");
    writer.finish().unwrap();
    path
}

/// Samples as they count, without the padding of rows.
fn samples(frame: &Frame) -> Vec<u8> {
    let Size { width, height } = frame.size();
    let (w, h) = (width as usize, height as usize);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let planes = match frame.pixels().planes() {
        Planes::I420 { y, u, v, .. } => vec![(y, w, h), (u, cw, ch), (v, cw, ch)],
        Planes::Nv12 { y, uv, .. } => vec![(y, w, h), (uv, 2 * cw, ch)],
        Planes::Rgb { rgb } => vec![(rgb, 3 * w, h)],
    };
    let rows = planes.into_iter().flat_map(|(p, w, h)| (0..h).map(move |y| &p.data[y * p.stride..][..w]));
    rows.flatten().copied().collect()
}

#[test]
fn a_file_gives_every_frame_at_its_position_and_twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", SIZE, 30);
    let run = || {
        let mut source = offline(&path).unwrap();
        let (frames, end) = drain(&mut *source);
        assert_eq!(end.failure, Failure::Ended, "{end}");
        (frames, source.info())
    };
    let (first, info) = run();
    assert_eq!(first.len(), 30);
    for (i, frame) in first.iter().enumerate() {
        assert_eq!(frame.sequence, i as u64);
        assert_eq!(frame.captured.mono.as_millis(), 50 * i as u128);
        let since = frame.captured.wall.duration_since(first[0].captured.wall);
        assert_eq!(since.as_millis(), 50 * i as i128);
        // Each is lighter than the one before: in order, none twice, none missing.
        let light = |frame: &Frame| u32::from(samples(frame)[0]);
        assert!(i == 0 || light(frame) > light(&first[i - 1]), "frame {i}");
    }
    assert_eq!(first[0].size(), Size::new(322, 182), "odd sides are made even for 4:2:0");
    assert_eq!((info.codec.as_deref(), info.transport, info.fps), (Some("H264"), Some("file"), Some(20.0)));
    let (second, _) = run();
    assert_eq!(second.len(), first.len());
    assert!(first.iter().zip(&second).all(|(a, b)| samples(a) == samples(b)
        && a.captured.mono == b.captured.mono
        && a.sequence == b.sequence));
}

#[test]
fn a_dropped_source_frees_a_decoder_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", SIZE, 40);
    for _ in 0..5 {
        let mut source = offline(&path).unwrap();
        frames(&mut *source, 1).unwrap();
        drop(source);
    }
}

#[test]
fn matroska_is_read_too() {
    // Remuxed by GStreamer's own tool; without it there is nothing to test with.
    let folder = tempfile::tempdir().unwrap();
    let mp4 = video(folder.path(), "a.mp4", SIZE, 10);
    let mkv = folder.path().join("a.mkv");
    let tool = std::process::Command::new("gst-launch-1.0")
        .args([
            "-q",
            "filesrc",
            &format!("location={}", mp4.display()),
            "!",
            "qtdemux",
            "!",
            "h264parse",
            "!",
        ])
        .args(["matroskamux", "!", "filesink", &format!("location={}", mkv.display())])
        .status();
    match tool {
        Ok(status) if status.success() => {}
        _ => return eprintln!("skipped: gst-launch-1.0 with matroskamux is not installed"),
    }
    let (frames, end) = drain(&mut *offline(&mkv).unwrap());
    assert_eq!((frames.len(), end.failure), (10, Failure::Ended));
}

#[test]
fn bad_files_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut rng = fastrand::Rng::with_seed(3);
    let noise: Vec<u8> = (0..200_000).map(|_| rng.u8(..)).collect();
    let whole = std::fs::read(video(folder.path(), "whole.mp4", SIZE, 20)).unwrap();
    let cases = [
        (folder.path().join("missing.mp4"), Failure::NotFound, "no such file"),
        (folder.path().to_owned(), Failure::NotFound, "folder"),
        (write("empty.mp4", b""), Failure::Corrupt, "0 bytes"),
        (write("noise.mp4", &noise), Failure::Corrupt, "noise.mp4"),
        (write("text.mp4", b"this is no video\n"), Failure::Corrupt, "text.mp4"),
        (write("a.gif", b"GIF89a\x01\x00\x01\x00"), Failure::Unsupported, "ffmpeg"),
        // The index of an MP4 is at its end.
        (write("cut.mp4", &whole[..whole.len() / 2]), Failure::Corrupt, "cut.mp4"),
    ];
    for (path, expected, text) in cases {
        let error = failure(offline(&path));
        assert!(
            error.message.contains(text) && error.message.contains(&path.display().to_string()),
            "{error}"
        );
        assert_eq!(error.failure, expected, "{error}");
        let live = camera(CameraSource::File { path, repeat: true });
        assert_eq!(failure(gst::open(&live, 1, &clock())).failure, expected);
    }
}

#[test]
fn damaged_pictures_are_skipped_or_refused_without_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", Size::new(640, 480), 30);
    let whole = std::fs::read(&path).unwrap();
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..10 {
        let mut bytes = whole.clone();
        for _ in 0..40 {
            let at = rng.usize(0..bytes.len());
            bytes[at] = rng.u8(..);
        }
        std::fs::write(&path, bytes).unwrap();
        match offline(&path) {
            Ok(mut source) => assert!(drain(&mut *source).0.len() <= 31),
            Err(error) => assert!(!error.message.is_empty()),
        }
    }
}

#[test]
fn a_repeated_file_starts_over_and_a_played_one_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = video(folder.path(), "a.mp4", SIZE, 10);
    let play =
        |repeat| gst::open(&camera(CameraSource::File { path: path.clone(), repeat }), 1, &clock()).unwrap();
    let got = frames(&mut *play(true), 35).unwrap();
    assert!(got.windows(2).all(|w| w[0].sequence < w[1].sequence && w[0].captured.mono < w[1].captured.mono));
    let (got, end) = drain(&mut *play(false));
    assert!(!got.is_empty() && got.len() <= 10);
    assert_eq!(end.failure, Failure::Ended);
    // At its own speed: the last frame is due 450 ms after the first.
    let took = got[got.len() - 1].captured.since(got[0].captured);
    let due = Duration::from_millis(50) * (got[got.len() - 1].sequence - got[0].sequence) as u32;
    assert!(took + Duration::from_millis(20) >= due, "{took:?} for {due:?}");
}

fn test_picture(pattern: &str, size: Size) -> Camera {
    camera(CameraSource::Test { pattern: pattern.to_owned(), size, fps: 25 })
}

#[test]
fn the_test_picture_is_live() {
    let mut source = gst::open(&test_picture("smpte", Size::new(640, 360)), 3, &clock()).unwrap();
    let got = frames(&mut *source, 5).unwrap();
    assert!(got.iter().all(|f| f.epoch == 3 && f.size() == Size::new(640, 360)));
    let info = source.info();
    assert_eq!((info.codec.as_deref(), info.decoder, info.fps), (Some("raw"), None, Some(25.0)));
    let wrong = failure(gst::open(&test_picture("nosuch", Size::new(64, 64)), 1, &clock()));
    assert!(wrong.failure == Failure::NotFound && wrong.message.contains("smpte"), "{wrong}");
    let huge = failure(gst::open(&test_picture("smpte", Size::new(30_000, 30_000)), 1, &clock()));
    assert_eq!(huge.failure, Failure::Unsupported, "{huge}");
}

#[test]
fn a_device_that_is_not_there_is_not_found() {
    for device in ["/dev/video-nosuch", "/etc/passwd"] {
        let error = failure(gst::open(&camera(CameraSource::V4l2 { device: device.into() }), 1, &clock()));
        assert_eq!(error.failure, Failure::NotFound);
        assert!(error.message.contains(device), "{error}");
    }
}

#[test]
fn a_writer_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let mut writer = VideoWriter::create(&path, SIZE, 20.0).unwrap();
    writer.write(&RgbImage::new(SIZE, vec![9; SIZE.area() as usize * 3]).unwrap(), Duration::ZERO).unwrap();
    assert!(writer.write(&RgbImage::new(Size::new(2, 2), vec![0; 12]).unwrap(), Duration::ZERO).is_err());
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    for (bad, exit) in [(folder.path().join("no/such/a.mp4"), 73), (folder.path().to_owned(), 73)] {
        assert_eq!(VideoWriter::create(&bad, SIZE, 20.0).err().unwrap().kind().exit_code(), exit);
    }
    assert!(VideoWriter::create(&path, SIZE, f32::NAN).is_err());
    assert!(VideoWriter::create(&path, Size::new(30_000, 30_000), 25.0).is_err());
}

/// Cost of decoding 1080p, for comparison with `gst-launch-1.0`; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn measure_decoding() {
    let shared = std::env::var("WATCHLISTD_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let path = Path::new(&shared).join("data/video/crowd_1080p.mp4");
    if !path.exists() {
        return eprintln!("skipped: {} is not here", path.display());
    }
    for _ in 0..5 {
        let before = cpu_ticks();
        let mut source = offline(&path).unwrap();
        let mut count = 0;
        while let Ok(next) = source.next(cameras::DEADLINE) {
            count += usize::from(matches!(next, Next::Frame(_)));
        }
        let ticks = cpu_ticks() - before;
        eprintln!("{count} frames, {:.2} ms of CPU a frame", ticks as f64 * 10.0 / count as f64);
    }
}

/// User and system time of this process, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum()
}
