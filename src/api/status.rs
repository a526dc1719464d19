//! The status socket: `watchlistd status` asks, the daemon answers.
//!
//! ```text
//!   client ── {"op":"status"}⏎ ──▶ server       one request, one answer, closed
//!   client ◀── {"status":{...}}⏎ ─┘             or {"error":"..."}
//! ```
//!
//! The socket belongs to user and group (0660). A lock beside it tells a running daemon from a stale socket: the
//! system drops the lock with the process, however that ended.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Report;
use crate::base::error::{Error, Result};
use crate::stats::snapshot::Snapshot;
use crate::{bail, err};

/// Longest request.
const MAX_REQUEST: usize = 1024;
/// Longest answer a client reads.
const MAX_ANSWER: usize = 16 << 20;
/// A client that takes longer than this in all is hung up on.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    op: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Status(Box<Snapshot>),
    Error(String),
}

/// The server. Dropping it ends its thread and removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    // Held for the server's life.
    _lock: File,
}

impl Server {
    /// Binds `path` and answers from a thread of its own.
    ///
    /// # Errors
    /// `Temporary`, when another `watchlistd` has the socket; `CannotCreate` or `Permission`, when it cannot be made;
    /// all name `control.socket`.
    pub fn start(path: &Path, report: Report) -> Result<Self> {
        let lock = lock(path)?;
        clear(path)?;
        let listener = bind(path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("status".into())
            .spawn(move || serve(&listener, &report, &stopped))
            .map_err(|e| err!(Unavailable, "cannot start the status socket's thread").because(e))?;
        Ok(Self { path: path.to_owned(), stop, thread: Some(thread), _lock: lock })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A connection of our own wakes the thread; only if that works is it worth waiting for.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn cannot(what: &str, path: &Path, cause: std::io::Error) -> Error {
    let text = format!("control.socket: cannot {what} {}", path.display());
    const WHAT_TO_DO: &str =
        "set control.socket to a path in a folder of yours (systemd makes /run/watchlistd for the unit)";
    match cause.kind() {
        ErrorKind::PermissionDenied => err!(Permission, "{text}: permission denied; {WHAT_TO_DO}"),
        ErrorKind::NotFound => err!(CannotCreate, "{text}: its folder is not there; {WHAT_TO_DO}"),
        _ => err!(CannotCreate, "{text}").because(cause),
    }
}

fn lock(path: &Path) -> Result<File> {
    let lock_path = beside(path, ".lock");
    let file = File::create(&lock_path).map_err(|e| cannot("create", &lock_path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(running(path)),
        Err(fs::TryLockError::Error(e)) => Err(cannot("lock", &lock_path, e)),
    }
}

fn running(path: &Path) -> Error {
    err!(
        Temporary,
        "control.socket: another watchlistd is running at {}; stop it, or give this one a socket of its own",
        path.display()
    )
}

/// Removes a socket that nobody listens to. Anything else at `path` stays and is an error.
fn clear(path: &Path) -> Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(cannot("look at", path, e)),
        Ok(metadata) => metadata.file_type(),
    };
    if !kind.is_socket() {
        bail!(
            CannotCreate,
            "control.socket: {} is there and is no socket; remove it or name another",
            path.display()
        );
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(running(path)),
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|e| cannot("remove the stale socket", path, e))
        }
        Err(e) => Err(cannot("connect to", path, e)),
    }
}

/// Binds beside `path`, sets the mode, moves it there: nobody connects before the mode is right.
fn bind(path: &Path) -> Result<UnixListener> {
    let fresh = beside(path, ".new");
    let _ = fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(|e| cannot("bind", path, e))?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o660))
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|e| cannot("make", path, e))?;
    Ok(listener)
}

fn serve(listener: &UnixListener, report: &Report, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) if !stop.load(Ordering::Acquire) => {
                // A client that goes away in the middle is its own business.
                if let Err(error) = answer(stream, report) {
                    tracing::debug!(%error, "a status client was not answered");
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "the status socket could not accept");
                // Out of file descriptors: let some come back.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn answer(mut stream: UnixStream, report: &Report) -> std::io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let line = read_line(&mut stream, MAX_REQUEST, deadline)?;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) if request.op == "status" => Answer::Status(Box::new(report.snapshot())),
        Ok(request) => Answer::Error(format!("unknown op {:?}; known: status", request.op)),
        Err(_) => Answer::Error(r#"expected one line of JSON: {"op":"status"}"#.to_owned()),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write_all(&mut stream, &text, deadline)
}

fn time_left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Reads up to a line break, at most `limit` bytes and until `deadline`, however slowly they come.
fn read_line(stream: &mut UnixStream, limit: usize, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        let n = match stream.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let new = buffer.get(..n).unwrap_or_default();
        if let Some(end) = new.iter().position(|b| *b == b'\n') {
            line.extend(new.iter().take(end));
            return Ok(line);
        }
        line.extend_from_slice(new);
        if n == 0 || line.len() > limit {
            return Err(ErrorKind::InvalidData.into());
        }
    }
}

fn write_all(stream: &mut UnixStream, mut bytes: &[u8], deadline: Instant) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Asks the daemon at `path` for its status.
///
/// # Errors
/// `Unavailable`, when none runs there or it does not answer within `patience`; `Permission`; `Data`, when it
/// answers something else.
pub fn query(path: &Path, patience: Duration) -> Result<Snapshot> {
    let deadline = Instant::now() + patience;
    let shown = path.display();
    let mut stream = UnixStream::connect(path).map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied => {
            err!(
                Permission,
                "control.socket: {shown} is not for this user; use sudo, or join the socket's group"
            )
        }
        _ => err!(Unavailable, "control.socket: no watchlistd is running at {shown}").because(e),
    })?;
    let exchange = write_all(&mut stream, b"{\"op\":\"status\"}\n", deadline)
        .and_then(|()| read_line(&mut stream, MAX_ANSWER, deadline));
    let line =
        exchange.map_err(|e| err!(Unavailable, "the watchlistd at {shown} does not answer").because(e))?;
    match serde_json::from_slice(&line) {
        Ok(Answer::Status(snapshot)) => Ok(*snapshot),
        Ok(Answer::Error(text)) => {
            Err(err!(Data, "the watchlistd at {shown} answered: {}", super::table::plain(&text)))
        }
        Err(e) => Err(err!(Data, "the watchlistd at {shown} is of another version").because(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fixture;
    use crate::base::error::Kind;

    const LONG: Duration = Duration::from_secs(60);

    fn ask(path: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).expect("connected");
        stream.write_all(request).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        text
    }

    #[test]
    fn the_client_gets_what_the_daemon_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let (report, _) = fixture::ready();
        let server = Server::start(&path, report.clone()).expect("started");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o660);
        assert_eq!(query(&path, LONG).expect("answered"), report.snapshot());
        drop(server);
        assert!(!path.exists(), "it cleans up");
        assert_eq!(query(&path, LONG).expect_err("gone").kind(), Kind::Unavailable);
    }

    #[test]
    fn nonsense_gets_an_error_and_the_next_client_an_answer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let _server = Server::start(&path, fixture::ready().0).expect("started");
        assert!(ask(&path, b"{\"op\":\"reboot\"}\n").contains("known: status"));
        assert!(ask(&path, b"GET / HTTP/1.1\n").contains("expected one line of JSON"));
        assert_eq!(ask(&path, &[b'x'; MAX_REQUEST + 1]), "", "an endless line is hung up on");
        drop(UnixStream::connect(&path).expect("connected"));
        assert!(query(&path, LONG).is_ok());
    }

    #[test]
    fn a_client_that_says_nothing_does_not_keep_others_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let _server = Server::start(&path, fixture::ready().0).expect("started");
        let _silent = UnixStream::connect(&path).expect("connected");
        assert!(query(&path, LONG).is_ok(), "answered once the silent one's time is over");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_running_daemon_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        // What a killed daemon leaves behind.
        drop(UnixListener::bind(&path).expect("bound"));
        let (report, _) = fixture::ready();
        let first = Server::start(&path, report.clone()).expect("replaces the stale socket");
        let error = Server::start(&path, report.clone()).expect_err("one is enough");
        assert!(error.to_string().contains("another watchlistd is running"), "{error}");
        assert!(query(&path, LONG).is_ok(), "the first is unharmed");
        drop(first);
        // Somebody who holds no lock of ours, but listens.
        let _other = UnixListener::bind(&path).expect("bound");
        assert!(Server::start(&path, report).is_err());
        assert!(path.exists());
    }

    #[test]
    fn a_file_in_the_way_is_not_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        fs::write(&path, "precious").expect("written");
        let error = Server::start(&path, fixture::ready().0).expect_err("in the way").to_string();
        assert!(error.contains("control.socket") && error.contains("is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
        let missing = folder.path().join("no/such/folder/s");
        let error = Server::start(&missing, fixture::ready().0).expect_err("no folder");
        assert_eq!(error.kind(), Kind::CannotCreate);
    }
}
