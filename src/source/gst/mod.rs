//! Sources and the video writer over GStreamer. Only this folder names it.
//!
//! ```text
//!  rtspsrc ─┐ application/x-rtp, the first video stream only
//!  filesrc ─┼──▶ decodebin ──▶ [download] ──▶ videoconvert ──▶ NV12|I420 ──▶ appsink ──▶ Inbox ──▶ Source::next
//!  v4l2src ─┘    depay, parse,  GPU memory    passes NV12 and               never        newest wins,
//!                one decoder    only          I420 through untouched        queues       or every frame
//!  videotestsrc ──────────────────────────────────▲
//! ```
//!
//! Nothing is dropped before the decoder. Behind it, a live source keeps only the newest picture; an offline one
//! keeps all of them and makes the decoder wait.

mod device;
mod failure;
mod file;
mod inbox;
mod pipeline;
mod pixels;
mod rtsp;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
pub mod writer;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use gstreamer as gst;

use super::supervisor::Opener;
use super::{Failure, Source, SourceError};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::config::{Camera, CameraSource};
use crate::err;
use crate::types::ids::CameraId;

/// The oldest GStreamer that works.
const MINIMUM: (u32, u32) = (1, 20);

/// Starts GStreamer, once; later calls give the first call's answer.
///
/// # Errors
/// `Unavailable`, when it does not start or is older than 1.20.
pub fn init() -> Result<()> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(start).clone().map_err(|message| err!(Unavailable, "{message}"))
}

fn start() -> Result<(), String> {
    gst::init().map_err(|e| format!("GStreamer does not start: {e}"))?;
    let (major, minor, micro, _) = gst::version();
    if (major, minor) < MINIMUM {
        return Err(format!("GStreamer is {major}.{minor}.{micro}; 1.20 or newer is needed"));
    }
    Ok(())
}

/// The version in use, for logs and reports: `GStreamer 1.22.0`.
pub fn version() -> String {
    gst::version_string().to_string()
}

/// Opens a camera. Returns at once for a network camera: it connects while [`Source::next`] waits.
///
/// # Errors
/// Why it cannot be opened; what goes wrong later comes from [`Source::next`].
pub fn open(camera: &Camera, epoch: u32, clock: &Arc<dyn Clock>) -> Result<Box<dyn Source>, SourceError> {
    init_source()?;
    let stream = match &camera.source {
        CameraSource::Rtsp(rtsp) => rtsp::open(camera, rtsp, epoch, clock)?,
        CameraSource::File { path, repeat } => file::open(camera, path, *repeat, epoch, clock)?,
        CameraSource::V4l2 { device } => device::open_v4l2(camera, device, epoch, clock)?,
        CameraSource::Test { pattern, size, fps } => {
            device::open_test(camera, pattern, *size, *fps, epoch, clock)?
        }
    };
    Ok(Box::new(stream))
}

/// Opens a video file for a tool: as fast as it is read, every frame, none dropped. `captured.mono` is the frame's
/// position in the file; `captured.wall` is the time of opening plus that. Two runs give the same frames.
///
/// # Errors
/// Why it cannot be opened; what goes wrong later comes from [`Source::next`].
pub fn open_file(
    path: &Path,
    camera: &CameraId,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Source>, SourceError> {
    init_source()?;
    Ok(Box::new(file::open_offline(path, camera, clock)?))
}

fn init_source() -> Result<(), SourceError> {
    init().map_err(|e| SourceError::new(Failure::Unsupported, e.chain()))
}

/// Opens cameras for the supervisor.
pub struct GstOpener {
    clock: Arc<dyn Clock>,
}

impl GstOpener {
    /// Frames are timed by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl Opener for GstOpener {
    fn open(&self, camera: &Camera, epoch: u32) -> Result<Box<dyn Source>, SourceError> {
        open(camera, epoch, &self.clock)
    }
}
