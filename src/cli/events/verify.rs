//! `events verify` and `events head`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Session;
use super::gap::{events, range};
use crate::base::error::{Kind, Result};
use crate::cli::table;
use crate::events::desk::{HeadState, Verification};
use crate::events::log::Head;

/// Most ranges that are told one by one.
const MOST_RANGES: usize = 20;

/// Arguments of `events verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// A head that was kept elsewhere, as `watchlistd events head` printed it then.
    #[arg(long, value_name = "EPOCH:NUMBER:TAG", value_parser = head_text)]
    head: Option<String>,
}

fn head_text(text: &str) -> Result<String, String> {
    text.parse::<Head>().map(|head| head.to_string()).map_err(|e| e.to_string())
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    found: Verification,
    problems: Vec<String>,
}

/// Runs `events verify`.
pub(super) fn run(args: &VerifyArgs, session: &mut Session) -> Result<ExitCode> {
    let found = (session.open)()?.verify(args.head.clone())?;
    let problems = problems(&found, session.copy);
    let report = Report { found, problems };
    session.console.show(&report, |_| words(&report))?;
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Data.exit_code()) })
}

/// Runs `events head`.
pub(super) fn head(session: &mut Session) -> Result<ExitCode> {
    let head = (session.open)()?.head()?;
    session.console.show(&head, |_| format!("{}\n", table::plain(&head)))?;
    Ok(ExitCode::SUCCESS)
}

/// What is wrong. That there is no head beside it is right of a copy.
fn problems(found: &Verification, copy: bool) -> Vec<String> {
    let count = |ranges: &[(u64, u64)]| ranges.iter().map(|(first, last)| last - first + 1).sum::<u64>();
    let mut problems: Vec<String> = found
        .damaged
        .iter()
        .take(MOST_RANGES)
        .map(|damaged| format!("{} is damaged or missing", numbers(*damaged)))
        .collect();
    if let Some(more) = found.damaged.get(MOST_RANGES..).filter(|more| !more.is_empty()) {
        problems.push(format!(
            "{} more ranges are damaged or missing, {} in all",
            more.len(),
            events(count(more))
        ));
    }
    if !(copy && found.head_beside == HeadState::Missing) {
        problems.extend(head_problem(&found.head_beside, "the head beside the log", found.last));
    }
    problems
        .extend(found.head_given.and_then(|head| head_problem(&head, "the head that was given", found.last)));
    problems
}

fn numbers((first, last): (u64, u64)) -> String {
    if first == last { format!("event {first}") } else { format!("events {first} to {last}: each") }
}

fn head_problem(head: &HeadState, whose: &str, end: u64) -> Option<String> {
    Some(match head {
        HeadState::Agrees { .. } => return None,
        HeadState::Cut { last } => {
            format!("{whose} tells of {last} events and the log ends at {end}: its tail was cut off")
        }
        HeadState::OtherLog { log, last } => format!(
            "{whose} is of another epoch, {log}, which had {last} events: the log was damaged and saved since (look for events of type \
             lost), lost, or replaced by another one"
        ),
        HeadState::NotOurs => format!("{whose} was not written with this gallery's key, or is damaged"),
        HeadState::Missing => {
            format!("{whose} is missing: whether the log's tail was cut off cannot be told")
        }
    })
}

fn words(report: &Report) -> String {
    let Report { found, problems } = report;
    let taken: u64 = found.expired.iter().map(|(first, last)| last - first + 1).sum();
    let ranges =
        found.expired.iter().take(MOST_RANGES).map(|taken| range(*taken)).collect::<Vec<_>>().join(", ");
    let more = if found.expired.len() > MOST_RANGES { ", ..." } else { "" };
    let retention = (taken > 0).then(|| format!("took {}: {ranges}{more}", events(taken)));
    let numbers = if found.first > found.last { "none".to_owned() } else { range((found.first, found.last)) };
    let closed = match found.closed_names {
        0 => String::new(),
        closed => format!(", {closed} closed for good: their people were forgotten"),
    };
    let about = table::fields(&[
        ("log", Some(found.log.to_string())),
        ("numbers", Some(numbers)),
        ("events", Some(format!("{} as they were accepted", found.events))),
        ("names", Some(format!("{} that open{closed}", found.names))),
        ("retention", retention),
        ("head beside it", Some(head_words(&found.head_beside))),
        ("head given", found.head_given.as_ref().map(head_words)),
        ("head", Some(found.head.clone())),
    ]);
    let verdict = match problems.as_slice() {
        [] => "The log is as it was written.\n".to_owned(),
        problems => problems.iter().map(|problem| format!("Problem: {}\n", table::plain(problem))).collect(),
    };
    about + &verdict
}

fn head_words(head: &HeadState) -> String {
    match head {
        HeadState::Agrees { last } => format!("agrees: the log has the {} of it", events(*last)),
        HeadState::Cut { last } => format!("does not agree: it tells of {}", events(*last)),
        HeadState::OtherLog { log, .. } => format!("is of another epoch, {log}"),
        HeadState::NotOurs => "says nothing".to_owned(),
        HeadState::Missing => "missing".to_owned(),
    }
}
