//! A `nats-server` of its own for a test: free port, store in a temporary folder, killed at the end.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{self, Context};
use serde_json::Value;
use url::Url;

/// Longest wait for what has to happen.
pub(in crate::sinks) const PATIENCE: Duration = Duration::from_secs(60);

/// One server, running or not.
pub(in crate::sinks) struct Server {
    /// Its configuration and what it stores.
    pub(in crate::sinks) folder: tempfile::TempDir,
    /// Where it listens.
    pub(in crate::sinks) port: u16,
    file: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// With JetStream.
    pub(in crate::sinks) fn new() -> Self {
        Self::with(|folder| format!("jetstream {{ store_dir: {:?} }}", folder.join("store")))
    }

    /// With JetStream and more configuration.
    pub(in crate::sinks) fn more(text: &str) -> Self {
        Self::with(|folder| format!("jetstream {{ store_dir: {:?} }}\n{text}", folder.join("store")))
    }

    /// With this configuration; it may stand on what is in its folder.
    pub(in crate::sinks) fn with(configuration: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let text = format!("listen: \"127.0.0.1:{port}\"\n{}\n", configuration(folder.path()));
        let file = folder.path().join("server.conf");
        std::fs::write(&file, text).expect("written");
        let mut server = Self { folder, port, file, child: None };
        server.start();
        server
    }

    /// Starts it again, with what it has stored.
    pub(in crate::sinks) fn start(&mut self) {
        let log = self.folder.path().join("server.log");
        self.child = Some(start(&self.file, &log, self.port));
    }

    /// Kills it.
    pub(in crate::sinks) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(in crate::sinks) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(in crate::sinks) fn url(&self) -> Url {
        Url::parse(&format!("nats://{}", self.address())).expect("valid")
    }

    /// Work of an operator's.
    pub(in crate::sinks) fn operate<T>(&self, work: impl AsyncFnOnce(Context) -> T) -> T {
        operate(&self.url(), ConnectOptions::new(), work)
    }

    /// Makes a stream.
    pub(in crate::sinks) fn make(&self, config: Config) {
        self.operate(async |context| drop(context.create_stream(config).await.expect("a stream")));
    }

    /// Removes all messages.
    pub(in crate::sinks) fn purge(&self, stream: &str) {
        self.operate(async |context| {
            let stream = context.get_stream(stream).await.expect("the stream");
            assert!(stream.purge().await.expect("purged").success);
        });
    }

    /// What the stream is.
    pub(in crate::sinks) fn info(&self, stream: &str) -> Info {
        self.operate(async |context| {
            context.get_stream(stream).await.expect("the stream").cached_info().clone()
        })
    }

    /// What is in the stream `EVENTS`.
    pub(in crate::sinks) fn stored(&self) -> Vec<Stored> {
        self.operate(async |context| stored(&context, "EVENTS").await)
    }

    /// Numbers of the events in the stream `EVENTS`, in its order.
    pub(in crate::sinks) fn numbers(&self) -> Vec<u64> {
        self.stored().iter().map(Stored::number).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A message in a stream.
pub(in crate::sinks) struct Stored {
    pub(in crate::sinks) subject: String,
    pub(in crate::sinks) headers: async_nats::HeaderMap,
    pub(in crate::sinks) json: String,
}

impl Stored {
    /// The event's number in its log.
    pub(in crate::sinks) fn number(&self) -> u64 {
        self.header("Watchlistd-Sequence").parse().expect("a number")
    }

    pub(in crate::sinks) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.as_str())
    }

    pub(in crate::sinks) fn value(&self) -> Value {
        serde_json::from_str(&self.json).expect("JSON")
    }
}

/// All messages of a stream.
pub(in crate::sinks) async fn stored(context: &Context, stream: &str) -> Vec<Stored> {
    let stream = context.get_stream(stream).await.expect("the stream");
    let state = &stream.cached_info().state;
    let mut found = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let raw = stream.get_raw_message(sequence).await.expect("a message");
        let json = String::from_utf8(raw.payload.to_vec()).expect("text");
        found.push(Stored { subject: raw.subject.to_string(), headers: raw.headers, json });
    }
    found
}

/// Work of somebody who logs in like that.
pub(in crate::sinks) fn operate<T>(
    url: &Url,
    options: ConnectOptions,
    work: impl AsyncFnOnce(Context) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = options.connect(url.as_str()).await.expect("a connection");
        work(jetstream::new(client)).await
    })
}

/// Starts a server and waits until it greets.
pub(in crate::sinks) fn start(file: &Path, log: &Path, port: u16) -> Child {
    let mut child = Command::new("nats-server")
        .arg("--config")
        .arg(file)
        .arg("--log")
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| {
            panic!("nats-server: {e}; run `apt-get install -y --no-install-recommends nats-server openssl`")
        });
    let begun = Instant::now();
    while !greets(port) {
        if let Some(status) = child.try_wait().expect("a status") {
            panic!("nats-server ended with {status}: {}", std::fs::read_to_string(log).unwrap_or_default());
        }
        assert!(begun.elapsed() < PATIENCE, "nats-server does not greet on port {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(PATIENCE)).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && &greeting == b"INFO"
}

/// A port that nobody listens on.
pub(in crate::sinks) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
