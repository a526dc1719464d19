//! `/v1/events` and `/v1/events/stream`: events for whoever comes for them with a token.
//!
//! ```text
//!   request ─▶ a reader's token? ─▶ the log open? ─▶ query right, cursor ours? ─▶ a place of the reader's? ─┬─▶ poll
//!               no readers: 403      503              400                          429                      └─▶ stream
//!               no: 401
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::connection::Lease;
use super::readers::{Reader, Readers};
use crate::base::error::Error;
use crate::events::cloud;
use crate::pull::{Follow, Given, Next, Source, Start};
use crate::stats::Open;

/// Most events in one answer, where nothing else is asked for, and at all.
const LIMIT: (usize, usize) = (100, 1000);
/// Bytes of events after which an answer ends.
const ANSWER_BYTES: usize = 512 << 10;
/// The longest that a poll waits, in seconds.
const WAIT: u64 = 60;
/// How often a stream says that it is alive, and how far the reader is.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Events in one piece of a stream.
const PIECE: usize = 64;

/// The header in which a client of a stream says which event it had last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a request is told instead of what it asks for.
pub(super) struct Refusal {
    status: StatusCode,
    says: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, says: impl Into<String>) -> Self {
        Self { status, says: says.into() }
    }

    pub(super) fn bad(says: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, says)
    }

    fn unreadable(reader: &Reader, error: &Error) -> Self {
        tracing::warn!(
            reader = reader.stats.name(),
            error = error.chain(),
            "the event log cannot be read now"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the event log cannot be read now: ask again")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.says + "\n").into_response();
        let headers = response.headers_mut();
        // Who is refused leaves its place at once.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"watchlistd\""),
                );
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// What a request asks for.
struct Asked {
    start: Option<Start>,
    limit: usize,
    wait: Duration,
}

/// `GET /v1/events`: what comes after a cursor, at once or as soon as there is something.
pub(super) async fn poll(
    State(readers): State<Arc<Readers>>,
    ConnectInfo(lease): ConnectInfo<Lease>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let polled = async {
        let (reader, source) = enter(&readers, &headers)?;
        let asked = asked(query.as_deref(), &["after", "limit", "wait"], source)?;
        let start = asked.start.ok_or_else(|| {
            Refusal::bad("after: missing; give the cursor that the last answer had as \"next\", or \"oldest\" or \"now\"")
        })?;
        let open = take_place(reader, &lease, asked.wait)?;
        let answered = answer(reader, source, start, &asked).await;
        lease.answered();
        let (events, body) = answered?;
        open.given(events);
        Ok(body)
    };
    match polled.await {
        Ok(body) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, body).into_response()
        }
        Err(refusal) => refused(&readers, refusal),
    }
}

/// `GET /v1/events/stream`: server-sent events (HTML Standard, section 9.2).
pub(super) async fn stream(
    State(readers): State<Arc<Readers>>,
    ConnectInfo(lease): ConnectInfo<Lease>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match begin_stream(&readers, &lease, query.as_deref(), &headers) {
        Ok(stream) => {
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream"),
                (header::CACHE_CONTROL, "no-store"),
                // Nothing else is asked for on this connection: it ends with the stream.
                (header::CONNECTION, "close"),
            ];
            (headers, Body::from_stream(stream)).into_response()
        }
        Err(refusal) => refused(&readers, refusal),
    }
}

pub(super) fn refused(readers: &Readers, refusal: Refusal) -> Response {
    readers.refuse();
    refusal.into_response()
}

/// Who asks, and the log.
fn enter<'a>(readers: &'a Readers, headers: &HeaderMap) -> Result<(&'a Reader, &'a Source), Refusal> {
    let reader = known(readers, headers)?;
    let source = readers.source().ok_or_else(|| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the event log is not open yet: ask again")
    })?;
    Ok((reader, source))
}

/// Who asks.
pub(super) fn known<'a>(readers: &'a Readers, headers: &HeaderMap) -> Result<&'a Reader, Refusal> {
    if readers.is_empty() {
        let says = "events are not served over HTTP: add a table [http.readers.NAME] with a token_file to the configuration";
        return Err(Refusal::new(StatusCode::FORBIDDEN, says));
    }
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    token.and_then(|token| readers.with_token(token)).ok_or_else(|| {
        let says = "expected the header `Authorization: Bearer TOKEN`, with the token of a reader of the configuration";
        Refusal::new(StatusCode::UNAUTHORIZED, says)
    })
}

/// The token of `Bearer TOKEN` (RFC 6750, section 2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Reads the query. A key that is not known is an error: a mistyped one would be waited on in vain.
fn asked(query: Option<&str>, known: &[&str], source: &Source) -> Result<Asked, Refusal> {
    let mut values = BTreeMap::new();
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if !known.contains(&&*key) {
            return Err(Refusal::bad(format!(
                "the query has a key that is not known; expected {}",
                known.join(", ")
            )));
        }
        if values.insert(key.clone(), value).is_some() {
            return Err(Refusal::bad(format!("{key}: is there twice")));
        }
    }
    let number = |key: &str, range: std::ops::RangeInclusive<u64>, default: u64| match values.get(key) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
            Refusal::bad(format!("{key}: expected a whole number from {} to {}", range.start(), range.end()))
        }),
    };
    let limit = number("limit", 1..=LIMIT.1 as u64, LIMIT.0 as u64)?;
    let wait = number("wait", 0..=WAIT, 0)?;
    let start = values.get("after").map(|text| source.start(text)).transpose();
    Ok(Asked {
        start: start.map_err(|error| Refusal::bad(error.to_string()))?,
        limit: usize::try_from(limit).unwrap_or(LIMIT.0),
        wait: Duration::from_secs(wait),
    })
}

/// The connection leaves the places of those whom nobody knows, and takes one of the reader's.
pub(super) fn take_place(reader: &Reader, lease: &Lease, wait: Duration) -> Result<Open, Refusal> {
    let place = lease.place_of(&reader.places).or_else(|| reader.places.clone().try_acquire_owned().ok());
    let place = place.ok_or_else(|| {
        let says = format!(
            "this reader has {} connections already: ask again when one has ended",
            super::readers::PLACES
        );
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, says)
    })?;
    lease.take_place(place, wait);
    Ok(Open::new(&reader.stats))
}

/// How many events, and the answer's body.
async fn answer(
    reader: &Reader,
    source: &Source,
    start: Start,
    asked: &Asked,
) -> Result<(usize, String), Refusal> {
    let mut follow = Follow::new(source, reader.shape.clone(), source.place(start));
    let mut until = Instant::now() + asked.wait;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let mut next = follow.place();
    while lines.len() < asked.limit && bytes < ANSWER_BYTES {
        let most = asked.limit - lines.len();
        match follow.next(most, until).await.map_err(|error| Refusal::unreadable(reader, &error))? {
            Next::Events(events) => {
                // What retention took is told on top of what was asked for.
                for Given { line, after, .. } in events.into_iter().take(most) {
                    (bytes, next) = (bytes + line.len(), after);
                    lines.push(line);
                }
                // There is something to tell: nothing is waited for any more.
                until = Instant::now();
                if lines.len() < asked.limit {
                    next = follow.place();
                }
            }
            Next::Late | Next::Over => {
                next = follow.place();
                break;
            }
        }
    }
    let next = source.cursor(next);
    Ok((lines.len(), format!("{{\"events\":{},\"next\":\"{next}\"}}\n", cloud::batch(&lines))))
}

fn begin_stream(
    readers: &Readers,
    lease: &Lease,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Pieces, Refusal> {
    let (reader, source) = enter(readers, headers)?;
    let asked = asked(query, &["after"], source)?;
    // A client that comes back says here what it had, and still has the address it came with at first.
    let start = match headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        Some(id) => source
            .start(id.to_str().unwrap_or_default())
            .map_err(|error| Refusal::bad(error.to_string().replacen("after", "Last-Event-ID", 1)))?,
        None => asked.start.unwrap_or(Start::Now),
    };
    let open = take_place(reader, lease, Duration::ZERO)?;
    lease.stream(readers.stall, reader.stats.clone());
    let follow = Follow::new(source, reader.shape.clone(), source.place(start));
    let (to, pieces) = mpsc::channel(1);
    tokio::spawn(pump(follow, source.clone(), reader.stats.name().to_owned(), to));
    Ok(Pieces { pieces, open })
}

/// Makes pieces of a stream, as long as somebody takes them.
async fn pump(mut follow: Follow, source: Source, reader: String, to: mpsc::Sender<Piece>) {
    // Where it begins: who comes back before anything has happened misses nothing either.
    let begins = format!("retry: 1000\nid: {}\n\n", source.cursor(follow.place()));
    let mut piece = Piece { events: 0, text: begins.into() };
    loop {
        if to.send(piece).await.is_err() {
            return;
        }
        let next = tokio::select! {
            next = follow.next(PIECE, Instant::now() + KEEP_ALIVE) => next,
            () = to.closed() => return,
        };
        piece = match next {
            Ok(Next::Events(events)) => {
                let text: String = events.iter().map(|given| message(&source, given)).collect();
                Piece { events: events.len(), text: text.into() }
            }
            // Without data it is no message to a client; it only notes the id.
            Ok(Next::Late) => {
                let text = format!(": keep-alive\nid: {}\n\n", source.cursor(follow.place()));
                Piece { events: 0, text: text.into() }
            }
            Ok(Next::Over) => return,
            Err(error) => {
                tracing::warn!(reader, error = error.chain(), "the event log cannot be read now");
                return;
            }
        };
    }
}

fn message(source: &Source, given: &Given) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", source.cursor(given.after), given.kind.short(), given.line)
}

/// A part of a stream's body.
struct Piece {
    events: usize,
    text: Bytes,
}

/// A stream's body. While it is there, it is open.
struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    open: Open,
}

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(cx).map(|piece| {
            piece.map(|Piece { events, text }| {
                self.open.given(events);
                Ok(text)
            })
        })
    }
}
