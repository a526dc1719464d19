//! A real client against the real server.

use std::path::Path;

use watchlistd::base::error::Kind;
use watchlistd::types::geometry::Size;

use super::*;
use crate::scene::Scene;
use crate::show::photo::Photo;

/// Frames that a test waits for what it expects: far more than a healthy camera needs.
const PATIENCE: usize = 600;

const SCENE: &str = r#"
length = 3600.0
size = [320, 240]
backdrop = [[0, 0, 0], [0, 0, 0]]
people = [{ name = "Ann", pictures = [{ image = "white.jpg" }] }]

[[visits]]
who = "Ann"
image = "white.jpg"
crop = [0, 0, 64, 64]
face = [16, 16, 48, 48]
path = [{ t = 0, x = 160, y = 120, width = 60 }, { t = 3600, x = 160, y = 120, width = 60 }]
"#;

fn camera(listen: &str, login: Option<Login>) -> Result<(Camera, Arc<Showtime>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    let white = Photo::new(Size::new(64, 64), vec![[255; 3]; 64 * 64]).expect("a picture");
    write("white.jpg", &white.to_jpeg(95).expect("a JPEG"));
    write("scene.toml", SCENE.as_bytes());
    let scene = Scene::load(&folder.path().join("scene.toml"))?;
    let stage = Stage::new(&scene, folder.path() as &Path)?;
    let showtime = Arc::new(Showtime::new(scene.length, true));
    let listen = listen.parse().expect("an address");
    let options = Options { listen, path: "/door".into(), fps: 25, login };
    Ok((Camera::start(stage, scene.size, showtime.clone(), &options)?, showtime))
}

struct Client {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
}

impl Client {
    fn connect(url: &str, extra: &str) -> Self {
        gst::init().expect("GStreamer");
        let launch = format!(
            "rtspsrc location={url} protocols=tcp latency=0 {extra} ! rtph264depay ! h264parse ! decodebin \
             ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=sink sync=false max-buffers=2 drop=true"
        );
        let pipeline = gst::parse::launch(&launch).expect("a pipeline").downcast::<gst::Pipeline>();
        let pipeline = pipeline.expect("a pipeline");
        let sink = pipeline.by_name("sink").and_then(|s| s.downcast().ok()).expect("the sink");
        pipeline.set_state(gst::State::Playing).expect("it starts");
        Self { pipeline, sink }
    }

    /// Luma in the middle of the next frame; the error if the pipeline fails first.
    fn middle(&self) -> std::result::Result<u8, String> {
        let bus = self.pipeline.bus().expect("a bus");
        loop {
            if let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
                let map = sample.buffer().expect("a buffer").map_readable().expect("readable");
                return Ok(map[120 * 320 + 160]);
            }
            if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
                && let gst::MessageView::Error(error) = message.view()
            {
                return Err(error.error().to_string());
            }
        }
    }

    fn sees(&self, expected: impl Fn(u8) -> bool) -> bool {
        (0..PATIENCE).any(|_| self.middle().is_ok_and(&expected))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn clients_see_an_empty_stage_until_the_scene_starts_and_then_who_is_on_it() {
    let (camera, showtime) = camera("127.0.0.1:0", None).expect("it listens");
    let first = Client::connect(camera.url(), "");
    assert!(first.middle().is_ok_and(|luma| luma < 40), "nobody is there");
    showtime.start(0.0);
    assert!(first.sees(|luma| luma > 200), "she is there");
    let second = Client::connect(camera.url(), "");
    assert!(second.sees(|luma| luma > 200), "for the second client too");
    drop(first);
    assert!(second.sees(|luma| luma > 200), "the first one's end does not concern the second");
}

#[test]
fn only_who_knows_the_password_may_watch() {
    for basic in [false, true] {
        let login = Login { user: Secret::new("viewer"), password: Secret::new("sesame"), basic };
        let (camera, _) = camera("127.0.0.1:0", Some(login)).expect("it listens");
        let client = |extra: &str| Client::connect(camera.url(), extra);
        assert!(client("user-id=viewer user-pw=sesame").middle().is_ok(), "basic: {basic}");
        for wrong in ["", "user-id=viewer user-pw=barley"] {
            assert!(client(wrong).middle().is_err(), "basic: {basic}, {wrong:?}");
        }
    }
}

#[test]
fn a_port_is_taken_while_the_camera_runs_and_free_afterwards() {
    let (first, _) = camera("127.0.0.1:0", None).expect("it listens");
    let client = Client::connect(first.url(), "");
    assert!(client.middle().is_ok());
    let address = first.url().trim_start_matches("rtsp://").trim_end_matches("/door").to_owned();
    let error = camera(&address, None).err().expect("taken");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.chain().contains(&address), "{}", error.chain());
    drop(first);
    let (again, _) = camera(&address, None).expect("free again");
    assert!(Client::connect(again.url(), "").middle().is_ok());
}
