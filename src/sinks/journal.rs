//! Events in the log: under systemd in the journal, with fields to filter by.
//!
//! `journalctl -u watchlistd WATCHLISTD_EVENT_TYPE=io.watchlistd.recognized.v1` shows recognitions only.

use super::sink::{Delivery, Sent, Sink};
use crate::base::shutdown::Stop;
use crate::events::{Data, Event, Sighting};

/// `tracing` target of the lines, for `log.filter`.
pub const TARGET: &str = "watchlistd::event";

/// The sink. What becomes of a line is `tracing`'s business, so it never fails.
#[derive(Debug)]
pub struct Journal;

impl Sink for Journal {
    fn batch(&self) -> usize {
        64
    }

    fn send(&mut self, batch: &[Delivery], _: &Stop) -> Sent {
        batch.iter().for_each(|delivery| tell(&delivery.event));
        Sent::all(batch)
    }
}

fn tell(event: &Event) {
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
        Data::Appeared(_) | Data::Left(_) => tracing::info!(
            target: TARGET,
            event_id = %id,
            event_type = kind,
            sequence,
            camera = event.camera(),
            identity = event.identity().map(|i| tracing::field::display(i.id)),
            "{}", coming_and_going(&event.data)
        ),
        Data::Counted(c) => tracing::info!(
            target: TARGET,
            event_id = %id,
            event_type = kind,
            sequence,
            camera = c.camera,
            "{}: {}",
            c.camera,
            event.kind.short()
        ),
        Data::Gallery(_) | Data::Health(_) | Data::Lost(_) | Data::Threshold(_) => tracing::info!(
            target: TARGET,
            event_id = %id,
            event_type = kind,
            sequence,
            "{}", about_the_daemon(&event.data)
        ),
    }
}

/// `door: somebody appeared`, `door: "Ada Lovelace" left after 12.4 s`
fn coming_and_going(data: &Data) -> String {
    match data {
        Data::Appeared(appeared) => format!("{}: somebody appeared", appeared.at.camera),
        Data::Left(left) => {
            let name = left.identity.as_ref().and_then(|identity| identity.name.as_ref());
            let who = name.map_or_else(|| "somebody".to_owned(), |name| format!("{name:?}"));
            format!("{}: {who} left after {:.1} s", left.at.camera, left.duration_ms as f64 / 1000.0)
        }
        _ => String::new(),
    }
}

fn about_the_daemon(data: &Data) -> String {
    match data {
        Data::Gallery(gallery) => {
            let all =
                gallery.changes.iter().map(|change| format!("{} {}", change.count, change.what.as_str()));
            let changes = all.collect::<Vec<_>>().join(", ");
            format!("gallery: {changes}; {} identities are looked for", gallery.identities)
        }
        Data::Health(health) => {
            let part = health.component.as_deref().unwrap_or("daemon");
            let message = health.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
            format!("{part} {}{message}", health.state.as_str())
        }
        Data::Threshold(data) => format!(
            "{}: threshold {} instead of {}, for at most {} false alerts a day ({})",
            data.camera,
            data.threshold,
            data.threshold_before,
            data.false_alerts_per_day,
            data.basis.as_str()
        ),
        Data::Lost(lost) => format!("{} events are no more ({})", lost.count, lost.reason.as_str()),
        _ => String::new(),
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
