//! One camera's way through the pool: its mailbox, its turn, and the analyser that remembers its tracks.
//!
//! ```text
//!   supervisor ──put(frame)──▶ mailbox ─┐
//!   supervisor ──end_tracks()──▶ flag ──┴─▶ claim_turn() ─▶ one worker works() ─▶ end_turn()
//! ```
//!
//! `turn` is true while the lane stands in the pool's list or a worker holds it. Only who turns it from false to true
//! puts the lane into the list, so it is there at most once and the analyser's lock is never contended.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::analyser::Analyser;
use super::fitting::Fitting;
use super::tuning::Tuning;
use crate::base::mailbox::Mailbox;
use crate::stats::CameraStats;
use crate::types::frame::Frame;
use crate::types::ids::CameraId;

/// A camera in the pipeline.
pub struct Lane {
    camera: CameraId,
    mailbox: Mailbox<Frame>,
    turn: AtomicBool,
    /// Connections up to this one are gone; 0: nothing to end.
    end: AtomicU32,
    tuning: ArcSwap<Tuning>,
    analyser: Mutex<Analyser>,
    stats: Arc<CameraStats>,
}

impl Lane {
    /// A lane without frames.
    pub fn new(camera: CameraId, fitting: &Fitting, tuning: Tuning, stats: Arc<CameraStats>) -> Self {
        let analyser = Analyser::new(camera.clone(), fitting.model, fitting.aligner.clone());
        Self {
            analyser: Mutex::new(analyser),
            camera,
            mailbox: Mailbox::default(),
            turn: AtomicBool::new(false),
            end: AtomicU32::new(0),
            tuning: ArcSwap::from_pointee(tuning),
            stats,
        }
    }

    /// The camera.
    pub fn camera(&self) -> &CameraId {
        &self.camera
    }

    /// Its counters.
    pub fn stats(&self) -> &CameraStats {
        &self.stats
    }

    /// What it looks for; may change between frames.
    pub fn tuning(&self) -> Arc<Tuning> {
        self.tuning.load_full()
    }

    /// Takes other settings from the next frame on.
    pub fn retune(&self, tuning: Tuning) {
        self.tuning.store(Arc::new(tuning));
    }

    /// Leaves a frame; returns the one that was never looked at.
    pub fn put(&self, frame: Frame) -> Option<Frame> {
        self.mailbox.put(frame)
    }

    /// Takes the newest frame.
    pub fn take(&self) -> Option<Frame> {
        self.mailbox.take()
    }

    /// Asks for all tracks of connections up to `epoch` to be ended: the stream is gone.
    pub fn ask_to_end(&self, epoch: u32) {
        self.end.fetch_max(epoch, Ordering::SeqCst);
    }

    /// The connection asked for, once, after [`Lane::ask_to_end`].
    pub fn take_end(&self) -> Option<u32> {
        Some(self.end.swap(0, Ordering::SeqCst)).filter(|&epoch| epoch > 0)
    }

    /// True if a frame or a request waits.
    pub fn has_work(&self) -> bool {
        !self.mailbox.is_empty() || self.end.load(Ordering::SeqCst) > 0
    }

    /// The analyser, for the worker whose turn it is.
    pub fn analyser(&self) -> MutexGuard<'_, Analyser> {
        self.analyser.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True for the one caller that may put the lane into the pool's list.
    pub(super) fn claim_turn(&self) -> bool {
        !self.turn.swap(true, Ordering::SeqCst)
    }

    /// The lane is free again.
    pub(super) fn end_turn(&self) {
        self.turn.store(false, Ordering::SeqCst);
    }
}
