//! Loopback HTTP for machines: `/metrics` (Prometheus), `/healthz` (alive and getting on), `/readyz` (at work), and events for
//! those who have a reader's token: `/v1/events` (poll), `/v1/events/stream` (server-sent events), `/v1/snapshots` (pictures that they
//! refer to).
//!
//! ```text
//!   TcpListener ─▶ at most 32 connections ─▶ each: at most 10 s and 64 KiB in ─▶ axum ─┬▶ a page
//!                                              a token: places and times of its own ─▶ └▶ events
//! ```
//!
//! A connection's time and bytes are bounded below HTTP, so that no client, however slow or chatty, holds anything for
//! longer. Pages are made from a snapshot; nothing is ever read from a body.

mod connection;
mod events;
mod readers;
mod snapshots;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

pub use self::readers::{Album, Readers};

use self::connection::{Bounded, Lease};
use super::{Report, metrics};
use crate::base::error::Result;
use crate::err;

/// Connections served at a time; the next one waits.
const CONNECTIONS: usize = 32;
/// What a connection may take in all.
const LIFETIME: Duration = Duration::from_secs(10);
/// Threads that read the event log for those who are served.
const LOG_READERS: usize = 4;
/// The longest that a read of the event log is waited for at the end.
const LAST_READ: Duration = Duration::from_secs(1);

/// The server. Dropping it ends its thread and the connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds `listen` (`http.listen`) and serves from a thread of its own. `readers` may come for events.
    ///
    /// # Errors
    /// `Unavailable`, when the port is taken or there is no thread; the message names the key.
    pub fn start(listen: SocketAddr, report: Report, readers: Arc<Readers>) -> Result<Self> {
        Self::start_with(listen, report, readers, LIFETIME)
    }

    fn start_with(
        listen: SocketAddr,
        report: Report,
        readers: Arc<Readers>,
        lifetime: Duration,
    ) -> Result<Self> {
        let listener = bind(listen)?;
        let failed = |e: io::Error| err!(Unavailable, "http.listen: cannot serve {listen}").because(e);
        let address = listener.local_addr().map_err(failed)?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.max_blocking_threads(LOG_READERS).enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                let limit = tokio::select! {
                    () = serve(listener, report, readers.clone(), lifetime) => None,
                    limit = stopped => limit.ok(),
                };
                readers.settled(limit.unwrap_or_default()).await;
            });
            runtime.shutdown_timeout(LAST_READ);
        };
        let thread = std::thread::Builder::new().name("http".into()).spawn(run).map_err(failed)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and ends when those who come for events have what there is, at most after `limit`. To be called
    /// when the log has ended: before that there may always be more. Dropping it then waits for that.
    pub fn drain(&mut self, limit: Duration) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(limit);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(listen: SocketAddr) -> Result<std::net::TcpListener> {
    let bound = std::net::TcpListener::bind(listen).and_then(|l| l.set_nonblocking(true).map(|()| l));
    bound.map_err(|e| match e.kind() {
        io::ErrorKind::AddrInUse => err!(
            Unavailable,
            "http.listen: {listen} is in use by another program; stop it, choose another port, or turn it off with \"off\""
        ),
        _ => err!(Unavailable, "http.listen: cannot listen on {listen}").because(e),
    })
}

async fn serve(listener: std::net::TcpListener, report: Report, readers: Arc<Readers>, lifetime: Duration) {
    let result = async {
        let tcp = TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let service = router(report, readers).into_make_service_with_connect_info::<Lease>();
        axum::serve(Bounded { tcp, places, lifetime }, service).await
    };
    if let Err(error) = result.await {
        tracing::error!(%error, "metrics and health are not served any more");
    }
}

fn router(report: Report, readers: Arc<Readers>) -> Router {
    let pages = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(report);
    let pulls = Router::new()
        .route("/v1/events", get(events::poll))
        .route("/v1/events/stream", get(events::stream))
        .route("/v1/snapshots/{id}/{picture}", get(snapshots::picture))
        .with_state(readers);
    pages.merge(pulls)
}

async fn metrics_page(State(report): State<Report>) -> Response {
    let page = metrics::render(&report.snapshot());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()
}

/// 200 while every stage that has work gets on with it; 503 with the names of those that do not.
async fn healthz(State(report): State<Report>) -> Response {
    let stuck = report.beats.stuck(report.clock.now());
    match stuck.as_slice() {
        [] => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        names => (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", names.join(", "))).into_response(),
    }
}

/// 200 while the daemon is at work; 503 with what is missing, or the phase.
async fn readyz(State(report): State<Report>) -> Response {
    let missing = report.life.missing();
    let phase = report.life.phase().as_str();
    if report.life.is_ready() {
        (StatusCode::OK, "ready\n".to_owned()).into_response()
    } else if missing.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{phase}\n")).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{phase}: no {} yet\n", missing.join(", "))).into_response()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod page_tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::api::fixture;
    use crate::daemon::state::Phase;

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().expect("valid")
    }

    /// No readers.
    fn nobody() -> Arc<Readers> {
        let stats = fixture::ready().0.stats;
        Arc::new(Readers::new(&[], &stats).expect("none"))
    }

    fn start(report: Report) -> Result<Server> {
        Server::start(any_port(), report, nobody())
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).expect("connected");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        // An error after the answer is the server's way to hang up on what it did not read.
        let _ = stream.read_to_string(&mut text);
        text
    }

    fn get_page(address: SocketAddr, path: &str) -> (String, String) {
        let text = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        (head.to_lowercase(), body.to_owned())
    }

    #[test]
    fn pages_are_served_and_nothing_else() {
        let server = start(fixture::ready().0).expect("started");
        let (head, body) = get_page(server.address(), "/metrics");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert!(body.contains("watchlistd_frames_received_total{camera=\"door\"} 500\n"), "{body}");
        for path in ["/", "/metrics/", "/../etc/passwd", "/metricsx", "/%00"] {
            assert!(get_page(server.address(), path).0.starts_with("http/1.1 404"), "{path}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let request = format!(
                "{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            assert!(ask(server.address(), &request).starts_with("HTTP/1.1 405"), "{method}");
        }
        assert!(ask(server.address(), "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    }

    #[test]
    fn healthy_means_that_every_stage_gets_on() {
        let (report, clock) = fixture::ready();
        let beat = report.beats.register("inference-0", Duration::from_secs(20));
        let server = start(report).expect("started");
        assert!(get_page(server.address(), "/healthz").0.starts_with("http/1.1 200"));
        beat.begin_work();
        clock.advance(Duration::from_secs(21));
        let (head, body) = get_page(server.address(), "/healthz");
        assert!(head.starts_with("http/1.1 503") && body == "stuck: inference-0\n", "{head}\n{body}");
        assert!(get_page(server.address(), "/metrics").1.contains("watchlistd_stuck_stages 1\n"));
    }

    #[test]
    fn ready_means_at_work() {
        let (starting, _) = fixture::report();
        let server = start(starting).expect("started");
        let (head, body) = get_page(server.address(), "/readyz");
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert_eq!(body, "starting: no models, gallery, stages yet\n");
        let (report, _) = fixture::ready();
        let life = report.life.clone();
        let server = start(report).expect("started");
        assert!(get_page(server.address(), "/readyz").0.starts_with("http/1.1 200"));
        life.become_phase(Phase::Draining).expect("allowed");
        assert_eq!(get_page(server.address(), "/readyz").1, "draining\n");
    }

    #[test]
    fn a_port_in_use_names_the_key() {
        let taken = std::net::TcpListener::bind(any_port()).expect("bound");
        let address = taken.local_addr().expect("bound");
        let error = Server::start(address, fixture::ready().0, nobody()).expect_err("taken").to_string();
        assert!(error.contains("http.listen") && error.contains("in use"), "{error}");
    }

    /// More silent clients than there are places: each is hung up on, and the next one is served.
    #[test]
    fn slow_clients_hold_nothing_for_long() {
        let lifetime = Duration::from_millis(200);
        let server = Server::start_with(any_port(), fixture::ready().0, nobody(), lifetime).expect("started");
        let connect = || std::net::TcpStream::connect(server.address()).expect("connected");
        let mut silent: Vec<_> = (0..CONNECTIONS + 4).map(|_| connect()).collect();
        silent.iter_mut().for_each(|s| s.write_all(b"GET /metrics HTTP/1.1\r\nX: ").expect("sent"));
        assert!(get_page(server.address(), "/healthz").0.starts_with("http/1.1 200"));
        for stream in &mut silent {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "half a request gets no page");
        }
    }

    #[test]
    fn a_client_cannot_send_for_ever() {
        let server = start(fixture::ready().0).expect("started");
        let mut stream = std::net::TcpStream::connect(server.address()).expect("connected");
        let line = [b'x'; 1024];
        let sent = (0..1_000_000).take_while(|_| stream.write_all(&line).is_ok()).count();
        assert!(sent < 1_000_000, "the server hangs up");
        assert!(get_page(server.address(), "/healthz").0.starts_with("http/1.1 200"));
    }
}
