//! The daemon's life cycle.
//!
//! ```text
//!   Starting ──────────▶ Ready ◀────────▶ Reloading
//!      │  models loaded,   │                  │
//!      │  gallery open,    │  SIGTERM         │
//!      │  stages run       ▼                  │
//!      ├─────────────▶ Draining ◀─────────────┘
//!      │                   │
//!      └── failed ────▶ Stopped
//! ```
//!
//! Cameras are no part of it: a box is ready while they still connect.

use std::sync::{Mutex, PoisonError};

use crate::base::error::Result;
use crate::err;

/// Where in its life the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Loading models, opening the gallery, starting stages.
    Starting,
    /// At work.
    Ready,
    /// At work, while a changed configuration is applied.
    Reloading,
    /// Told to stop: what was accepted is still published.
    Draining,
    /// Over.
    Stopped,
}

impl Phase {
    /// The name in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Reloading => "reloading",
            Phase::Draining => "draining",
            Phase::Stopped => "stopped",
        }
    }

    /// True if the picture above has an arrow from `self` to `next`.
    pub const fn may_become(self, next: Phase) -> bool {
        use Phase::{Draining, Ready, Reloading, Starting, Stopped};
        matches!(
            (self, next),
            (Starting, Ready | Draining | Stopped)
                | (Ready, Reloading | Draining)
                | (Reloading, Ready | Draining)
                | (Draining, Stopped)
        )
    }
}

/// What has to be there before the daemon is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Detector and embedder are loaded and warm.
    Models,
    /// The gallery is open and its index built.
    Gallery,
    /// Every stage's thread runs.
    Stages,
}

impl Need {
    const ALL: [Need; 3] = [Need::Models, Need::Gallery, Need::Stages];

    const fn as_str(self) -> &'static str {
        match self {
            Need::Models => "models",
            Need::Gallery => "gallery",
            Need::Stages => "stages",
        }
    }
}

/// The phase and what is still missing. Shared by `Arc`.
#[derive(Debug)]
pub struct LifeCycle {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    missing: Vec<Need>,
}

impl Default for LifeCycle {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { phase: Phase::Starting, missing: Need::ALL.to_vec() }) }
    }
}

impl LifeCycle {
    /// The phase.
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// `need` is there.
    pub fn have(&self, need: Need) {
        self.lock().missing.retain(|n| *n != need);
    }

    /// Names of what is missing.
    pub fn missing(&self) -> Vec<&'static str> {
        self.lock().missing.iter().map(|n| n.as_str()).collect()
    }

    /// True while the daemon is at work.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::Reloading)
    }

    /// Goes on to `next`.
    ///
    /// # Errors
    /// `Software`, when there is no such arrow, or something is missing that `Ready` needs. Nothing changes then.
    pub fn become_phase(&self, next: Phase) -> Result<()> {
        let mut inner = self.lock();
        if !inner.phase.may_become(next) {
            return Err(err!(
                Software,
                "the daemon is {} and cannot be {}",
                inner.phase.as_str(),
                next.as_str()
            ));
        }
        if next == Phase::Ready && !inner.missing.is_empty() {
            let missing: Vec<_> = inner.missing.iter().map(|n| n.as_str()).collect();
            return Err(err!(Software, "the daemon is not ready without its {}", missing.join(", ")));
        }
        inner.phase = next;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Phase; 5] =
        [Phase::Starting, Phase::Ready, Phase::Reloading, Phase::Draining, Phase::Stopped];

    #[test]
    fn nothing_comes_after_stopped_and_everything_ends_there() {
        for from in ALL {
            assert!(!Phase::Stopped.may_become(from));
            assert!(!from.may_become(from));
            assert!(from == Phase::Stopped || from == Phase::Draining || from.may_become(Phase::Draining));
        }
        assert!(!Phase::Draining.may_become(Phase::Ready), "a reload never undoes a stop");
    }

    #[test]
    fn it_is_ready_only_with_everything_it_needs() {
        let life = LifeCycle::default();
        life.have(Need::Models);
        life.have(Need::Stages);
        let error = life.become_phase(Phase::Ready).expect_err("no gallery").to_string();
        assert!(error.contains("gallery") && !error.contains("models"), "{error}");
        assert!(!life.is_ready());
        life.have(Need::Gallery);
        life.become_phase(Phase::Ready).expect("complete");
        life.become_phase(Phase::Reloading).expect("allowed");
        assert!(life.is_ready(), "a reload does not stop the work");
        life.become_phase(Phase::Draining).expect("allowed");
        assert!(life.become_phase(Phase::Ready).is_err());
        assert_eq!(life.phase(), Phase::Draining);
    }
}
