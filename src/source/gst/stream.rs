//! A running pipeline as a [`Source`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video::VideoInfo;

use super::failure::Context;
use super::inbox::{Arrived, Inbox, Taken};
use super::pipeline::is_video_decoder;
use super::pixels::Mapped;
use crate::source::{Failure, Next, Source, SourceError, StreamInfo};
use crate::types::frame::Frame;
use crate::types::geometry::Size;
use crate::types::ids::CameraId;

/// How long a teardown is waited for. A dead camera's goes on in the background.
const TEARDOWN: Duration = Duration::from_millis(500);

/// A file whose reading has stopped and that gave nothing for this long is damaged.
const SILENT_FILE: Duration = Duration::from_secs(2);

/// What happens at the end of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    Stop,
    Repeat,
}

/// What a pipeline needs to become a source.
pub(super) struct Parts {
    pub(super) pipeline: gst::Pipeline,
    pub(super) sink: gst_app::AppSink,
    pub(super) inbox: Arc<Inbox>,
    pub(super) context: Context,
    pub(super) camera: CameraId,
    pub(super) epoch: u32,
    pub(super) transport: &'static str,
    pub(super) at_end: AtEnd,
}

pub(super) struct Stream {
    parts: Parts,
    /// Frames delivered since the start, or since the file was last started over.
    delivered: u64,
    /// When the newest frame was delivered.
    heard: Instant,
}

impl Stream {
    /// Starts the pipeline.
    pub(super) fn start(parts: Parts) -> Result<Self, SourceError> {
        // Always the same clock: one that a sound card provides would drift against ours.
        parts.pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        super::pipeline::watch_bus(&parts.pipeline, &parts.inbox, &parts.context);
        let stream = Self { parts, delivered: 0, heard: Instant::now() };
        if stream.parts.pipeline.set_state(gst::State::Playing).is_err() {
            let unexplained = || stream.parts.context.error(Failure::Unreachable, "it cannot be opened");
            return Err(stream.parts.inbox.failure().unwrap_or_else(unexplained));
        }
        Ok(stream)
    }

    fn frame(&mut self, arrived: Arrived) -> Result<Next, SourceError> {
        let corrupt = |what: String| self.parts.context.error(Failure::Corrupt, &what);
        let pixels = Mapped::new(&arrived.sample).map_err(corrupt)?;
        let (camera, epoch) = (self.parts.camera.clone(), self.parts.epoch);
        let frame = Frame::new(camera, epoch, arrived.sequence, arrived.captured, Arc::new(pixels))
            .map_err(|e| corrupt(e.chain()))?;
        self.delivered += 1;
        self.heard = Instant::now();
        Ok(Next::Frame(frame))
    }

    /// Starts over, or says how it ended.
    fn end(&mut self) -> Result<(), SourceError> {
        let context = &self.parts.context;
        let is_file = self.parts.transport == "file";
        if is_file && self.delivered == 0 {
            return Err(context.error(Failure::Corrupt, "there is no picture in it that can be decoded"));
        }
        if self.parts.at_end == AtEnd::Stop {
            let what = if is_file { "played to its end" } else { "the camera ended the stream" };
            return Err(context.error(Failure::Ended, what));
        }
        self.delivered = 0;
        self.parts
            .pipeline
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT, gst::ClockTime::ZERO)
            .map_err(|_| context.error(Failure::Ended, "cannot be started over; it is opened again"))
    }

    /// decodebin loses an error that an element posts while it is being plugged in (a race, seen with GStreamer
    /// 1.22 and damaged MP4 headers): no message and no end would ever come. But nobody reads the file any more.
    fn has_died(&self) -> bool {
        self.parts.transport == "file"
            && self.heard.elapsed() >= SILENT_FILE
            && !is_reading(&self.parts.pipeline)
    }

    #[cfg(test)]
    pub(super) fn pipeline(&self) -> &gst::Pipeline {
        &self.parts.pipeline
    }
}

impl Source for Stream {
    fn next(&mut self, timeout: Duration) -> Result<Next, SourceError> {
        let start = Instant::now();
        loop {
            match self.parts.inbox.take(timeout.saturating_sub(start.elapsed())) {
                Taken::Frame(arrived) => return self.frame(arrived),
                Taken::TimedOut if self.has_died() => {
                    let what = "reading stopped before the end; the file is damaged";
                    return Err(self.parts.context.error(Failure::Corrupt, what));
                }
                Taken::TimedOut => return Ok(Next::TimedOut),
                Taken::Failed(error) => return Err(error),
                Taken::EndOfStream => self.end()?,
            }
        }
    }

    fn info(&self) -> StreamInfo {
        let mut info = StreamInfo { transport: Some(self.parts.transport), ..StreamInfo::default() };
        let caps = self.parts.sink.static_pad("sink").and_then(|pad| pad.current_caps());
        if let Some(video) = caps.and_then(|caps| VideoInfo::from_caps(&caps).ok()) {
            info.size = Some(Size::new(video.width(), video.height()));
            let (n, d) = (video.fps().numer(), video.fps().denom());
            // 0/1 means that it varies or is not known.
            info.fps = (n > 0 && d > 0).then(|| n as f32 / d as f32);
        }
        match decoder(&self.parts.pipeline) {
            Some(decoder) => {
                info.codec =
                    decoder.static_pad("sink").and_then(|p| p.current_caps()).and_then(|c| codec(&c));
                info.decoder = decoder.factory().map(|f| f.name().to_string());
            }
            None => info.codec = info.size.map(|_| "raw".to_owned()),
        }
        info
    }
}

/// True if some element still pulls or parses: the reading thread belongs to a sink pad.
fn is_reading(pipeline: &gst::Pipeline) -> bool {
    let mut elements = pipeline.iterate_recurse();
    while let Ok(Some(element)) = elements.next() {
        if element.sink_pads().iter().any(|pad| pad.task_state() == gst::TaskState::Started) {
            return true;
        }
    }
    false
}

fn decoder(pipeline: &gst::Pipeline) -> Option<gst::Element> {
    let mut elements = pipeline.iterate_recurse();
    while let Ok(Some(element)) = elements.next() {
        if element.factory().is_some_and(|f| is_video_decoder(&f)) {
            return Some(element);
        }
    }
    None
}

fn codec(caps: &gst::Caps) -> Option<String> {
    let name = caps.structure(0)?.name().as_str();
    let known = [
        ("video/x-h264", "H264"),
        ("video/x-h265", "H265"),
        ("image/jpeg", "JPEG"),
        ("video/x-av1", "AV1"),
        ("video/x-vp8", "VP8"),
        ("video/x-vp9", "VP9"),
    ];
    Some(known.iter().find(|(caps, _)| *caps == name).map_or(name, |(_, codec)| codec).to_owned())
}

impl Drop for Stream {
    /// Sends the camera its TEARDOWN and frees everything, on another thread: a dead camera must not hold us.
    fn drop(&mut self) {
        self.parts.inbox.close();
        let pipeline = self.parts.pipeline.clone();
        let (done, finished) = bounded(1);
        let teardown = move || {
            let _ = pipeline.set_state(gst::State::Null);
            let _ = done.send(());
        };
        match std::thread::Builder::new().name("teardown".to_owned()).spawn(teardown) {
            // Late: it goes on by itself.
            Ok(_) => drop(finished.recv_timeout(TEARDOWN)),
            Err(_) => drop(self.parts.pipeline.set_state(gst::State::Null)),
        }
    }
}
