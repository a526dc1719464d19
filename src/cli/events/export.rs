//! `events export`
//!
//! ```text
//!   log ──page by page──▶ time? filter? fields ──▶ JSON lines │ CSV ──▶ standard output, or a file that appears when it is whole
//! ```

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use uuid::Uuid;

use super::cells::Table;
use super::desk::{Asking, Piece};
use super::filter::{Filter, FilterArgs};
use super::gap::{self, Gap};
use super::{Session, times, words};
use crate::base::durable;
use crate::base::error::{Error, Result};
use crate::cli::output;
use crate::events::desk::MOST_ROWS;
use crate::events::{Event, EventMaker};
use crate::gallery::dates::Edge;
use crate::sinks::shape::Fields;
use crate::{bail, err};

/// Arguments of `events export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Only events from then on: a date means its first moment; also so long ago (30m, 2h, 7d), or an RFC 3339 time.
    #[arg(long, value_name = "TIME", alias = "since")]
    from: Option<String>,
    /// Only events before then; a date means the end of that day.
    #[arg(long, value_name = "TIME", alias = "until")]
    to: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// How events are written: each as sinks get it, one a line; or as a table.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// How much of a person is told, as of a sink: the name, where the events have it; a pseudonym (the id); or nothing that tells
    /// people apart.
    #[arg(long, value_name = "FIELDS", default_value = "name", value_parser = fields())]
    fields: Fields,
    /// Write to this file (mode 0600), which is there when all of it is.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file, if it is there.
    #[arg(long, requires = "out")]
    force: bool,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One event a line, as JSON.
    Jsonl,
    /// A table with a heading (RFC 4180).
    Csv,
}

fn fields() -> impl TypedValueParser<Value = Fields> {
    PossibleValuesParser::new(Fields::ALL.map(Fields::as_str)).try_map(|name| {
        Fields::ALL
            .into_iter()
            .find(|fields| fields.as_str() == name)
            .ok_or("expected name, pseudonym or count")
    })
}

/// Runs it.
pub(super) fn run(args: &ExportArgs, session: &mut Session) -> Result<ExitCode> {
    if session.console.is_json() && args.format == Format::Csv {
        bail!(Usage, "--json and --format csv: choose one of them");
    }
    let time = |option: &str, text: &Option<String>, edge| {
        text.as_deref().map(|text| times::moment(option, text, edge, &session.console)).transpose()
    };
    let (from, to) = (time("--from", &args.from, Edge::Start)?, time("--to", &args.to, Edge::End)?);
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        bail!(Usage, "--from {from} --to {to}: nothing can be between them");
    }
    if let Some(path) = &args.out {
        check_target(path, args.force)?;
    }
    let mut asking = (session.open)()?;
    let export = Export {
        filter: args.filter.filter().with_fields(args.fields),
        from,
        to,
        format: args.format,
        maker: &session.maker,
        now: session.console.now(),
    };
    let done = match &args.out {
        None => export.run(&mut asking, session.console.writer(), &output::not_printed)?,
        Some(path) => durable::write_through(path, 0o600, args.force, |file| {
            export.run(&mut asking, file, &|cause| durable::failed_to_write(path, cause))
        })?,
    };
    session.console.tell(&done.words());
    Ok(ExitCode::SUCCESS)
}

fn check_target(path: &Path, force: bool) -> Result<()> {
    if !force {
        return output::check_new("--out", path).map_err(|why| {
            let there = path.symlink_metadata().is_ok_and(|there| there.is_file());
            if there { err!(CannotCreate, "{why}; --force replaces it") } else { why }
        });
    }
    output::check_target("--out", path, &[])
}

/// What is exported, and how.
struct Export<'a> {
    filter: Filter,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    format: Format,
    maker: &'a EventMaker,
    now: Timestamp,
}

/// What was exported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    events: u64,
    gone: u64,
    wrong: u64,
}

impl Done {
    fn words(&self) -> String {
        let mut words = format!("{} exported.", gap::events(self.events));
        if self.gone > 0 {
            words += &format!(" Retention had taken {} between them.", gap::events(self.gone));
        }
        if self.wrong > 0 {
            words += &format!(
                " {} between them cannot be read: see `watchlistd events verify`.",
                gap::events(self.wrong)
            );
        }
        words
    }
}

type Failed<'a> = &'a dyn Fn(io::Error) -> Error;

impl Export<'_> {
    /// Writes it. `failed` makes an error of a write that failed.
    fn run(&self, asking: &mut Asking, out: impl Write, failed: Failed<'_>) -> Result<Done> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        let done = match self.format {
            Format::Jsonl => self.each(asking, &mut |_, line| {
                out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(failed)
            })?,
            Format::Csv => {
                let mut table = Table::begin(&mut out).map_err(failed)?;
                let done = self.each(asking, &mut |event, _| table.row(event).map_err(failed))?;
                table.end().map_err(failed)?;
                done
            }
        };
        out.flush().map_err(failed)?;
        Ok(done)
    }

    /// Every event that is wanted, in order, with its JSON.
    fn each(&self, asking: &mut Asking, put: &mut dyn FnMut(&Event, &str) -> Result<()>) -> Result<Done> {
        let start = match self.from {
            Some(from) => asking.since(from)?,
            None => asking.back(None, u64::from(u32::MAX))?,
        };
        let (log, mut cursor) = (start.log, start.cursor);
        let mut between =
            Between { export: self, log, gaps: Vec::new(), inside: false, done: Done::default() };
        loop {
            let part = asking.read(Some(log), cursor, MOST_ROWS, Duration::ZERO)?;
            if part.log != log {
                bail!(Temporary, "the event log goes on in a new epoch, {}: export it again", part.log);
            }
            for piece in part.pieces {
                between.next(piece, put)?;
            }
            // What comes while it is exported is for the next time.
            if part.until <= cursor || part.until >= start.last {
                break;
            }
            cursor = part.until;
        }
        between.end(put)
    }

    fn is_inside(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }
}

/// Gaps wait until it is known whether they are inside: one that touches an event which is.
struct Between<'a> {
    export: &'a Export<'a>,
    log: Uuid,
    gaps: Vec<Gap>,
    /// Whether the event before was.
    inside: bool,
    done: Done,
}

impl Between<'_> {
    fn next(&mut self, piece: Piece, put: &mut dyn FnMut(&Event, &str) -> Result<()>) -> Result<()> {
        let line = match piece {
            Piece::Gap(gap) => {
                self.gaps.push(gap);
                return Ok(());
            }
            Piece::Event(line) => line,
        };
        let event = words::event(&line)?;
        let before = std::mem::replace(&mut self.inside, self.export.is_inside(event.time));
        self.tell(before || self.inside, put)?;
        if !self.inside {
            return Ok(());
        }
        let filter = &self.export.filter;
        if filter.changes_nothing() {
            if filter.wants(&event) {
                self.done.events += 1;
                put(&event, &line.json)?;
            }
        } else if let Some(event) = filter.shaped(event) {
            self.done.events += 1;
            put(&event, &event.to_line())?;
        }
        Ok(())
    }

    fn end(mut self, put: &mut dyn FnMut(&Event, &str) -> Result<()>) -> Result<Done> {
        let open = self.export.to.is_none_or(|to| to > self.export.now);
        self.tell(self.inside || open, put)?;
        Ok(self.done)
    }

    fn tell(&mut self, inside: bool, put: &mut dyn FnMut(&Event, &str) -> Result<()>) -> Result<()> {
        for gap in std::mem::take(&mut self.gaps).into_iter().filter(|_| inside) {
            *(if gap.is_wrong() { &mut self.done.wrong } else { &mut self.done.gone }) += gap.count();
            let event = gap.event(self.export.maker, self.log, self.export.now);
            if let Some(event) = event.filter(|event| self.export.filter.wants(event)) {
                put(&event, &event.to_line())?;
            }
        }
        Ok(())
    }
}
