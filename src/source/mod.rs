//! Where frames come from. A source opens once and delivers until it fails; it never retries, sleeps or logs.
//! The [supervisor] owns restarts.
//!
//! ```text
//!   config::Camera ──▶ supervisor ──open──▶ gst::open ──▶ Source ──Frame──▶ sampler ──▶ FrameSink
//!                          ▲                                │
//!                          └──────── SourceError ◀──────────┘   wait, open again with the next epoch
//! ```

pub mod gst;
pub mod sampler;
pub mod supervisor;

use std::fmt;
use std::time::Duration;

use crate::types::frame::Frame;
use crate::types::geometry::Size;

/// Why a source ended. The supervisor's reaction follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection, no route, no name, connection lost.
    Unreachable,
    /// The camera refused user or password.
    Unauthorized,
    /// The address leads nowhere (RTSP 404, no such file or device).
    NotFound,
    /// The certificate is not the one that was asked for.
    Tls,
    /// Connected, but nothing came in time.
    Stalled,
    /// What came could not be decoded.
    Corrupt,
    /// No decoder or plug-in for what is sent.
    Unsupported,
    /// The stream ended.
    Ended,
}

impl Failure {
    /// The name in metrics, status and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Failure::Unreachable => "unreachable",
            Failure::Unauthorized => "unauthorized",
            Failure::NotFound => "not_found",
            Failure::Tls => "tls",
            Failure::Stalled => "stalled",
            Failure::Corrupt => "corrupt",
            Failure::Unsupported => "unsupported",
            Failure::Ended => "ended",
        }
    }
}

/// A source's failure with a message for a person. Addresses in it are redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// What kind.
    pub failure: Failure,
    /// What happened and what to do.
    pub message: String,
}

impl SourceError {
    /// A failure and its message.
    pub fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}

/// What is known of an open stream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamInfo {
    /// Coded format: `H264`, `H265`, `JPEG`, `raw`.
    pub codec: Option<String>,
    /// Decoder element in use: `avdec_h264`, `vah264dec`, ...
    pub decoder: Option<String>,
    /// Picture size.
    pub size: Option<Size>,
    /// Frames a second as announced.
    pub fps: Option<f32>,
    /// How it travels: `tcp`, `udp`, `file`, `v4l2`, `test`.
    pub transport: Option<&'static str>,
}

/// What a source delivers.
#[derive(Debug)]
pub enum Next {
    /// A frame.
    Frame(Frame),
    /// Nothing came within the time given.
    TimedOut,
}

/// An open stream of frames.
pub trait Source: Send {
    /// The next frame, waiting at most `timeout`. After an error the source is finished and is dropped.
    ///
    /// # Errors
    /// Why the stream ended; [`Failure::Ended`] at its regular end.
    fn next(&mut self, timeout: Duration) -> Result<Next, SourceError>;

    /// What is known of the stream so far.
    fn info(&self) -> StreamInfo;
}
