//! Between GStreamer's streaming thread and the camera's thread.
//!
//! ```text
//!  appsink ──put──▶ [ newest ]            live: replaced by the next; the gap in the sequence counts it
//!                   [ 1 | 2 | 3 | 4 ]     offline: full makes the decoder wait
//!  bus ─────fail──▶ [ the first failure ]              ──take──▶ frames first, then the end
//! ```

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;

use crate::base::clock::Moment;
use crate::source::SourceError;

/// A decoded picture with its place in the stream.
pub(super) struct Arrived {
    pub(super) sample: gst::Sample,
    pub(super) sequence: u64,
    pub(super) captured: Moment,
}

/// What [`Inbox::take`] found.
pub(super) enum Taken {
    Frame(Arrived),
    TimedOut,
    EndOfStream,
    Failed(SourceError),
}

/// Which frames are kept for a slow reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Newest,
    /// All; at most this many wait.
    All(usize),
}

#[derive(Default)]
struct State {
    frames: VecDeque<Arrived>,
    next_sequence: u64,
    end_of_stream: bool,
    failure: Option<SourceError>,
    closed: bool,
}

pub(super) struct Inbox {
    keep: Keep,
    state: Mutex<State>,
    changed: Condvar,
}

impl Inbox {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A picture came out of the decoder. `captured` is told its sequence number.
    pub(super) fn put(
        &self,
        sample: gst::Sample,
        captured: impl FnOnce(u64) -> Moment,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = self.lock();
        match self.keep {
            Keep::Newest => state.frames.clear(),
            Keep::All(most) => {
                while state.frames.len() >= most && !state.closed {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        if state.closed {
            return Err(gst::FlowError::Flushing);
        }
        let sequence = state.next_sequence;
        state.next_sequence += 1;
        let captured = captured(sequence);
        state.frames.push_back(Arrived { sample, sequence, captured });
        self.changed.notify_all();
        Ok(gst::FlowSuccess::Ok)
    }

    /// The stream has ended.
    pub(super) fn end_of_stream(&self) {
        self.lock().end_of_stream = true;
        self.changed.notify_all();
    }

    /// The stream failed. The first failure is the cause, those behind it are its consequences.
    pub(super) fn fail(&self, failure: SourceError) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }

    /// The failure, if there is one already.
    pub(super) fn failure(&self) -> Option<SourceError> {
        self.lock().failure.clone()
    }

    /// Nobody reads any more: frees the streaming thread.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.frames.clear();
        self.changed.notify_all();
    }

    /// What comes next, waiting at most `timeout`. The end of stream is told once, a failure always.
    pub(super) fn take(&self, timeout: Duration) -> Taken {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(frame) = state.frames.pop_front() {
                self.changed.notify_all();
                return Taken::Frame(frame);
            }
            if let Some(failure) = &state.failure {
                return Taken::Failed(failure.clone());
            }
            if std::mem::take(&mut state.end_of_stream) {
                return Taken::EndOfStream;
            }
            let left = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Taken::TimedOut;
            }
            // Bounded, because the largest waits overflow in the platform's clock.
            let slice = left.min(Duration::from_secs(3600));
            state = self.changed.wait_timeout(state, slice).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
