//! What the demo prints: a line for each event as it comes, and the summary.

use std::io::{IsTerminal, Stdout, Write, stdout};

use watchlistd::types::decision::Stage;

use super::event::Sighting;
use crate::judge::{Remark, Said, Summary, percentile};

/// Colours, as ANSI codes.
#[derive(Clone, Copy)]
enum Ink {
    Plain,
    Faint,
    Good,
    Bad,
}

/// Writes to standard output, in colour on a terminal.
pub struct Table {
    out: Stdout,
    colour: bool,
}

impl Table {
    /// Colour only on a terminal, and not where `NO_COLOR` is set.
    pub fn new() -> Self {
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { out: stdout(), colour }
    }

    /// A line about what the demo does.
    pub fn note(&mut self, text: &str) {
        self.line(Ink::Plain, text);
    }

    /// The head of the table.
    pub fn head(&mut self) {
        self.line(Ink::Plain, "");
        let text = row(["time", "camera", "the daemon says", "who", "score", "threshold", "latency"]);
        self.line(Ink::Plain, &format!("{text}  judged"));
    }

    /// Somebody comes: the truth, which the daemon is not told.
    pub fn enters(&mut self, time: f64, who: &str, enrolled: bool) {
        let status = if enrolled { "enrolled" } else { "not enrolled" };
        self.line(Ink::Faint, &format!("{} --> {who} comes ({status})", clock(time)));
    }

    /// An event, and how it compares to the truth.
    pub fn event(&mut self, time: f64, event: &Sighting, remark: &Remark) {
        let (says, who) = match &event.said {
            Said::Recognized { name, stage } => (stage_name(*stage), name.clone()),
            Said::Unknown => ("unknown", "-".to_owned()),
            Said::Undecided => ("undecided", event.reason.clone().unwrap_or_else(|| "-".into())),
        };
        let figure = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
        let text = row([
            clock(time).as_str(),
            &event.camera,
            says,
            &who,
            &figure(event.score),
            &figure(event.threshold),
            &format!("{} ms", event.latency_ms),
        ]);
        let (ink, judged) = match remark {
            Remark::Right => (Ink::Good, "right".to_owned()),
            Remark::Wrong { really } => (Ink::Bad, format!("WRONG: {really}")),
            Remark::Corrected => (Ink::Plain, "takes a mistake back".to_owned()),
            Remark::Retracted => (Ink::Bad, "takes back what was right".to_owned()),
            Remark::Open => (Ink::Faint, String::new()),
        };
        self.line(ink, format!("{text}  {judged}").trim_end());
    }

    /// The end.
    pub fn summary(&mut self, summary: &Summary, times: &Times) {
        let s = summary;
        self.line(Ink::Plain, "");
        self.line(
            if s.passed() { Ink::Good } else { Ink::Bad },
            &format!(
                "{} visits: {} right, {} wrong, {} missed, {} unknown, {} undecided",
                s.visits, s.right, s.wrong, s.missed, s.unknown, s.undecided
            ),
        );
        for remark in &s.remarks {
            self.line(Ink::Plain, &format!("  {remark}"));
        }
        for (what, values) in times.named() {
            if let (Some(half), Some(most)) = (percentile(values, 0.5), percentile(values, 0.95)) {
                let count = values.len();
                self.line(Ink::Plain, &format!("{what}: p50 {half} ms, p95 {most} ms ({count} events)"));
            }
        }
    }

    fn line(&mut self, ink: Ink, text: &str) {
        let code = match ink {
            _ if !self.colour => "",
            Ink::Plain => "",
            Ink::Faint => "\x1b[2m",
            Ink::Good => "\x1b[32m",
            Ink::Bad => "\x1b[1;31m",
        };
        let end = if code.is_empty() { "" } else { "\x1b[0m" };
        // Standard output may be closed (`| head`): the verdict is in the exit status all the same.
        let _ = writeln!(self.out, "{code}{text}{end}");
        let _ = self.out.flush();
    }
}

/// How long what the daemon said took, milliseconds.
#[derive(Debug, Default)]
pub struct Times {
    latencies: Vec<u64>,
    preliminary: Vec<u64>,
    confirmed: Vec<u64>,
}

impl Times {
    /// Takes an event down.
    pub fn note(&mut self, event: &Sighting) {
        self.latencies.push(event.latency_ms);
        match event.said {
            Said::Recognized { stage: Stage::Preliminary, .. } => {
                self.preliminary.push(event.since_first_shot())
            }
            Said::Recognized { stage: Stage::Confirmed, .. } => self.confirmed.push(event.since_first_shot()),
            _ => {}
        }
    }

    fn named(&self) -> [(&'static str, &[u64]); 3] {
        [
            ("latency from capture to event", &self.latencies),
            ("from the first usable face to preliminary", &self.preliminary),
            ("from the first usable face to confirmed", &self.confirmed),
        ]
    }
}

fn row([time, camera, says, who, score, threshold, latency]: [&str; 7]) -> String {
    format!("{time:>7}  {camera:<10} {says:<16} {who:<22} {score:>5}  {threshold:>9}  {latency:>8}")
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Preliminary => "preliminary",
        Stage::Confirmed => "confirmed",
        Stage::Withdrawn => "withdrawn",
    }
}

/// Minutes and seconds since the scene's start.
fn clock(time: f64) -> String {
    let tenths = (time.max(0.0) * 10.0).round() as u64;
    format!("{:02}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_carries() {
        assert_eq!(clock(0.0), "00:00.0");
        assert_eq!(clock(59.96), "01:00.0");
        assert_eq!(clock(125.34), "02:05.3");
    }
}
