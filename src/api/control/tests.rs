//! A daemon's socket from outside: what it promises, and what nobody can do to it.

mod exchange;
mod hostile;
mod life;
mod limits;
mod members;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::json;

use super::{Client, Handler, Limits, Peer, Rule, Server};
use crate::api::{Report, fixture};
use crate::base::error::{Error, Kind, Result};
use crate::err;
use crate::events::desk::{self, Question};
use crate::gallery::command::{AuditFilter, Command, Desk, Progress, Reply};
use crate::stats::snapshot::Snapshot;

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);
/// Shorter than anybody waits.
const SHORT: Duration = Duration::from_millis(30);

/// A gallery whose answers depend on the command alone.
struct Fake {
    report: Report,
    begun: Sender<()>,
    gate: Receiver<()>,
    done: AtomicUsize,
}

/// The test's side of a [`Fake`].
struct Gate {
    begun: Receiver<()>,
    open: Sender<()>,
}

impl Fake {
    fn new() -> (Arc<Self>, Gate) {
        let (begin, begun) = unbounded();
        let (open, gate) = unbounded();
        let report = fixture::ready().0;
        (Arc::new(Self { report, begun: begin, gate, done: AtomicUsize::new(0) }), Gate { begun, open })
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Answers when the test lets it.
    fn wait(&self) {
        self.begun.send(()).expect("the test lives");
        self.gate.recv().expect("the test opens the gate");
    }
}

impl Handler for Fake {
    fn status(&self) -> Snapshot {
        self.report.snapshot()
    }

    fn gallery(
        &self,
        peer: &Peer,
        command: Command,
        body: &[u8],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reply> {
        let reply = match command {
            Command::Describe => {
                let body: Vec<u8> = body.iter().rev().copied().collect();
                Reply { value: json!({"length": body.len(), "actor": peer.actor().0}), body }
            }
            Command::Verify => {
                self.wait();
                Reply::default()
            }
            Command::Confusable { most } => {
                let step = |done| Progress { what: "pairs".into(), done: done as u64, of: most as u64 };
                (1..=most).for_each(|done| progress(step(done)));
                Reply::default()
            }
            Command::AuditShow { filter: AuditFilter { action: Some(kind), .. } } => {
                return Err(failure(&kind));
            }
            Command::Lists => panic!("a bug, and a passphrase: tulip"),
            _ => return Err(err!(Usage, "not in this test")),
        };
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(reply)
    }

    fn events(&self, question: &Question) -> Result<Reply> {
        self.done.fetch_add(1, Ordering::SeqCst);
        match question {
            Question::Head => Ok(Reply { value: json!("a head"), body: b"a line\n".to_vec() }),
            Question::Sinks => panic!("a bug"),
            _ => Err(failure("no_input")),
        }
    }
}

/// An error of the kind of that name, with a cause.
fn failure(kind: &str) -> Error {
    let (kind, name) = super::protocol::KINDS.into_iter().find(|(_, name)| *name == kind).expect("a kind");
    Error::new(kind, format!("a failure of kind {name}")).because(Error::new(Kind::Io, "disk full"))
}

/// A server in a folder of its own.
struct Site {
    server: Option<Server>,
    fake: Arc<Fake>,
    gate: Gate,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let (fake, gate) = Fake::new();
        let server = Server::start_with(&path, Rule::own(), fake.clone(), limits).expect("started");
        Self { server: Some(server), fake, gate, path, _folder: folder }
    }

    fn client(&self) -> Client {
        Client::connect(&self.path, LONG).expect("connected")
    }

    fn stream(&self) -> std::os::unix::net::UnixStream {
        std::os::unix::net::UnixStream::connect(&self.path).expect("connected")
    }

    /// Still alive, for everybody.
    fn assert_well(&self) {
        super::client::query(&self.path, LONG).expect("a status");
        let reply = ask(&mut self.client(), Command::Describe, b"well").expect("a reply");
        assert_eq!(reply.body, b"llew");
    }
}

fn ask(client: &mut Client, command: Command, body: &[u8]) -> Result<Reply> {
    client.ask(command, body.to_vec(), &mut |_| {})
}

fn ask_events(client: &mut Client, question: &Question) -> Result<Reply> {
    desk::Desk::ask(client, question)
}

/// What `kind` is the name of, failing.
fn failing(kind: &str) -> Command {
    Command::AuditShow { filter: AuditFilter { action: Some(kind.to_owned()), ..AuditFilter::default() } }
}

/// Tries until it is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < deadline, "waited for: {what}");
        std::thread::yield_now();
    }
}
