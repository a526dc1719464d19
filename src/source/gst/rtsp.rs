//! Network cameras.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_rtsp::RTSPLowerTrans;

use super::failure::Context;
use super::inbox::{Inbox, Keep};
use super::pipeline::{Tail, Timing, add_decoder, make};
use super::stream::{AtEnd, Parts, Stream};
use super::tls;
use crate::base::clock::Clock;
use crate::base::secret::Secret;
use crate::config::{Camera, Rtsp, Transport};
use crate::source::{Failure, SourceError};

/// Bounds of the time a TCP connection may take.
const CONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Opens a network camera. It connects in the background.
pub(super) fn open(
    camera: &Camera,
    rtsp: &Rtsp,
    epoch: u32,
    clock: &Arc<dyn Clock>,
) -> Result<Stream, SourceError> {
    let context = Context::rtsp(rtsp);
    let pipeline = gst::Pipeline::new();
    let inbox = Arc::new(Inbox::new(Keep::Newest));
    let tail = Tail::add(&pipeline, &inbox, clock, Timing::Arrival, false)?;
    let decode = add_decoder(&pipeline, &tail, camera.decoder.as_deref(), &inbox, &context)?;
    let source = client(camera, rtsp)?;
    let context = match rtsp.url.scheme() {
        "rtsps" => context.with_tls(tls::set_up(&source, &rtsp.tls, &context)?),
        _ => context,
    };
    only_first_video(&source, &inbox, &context);
    let weak = decode.downgrade();
    source.connect_pad_added(move |_, pad| {
        if let Some(target) = weak.upgrade().and_then(|d| d.static_pad("sink")).filter(|t| !t.is_linked()) {
            // A failure here shows as a stream that delivers nothing, which the supervisor watches for.
            let _ = pad.link(&target);
        }
    });
    if pipeline.add(&source).is_err() {
        return Err(context.error(Failure::Unsupported, "GStreamer's rtspsrc does not fit into a pipeline"));
    }
    let transport = match rtsp.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    Stream::start(Parts {
        pipeline,
        sink: tail.sink,
        inbox,
        context,
        camera: camera.id.clone(),
        epoch,
        transport,
        at_end: AtEnd::Stop,
    })
}

fn client(camera: &Camera, rtsp: &Rtsp) -> Result<gst::Element, SourceError> {
    let source = make("rtspsrc")?;
    let mut address = rtsp.url.clone();
    // The configuration took them out already; GStreamer writes addresses into its own log.
    let _ = address.set_username("");
    let _ = address.set_password(None);
    source.set_property("location", address.as_str());
    source.set_property("user-id", rtsp.user.as_ref().map(Secret::expose));
    source.set_property("user-pw", rtsp.password.as_ref().map(Secret::expose));
    let protocols = match rtsp.transport {
        Transport::Tcp => RTSPLowerTrans::TCP,
        Transport::Udp => RTSPLowerTrans::UDP,
    };
    source.set_property("protocols", protocols);
    source.set_property("latency", u32::try_from(rtsp.latency.as_millis()).unwrap_or(u32::MAX));
    let connect = (camera.stall / 2).clamp(CONNECT.0, CONNECT.1);
    source.set_property("tcp-timeout", u64::try_from(connect.as_micros()).unwrap_or(u64::MAX));
    source.set_property("user-agent", concat!("watchlistd/", env!("CARGO_PKG_VERSION")));
    Ok(source)
}

/// Only the first video stream is set up: no sound, no metadata, no second picture.
fn only_first_video(source: &gst::Element, inbox: &Arc<Inbox>, context: &Context) {
    const NONE: i64 = -1;
    let chosen = Arc::new(AtomicI64::new(NONE));
    let choice = chosen.clone();
    source.connect("select-stream", false, move |args| {
        let index = args.get(1).and_then(|v| v.get::<u32>().ok()).map_or(NONE, i64::from);
        let caps = args.get(2).and_then(|v| v.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(|c| c.structure(0)).and_then(|s| s.get::<String>("media").ok());
        let is_video = media.as_deref() == Some("video");
        // Asked again for the same stream when it is set up anew.
        let first = is_video
            && choice
                .compare_exchange(NONE, index, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|earlier| earlier == index, |_| true);
        Some(first.to_value())
    });
    let (inbox, context) = (inbox.clone(), context.clone());
    source.connect_no_more_pads(move |_| {
        if chosen.load(Ordering::Acquire) == NONE {
            inbox.fail(
                context.error(Failure::Unsupported, "the camera offers no video stream at this address"),
            );
        }
    });
}
