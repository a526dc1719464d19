//! `events tail`

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use super::desk::{Asking, Line, Part, Piece};
use super::filter::{Filter, FilterArgs};
use super::gap::Gap;
use super::{Session, times, words};
use crate::base::error::{Kind, Result};
use crate::cli::console::Console;
use crate::cli::table::Growing;
use crate::err;
use crate::events::desk::MOST_ROWS;
use crate::events::{Event, EventMaker};
use crate::gallery::dates::Edge;

/// Events that are shown where nobody says how many.
const USUAL: usize = 10;

/// Most events that `-n` may ask for: they are in memory together.
const MOST: usize = 100_000;

/// How long the daemon is asked to wait before it answers that there is nothing.
const WAIT: Duration = Duration::from_secs(5);

/// Ids of events that were shown last: after a damaged log was saved they may come again.
const REMEMBERED: usize = 1024;

/// Arguments of `events tail`.
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The newest N of the events that fit; 10, unless --after or --since says where to begin.
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Go on with the events that come.
    #[arg(short, long)]
    follow: bool,
    /// Only events after this number: to go on where a reader had stopped.
    #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
    after: Option<u64>,
    /// Only events from then on: so long ago (30m, 2h, 7d), a date, or an RFC 3339 time.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Runs it.
pub(super) fn run(args: &TailArgs, session: &mut Session) -> Result<ExitCode> {
    let since = args.since.as_deref();
    let since =
        since.map(|text| times::moment("--since", text, Edge::Start, &session.console)).transpose()?;
    let bounded = args.after.is_none() && since.is_none();
    let lines = args.lines.or(bounded.then_some(USUAL));
    if let Some(lines) = lines.filter(|lines| *lines > MOST) {
        return Err(err!(Usage, "-n {lines}: expected {MOST} at most; for more: watchlistd events export"));
    }
    let mut asking = (session.open)()?;
    if args.follow && !asking.daemon {
        return Err(err!(
            Unavailable,
            "--follow: no daemon runs that would accept events; without --follow the log is shown as it is"
        ));
    }
    let floor = match (args.after, since) {
        (Some(after), _) => Some(after),
        (None, Some(since)) => Some(asking.since(since)?.cursor),
        (None, None) => None,
    };
    let mut follower = Follower::new(&mut session.console, &session.maker, args.filter.filter());
    follower.paper.since = since;
    match lines {
        Some(lines) => follower.newest(&mut asking, floor, lines)?,
        None => follower.all(&mut asking, floor.unwrap_or(0))?,
    }
    if args.follow {
        loop {
            follower.step(&mut asking)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a reader is in the log.
#[derive(Debug, Clone, Copy)]
struct At {
    log: Uuid,
    cursor: u64,
}

/// Whoever reads the log, from somewhere on.
pub(super) struct Follower<'a> {
    paper: Paper<'a>,
    at: Option<At>,
}

impl<'a> Follower<'a> {
    /// Prints what fits.
    pub fn new(console: &'a mut Console, maker: &'a EventMaker, filter: Filter) -> Self {
        Self { paper: Paper::new(console, maker, filter), at: None }
    }

    /// Shows everything after the cursor, page by page.
    fn all(&mut self, asking: &mut Asking, after: u64) -> Result<()> {
        let mut cursor = after;
        loop {
            let part = asking.read(self.at.map(|at| at.log), cursor, MOST_ROWS, Duration::ZERO)?;
            same_log(self.at, &part)?;
            let done = part.until >= part.last;
            cursor = part.until.max(cursor);
            self.at = Some(At { log: part.log, cursor });
            self.paper.show(part.log, part.pieces)?;
            if done {
                return Ok(());
            }
        }
    }

    /// Shows the newest `lines` that fit, behind `floor`: looks back far and farther until there are enough.
    pub fn newest(&mut self, asking: &mut Asking, floor: Option<u64>, lines: usize) -> Result<()> {
        let mut rows = (lines as u64 * 2).max(64);
        let place = asking.back(None, 0)?;
        let (log, end) = (place.log, place.last);
        let front = floor.unwrap_or(0).max(place.first.saturating_sub(1));
        let mut found: VecDeque<Piece> = VecDeque::new();
        let (mut until, mut fitting) = (end, 0);
        while fitting < lines && until > front {
            let back = asking.back(Some(until), rows)?.cursor;
            // What is gone before the first row is told to whoever asks for it.
            let from = if back <= front { floor.unwrap_or(front) } else { back };
            for piece in between(asking, At { log, cursor: from }, until)?.into_iter().rev() {
                if self.paper.fits(&piece) {
                    fitting += usize::from(matches!(piece, Piece::Event(_)));
                    found.push_front(piece);
                }
            }
            until = from.min(back.max(front));
            rows = (rows * 2).min(10 * MOST_ROWS as u64);
        }
        while fitting > lines {
            fitting -= usize::from(matches!(found.pop_front(), Some(Piece::Event(_))));
        }
        self.at = Some(At { log, cursor: end.max(floor.unwrap_or(0)) });
        self.paper.show(log, found.into())
    }

    /// Waits for what comes, and shows it.
    pub fn step(&mut self, asking: &mut Asking) -> Result<()> {
        let at = self.at.ok_or_else(|| err!(Software, "nobody said where to begin"))?;
        let part = match asking.read(Some(at.log), at.cursor, MOST_ROWS, WAIT) {
            Err(why) if why.kind() == Kind::Unavailable => return Err(ended(at).because(why)),
            part => part?,
        };
        if part.log != at.log {
            self.at = Some(go_on(asking, &mut self.paper, &part)?);
            return Ok(());
        }
        if part.pieces.is_empty() && part.ended {
            return Err(ended(at));
        }
        self.at = Some(At { cursor: part.until.max(at.cursor), ..at });
        self.paper.show(part.log, part.pieces)?;
        self.paper.console.check_reader()
    }
}

/// What stands in the log behind one cursor, up to another.
fn between(asking: &mut Asking, from: At, until: u64) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut at = from;
    while at.cursor < until {
        let part = asking.read(Some(at.log), at.cursor, MOST_ROWS, Duration::ZERO)?;
        same_log(Some(at), &part)?;
        let stuck = part.until <= at.cursor;
        at.cursor = part.until;
        pieces.extend(part.pieces.into_iter().filter(|piece| piece.first() <= until));
        if stuck {
            break;
        }
    }
    Ok(pieces)
}

fn same_log(at: Option<At>, part: &Part) -> Result<()> {
    if at.is_some_and(|at| at.log != part.log) {
        return Err(err!(Temporary, "the event log goes on in a new epoch, {}: ask again", part.log));
    }
    Ok(())
}

fn ended(at: At) -> crate::base::error::Error {
    let cursor = at.cursor;
    err!(
        Unavailable,
        "the daemon ended; go on when it runs again with: events tail --follow --after {cursor}"
    )
}

/// Where to go on in the log's new epoch: behind the event that was seen last, which has another number there.
fn go_on(asking: &mut Asking, paper: &mut Paper<'_>, part: &Part) -> Result<At> {
    paper.console.tell(&format!(
        "The event log goes on in a new epoch, {}: it was damaged, and what could be read of it was saved. Numbers are others from here on.",
        part.log
    ));
    let last = paper.seen.back().copied();
    let found = last.map(|(id, _)| asking.find(id)).transpose()?.and_then(|found| found.sequence);
    let cursor = match (found, last) {
        (Some(sequence), _) => sequence,
        (None, Some((_, time))) => asking.since(time)?.cursor,
        (None, None) => part.last,
    };
    Ok(At { log: part.log, cursor })
}

impl Piece {
    fn first(&self) -> u64 {
        match self {
            Piece::Event(line) => line.first,
            Piece::Gap(gap) => gap.first,
        }
    }
}

/// Prints what fits.
struct Paper<'a> {
    console: &'a mut Console,
    maker: &'a EventMaker,
    filter: Filter,
    since: Option<Timestamp>,
    table: Growing,
    seen: VecDeque<(Uuid, Timestamp)>,
}

impl<'a> Paper<'a> {
    fn new(console: &'a mut Console, maker: &'a EventMaker, filter: Filter) -> Self {
        let table = console.growing_table(&words::COLUMNS);
        Self { console, maker, filter, since: None, table, seen: VecDeque::new() }
    }

    /// What is missing fits always.
    fn fits(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Gap(_) => true,
            Piece::Event(line) => words::event(line).is_ok_and(|event| self.wants(&event)),
        }
    }

    fn wants(&self, event: &Event) -> bool {
        self.since.is_none_or(|since| event.time >= since) && self.filter.wants(event)
    }

    fn show(&mut self, log: Uuid, pieces: Vec<Piece>) -> Result<()> {
        let (mut text, mut rows) = (String::new(), Vec::new());
        for piece in &pieces {
            let event = match piece {
                Piece::Gap(gap) => self.told(gap, log),
                Piece::Event(line) => match self.next(line)? {
                    Some(event) => Some(event),
                    None => continue,
                },
            };
            if !self.console.is_json() {
                rows.push(words::row(self.console, piece, event.as_ref()));
            } else if let Some(line) = json(piece, event.as_ref()) {
                text += &line;
                text.push('\n');
            }
        }
        if !rows.is_empty() {
            text = self.table.rows(rows);
        }
        if text.is_empty() { Ok(()) } else { self.console.print(&text) }
    }

    /// The event, if it is wanted and was not shown before.
    fn next(&mut self, line: &Line) -> Result<Option<Event>> {
        let event = words::event(line)?;
        let again = self.seen.iter().any(|(id, _)| *id == event.id);
        if again {
            return Ok(None);
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((event.id, event.time));
        Ok(self.wants(&event).then_some(event))
    }

    /// The event that tells programs of a gap, where they want such events; else somebody at the terminal is told.
    fn told(&mut self, gap: &Gap, log: Uuid) -> Option<Event> {
        let event = gap.event(self.maker, log, self.console.now()).filter(|event| self.filter.wants(event));
        if self.console.is_json() && event.is_none() {
            self.console.tell(&format!("Not shown, {}: {}", gap.range(), gap.words()));
        }
        event
    }
}

/// An event as it came, or the one that was made of a gap.
fn json(piece: &Piece, event: Option<&Event>) -> Option<String> {
    match piece {
        Piece::Event(line) => Some(line.json.clone()),
        Piece::Gap(_) => event.map(Event::to_line),
    }
}
