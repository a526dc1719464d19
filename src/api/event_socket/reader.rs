//! One reader of a socket: what it asks for, and its stream.

use std::io::ErrorKind;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use crate::base::error::{Error, Result};
use crate::err;
use crate::pull::{Follow, Given, Next, Source, Start};
use crate::stats::Open;

/// Longest request: a cursor has 55 characters.
const REQUEST_BYTES: usize = 1024;
/// Most events that are read at once.
const PAGE: usize = 64;
/// How often it is looked whether a reader that sends no more is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long the log is waited for at a time.
const LONG: Duration = Duration::from_secs(3600);

/// What a reader may ask for, as one line of JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    after: Option<String>,
}

/// Serves a reader to its end.
pub(super) async fn serve(stream: &UnixStream, shared: &Shared) {
    let open = Open::new(&shared.stats);
    // What happens while it makes up its mind is after "now".
    let now = shared.source.place(Start::Now);
    let begin = match start(stream, shared).await {
        Ok(Start::Now) => now,
        Ok(start) => shared.source.place(start),
        Err(Some(error)) => return refuse(stream, &error, shared),
        Err(None) => return,
    };
    let follow = Follow::new(&shared.source, shared.shape.clone(), begin);
    tokio::select! {
        () = give(stream, shared, follow, &open) => {}
        () = gone(stream) => {}
    }
}

/// Tells a reader why it is not served, if it has room for that.
pub(super) fn refuse(stream: &UnixStream, error: &Error, shared: &Shared) {
    shared.all.events.refuse_pull();
    let line = serde_json::json!({ "error": error.to_string() }).to_string() + "\n";
    let _ = stream.try_write(line.as_bytes());
}

/// Where it begins; without a word from it, with the next event. `None`: it is gone.
async fn start(stream: &UnixStream, shared: &Shared) -> Result<Start, Option<Error>> {
    let mut line = Vec::new();
    let whole = timeout(shared.limits.request, read_line(stream, &mut line)).await;
    if line.is_empty() {
        // It says nothing: it listens, or has only closed its side.
        return Ok(Start::Now);
    }
    match whole {
        Ok(Ok(())) => asked(&line, &shared.source).map_err(Some),
        Ok(Err(_)) => Err(None),
        Err(_) => Err(Some(err!(
            Temporary,
            "the request did not come to its end in time; expected one line of JSON"
        ))),
    }
}

fn asked(line: &[u8], source: &Source) -> Result<Start> {
    let request: Request = serde_json::from_slice(line).map_err(|_| {
        err!(
            Usage,
            "expected one line of JSON, {{\"after\": CURSOR}} with the cursor of the last event, or \"oldest\" or \"now\""
        )
    })?;
    request.after.map_or(Ok(Start::Now), |after| source.start(&after))
}

/// Reads up to the end of a line, or of what comes.
async fn read_line(stream: &UnixStream, line: &mut Vec<u8>) -> std::io::Result<()> {
    let mut part = [0; REQUEST_BYTES];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(n) => line.extend_from_slice(part.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => continue,
            Err(e) => return Err(e),
        }
        // What is too long is no request, and is told so.
        if line.contains(&b'\n') || line.len() > REQUEST_BYTES {
            return Ok(());
        }
    }
}

/// Gives it every event, until the log ends or it takes no more.
async fn give(stream: &UnixStream, shared: &Shared, mut follow: Follow, open: &Open) {
    loop {
        let events = match follow.next(PAGE, Instant::now() + LONG).await {
            Ok(Next::Events(events)) => events,
            Ok(Next::Late) => continue,
            Ok(Next::Over) => return,
            Err(error) => {
                tracing::warn!(
                    reader = shared.stats.name(),
                    error = error.chain(),
                    "the event log cannot be read now"
                );
                return refuse(
                    stream,
                    &err!(Temporary, "the event log cannot be read now: come again"),
                    shared,
                );
            }
        };
        let text: String = events.iter().map(|given| line(&shared.source, given)).collect();
        match write(stream, text.as_bytes(), shared.limits.stall).await {
            Ok(()) => open.given(events.len()),
            Err(ErrorKind::TimedOut) => {
                shared.stats.stalled.add(1);
                tracing::warn!(
                    reader = shared.stats.name(),
                    "a reader took nothing for too long, and was hung up on"
                );
                return;
            }
            Err(_) => return,
        }
    }
}

/// The event, with the cursor behind it as an extension attribute of the envelope (CloudEvents 1.0, section "Extension Context
/// Attributes").
fn line(source: &Source, given: &Given) -> String {
    let whole = given.line.strip_suffix('}').unwrap_or(&given.line);
    format!("{whole},\"cursor\":\"{}\"}}\n", source.cursor(given.after))
}

/// Writes all of it, as long as some of it is taken within `stall`.
async fn write(stream: &UnixStream, mut bytes: &[u8], stall: Duration) -> Result<(), ErrorKind> {
    while !bytes.is_empty() {
        match timeout(stall, stream.writable()).await {
            Err(_) => return Err(ErrorKind::TimedOut),
            Ok(ready) => ready.map_err(|e| e.kind())?,
        }
        match stream.try_write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.kind()),
        }
    }
    Ok(())
}

/// Until it has gone, or sends what nobody asked for. One that only sends no more is still there.
async fn gone(stream: &UnixStream) {
    let (mut part, mut more) = ([0; REQUEST_BYTES], 0);
    while let Ok(ready) = stream.ready(Interest::READABLE).await {
        if ready.is_write_closed() || more > REQUEST_BYTES {
            return;
        }
        match stream.try_read(&mut part) {
            Ok(0) => break,
            Ok(n) => more += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    while let Ok(ready) = stream.ready(Interest::WRITABLE | Interest::READABLE).await {
        if ready.is_write_closed() {
            return;
        }
        sleep(LOOK).await;
    }
}
