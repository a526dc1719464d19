//! Video files.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::failure::Context;
use super::inbox::{Inbox, Keep};
use super::pipeline::{Tail, Timing, add_decoder, make};
use super::stream::{AtEnd, Parts, Stream};
use crate::base::clock::Clock;
use crate::config::Camera;
use crate::source::{Failure, SourceError};
use crate::types::ids::CameraId;

/// Decoded frames that may wait for a tool: enough to keep the decoder and the reader both busy.
const AHEAD: usize = 4;

/// Plays at the file's own speed; the newest frame wins.
pub(super) fn open(
    camera: &Camera,
    path: &Path,
    repeat: bool,
    epoch: u32,
    clock: &Arc<dyn Clock>,
) -> Result<Stream, SourceError> {
    let at_end = if repeat { AtEnd::Repeat } else { AtEnd::Stop };
    let mode = Mode { keep: Keep::Newest, timing: Timing::Arrival, at_end };
    build(path, &camera.id, epoch, camera.decoder.as_deref(), clock, mode)
}

/// Every frame, as fast as it is read.
pub(super) fn open_offline(
    path: &Path,
    camera: &CameraId,
    clock: &Arc<dyn Clock>,
) -> Result<Stream, SourceError> {
    let mode = Mode { keep: Keep::All(AHEAD), timing: Timing::Position(clock.now()), at_end: AtEnd::Stop };
    build(path, camera, 1, None, clock, mode)
}

struct Mode {
    keep: Keep,
    timing: Timing,
    at_end: AtEnd,
}

fn build(
    path: &Path,
    camera: &CameraId,
    epoch: u32,
    decoder: Option<&str>,
    clock: &Arc<dyn Clock>,
    mode: Mode,
) -> Result<Stream, SourceError> {
    let context = Context::local(path.display().to_string());
    check(path, &context)?;
    let pipeline = gst::Pipeline::new();
    let inbox = Arc::new(Inbox::new(mode.keep));
    let tail = Tail::add(&pipeline, &inbox, clock, mode.timing, mode.timing == Timing::Arrival)?;
    let decode = add_decoder(&pipeline, &tail, decoder, &inbox, &context)?;
    let file = make("filesrc")?;
    file.set_property("location", path);
    let linked = pipeline.add(&file).is_ok() && file.link(&decode).is_ok();
    if !linked {
        return Err(
            context.error(Failure::Unsupported, "GStreamer's filesrc and decodebin do not fit together")
        );
    }
    // A file with nothing but sound ends without ever reaching our sink.
    let (nothing, sink, at_fault) = (inbox.clone(), tail.sink.downgrade(), context.clone());
    decode.connect_no_more_pads(move |_| {
        let linked = |sink: gstreamer_app::AppSink| sink.static_pad("sink").is_some_and(|p| has_source(&p));
        if !sink.upgrade().is_some_and(linked) {
            nothing.fail(at_fault.error(Failure::Unsupported, "there is no video in it"));
        }
    });
    let camera = camera.clone();
    let sink = tail.sink;
    Stream::start(Parts {
        pipeline,
        sink,
        inbox,
        context,
        camera,
        epoch,
        transport: "file",
        at_end: mode.at_end,
    })
}

/// True if what stands before the sink's converter is linked.
fn has_source(sink_pad: &gst::Pad) -> bool {
    let convert = sink_pad.peer().and_then(|pad| pad.parent_element());
    convert.and_then(|c| c.static_pad("sink")).is_some_and(|pad| pad.is_linked())
}

/// What the system can tell about a file, before GStreamer is asked.
fn check(path: &Path, context: &Context) -> Result<(), SourceError> {
    let kind = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => context.error(Failure::NotFound, "there is no such file"),
        _ => context.error(Failure::NotFound, &e.to_string()),
    })?;
    if kind.is_dir() {
        return Err(context.error(Failure::NotFound, "is a folder; a video file was expected"));
    }
    if !kind.is_file() {
        return Err(context.error(Failure::Unsupported, "is not a regular file"));
    }
    if kind.len() == 0 {
        return Err(context.error(Failure::Corrupt, "is empty (0 bytes)"));
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(6).read_to_end(&mut start))
        .map_err(|e| context.error(Failure::NotFound, &format!("cannot be read: {e}")))?;
    if start.starts_with(b"GIF8") {
        // GStreamer's only demultiplexer for them (libav's) never reaches the end of the file.
        let what =
            "GIF animations are not supported; convert it first: ffmpeg -i in.gif -pix_fmt yuv420p out.mp4";
        return Err(context.error(Failure::Unsupported, what));
    }
    Ok(())
}
