//! The parts every pipeline shares: elements by name, the decoder, and the way from it to the inbox.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::failure::Context;
use super::inbox::Inbox;
use super::pixels::accept_any_stride;
use crate::base::clock::{Clock, Moment};
use crate::source::{Failure, SourceError};

/// Where a Debian package that holds an element is known, the message names it.
const PACKAGES: [(&str, &str); 10] = [
    ("rtspsrc", "gstreamer1.0-plugins-good"),
    ("v4l2src", "gstreamer1.0-plugins-good"),
    ("videotestsrc", "gstreamer1.0-plugins-base"),
    ("videoconvert", "gstreamer1.0-plugins-base"),
    ("decodebin", "gstreamer1.0-plugins-base"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("vapostproc", "gstreamer1.0-plugins-bad"),
    ("cudadownload", "gstreamer1.0-plugins-bad"),
    ("gldownload", "gstreamer1.0-gl"),
];

/// The element that brings each kind of GPU memory into system memory.
const DOWNLOADS: [(&str, &str); 6] = [
    ("memory:VAMemory", "vapostproc"),
    ("memory:VASurface", "vaapipostproc"),
    ("memory:DMABuf", "vapostproc"),
    ("memory:CUDAMemory", "cudadownload"),
    ("memory:GLMemory", "gldownload"),
    ("memory:NVMM", "nvvidconv"),
];

/// How frames get their time of capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    /// When they arrived: the presentation time on the pipeline's clock, carried over to ours.
    Arrival,
    /// Their position in the file; with the time of opening as the wall clock's start.
    Position(Moment),
}

/// Makes an element.
pub(super) fn make(name: &str) -> Result<gst::Element, SourceError> {
    gst::ElementFactory::make(name).build().map_err(|_| SourceError::new(Failure::Unsupported, missing(name)))
}

/// Says that an element is missing and where it would come from.
pub(super) fn missing(name: &str) -> String {
    let package = PACKAGES.iter().find(|(element, _)| *element == name);
    let install = package.map(|(_, package)| format!("; install {package}")).unwrap_or_default();
    format!("the GStreamer element {name} is missing{install}")
}

/// `appsink` and what stands before it.
pub(super) struct Tail {
    pub(super) first: gst::Element,
    pub(super) sink: gst_app::AppSink,
}

impl Tail {
    /// Adds `videoconvert ! NV12|I420 ! appsink` to the pipeline. `sync` plays at the stream's own speed.
    pub(super) fn add(
        pipeline: &gst::Pipeline,
        inbox: &Arc<Inbox>,
        clock: &Arc<dyn Clock>,
        timing: Timing,
        sync: bool,
    ) -> Result<Self, SourceError> {
        let convert = make("videoconvert")?;
        // The order says which is preferred where a conversion cannot be avoided.
        let caps =
            gst::Caps::builder("video/x-raw").field("format", gst::List::new(["NV12", "I420"])).build();
        let sink = gst_app::AppSink::builder()
            .caps(&caps)
            .sync(sync)
            .max_buffers(1)
            .drop(timing == Timing::Arrival)
            .enable_last_sample(false)
            .qos(false)
            .callbacks(callbacks(inbox, clock, timing))
            .build();
        pipeline.add_many([&convert, sink.upcast_ref()]).map_err(|_| broken())?;
        convert.link(&sink).map_err(|_| broken())?;
        if let Some(pad) = sink.static_pad("sink") {
            accept_any_stride(&pad);
        }
        Ok(Self { first: convert, sink })
    }
}

fn callbacks(inbox: &Arc<Inbox>, clock: &Arc<dyn Clock>, timing: Timing) -> gst_app::AppSinkCallbacks {
    let (frames, ends, clock) = (inbox.clone(), inbox.clone(), clock.clone());
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let captured = captured(sink, &sample, &*clock, timing);
            frames.put(sample, |_| captured)
        })
        .eos(move |_| ends.end_of_stream())
        .build()
}

fn captured(sink: &gst_app::AppSink, sample: &gst::Sample, clock: &dyn Clock, timing: Timing) -> Moment {
    let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
    let pts = sample.buffer().and_then(|b| b.pts());
    match timing {
        Timing::Arrival => {
            let running = segment.zip(pts).and_then(|(segment, pts)| segment.to_running_time(pts));
            let age = sink.current_running_time().zip(running).map(|(now, then)| now.saturating_sub(then));
            back(clock.now(), age.map_or(std::time::Duration::ZERO, Into::into))
        }
        Timing::Position(opened) => {
            let position = segment.zip(pts).and_then(|(segment, pts)| segment.to_stream_time(pts));
            let mono = position.or(pts).map_or(std::time::Duration::ZERO, Into::into);
            let wall = opened.wall.checked_add(mono).unwrap_or(jiff::Timestamp::MAX);
            Moment { mono, wall }
        }
    }
}

fn back(now: Moment, age: std::time::Duration) -> Moment {
    let wall = now.wall.checked_sub(age).unwrap_or(jiff::Timestamp::MIN);
    Moment { mono: now.mono.saturating_sub(age), wall }
}

fn broken() -> SourceError {
    SourceError::new(
        Failure::Unsupported,
        "GStreamer's elements do not fit together; is the installation complete?",
    )
}

/// Adds a `decodebin` that leads to `tail`. It decodes the first video stream with one thread.
pub(super) fn add_decoder(
    pipeline: &gst::Pipeline,
    tail: &Tail,
    configured: Option<&str>,
    inbox: &Arc<Inbox>,
    context: &Context,
) -> Result<gst::Element, SourceError> {
    let decode = make("decodebin")?;
    if let Some(name) = configured {
        only(&decode, name)?;
    }
    // Other streams are left as they are: exposed, linked to nothing, and never decoded.
    decode.connect("autoplug-continue", false, |args| {
        let caps = args.get(2).and_then(|v| v.get::<gst::Caps>().ok());
        Some(caps.is_none_or(|caps| !is_other_media(&caps)).to_value())
    });
    decode.connect("deep-element-added", false, |args| {
        if let Some(element) = args.get(2).and_then(|v| v.get::<gst::Element>().ok()) {
            set_up_decoder(&element);
        }
        None
    });
    let (weak, first) = (pipeline.downgrade(), tail.first.downgrade());
    let (failed, context) = (inbox.clone(), context.clone());
    decode.connect_pad_added(move |_, pad| {
        let (Some(pipeline), Some(first)) = (weak.upgrade(), first.upgrade()) else { return };
        if let Err(error) = link_video(&pipeline, pad, &first) {
            failed.fail(context.error(error.failure, &error.message));
        }
    });
    pipeline.add(&decode).map_err(|_| broken())?;
    Ok(decode)
}

/// Makes decodebin take no other video decoder than `name`.
fn only(decode: &gst::Element, name: &str) -> Result<(), SourceError> {
    let unknown = || {
        let what = format!(
            "decoder = {name:?} is no video decoder of this machine's GStreamer; \
             `gst-inspect-1.0 | grep -i dec` lists them"
        );
        SourceError::new(Failure::Unsupported, what)
    };
    let factory = gst::ElementFactory::find(name).ok_or_else(unknown)?;
    if !is_video_decoder(&factory) {
        return Err(unknown());
    }
    decode.connect("autoplug-factories", false, move |args| {
        let caps = args.get(2).and_then(|v| v.get::<gst::Caps>().ok())?;
        Some(candidates(&caps, &factory).to_value())
    });
    Ok(())
}

/// What may come next for these caps: depayloaders, demultiplexers, parsers as ranked, and of all video decoders
/// only the chosen one, whatever its rank.
fn candidates(caps: &gst::Caps, chosen: &gst::ElementFactory) -> glib::ValueArray {
    let ranked =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODABLE, gst::Rank::MARGINAL);
    let others = ranked.into_iter().filter(|f| !is_video_decoder(f));
    let mut fit: Vec<_> =
        others.chain(std::iter::once(chosen.clone())).filter(|f| f.can_sink_any_caps(caps)).collect();
    fit.sort_by_key(|f| std::cmp::Reverse(i32::from(f.rank())));
    glib::ValueArray::new(fit)
}

/// True for a decoder of pictures (not for decodebin itself).
pub(super) fn is_video_decoder(factory: &gst::ElementFactory) -> bool {
    let class = factory.metadata("klass").unwrap_or_default();
    // "Codec/Decoder/Video/Hardware", "Decoder/Video", "Codec/Decoder/Image"; decodebin is "Generic/Bin/Decoder".
    class.contains("Decoder/Video") || class.contains("Decoder/Image")
}

fn is_other_media(caps: &gst::Caps) -> bool {
    let name = caps.structure(0).map(|s| s.name().as_str()).unwrap_or_default();
    ["audio/", "text/", "subpicture/", "meta/", "application/x-subtitle"]
        .iter()
        .any(|kind| name.starts_with(kind))
}

/// One thread a decoder (streams run beside each other already), and no pictures whose references never came.
fn set_up_decoder(element: &gst::Element) {
    if !element.factory().is_some_and(|f| is_video_decoder(&f)) {
        return;
    }
    for (threads, value) in [("max-threads", 1), ("n-threads", 1), ("threads", 1)] {
        set_number(element, threads, value);
    }
    if element.has_property_with_type("output-corrupt", bool::static_type()) {
        element.set_property("output-corrupt", false);
    }
}

fn set_number(element: &gst::Element, property: &str, value: u32) {
    let Some(spec) = element.find_property(property) else { return };
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return;
    }
    if spec.value_type() == u32::static_type() {
        element.set_property(property, value);
    } else if spec.value_type() == i32::static_type() {
        element.set_property(property, value as i32);
    }
}

/// Links the first raw video pad to the tail, through a download element if the pictures are in a GPU.
fn link_video(pipeline: &gst::Pipeline, pad: &gst::Pad, first: &gst::Element) -> Result<(), SourceError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let is_video = caps.structure(0).is_some_and(|s| s.name() == "video/x-raw");
    let Some(target) = first.static_pad("sink").filter(|target| is_video && !target.is_linked()) else {
        return Ok(());
    };
    let Some(name) = download_for(&caps)? else {
        return pad.link(&target).map(drop).map_err(|_| broken());
    };
    let download = make(name)?;
    pipeline.add(&download).map_err(|_| broken())?;
    download.link(first).map_err(|_| broken())?;
    download.sync_state_with_parent().map_err(|_| broken())?;
    let target = download.static_pad("sink").ok_or_else(broken)?;
    pad.link(&target).map(drop).map_err(|_| broken())
}

fn download_for(caps: &gst::Caps) -> Result<Option<&'static str>, SourceError> {
    let Some(feature) = caps.features(0).and_then(|f| f.iter().find(|f| f.starts_with("memory:"))) else {
        return Ok(None);
    };
    if feature == "memory:SystemMemory" {
        return Ok(None);
    }
    let known = DOWNLOADS.iter().find(|(memory, _)| feature == *memory).map(|(_, element)| Some(*element));
    known.ok_or_else(|| {
        let what = format!(
            "the decoder's pictures are in {feature}, which cannot be read; configure another decoder"
        );
        SourceError::new(Failure::Unsupported, what)
    })
}

/// Sends the bus's errors to the inbox. Messages are handled where they are posted, so none waits for a reader.
pub(super) fn watch_bus(pipeline: &gst::Pipeline, inbox: &Arc<Inbox>, context: &Context) {
    let Some(bus) = pipeline.bus() else { return };
    let (inbox, context) = (inbox.clone(), context.clone());
    let missing: Mutex<Option<String>> = Mutex::default();
    bus.set_sync_handler(move |_, message| {
        let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
        match message.view() {
            gst::MessageView::Element(element) => {
                if let Some(said) = element.structure().filter(|s| s.name() == "missing-plugin") {
                    *missing = said.get::<String>("name").ok();
                }
            }
            gst::MessageView::Error(error) => inbox.fail(context.classify(error, missing.as_deref())),
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        text.parse().unwrap()
    }

    #[test]
    fn gpu_memory_finds_its_download_and_unknown_memory_is_refused() {
        assert_eq!(download_for(&caps("video/x-raw, format=NV12")), Ok(None));
        assert_eq!(download_for(&caps("video/x-raw(memory:SystemMemory), format=NV12")), Ok(None));
        assert_eq!(
            download_for(&caps("video/x-raw(memory:CUDAMemory), format=NV12")),
            Ok(Some("cudadownload"))
        );
        assert_eq!(
            download_for(&caps("video/x-raw(memory:VAMemory), format=P010_10LE")),
            Ok(Some("vapostproc"))
        );
        let refused = download_for(&caps("video/x-raw(memory:Strange), format=NV12")).unwrap_err();
        assert!(refused.message.contains("memory:Strange"));
    }

    #[test]
    fn a_missing_element_names_its_package() {
        assert!(missing("rtspsrc").contains("gstreamer1.0-plugins-good"));
        assert!(missing("nosuch").contains("nosuch"));
    }
}
