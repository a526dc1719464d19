//! V4L2 devices and the test picture.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::failure::Context;
use super::inbox::{Inbox, Keep};
use super::pipeline::{Tail, Timing, add_decoder, make};
use super::stream::{AtEnd, Parts, Stream};
use crate::base::clock::Clock;
use crate::config::Camera;
use crate::source::{Failure, SourceError};
use crate::types::frame::check_size;
use crate::types::geometry::Size;

/// A capture device: raw pictures or MJPEG, whichever it prefers.
pub(super) fn open_v4l2(
    camera: &Camera,
    device: &Path,
    epoch: u32,
    clock: &Arc<dyn Clock>,
) -> Result<Stream, SourceError> {
    let context = Context::local(device.display().to_string());
    check_device(device, &context)?;
    let pipeline = gst::Pipeline::new();
    let inbox = Arc::new(Inbox::new(Keep::Newest));
    let tail = Tail::add(&pipeline, &inbox, clock, Timing::Arrival, false)?;
    let decode = add_decoder(&pipeline, &tail, camera.decoder.as_deref(), &inbox, &context)?;
    let source = make("v4l2src")?;
    source.set_property("device", device.display().to_string());
    connect(&pipeline, &source, &decode, &context)?;
    let parts = Parts {
        pipeline,
        sink: tail.sink,
        inbox,
        context,
        camera: camera.id.clone(),
        epoch,
        transport: "v4l2",
        at_end: AtEnd::Stop,
    };
    Stream::start(parts)
}

fn check_device(device: &Path, context: &Context) -> Result<(), SourceError> {
    let missing = "there is no such device; `v4l2-ctl --list-devices` lists those that are connected";
    let kind = std::fs::metadata(device).map_err(|_| context.error(Failure::NotFound, missing))?.file_type();
    if !kind.is_char_device() {
        return Err(
            context.error(Failure::NotFound, "is not a video device; a node like /dev/video0 was expected")
        );
    }
    match std::fs::File::open(device) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            let what = "permission denied; the user that runs this needs the group `video`";
            Err(context.error(Failure::Unreachable, what))
        }
        // Whatever else is wrong, GStreamer says it better.
        _ => Ok(()),
    }
}

/// GStreamer's test picture, live.
pub(super) fn open_test(
    camera: &Camera,
    pattern: &str,
    size: Size,
    fps: u32,
    epoch: u32,
    clock: &Arc<dyn Clock>,
) -> Result<Stream, SourceError> {
    let context = Context::local(format!("test://{pattern}"));
    check_size(size).map_err(|e| context.error(Failure::Unsupported, &e.chain()))?;
    let rate = i32::try_from(fps).ok().filter(|fps| (1..=1000).contains(fps));
    let rate = rate.ok_or_else(|| context.error(Failure::Unsupported, "fps: expected 1 to 1000"))?;
    let source = make("videotestsrc")?;
    source.set_property("is-live", true);
    set_pattern(&source, pattern, &context)?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", size.width as i32)
        .field("height", size.height as i32)
        .field("framerate", gst::Fraction::new(rate, 1))
        .build();
    let filter = make("capsfilter")?;
    filter.set_property("caps", &caps);

    let pipeline = gst::Pipeline::new();
    let inbox = Arc::new(Inbox::new(Keep::Newest));
    let tail = Tail::add(&pipeline, &inbox, clock, Timing::Arrival, false)?;
    connect(&pipeline, &source, &filter, &context)?;
    filter.link(&tail.first).map_err(|_| unfit(&context))?;
    let parts = Parts {
        pipeline,
        sink: tail.sink,
        inbox,
        context,
        camera: camera.id.clone(),
        epoch,
        transport: "test",
        at_end: AtEnd::Stop,
    };
    Stream::start(parts)
}

fn set_pattern(source: &gst::Element, pattern: &str, context: &Context) -> Result<(), SourceError> {
    let class = source.find_property("pattern").and_then(|p| glib::EnumClass::with_type(p.value_type()));
    let value = class.as_ref().and_then(|c| c.to_value_by_nick(pattern));
    let Some(value) = value else {
        let known: Vec<&str> = class.iter().flat_map(|c| c.values()).map(|v| v.nick()).collect();
        let what = format!("there is no such pattern; known are {}", known.join(", "));
        return Err(context.error(Failure::NotFound, &what));
    };
    source.set_property_from_value("pattern", &value);
    Ok(())
}

fn connect(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    next: &gst::Element,
    context: &Context,
) -> Result<(), SourceError> {
    let added = pipeline.add(source).is_ok() && (next.parent().is_some() || pipeline.add(next).is_ok());
    if added && source.link(next).is_ok() { Ok(()) } else { Err(unfit(context)) }
}

fn unfit(context: &Context) -> SourceError {
    context.error(
        Failure::Unsupported,
        "GStreamer's elements do not fit together; is the installation complete?",
    )
}
