//! Network cameras, against a real RTSP server.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/cameras.rs"]
mod cameras;
#[path = "support/rtsp_server.rs"]
mod rtsp_server;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use cameras::{Recorder, Told, camera, clock, drain, failure, frames, rtsp, with_login};
use rtsp_server::{Auth, Options, RtspServer};
use watchlistd::base::clock::Clock;
use watchlistd::base::shutdown;
use watchlistd::config::{Camera, CameraSource, Transport};
use watchlistd::source::supervisor::Supervisor;
use watchlistd::source::{Failure, Source, SourceError, gst};
use watchlistd::types::geometry::Size;

fn open(camera: &Camera) -> Result<Box<dyn Source>, SourceError> {
    gst::open(camera, 1, &clock())
}

fn over_tcp(url: &str) -> Camera {
    camera(CameraSource::Rtsp(rtsp(url)))
}

#[test]
fn frames_come_with_growing_times_and_what_is_known_of_the_stream() {
    let server = RtspServer::start(Options::default());
    let clock = clock();
    let before = clock.now();
    let mut source = gst::open(&over_tcp(&server.url()), 7, &clock).unwrap();
    let got = frames(&mut *source, 20).unwrap();
    assert!(got.windows(2).all(|w| w[0].captured.mono < w[1].captured.mono && w[0].sequence < w[1].sequence));
    assert!(got.iter().all(|f| f.epoch == 7 && f.size() == Size::new(320, 240)));
    // Captured lies between opening and now, on both clocks.
    let now = clock.now();
    assert!(got.iter().all(|f| f.captured.mono >= before.mono && f.captured.mono <= now.mono));
    assert!(got.iter().all(|f| f.captured.wall >= before.wall && f.captured.wall <= now.wall));
    let info = source.info();
    assert_eq!(info.codec.as_deref(), Some("H264"));
    assert_eq!((info.size, info.fps, info.transport), (Some(Size::new(320, 240)), Some(25.0), Some("tcp")));
    assert!(info.decoder.is_some_and(|d| d.contains("264")));
}

#[test]
fn udp_works() {
    let server = RtspServer::start(Options::default());
    let mut stream = rtsp(&server.url());
    stream.transport = Transport::Udp;
    let mut source = open(&camera(CameraSource::Rtsp(stream))).unwrap();
    frames(&mut *source, 5).unwrap();
    assert_eq!(source.info().transport, Some("udp"));
}

#[test]
fn only_the_picture_is_taken_from_a_camera_with_sound() {
    let server = RtspServer::start(Options { sound: true, ..Options::default() });
    let mut source = open(&over_tcp(&server.url())).unwrap();
    frames(&mut *source, 5).unwrap();
    let deaf = RtspServer::start(Options { sound_only: true, ..Options::default() });
    let error = failure(open(&over_tcp(&deaf.url())));
    assert_eq!(error.failure, Failure::Unsupported, "{error}");
}

#[test]
fn the_configured_decoder_is_used_and_an_unknown_one_is_named() {
    let server = RtspServer::start(Options::default());
    let mut chosen = over_tcp(&server.url());
    chosen.decoder = Some("openh264dec".to_owned());
    let mut source = open(&chosen).unwrap();
    frames(&mut *source, 3).unwrap();
    assert_eq!(source.info().decoder.as_deref(), Some("openh264dec"));
    for wrong in ["nosuchdec", "filesrc"] {
        chosen.decoder = Some(wrong.to_owned());
        let error = failure(open(&chosen));
        assert_eq!(error.failure, Failure::Unsupported);
        assert!(error.message.contains(wrong) && error.message.contains("gst-inspect-1.0"), "{error}");
    }
}

#[test]
fn logins_basic_and_digest() {
    for auth in [Auth::Basic("viewer", "corr3ct horse"), Auth::Digest("viewer", "corr3ct horse")] {
        let server = RtspServer::start(Options { auth: Some(auth), ..Options::default() });
        let login =
            |password| camera(CameraSource::Rtsp(with_login(rtsp(&server.url()), "viewer", password)));
        frames(&mut *open(&login("corr3ct horse")).unwrap(), 3).unwrap();
        let refused = failure(open(&login("wr0ng horse")));
        assert_eq!(refused.failure, Failure::Unauthorized, "{refused}");
        assert!(!refused.message.contains("horse") && !refused.message.contains("viewer"), "{refused}");
        let nobody = failure(open(&over_tcp(&server.url())));
        assert_eq!(nobody.failure, Failure::Unauthorized, "{nobody}");
    }
}

#[test]
fn a_wrong_path_is_not_found() {
    let server = RtspServer::start(Options::default());
    let error = failure(open(&over_tcp(&format!("rtsp://127.0.0.1:{}/other", server.port()))));
    assert_eq!(error.failure, Failure::NotFound, "{error}");
    assert!(error.message.contains("/other"), "{error}");
}

#[test]
fn nobody_listening_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = failure(open(&over_tcp(&format!("rtsp://127.0.0.1:{port}/live"))));
    assert_eq!(error.failure, Failure::Unreachable, "{error}");
}

#[test]
fn garbage_is_an_error_and_nothing_worse() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut rng = fastrand::Rng::with_seed(1);
        // One answer is no RTSP at all, the next is but holds no session description.
        for answer in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let noise: Vec<u8> = (0..100_000).map(|_| rng.u8(..)).collect();
            if answer == 1 {
                let _ =
                    stream.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n");
            }
            let _ = stream.write_all(&noise);
        }
    });
    for _ in 0..2 {
        let error = failure(open(&over_tcp(&format!("rtsp://127.0.0.1:{port}/live"))));
        assert!(matches!(error.failure, Failure::Unreachable | Failure::Corrupt), "{error:?}");
        assert!(!error.message.chars().any(char::is_control));
    }
    server.join().unwrap();
}

#[test]
fn another_resolution_in_mid_stream_goes_on() {
    let server = RtspServer::start(Options::default());
    let mut source = open(&over_tcp(&server.url())).unwrap();
    frames(&mut *source, 5).unwrap();
    server.resize(640, 480);
    let large = (0..200).any(|_| frames(&mut *source, 1).unwrap()[0].size() == Size::new(640, 480));
    assert!(large, "no frame of the new size in 200");
    assert_eq!(source.info().size, Some(Size::new(640, 480)));
}

#[test]
fn a_slow_reader_gets_the_newest_frame_and_the_lost_ones_are_counted() {
    let server = RtspServer::start(Options::default());
    let clock = clock();
    let mut source = gst::open(&over_tcp(&server.url()), 1, &clock).unwrap();
    let first = frames(&mut *source, 1).unwrap().remove(0);
    // Nothing is read until a second's worth of frames has passed on the pipeline's own clock.
    let from = clock.now().mono;
    while clock.now().mono < from + Duration::from_secs(1) {
        std::thread::yield_now();
    }
    let next = frames(&mut *source, 2).unwrap();
    assert!(next[0].sequence > first.sequence + 10, "{first:?} {next:?}");
    assert!(next[0].captured.mono > from, "an old frame waited");
}

#[test]
fn dropping_a_source_hangs_up() {
    let server = RtspServer::start(Options::default());
    let mut source = open(&over_tcp(&server.url())).unwrap();
    frames(&mut *source, 2).unwrap();
    assert_eq!(server.clients(), 1);
    drop(source);
    let deadline = std::time::Instant::now() + cameras::DEADLINE;
    while server.clients() > 0 {
        assert!(std::time::Instant::now() < deadline, "the client stays connected");
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_server_ends_the_stream() {
    let server = RtspServer::start(Options::default());
    let mut source = open(&over_tcp(&server.url())).unwrap();
    frames(&mut *source, 2).unwrap();
    drop(server);
    let (_, error) = drain(&mut *source);
    assert!(matches!(error.failure, Failure::Ended | Failure::Unreachable), "{error:?}");
}

/// A supervisor over the real opener, stopped when dropped.
struct Supervised {
    told: Arc<Recorder>,
    stopper: Option<shutdown::Stopper>,
    handle: Option<watchlistd::source::supervisor::Handle>,
}

impl Supervised {
    fn start(camera: Camera) -> Self {
        let (stopper, stop) = shutdown::channel();
        let told = Arc::new(Recorder::default());
        let clock: Arc<dyn Clock> = clock();
        let opener = Arc::new(gst::GstOpener::new(clock.clone()));
        let handle = Supervisor::spawn(camera, 1, opener, clock, stop, told.clone()).unwrap();
        Self { told, stopper: Some(stopper), handle: Some(handle) }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stopper.take();
        self.handle.take().unwrap().join();
    }
}

#[test]
fn a_camera_that_dies_and_returns_delivers_again_in_a_new_epoch() {
    let server = RtspServer::start(Options::default());
    let port = server.port();
    let supervised = Supervised::start(over_tcp(&server.url()));
    supervised.told.until("frames", |told| told.iter().filter(|t| t.frame_epoch() == Some(1)).count() >= 2);
    drop(server);
    supervised.told.until("the loss", |told| told.iter().any(|t| t.is_state("waiting")));
    let _server = RtspServer::start(Options { port, ..Options::default() });
    let told = supervised.told.until("frames again", |told| told.iter().any(|t| t.frame_epoch() > Some(1)));
    assert!(told.iter().any(|t| matches!(t, Told::Info(info) if info.codec.as_deref() == Some("H264"))));
}

#[test]
fn a_camera_that_falls_silent_is_opened_again() {
    let server = RtspServer::start(Options::default());
    let mut silent = over_tcp(&server.url());
    silent.stall = Duration::from_secs(2);
    let supervised = Supervised::start(silent);
    supervised.told.until("frames", |told| told.iter().any(|t| t.frame_epoch() == Some(1)));
    server.stall(true);
    supervised.told.until("the stall", |told| told.iter().any(|t| t.is_failure(Failure::Stalled)));
    server.stall(false);
    supervised.told.until("frames again", |told| told.iter().any(|t| t.frame_epoch() > Some(1)));
}

#[test]
fn a_refused_password_is_a_state_of_its_own() {
    let auth = Some(Auth::Digest("viewer", "right"));
    let server = RtspServer::start(Options { auth, ..Options::default() });
    let login = with_login(rtsp(&server.url()), "viewer", "wrong");
    let supervised = Supervised::start(camera(CameraSource::Rtsp(login)));
    supervised.told.until("the refusal", |told| told.iter().any(|t| t.is_state("refused")));
}
