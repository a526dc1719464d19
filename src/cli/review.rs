//! `watchlistd review EVENT VERDICT`

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::desk::{Client, DeskArgs};
use super::events::{EventName, event_name, find_event};
use super::table;
use crate::bail;
use crate::base::error::Result;
use crate::cli::context;
use crate::err;
use crate::eval::interval::Share;
use crate::events::{Data, Event};
use crate::gallery::command::Command;
use crate::gallery::review::{EventReview, OperatorVerdict, ReviewTaken, Tally};
use crate::types::decision::Stage;

/// Arguments of `review`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    watchlistd review 4711 confirm\n  \
    watchlistd review 019ca885-c910-7000-8000-00000000000d reject\n  \
    watchlistd review                                   # what was said so far, and the precision that follows")]
pub struct ReviewArgs {
    /// The event's number in the log, or its id: a recognition. Without it, what was said so far is shown.
    #[arg(value_name = "NUMBER|ID", value_parser = event_name, requires = "verdict")]
    event: Option<EventName>,
    /// What is said of it.
    #[arg(value_enum)]
    verdict: Option<Verdict>,
    #[command(flatten)]
    desk: DeskArgs,
}

/// [`OperatorVerdict`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verdict {
    /// It is that person.
    Confirm,
    /// It is somebody else.
    Reject,
    /// It cannot be told.
    Unsure,
}

impl From<Verdict> for OperatorVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Confirm => Self::Confirm,
            Verdict::Reject => Self::Reject,
            Verdict::Unsure => Self::Unsure,
        }
    }
}

/// What was said of all recognitions that somebody looked at.
#[derive(Debug, Serialize)]
struct Said {
    #[serde(flatten)]
    tally: Tally,
    /// Part of those of which it could be told that was right, with its 95 % interval (Wilson).
    precision: Share,
}

impl Said {
    fn of(tally: Tally) -> Self {
        Self { tally, precision: Share::of(tally.confirmed, tally.confirmed + tally.rejected) }
    }

    fn words(&self) -> String {
        let Tally { confirmed, rejected, unsure } = self.tally;
        let precision = self.precision.rate.zip(self.precision.interval).map(|(rate, interval)| {
            format!(
                "{:.1} % (95 %: {:.1} to {:.1})",
                rate * 100.0,
                interval.low * 100.0,
                interval.high * 100.0
            )
        });
        table::fields(&[
            ("confirmed", Some(confirmed.to_string())),
            ("rejected", Some(rejected.to_string())),
            ("unsure", Some(unsure.to_string())),
            ("precision", Some(precision.unwrap_or_else(|| "nothing was said yet that tells it".to_owned()))),
        ])
    }
}

/// Runs it.
///
/// # Errors
/// As `events show` and `gallery list`; `Data`, for an event that recognises nobody.
pub fn run(args: &ReviewArgs) -> Result<ExitCode> {
    let Some((event, verdict)) = args.event.zip(args.verdict) else {
        let mut client = Client::new(&args.desk)?;
        let said = Said::of(client.ask(Command::Reviews)?);
        client.console.show(&said, |_| said.words())?;
        return Ok(ExitCode::SUCCESS);
    };
    let config = context::load_for_tools(&args.desk.config)?;
    let (sequence, event) = find_event(&config, event, args.desk.key_file.as_deref())?;
    let review = of_recognition(&event, sequence, verdict.into())?;
    let mut client = Client::new(&args.desk)?;
    let taken: ReviewTaken = client.ask(Command::ReviewEvent { review: Box::new(review) })?;
    let said = Said::of(taken.tally);
    client.console.show(&said, |_| said.words())?;
    Ok(ExitCode::SUCCESS)
}

fn of_recognition(event: &Event, sequence: u64, verdict: OperatorVerdict) -> Result<EventReview> {
    let kind = event.kind.short();
    let Data::Sighting(seen) = &event.data else {
        bail!(Data, "event {sequence} is of type {kind}: only a recognition can be reviewed");
    };
    if seen.stage == Some(Stage::Withdrawn) {
        bail!(Data, "event {sequence} takes a recognition back: review the one that it takes back");
    }
    let identity = seen.identity.as_ref().ok_or_else(|| {
        err!(Data, "event {sequence} is of type {kind}: only a recognition can be reviewed")
    })?;
    Ok(EventReview {
        event: event.id,
        verdict,
        identity: identity.id,
        captured_at: seen.captured_at,
        camera: seen.at.camera.clone(),
        track: seen.track.clone(),
        score: seen.score,
        threshold: seen.threshold,
        model: seen.model.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precision_has_an_interval_and_the_unsure_do_not_count() {
        let said = Said::of(Tally { confirmed: 8, rejected: 2, unsure: 5 });
        assert_eq!((said.precision.count, said.precision.trials), (8, 10));
        let words = said.words();
        // Wilson's interval of 8 in 10.
        assert!(words.contains("80.0 % (95 %: 49.0 to 94.3)"), "{words}");
        assert!(Said::of(Tally::default()).words().contains("nothing was said yet"));
    }
}
