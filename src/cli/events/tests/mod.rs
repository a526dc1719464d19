//! The commands about events, from the command line to what is printed, on a real log.

mod explain;
mod export;
mod looked_at;
mod tail;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use uuid::Uuid;

use super::desk::Asking;
use super::{EventsArgs, Session};
use crate::base::error::{Kind, Result};
use crate::cli::console::testing::console;
use crate::events::log::tests::{Site, finish};
use crate::events::log::{EventLog, Inspector, Ring};
use crate::events::{Event, EventMaker, Ids};
use crate::gallery::crypt::Key;
use crate::types::ids::IdentityId;

/// `watchlistd events LINE` without the program's name.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: EventsArgs,
}

/// What a command did.
struct Ran {
    result: Result<ExitCode>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn status(&self) -> u8 {
        let is = |code: &ExitCode, status: u8| format!("{code:?}") == format!("{:?}", ExitCode::from(status));
        match &self.result {
            Ok(code) => [0, 65].into_iter().find(|status| is(code, *status)).expect("0 or 65"),
            Err(error) => error.kind().exit_code(),
        }
    }

    #[track_caller]
    fn printed(self) -> String {
        assert!(self.result.is_ok(), "{:?}", self.result);
        self.out
    }

    #[track_caller]
    fn refusal(&self) -> String {
        self.result.as_ref().expect_err("it was refused").chain()
    }
}

fn parsed(line: &str) -> std::result::Result<EventsArgs, clap::Error> {
    let words = std::iter::once("events".to_owned()).chain(crate::cli::tests::words(line));
    Line::try_parse_from(words).map(|line| line.args)
}

fn inspector(site: &Site) -> Inspector {
    Inspector::new(&site.path(), &site.key, site.ring.clone() as Arc<dyn Ring>)
}

fn maker() -> EventMaker {
    EventMaker::new("/test", Uuid::nil(), Ids::random())
}

/// Runs it on the log of a folder, as without a daemon; now is 2026-10-01T11:00:00Z, at UTC+1.
#[track_caller]
fn run(site: &Site, line: &str) -> Ran {
    let inspector = inspector(site);
    run_with(line, move || Ok(Asking::of_log(inspector.clone())))
}

#[track_caller]
fn run_with(line: &str, open: impl Fn() -> Result<Asking> + 'static) -> Ran {
    let args = parsed(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    let (console, out, err) = console(args.from.desk.json, None);
    let super::From { log, desk } = args.from;
    let mut session = Session { desk, console, copy: log.is_some(), open: Box::new(open), maker: maker() };
    let result = args.command.carry_out(&mut session);
    Ran { result, out: out.text(), err: err.text() }
}

/// A log with so many events of a camera, closed.
fn filled(events: u64) -> Site {
    let site = Site::new();
    let log = site.open();
    fill(&site, &log, events, "door");
    finish(log);
    site
}

fn accept(log: &EventLog, event: Event) -> u64 {
    log.accept(event).expect("accepted")
}

/// So many events of a camera.
fn fill(site: &Site, log: &EventLog, events: u64, camera: &str) {
    (0..events).for_each(|_| assert!(log.submit(site.event(camera))));
    assert!(log.settle(Duration::from_secs(60)));
}

/// Somebody whose name the log can keep.
fn somebody(site: &Site) -> IdentityId {
    let who = IdentityId::generate();
    site.ring.know(who, Key::generate().expect("random"));
    who
}

/// Takes the first event, of the list `gate` alone, by age: it is delivered, and too old.
fn let_expire(site: &Site, log: &EventLog, sequence: u64) {
    assert!(log.reading().had(&Arc::from("needed"), sequence, Vec::new()));
    site.clock.advance(Duration::from_secs(2 * 86_400));
    // The writer looks once a minute, and before it takes the second of these.
    site.clock.advance(Duration::from_secs(61));
    for _ in 0..2 {
        accept(log, site.event("round"));
    }
}
