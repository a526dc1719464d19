//! The server: accepts, and gives each client a thread of its own.
//!
//! ```text
//!  accept ─▶ a place free? ─ yes ─▶ thread: connection::serve ─▶ the place is free again
//!                └─ no ─▶ {"error": temporary, "busy"}, closed
//!
//!  drop: no more accepted ─▶ nothing more read ─▶ commands that run get a little time ─▶ those still running are left
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use super::peer::Rule;
use super::socket::Keys;
use super::{Handler, Limits, connection};
use crate::base::error::Result;
use crate::err;

/// What the server's threads share.
pub(super) struct Shared {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) rule: Rule,
    pub(super) limits: Limits,
    stop: AtomicBool,
    places: Mutex<Places>,
    freed: Condvar,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Arc<UnixStream>>,
}

impl Shared {
    pub(super) fn new(rule: Rule, handler: Arc<dyn Handler>, limits: Limits) -> Arc<Self> {
        let (places, freed) = Default::default();
        Arc::new(Self { handler, rule, limits, stop: AtomicBool::new(false), places, freed })
    }

    /// True once no further request is to be answered.
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_place(self: &Arc<Self>, stream: &Arc<UnixStream>) -> Option<Place> {
        let mut places = self.places();
        if places.taken.len() >= self.limits.connections {
            return None;
        }
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, stream.clone());
        Some(Place { shared: self.clone(), number })
    }
}

/// One of the connections that there may be; free again when dropped.
struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.places().taken.remove(&self.number);
        self.shared.freed.notify_all();
    }
}

/// The server. Dropping it removes the socket, hangs up on clients that ask nothing, and waits up to five seconds for
/// commands that run. One that takes longer is left to its own transaction.
pub struct Server {
    path: PathBuf,
    shared: Arc<Shared>,
    listener: Arc<UnixListener>,
    thread: Option<JoinHandle<()>>,
    // Held for the server's life.
    _lock: File,
}

impl Server {
    /// Binds `path` (`control.socket`, mode 0660, of the rule's group) and answers from threads of its own.
    ///
    /// # Errors
    /// `Temporary`, when another `watchlistd` has the socket; `CannotCreate` or `Permission`, when it cannot be made;
    /// all name `control.socket` or `control.group`.
    pub fn start(path: &Path, rule: Rule, handler: Arc<dyn Handler>) -> Result<Self> {
        Self::start_with(path, rule, handler, Limits::default())
    }

    pub(super) fn start_with(
        path: &Path,
        rule: Rule,
        handler: Arc<dyn Handler>,
        limits: Limits,
    ) -> Result<Self> {
        let (listener, lock) = Keys::of_control().open(path, &rule)?;
        let listener = Arc::new(listener);
        let shared = Shared::new(rule, handler, limits);
        let (accepting, sharing) = (listener.clone(), shared.clone());
        let thread = Builder::new()
            .name("control".into())
            .spawn(move || accept(&accepting, &sharing))
            .map_err(|e| err!(Unavailable, "cannot start the control socket's thread").because(e))?;
        Ok(Self { path: path.to_owned(), shared, listener, thread: Some(thread), _lock: lock })
    }
}

#[cfg(test)]
impl Server {
    /// Connections now.
    pub(super) fn clients(&self) -> usize {
        self.shared.places().taken.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the thread out of accept.
        let woken = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
        let places = self.shared.places();
        for stream in places.taken.values() {
            let _ = stream.shutdown(Shutdown::Read);
        }
        let grace = self.shared.limits.grace;
        let waited = self.shared.freed.wait_timeout_while(places, grace, |places| !places.taken.is_empty());
        let left = waited.unwrap_or_else(PoisonError::into_inner).0.taken.len();
        if left > 0 {
            tracing::warn!(
                connections = left,
                "stopping while clients of the control socket are still served"
            );
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("path", &self.path).finish_non_exhaustive()
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    while !shared.stopping() {
        match listener.accept() {
            Ok((stream, _)) => admit(Arc::new(stream), shared),
            Err(_) if shared.stopping() => {}
            Err(error) => {
                tracing::debug!(%error, "the control socket could not accept");
                // Out of file descriptors: let some come back.
                sleep(Duration::from_millis(100));
            }
        }
    }
}

fn admit(stream: Arc<UnixStream>, shared: &Arc<Shared>) {
    let Some(place) = shared.take_place(&stream) else {
        let most = shared.limits.connections;
        let error = err!(
            Temporary,
            "control.socket: busy: watchlistd serves {most} clients already; ask again when one has ended"
        );
        return connection::refuse(stream, &error);
    };
    let serving = stream.clone();
    let spawned = Builder::new().name("control client".into()).spawn(move || {
        connection::serve(serving, &place.shared);
        drop(place);
    });
    if let Err(e) = spawned {
        let error = err!(Temporary, "control.socket: no thread for another client; ask again later");
        connection::refuse(stream, &error.because(e));
    }
}
