//! Keeps one camera open: connects, watches for silence, waits after a failure and connects again.
//!
//! [`machine`] decides (pure, no threads, no clock), [`driver`] does what it says on the camera's own thread.

pub mod backoff;
mod driver;
pub mod machine;
mod report;

pub use driver::{Handle, Supervisor};
pub use machine::CameraState;

use super::{Source, SourceError, StreamInfo};
use crate::config::Camera;
use crate::types::frame::Frame;

/// Opens cameras. The supervisor's tests put a script in its place.
pub trait Opener: Send + Sync {
    /// Opens the camera; every frame carries `epoch`. Returns soon: waiting belongs into [`Source::next`].
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open(&self, camera: &Camera, epoch: u32) -> Result<Box<dyn Source>, SourceError>;
}

/// What the supervisor tells the pipeline. Called on the camera's thread, so each call must return at once.
pub trait FrameSink: Send + Sync {
    /// A frame chosen at the camera's `detect_fps`. Newest wins: it may replace one that still waits.
    fn frame(&self, frame: Frame);

    /// `decoded` more frames came out of the decoder, of which `lost` were replaced by newer ones before the
    /// supervisor saw them.
    fn received(&self, decoded: u64, lost: u64);

    /// A frame was received and not chosen.
    fn skipped(&self);

    /// What is known of the stream: after the first frame of a connection, and when the picture's size changes.
    fn info(&self, info: StreamInfo);

    /// The camera's state changed in connection `epoch`; with the failure that led to it, if any.
    fn state(&self, epoch: u32, state: CameraState, why: Option<&SourceError>);
}
