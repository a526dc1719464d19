//! Counters of those who come for events themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counter::Counter;
use super::snapshot::PullSnapshot;

/// How a reader comes for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a token, over HTTP.
    Http,
    /// Over a Unix socket.
    Unix,
}

impl Way {
    /// The name in metrics and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Way::Http => "http",
            Way::Unix => "unix",
        }
    }
}

/// Counters of those who come by one name.
#[derive(Debug)]
pub struct PullStats {
    name: String,
    way: Way,
    requests: Counter,
    open: AtomicU64,
    /// Events that were handed out.
    pub given: Counter,
    /// Hung up on, as they did not take what was sent.
    pub stalled: Counter,
}

impl PullStats {
    pub(super) fn new(name: &str, way: Way) -> Self {
        let (requests, open, given, stalled) = Default::default();
        Self { name: name.to_owned(), way, requests, open, given, stalled }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Requests that are served now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn snapshot(&self) -> PullSnapshot {
        PullSnapshot {
            reader: self.name.clone(),
            way: self.way.as_str().to_owned(),
            requests: self.requests.get(),
            open: self.open(),
            given: self.given.get(),
            stalled: self.stalled.get(),
        }
    }
}

/// A request that is served now; counted until it is dropped.
#[derive(Debug)]
pub struct Open(Arc<PullStats>);

impl Open {
    /// One more.
    pub fn new(stats: &Arc<PullStats>) -> Self {
        stats.requests.add(1);
        stats.open.fetch_add(1, Ordering::AcqRel);
        Self(stats.clone())
    }

    /// So many events were handed out.
    pub fn given(&self, events: usize) {
        self.0.given.add(events as u64);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
