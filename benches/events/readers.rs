//! Who comes for the events: a reader of each way in, each with a connection of its own that stays.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;
use watchlistd::api::http::{Readers, Server as Http};
use watchlistd::api::{Report, event_socket};
use watchlistd::base::secret::Secret;
use watchlistd::config::{EventSocket, HttpReader, Sink, SinkKind};
use watchlistd::daemon::state::LifeCycle;
use watchlistd::daemon::watchdog::Heartbeats;
use watchlistd::pull::Source;

use super::Site;
use super::latency::Times;

/// The readers' names in the report.
pub const NAMES: [&str; 3] = ["unix", "http-stream", "http-poll"];
const TOKEN: &str = "a-token-for-the-bench";

/// What serves them. Dropping it hangs up on them.
pub struct Doors {
    _http: Http,
    _sockets: Vec<event_socket::Server>,
}

/// Opens the doors of a log, and starts a reader at each, which reads from the oldest event on.
pub fn start(site: &Site, folder: &Path, times: &Arc<Times>) -> Doors {
    let source = Source::new(site.log.reading(), site.maker.clone(), site.clock.clone());
    let path = folder.join("events.sock");
    let socket = Sink::new("unix", SinkKind::Unix(EventSocket::new(&path)));
    let sockets = event_socket::start_all(&[socket], &source, &site.stats).expect("the socket");
    let http = http(site, source);
    let address = http.address();
    let readers: [Box<dyn FnOnce(Receipt) + Send>; 3] = [
        Box::new(move |receipt| unix(&path, &receipt)),
        Box::new(move |receipt| stream(address, &receipt)),
        Box::new(move |receipt| poll(address, &receipt)),
    ];
    for (name, reader) in NAMES.into_iter().zip(readers) {
        let times = times.clone();
        std::thread::spawn(move || reader(Box::new(move |event| times.receipt(name, id(event).into_iter()))));
    }
    Doors { _http: http, _sockets: sockets }
}

/// Notes that an event is there.
type Receipt = Box<dyn Fn(&Value) + Send>;

fn id(event: &Value) -> Option<Uuid> {
    event.get("id")?.as_str()?.parse().ok()
}

fn http(site: &Site, source: Source) -> Http {
    let reader = HttpReader::new("bench", Secret::new(TOKEN));
    let readers = Arc::new(Readers::new(&[reader], &site.stats).expect("readers"));
    readers.open(source);
    let report = Report {
        stats: site.stats.clone(),
        beats: Heartbeats::new(site.clock.clone()),
        life: Arc::new(LifeCycle::default()),
        clock: site.clock.clone(),
    };
    Http::start(SocketAddr::from(([127, 0, 0, 1], 0)), report, readers).expect("listens")
}

fn unix(path: &PathBuf, receipt: &Receipt) {
    let mut stream = UnixStream::connect(path).expect("connects");
    writeln!(stream, r#"{{"after":"oldest"}}"#).expect("asked");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        receipt(&serde_json::from_str(&line).expect("an event"));
    }
}

fn stream(address: SocketAddr, receipt: &Receipt) {
    let url = format!("http://{address}/v1/events/stream?after=oldest");
    let answer = ureq::get(url).header("authorization", format!("Bearer {TOKEN}")).call();
    let body = answer.expect("served").into_body().into_reader();
    let lines = BufReader::new(body).lines().map_while(Result::ok);
    for data in lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)) {
        receipt(&serde_json::from_str(&data).expect("an event"));
    }
}

/// Ends when the server has gone.
fn poll(address: SocketAddr, receipt: &Receipt) {
    let agent = ureq::agent();
    let mut cursor = "oldest".to_owned();
    loop {
        let url = format!("http://{address}/v1/events?after={cursor}&wait=60");
        let Ok(answer) = agent.get(url).header("authorization", format!("Bearer {TOKEN}")).call() else {
            return;
        };
        let Ok(text) = answer.into_body().read_to_string() else { return };
        let page: Value = serde_json::from_str(&text).expect("a page");
        page["events"].as_array().into_iter().flatten().for_each(receipt);
        page["next"].as_str().expect("a cursor").clone_into(&mut cursor);
    }
}
