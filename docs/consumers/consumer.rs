//! Follows the events of a Unix socket (`[sinks.NAME]` with `type = "unix"`): works on each, and only then notes how far it is.
//! docs/pull.md. Usage: `cargo run --example consumer -- STATE-FILE SOCKET`
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

/// Your part.
fn work(event: &Value) -> io::Result<()> {
    if event["type"] == "io.watchlistd.lost.v1" {
        let lost = &event["data"];
        eprintln!("missed {} to {}: {}", lost["first"], lost["last"], lost["reason"]);
    }
    writeln!(io::stdout(), "{event}")
}

/// A crash leaves the old state or the new one; after the old one the event comes again, with the same id.
fn note(state: &str, cursor: &str) -> io::Result<()> {
    let new = format!("{state}.new");
    let mut file = File::create(&new)?;
    file.write_all(cursor.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, state)
}

fn follow(state: &str, socket: &str) -> io::Result<()> {
    let after = fs::read_to_string(state).unwrap_or_else(|_| "oldest".to_owned());
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{}", serde_json::json!({ "after": after }))?;
    for line in BufReader::new(stream).lines() {
        let event: Value = serde_json::from_str(&line?)?;
        let Some(cursor) = event["cursor"].as_str() else { return Err(io::Error::other(event.to_string())) };
        work(&event)?;
        note(state, cursor)?;
    }
    Ok(())
}

/// Comes back when the daemon does.
pub fn run(state: &str, socket: &str) -> ! {
    loop {
        if let Err(error) = follow(state, socket) {
            eprintln!("{error}");
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, state, socket] => run(state, socket),
        _ => eprintln!("usage: consumer STATE-FILE SOCKET"),
    }
}
