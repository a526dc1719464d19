//! `watchlistd events ...`
//!
//! ```text
//!   arguments ─▶ filter.rs, times.rs ─▶ Asking (desk.rs): the daemon, else the log itself
//!                                          │ pages, in order, with what is missing between them (gap.rs)
//!                                          ├─▶ lines of a table (words.rs) or the events' own JSON: tail.rs, show.rs
//!                                          ├─▶ a file, as large as it gets: export.rs, cells.rs
//!                                          ├─▶ one decision in words: explain.rs (`watchlistd explain`)
//!                                          └─▶ verify.rs, sinks.rs
//! ```

mod cells;
mod desk;
mod explain;
mod export;
mod filter;
mod gap;
mod show;
mod sinks;
mod snapshot;
mod tail;
mod times;
mod verify;
mod words;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use uuid::Uuid;

use self::desk::Asking;
pub use self::explain::{ExplainArgs, run as run_explain};
pub(super) use self::show::{Which as EventName, which as event_name};
use super::console::Console;
use super::desk::DeskArgs;
use super::{context, output};
use crate::base::error::Result;
use crate::config::Config;
use crate::events::{Event, EventMaker, Ids, json_schema};
use crate::{bail, err};

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    watchlistd events tail -n 50 --type recognized --camera door\n  \
    watchlistd events tail --follow --json | jq -c .data.identity\n  \
    watchlistd events export --from 2026-10-01 --to 2026-10-31 --format csv --out october.csv\n  \
    watchlistd events verify --head \"$(cat head-of-september)\"\n\n\
    Exit status: 0 all well; 65 the log is not as it was written; 66 there is no such log or event; 69 --follow without a daemon, \
    or the daemon ended; others as watchlistd(1) says.")]
pub struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
    #[command(flatten)]
    from: From,
}

/// Which log.
#[derive(Debug, Clone, Args)]
struct From {
    /// Read this copy of an event log, and not the daemon's own. The gallery's key is read from its store, or named by --key-file.
    #[arg(long, value_name = "FILE", global = true)]
    log: Option<PathBuf>,
    #[command(flatten)]
    desk: DeskArgs,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Show the newest events, and with --follow those that come.
    ///
    /// A line for each event, the oldest first; with --json each as sinks get it, one object a line. What retention took and what is
    /// damaged is shown in its place: with --json as an event `io.watchlistd.lost.v1`. --follow needs a running daemon, shows every
    /// event once, as soon as it is accepted, and ends with the daemon (exit status 69), with Ctrl-C, and when nobody reads any more.
    #[command(after_help = "Examples:\n  \
        watchlistd events tail -n 50\n  \
        watchlistd events tail --since 2h --type recognized --type unknown\n  \
        watchlistd events tail --follow --json | jq -c '[.time, .data.identity.name]'\n  \
        watchlistd events tail --after 4711 --json")]
    Tail(tail::TailArgs),
    /// Show one event: all of it, where it is, and which sinks have had it.
    #[command(after_help = "Examples:\n  \
        watchlistd events show 4711\n  \
        watchlistd events show 019ca885-c910-7000-8000-00000000000d --json")]
    Show(show::ShowArgs),
    /// Write events to a file or to standard output, as JSON lines or as a table (CSV).
    ///
    /// Any number of events, in the order in which they were accepted. A file is there as a whole or not at all, for its owner alone
    /// (mode 0600). What is missing between the events is in it as events `io.watchlistd.lost.v1`.
    #[command(after_help = "Examples:\n  \
        watchlistd events export --from 2026-10-01 --to 2026-10-31 --out october.jsonl\n  \
        watchlistd events export --type recognized --fields pseudonym --format csv --out seen.csv\n  \
        watchlistd events export --from 7d | gzip > week.jsonl.gz")]
    Export(export::ExportArgs),
    /// Check that every event is as it was accepted, and that none is missing.
    ///
    /// Looks at every row, at the file itself, and at the head that is kept beside the log. Whoever has both the box and its key can
    /// write a log anew, or put an older one in its place: only --head, with a head that was kept off the box, tells that. Exit status
    /// 65 when anything is wrong.
    #[command(after_help = "Examples:\n  \
        watchlistd events verify\n  \
        watchlistd events verify --head 0198f3c2-7d00-7a10-8000-000000000001:4711:9f86d081884c7d659a2feaa0c55ad015\n  \
        watchlistd events verify --log copy/events.db --key-file gallery.key")]
    Verify(verify::VerifyArgs),
    /// Print the head of the log, to be kept off the box: its epoch, its last number, and a tag under the gallery's key.
    #[command(after_help = "Example:\n  watchlistd events head | ssh elsewhere 'cat >> heads'")]
    Head,
    /// Show how far each sink is: what it has had, how much it is behind, and what it refused.
    #[command(after_help = "Example:\n  watchlistd events sinks --json | jq -c 'select(.behind > 1000)'")]
    Sinks,
    /// Show the dead letters: events that a sink refused for good, when, and why.
    ///
    /// A dead letter stays as long as its event. `events show` shows the event.
    #[command(after_help = "Examples:\n  watchlistd events dead\n  watchlistd events dead desk --json")]
    Dead(sinks::DeadArgs),
    /// Print the JSON Schema (draft 2020-12) of events.
    ///
    /// It is also in docs/schema/event-v1.json. Later versions of the program may add fields, types and words, which it allows.
    Schema,
    /// Write the picture of a snapshot that an event refers to into a file.
    ///
    /// Asks the running daemon over its Unix socket; where none runs, opens the stores itself. That it was looked at, and by whom, is
    /// in the audit log. Exit status 66 when there is no such snapshot any more.
    Snapshot(snapshot::SnapshotArgs),
}

/// What a command works with.
struct Session {
    desk: DeskArgs,
    console: Console,
    /// It is about a copy of a log, which has no head of its own beside it.
    copy: bool,
    /// Opened when all that can be wrong with the arguments has been looked at.
    open: Box<dyn Fn() -> Result<Asking>>,
    /// Makes the events that tell of what is missing.
    maker: EventMaker,
}

/// Runs it.
///
/// # Errors
/// Wrong usage, no log, and what the command itself gives.
pub fn run(args: EventsArgs) -> Result<ExitCode> {
    let EventsArgs { command, from } = args;
    if matches!(command, EventsCommand::Schema) {
        return schema();
    }
    if matches!(command, EventsCommand::Snapshot(_)) && from.log.is_some() {
        bail!(Usage, "--log: snapshots are not in the event log; leave it out");
    }
    command.carry_out(&mut session(from)?)
}

/// Nothing is opened before a command asks.
fn session(from: From) -> Result<Session> {
    let config = context::load_for_tools(&from.desk.config)?;
    Ok(Session {
        desk: from.desk.clone(),
        console: Console::of_process(from.desk.json),
        copy: from.log.is_some(),
        maker: EventMaker::new(&config.events.source, Uuid::now_v7(), Ids::random()),
        open: Box::new(move || desk::open(&config, from.log.as_deref(), from.desk.key_file.as_deref())),
    })
}

impl EventsCommand {
    fn carry_out(self, session: &mut Session) -> Result<ExitCode> {
        match self {
            Self::Tail(args) => tail::run(&args, session),
            Self::Show(args) => show::run(&args, session),
            Self::Export(args) => export::run(&args, session),
            Self::Verify(args) => verify::run(&args, session),
            Self::Head => verify::head(session),
            Self::Sinks => sinks::run(session),
            Self::Dead(args) => sinks::dead(&args, session),
            Self::Schema => schema(),
            Self::Snapshot(args) => snapshot::run(&args, &session.desk),
        }
    }
}

/// The event of that number or id, and its number.
///
/// # Errors
/// As [`desk::open`]; `NoInput`, without such an event.
pub(super) fn find_event(config: &Config, which: EventName, key_file: Option<&Path>) -> Result<(u64, Event)> {
    let (_, line) = show::fetch(&mut desk::open(config, None, key_file)?, which)?;
    Ok((line.sequence, words::event(&line)?))
}

fn schema() -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(&json_schema())
        .map_err(|e| err!(Software, "the schema of events cannot be printed").because(e))?;
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
