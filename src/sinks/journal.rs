//! Events in the log: under systemd in the journal, with fields to filter by.
//!
//! `journalctl -u watchlistd WATCHLISTD_EVENT_TYPE=io.watchlistd.recognized.v1` shows recognitions only.

use super::{Line, Sink, SinkError};
use crate::base::error::Result;
use crate::events::{Data, Sighting};

/// `tracing` target of the lines, for `log.filter`.
pub const TARGET: &str = "watchlistd::event";

/// The sink. What becomes of a line is `tracing`'s business, so it never fails.
#[derive(Debug)]
pub struct Journal;

impl Sink for Journal {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn publish(&mut self, line: Line<'_>) -> Result<(), SinkError> {
        let event = line.event;
        let (id, kind, sequence) = (event.id, event.kind.as_str(), event.sequence());
        match &event.data {
            Data::Sighting(s) => tracing::info!(
                target: TARGET,
                event_id = %id,
                event_type = kind,
                sequence,
                camera = s.camera,
                track = s.track,
                visit = %s.visit,
                identity = s.identity.as_ref().map(|i| tracing::field::display(i.id)),
                score = s.score,
                threshold = s.threshold,
                latency_ms = s.latency_ms,
                "{}", sentence(s)
            ),
            Data::Camera(c) => tracing::info!(
                target: TARGET,
                event_id = %id,
                event_type = kind,
                sequence,
                camera = c.camera,
                failure = c.failure,
                "{} is {}{}",
                c.camera,
                crate::stats::counter::Label::as_str(c.state),
                c.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default()
            ),
        }
        Ok(())
    }
}

/// `door: Ada Lovelace (confirmed), score 0.6123 against 0.42, 187 ms`. Names are quoted as Rust quotes them, so
/// that a line break in one cannot make a second line.
fn sentence(s: &Sighting) -> String {
    use crate::events::DecisionName as D;
    let camera = &s.camera;
    let score = s.score.map(|score| format!(", score {score} against {}", s.threshold)).unwrap_or_default();
    let latency = s.latency_ms;
    let what = match (s.decision, &s.identity) {
        (D::Recognized, Some(identity)) => {
            let stage = s.stage.map(|stage| format!("{stage:?}").to_lowercase()).unwrap_or_default();
            format!("{:?} ({stage})", identity.name)
        }
        (D::Recognized, None) => "recognized".to_owned(),
        (D::Unknown, _) => "unknown".to_owned(),
        (D::Undecided, _) => {
            let reason = s.reason.map(|r| format!(" ({r:?})")).unwrap_or_default();
            format!("undecided{reason}")
        }
    };
    format!("{camera}: {what}{score}, {latency} ms")
}
