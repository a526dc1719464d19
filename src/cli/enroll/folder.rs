//! A folder of folders: its progress, its counts, and what a signal does.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use super::say;
use crate::base::error::{Kind, Result};
use crate::cli::{output, progress};
use crate::gallery::command::Desk;
use crate::gallery::enrol::{Job, Models, Options, Outcome, Report, Tally, bulk};

/// Enrols it with all workers, with a bar on a terminal. A stop lets the pictures in hand come to their end.
///
/// # Errors
/// As [`bulk::enrol`].
pub(super) fn enrol(
    jobs: &[Job],
    finders: &mut [Models],
    desk: &mut dyn Desk,
    options: &Options,
    json: bool,
) -> Result<Tally> {
    let bar = progress::bar(jobs.len());
    let (_signals, stop) = progress::stop_on_signals()?;
    let mut counts = Counts::default();
    let tally = bulk::enrol(jobs, finders, desk, options, &stop, &mut |number, report| {
        bar.set_position(number as u64);
        counts.count(&report.outcome);
        bar.suspend(|| say(report, json))
    });
    bar.finish_and_clear();
    if !counts.0.is_empty() {
        output::tell(counts.to_string().trim_end());
    }
    tally
}

/// Says why, where there is nothing that models or a gallery are needed for.
///
/// # Errors
/// When nobody reads what is printed.
pub(super) fn report_all(jobs: &[Job], json: bool) -> Result<ExitCode> {
    let mut counts = Counts::default();
    for job in jobs {
        let Some(reason) = job.refused.clone() else { continue };
        let name = job.record.as_ref().map(|record| record.name.to_string());
        let report = Report { path: job.path.clone(), name, outcome: Outcome::Refused { reason } };
        counts.count(&report.outcome);
        say(&report, json)?;
    }
    let tally = Tally { refused: jobs.len(), ..Tally::default() };
    output::tell(&format!("{counts}{tally}"));
    Ok(ExitCode::from(Kind::Data.exit_code()))
}

/// How often pictures were refused for what.
#[derive(Default)]
struct Counts(BTreeMap<String, usize>);

impl Counts {
    fn count(&mut self, outcome: &Outcome) {
        if let Outcome::Refused { reason } = outcome {
            *self.0.entry(reason.in_short()).or_default() += 1;
        }
    }
}

/// A line, if there is anything to say.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<_> = self.0.iter().collect();
        // The most frequent first; of equal ones by name.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let words: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        if words.is_empty() { Ok(()) } else { writeln!(f, "refused: {}", words.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::enrol::Reason;

    #[test]
    fn refusals_are_counted_the_most_frequent_first() {
        let mut counts = Counts::default();
        assert_eq!(counts.to_string(), "");
        let missing = || Reason::Missing { detail: String::new() };
        let none = || Reason::NoFace { best: None, least: 0.7 };
        for reason in [none(), missing(), none(), Reason::BadName { detail: String::new() }] {
            counts.count(&Outcome::Refused { reason });
        }
        counts.count(&Outcome::AlreadyThere);
        assert_eq!(counts.to_string(), "refused: 2 no face, 1 no name, 1 not there\n");
    }
}
