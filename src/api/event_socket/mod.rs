//! Sockets of events (`[sinks.NAME]` with `type = "unix"`): each streams to any number of readers, each from a place of its own.
//!
//! ```text
//!   accept ─▶ who? ─▶ a place free? ─▶ one line, or none: where it begins ─▶ one event a line ─┬─▶ ...
//!              no ──────── no ─────────── no ─▶ {"error": ...}, closed                         └─ takes nothing for 30 s: closed
//! ```
//!
//! One thread serves all readers of a socket, and a few beside it read the log. Who is behind is waited for by nobody: the log keeps
//! nothing for a reader, and what retention took meanwhile is told with its exact range.

mod reader;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::control::Rule;
use super::control::peer::{Peer, allowed};
use super::control::socket::Keys;
use crate::base::error::{Error, Result};
use crate::config::{EventSocket, Sink, SinkKind};
use crate::err;
use crate::pull::Source;
use crate::sinks::shape::Shape;
use crate::stats::{PullStats, Stats, Way};

/// Threads that read the event log for a socket's readers.
const LOG_READERS: usize = 4;
/// The longest that a read of the event log is waited for at the end.
const LAST_READ: Duration = Duration::from_secs(1);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Until it is taken that nothing is asked for.
    request: Duration,
    /// A reader that takes nothing for this long is hung up on.
    stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request: Duration::from_secs(1), stall: Duration::from_secs(30) }
    }
}

/// What all readers of a socket share.
struct Shared {
    keys: Keys,
    rule: Rule,
    shape: Shape,
    source: Source,
    stats: Arc<PullStats>,
    all: Arc<Stats>,
    places: Arc<Semaphore>,
    readers: usize,
    limits: Limits,
}

/// A socket. Dropping it removes its file and hangs up on its readers.
pub struct Server {
    path: PathBuf,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
    // Held for the server's life.
    _lock: File,
}

/// The sockets of the configuration, serving.
///
/// # Errors
/// `Temporary`, when another `watchlistd` has one of them; `Config`, `CannotCreate` or `Permission`, when it cannot be made; the message
/// names the key.
pub fn start_all(sinks: &[Sink], source: &Source, stats: &Arc<Stats>) -> Result<Vec<Server>> {
    let start = |sink: &Sink| match &sink.kind {
        SinkKind::Unix(socket) => Some(Server::start(sink, socket, source, stats, Limits::default())),
        _ => None,
    };
    sinks.iter().filter_map(start).collect()
}

impl Server {
    fn start(
        sink: &Sink,
        socket: &EventSocket,
        source: &Source,
        stats: &Arc<Stats>,
        limits: Limits,
    ) -> Result<Self> {
        let keys = Keys { path: format!("{}.path", sink.key()), group: format!("{}.group", sink.key()) };
        let rule = Rule::of_key(&keys.group, socket.group.as_deref())?;
        let (listener, lock) = keys.open(&socket.path, &rule)?;
        let failed = |e: std::io::Error| err!(Unavailable, "{}: cannot serve", sink.key()).because(e);
        listener.set_nonblocking(true).map_err(failed)?;
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.max_blocking_threads(LOG_READERS).enable_all().build().map_err(failed)?;
        let shared = Shared {
            keys,
            rule,
            shape: sink.shape.clone(),
            source: source.clone(),
            stats: stats.events.add_reader(&sink.name, Way::Unix),
            all: stats.clone(),
            places: Arc::new(Semaphore::new(socket.readers)),
            readers: socket.readers,
            limits,
        };
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(serve(listener, Arc::new(shared), stopped));
            runtime.shutdown_timeout(LAST_READ);
        };
        let thread =
            std::thread::Builder::new().name(format!("sink-{}", sink.name)).spawn(run).map_err(failed)?;
        Ok(Self { path: socket.path.clone(), stop: Some(stop), thread: Some(thread), _lock: lock })
    }

    /// Takes no more readers, and ends when those that are there have what there is, at most after `limit`. To be called when the log
    /// has ended: before that there may always be more. Dropping it then waits for that.
    pub fn drain(&mut self, limit: Duration) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(limit);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<Duration>,
) {
    let limit = tokio::select! {
        () = accept(listener, &shared) => None,
        limit = stopped => limit.ok(),
    };
    let all = u32::try_from(shared.readers).unwrap_or(u32::MAX);
    let _ = timeout(limit.unwrap_or_default(), shared.places.acquire_many(all)).await;
}

async fn accept(listener: std::os::unix::net::UnixListener, shared: &Arc<Shared>) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "{}: events are not served", shared.keys.path);
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, shared),
            Err(error) => {
                tracing::debug!(%error, "{}: could not accept", shared.keys.path);
                // Out of file descriptors: let some come back.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Gives a reader its place and its task.
fn admit(stream: UnixStream, shared: &Arc<Shared>) {
    if let Err(error) = may_read(&stream, shared) {
        return reader::refuse(&stream, &error, shared);
    }
    let Ok(place) = shared.places.clone().try_acquire_owned() else {
        let error = err!(
            Temporary,
            "{}: busy: {} readers are there already; come again when one has left",
            shared.keys.path,
            shared.readers
        );
        return reader::refuse(&stream, &error, shared);
    };
    let shared = shared.clone();
    tokio::spawn(async move {
        reader::serve(&stream, &shared).await;
        drop((stream, place));
    });
}

fn may_read(stream: &UnixStream, shared: &Shared) -> Result<(), Error> {
    let key = &shared.keys.path;
    let peer =
        Peer::of(stream).map_err(|e| err!(Software, "{key}: the system does not say who asks").because(e))?;
    if allowed(&peer, &shared.rule) {
        return Ok(());
    }
    let group = shared.rule.group();
    Err(err!(Permission, "{key}: uid {} may not read events; use sudo, or join the group {group}", peer.uid))
}
