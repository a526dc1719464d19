//! What can be seen only from the inside: whose memory a frame's pixels are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoFrameRef, VideoInfo};

use super::*;
use crate::base::clock::SystemClock;
use crate::source::Next;
use crate::types::frame::{Frame, Planes, RgbImage};
use crate::types::geometry::Size;

fn video(folder: &Path, size: Size, frames: usize) -> PathBuf {
    let path = folder.join("video.mp4");
    let mut writer = writer::VideoWriter::create(&path, size, 25.0).unwrap();
    for i in 0..frames {
        let shade = (i * 5 % 200) as u8 + 20;
        let picture = RgbImage::new(size, vec![shade; size.area() as usize * 3]).unwrap();
        writer.write(&picture, Duration::from_millis(40) * i as u32).unwrap();
    }
    writer.finish().unwrap();
    path
}

fn decoder_pad(pipeline: &gst::Pipeline) -> Option<gst::Pad> {
    let mut elements = pipeline.iterate_recurse();
    while let Ok(Some(element)) = elements.next() {
        if element.factory().is_some_and(|f| pipeline::is_video_decoder(&f)) {
            return element.static_pad("src");
        }
    }
    None
}

fn luma(frame: &Frame) -> usize {
    match frame.pixels().planes() {
        Planes::I420 { y, .. } | Planes::Nv12 { y, .. } => y.data.as_ptr() as usize,
        Planes::Rgb { .. } => panic!("RGB from a decoder"),
    }
}

#[test]
fn pixels_stay_in_the_decoders_own_memory() {
    init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // 1080 lines are not a multiple of 16: the decoder pads, and would copy if asked for plain rows.
    let path = video(folder.path(), Size::new(1920, 1080), 24);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut stream = file::open_offline(&path, &CameraId::new("file").unwrap(), &clock).unwrap();
    let mut first = None;
    while first.is_none() {
        if let Next::Frame(frame) = stream.next(Duration::from_secs(30)).unwrap() {
            first = Some(frame);
        }
    }
    // The decoder waits for us by now; what it sends from here on is written down.
    let made: Arc<Mutex<Vec<usize>>> = Arc::default();
    let notes = made.clone();
    decoder_pad(stream.pipeline()).unwrap().add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
        let info = VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
        let picture = VideoFrameRef::from_buffer_ref_readable(probe.buffer().unwrap(), &info).unwrap();
        notes.lock().unwrap().push(picture.plane_data(0).unwrap().as_ptr() as usize);
        gst::PadProbeReturn::Ok
    });
    let mut kept = Vec::new();
    while let Ok(next) = stream.next(Duration::from_secs(30)) {
        if let Next::Frame(frame) = next {
            kept.push(frame);
        }
    }
    assert_eq!(kept.len(), 23);
    let made = made.lock().unwrap();
    assert!(made.len() > 10, "{}", made.len());
    // All frames are kept, so no memory was used twice.
    let delivered: Vec<usize> = kept.iter().map(luma).collect();
    assert_eq!(delivered[delivered.len() - made.len()..], made[..]);
}

#[test]
fn other_formats_become_420_and_keep_their_colour_coding() {
    init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // As USB cameras send them: JPEG with 4:2:2 chroma, and uncompressed YUY2.
    for (name, coding, full_range) in
        [("jpeg", "format=Y42B,colorimetry=1:4:0:0 ! jpegenc", true), ("yuy2", "format=YUY2", false)]
    {
        let path = folder.path().join(name);
        let line = format!(
            "videotestsrc num-buffers=5 pattern=white ! video/x-raw,format=RGB ! videoconvert ! video/x-raw,width=322,height=182,{coding} \
             ! matroskamux ! filesink location={}",
            path.display()
        );
        let made = gst::parse::launch(&line).unwrap();
        made.set_state(gst::State::Playing).unwrap();
        let end = made.bus().unwrap().timed_pop_filtered(
            gst::ClockTime::from_seconds(30),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        );
        made.set_state(gst::State::Null).unwrap();
        assert_eq!(end.unwrap().type_(), gst::MessageType::Eos);

        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut stream = file::open_offline(&path, &CameraId::new("file").unwrap(), &clock).unwrap();
        let Next::Frame(frame) = stream.next(Duration::from_secs(30)).unwrap() else { panic!("no frame") };
        assert_eq!(frame.size(), Size::new(322, 182));
        let (y, color) = match frame.pixels().planes() {
            Planes::I420 { y, color, .. } | Planes::Nv12 { y, color, .. } => (y, color),
            Planes::Rgb { .. } => panic!("RGB from a decoder"),
        };
        assert_eq!(color.full_range, full_range, "{name}");
        let white = if full_range { 255 } else { 235 };
        assert!(y.data[0].abs_diff(white) <= 2, "{name}: {}", y.data[0]);
    }
}
