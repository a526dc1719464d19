//! `/metrics`: the counters in Prometheus' text format, version 0.0.4.
//!
//! Written by hand from a [`Snapshot`]: the counters live in `stats`, and a metrics library would want to own them.
//! docs/operations.md lists the metrics; a test keeps it in step with [`METRICS`].

use std::fmt::Write;

use crate::stats::CameraState;
use crate::stats::counter::Label;
use crate::stats::snapshot::{
    CameraSnapshot, Counts, PullSnapshot, SinkSnapshot, Snapshot, ThresholdSnapshot,
};

/// `Content-Type` of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric's name, type and meaning.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; counters end with `_total`, times are in seconds.
    pub name: &'static str,
    /// `counter`, `gauge` or `summary`.
    pub kind: &'static str,
    /// Its labels besides those of the summary.
    pub labels: &'static [&'static str],
    /// One line.
    pub help: &'static str,
    write: fn(&Snapshot, &mut Samples<'_>),
}

/// Writes the samples of one metric.
struct Samples<'a> {
    name: &'static str,
    out: &'a mut String,
}

impl Samples<'_> {
    fn put(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.put_suffixed("", labels, value);
    }

    // Writing to a string cannot fail.
    fn put_suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.out, "{}{suffix}", self.name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{open}{label}=\"{}\"", escape(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{close} {value}");
    }

    fn by_label(&mut self, camera: &str, label: &str, counts: &Counts) {
        for (name, count) in counts {
            self.put(&[("camera", camera), (label, name)], count);
        }
    }
}

/// A label's value: backslash, quote and line break are escaped.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// The whole page.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(16 << 10);
    for metric in METRICS {
        let _ = writeln!(out, "# HELP {} {}", metric.name, metric.help);
        let _ = writeln!(out, "# TYPE {} {}", metric.name, metric.kind);
        (metric.write)(snapshot, &mut Samples { name: metric.name, out: &mut out });
    }
    out
}

macro_rules! global {
    ($name:literal, $kind:literal, $help:literal, $value:expr) => {
        Metric {
            name: $name,
            kind: $kind,
            labels: &[],
            help: $help,
            write: |snapshot, samples| {
                let value: fn(&Snapshot) -> _ = $value;
                samples.put(&[], value(snapshot));
            },
        }
    };
}

macro_rules! camera {
    ($name:literal, $kind:literal, $help:literal, $value:expr) => {
        Metric {
            name: $name,
            kind: $kind,
            labels: &["camera"],
            help: $help,
            write: |snapshot, samples| {
                let value: fn(&CameraSnapshot) -> _ = $value;
                snapshot.cameras.iter().for_each(|c| samples.put(&[("camera", &c.id)], value(c)));
            },
        }
    };
    ($name:literal, $kind:literal, by $label:literal, $help:literal, $counts:expr) => {
        Metric {
            name: $name,
            kind: $kind,
            labels: &["camera", $label],
            help: $help,
            write: |snapshot, samples| {
                let counts: fn(&CameraSnapshot) -> &Counts = $counts;
                snapshot.cameras.iter().for_each(|c| samples.by_label(&c.id, $label, counts(c)));
            },
        }
    };
}

macro_rules! by_reason {
    ($name:literal, $help:literal, $counts:expr) => {
        Metric {
            name: $name,
            kind: "counter",
            labels: &["reason"],
            help: $help,
            write: |snapshot, samples| {
                let counts: fn(&Snapshot) -> &Counts = $counts;
                counts(snapshot).iter().for_each(|(name, count)| samples.put(&[("reason", name)], count));
            },
        }
    };
}

macro_rules! sink {
    ($name:literal, $kind:literal, $help:literal, $value:expr) => {
        Metric {
            name: $name,
            kind: $kind,
            labels: &["sink"],
            help: $help,
            write: |snapshot, samples| {
                let value: fn(&SinkSnapshot) -> _ = $value;
                snapshot.events.sinks.iter().for_each(|k| samples.put(&[("sink", &k.name)], value(k)));
            },
        }
    };
}

macro_rules! reader {
    ($name:literal, $kind:literal, $help:literal, $value:expr) => {
        Metric {
            name: $name,
            kind: $kind,
            labels: &["reader", "way"],
            help: $help,
            write: |snapshot, samples| {
                let value: fn(&PullSnapshot) -> _ = $value;
                for r in &snapshot.events.pulls {
                    samples.put(&[("reader", &r.reader), ("way", &r.way)], value(r));
                }
            },
        }
    };
}

macro_rules! threshold {
    ($name:literal, $help:literal, $value:expr) => {
        Metric {
            name: $name,
            kind: "gauge",
            labels: &["camera", "list"],
            help: $help,
            write: |snapshot, samples| {
                let value: fn(&ThresholdSnapshot) -> Option<f64> = $value;
                for camera in &snapshot.cameras {
                    for estimated in &camera.thresholds {
                        if let Some(value) = value(estimated) {
                            let list = estimated.list.as_deref().unwrap_or_default();
                            samples.put(&[("camera", &camera.id), ("list", list)], value);
                        }
                    }
                }
            },
        }
    };
}

/// Every metric, in the order of the page.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "watchlistd_info",
        kind: "gauge",
        labels: &["version", "device", "detector", "embedder", "index"],
        help: "Always 1; the labels say what runs.",
        write: |s, samples| {
            let labels = [
                ("version", s.version.as_str()),
                ("device", &s.inference.device),
                ("detector", &s.inference.detector),
                ("embedder", &s.inference.embedder),
                ("index", &s.gallery.index),
            ];
            samples.put(&labels, 1);
        },
    },
    global!("watchlistd_start_time_seconds", "gauge", "Unix time of the start.", |s| s.started.as_second()),
    global!(
        "watchlistd_ready",
        "gauge",
        "1 while the daemon is at work (ready or reloading).",
        |s| u8::from(matches!(s.phase.as_str(), "ready" | "reloading"))
    ),
    global!("watchlistd_stuck_stages", "gauge", "Stages that are busy without progress.", |s| s.stuck.len()),
    Metric {
        name: "watchlistd_camera_state",
        kind: "gauge",
        labels: &["camera", "state"],
        help: "1 for the state the camera is in, 0 for the others.",
        write: |s, samples| {
            for camera in &s.cameras {
                for state in CameraState::ALL {
                    let labels = [("camera", camera.id.as_str()), ("state", state.as_str())];
                    samples.put(&labels, u8::from(*state == camera.state));
                }
            }
        },
    },
    camera!(
        "watchlistd_camera_recognising",
        "gauge",
        "1 while inference results keep coming from the camera's frames.",
        |c| u8::from(c.recognising)
    ),
    Metric {
        name: "watchlistd_camera_stream_info",
        kind: "gauge",
        labels: &["camera", "codec", "decoder", "transport", "size"],
        help: "Always 1; the labels describe the camera's stream.",
        write: |s, samples| {
            for c in &s.cameras {
                let size = c.width.zip(c.height).map(|(w, h)| format!("{w}x{h}")).unwrap_or_default();
                let text = |t: &Option<String>| t.clone().unwrap_or_default();
                let (codec, decoder, transport) = (text(&c.codec), text(&c.decoder), text(&c.transport));
                let labels = [
                    ("camera", c.id.as_str()),
                    ("codec", &codec),
                    ("decoder", &decoder),
                    ("transport", &transport),
                    ("size", &size),
                ];
                samples.put(&labels, 1);
            }
        },
    },
    camera!(
        "watchlistd_camera_reconnects_total",
        "counter",
        "Connections that were lost or failed and tried again.",
        |c| c.reconnects
    ),
    camera!(
        "watchlistd_camera_fps_in",
        "gauge",
        "Frames a second that arrive, over the last 10 seconds.",
        |c| c.fps_in
    ),
    camera!(
        "watchlistd_camera_fps_inferred",
        "gauge",
        "Frames a second that are looked at, over the last 10 seconds.",
        |c| c.fps_inferred
    ),
    camera!("watchlistd_frames_received_total", "counter", "Frames that came out of the decoder.", |c| c
        .frames_received),
    camera!("watchlistd_frames_inferred_total", "counter", "Frames the detector looked at.", |c| c
        .frames_inferred),
    camera!(
        "watchlistd_frames_not_sampled_total",
        "counter",
        "Frames that detect_fps skipped; not a drop.",
        |c| c.frames_not_sampled
    ),
    camera!("watchlistd_frames_dropped_total", "counter", by "reason", "Frames that were lost, by reason.", |c| &c
        .frames_dropped),
    camera!("watchlistd_faces_detected_total", "counter", "Faces found, in all frames.", |c| c.faces),
    camera!("watchlistd_faces_refused_total", "counter", by "reason", "Faces not good enough to be embedded, by reason.", |c| &c
        .faces_refused),
    camera!("watchlistd_tracks_started_total", "counter", "Tracks that had enough hits to count.", |c| c
        .tracks_started),
    camera!("watchlistd_tracks_live", "gauge", "Tracks alive.", |c| c.tracks_live),
    camera!("watchlistd_shots_embedded_total", "counter", "Shots that were embedded.", |c| c.embedded),
    camera!("watchlistd_crops_dropped_total", "counter", by "reason", "Good shots that were never embedded, by reason.", |c| &c
        .crops_dropped),
    camera!("watchlistd_decisions_total", "counter", by "kind", "Decisions that were published, by kind.", |c| &c
        .decisions),
    camera!("watchlistd_reviews_total", "counter", by "verdict", "Recognitions that an operator judged, by the first verdict of each.", |c| &c
        .reviews),
    camera!("watchlistd_shadow_tracks_total", "counter", by "result", "Tracks that left, by whether the policy of [shadow] says the same of them as the one in force.", |c| &c
        .shadow),
    threshold!("watchlistd_threshold", "Threshold that was estimated for a budget of false alerts.", |t| {
        Some((f64::from(t.threshold) * 1e4).round() / 1e4)
    }),
    threshold!(
        "watchlistd_false_alerts_budget_per_day",
        "False alerts a day that the threshold is to keep below.",
        |t| Some(t.budget)
    ),
    threshold!(
        "watchlistd_false_alerts_expected_per_day",
        "False alerts a day that are to be expected, as estimated.",
        |t| Some(t.expected?.median)
    ),
    threshold!(
        "watchlistd_false_alerts_expected_low_per_day",
        "Lower end of the 95 % interval of the false alerts to be expected.",
        |t| Some(t.expected?.low)
    ),
    threshold!(
        "watchlistd_false_alerts_expected_high_per_day",
        "Upper end of the 95 % interval of the false alerts to be expected.",
        |t| Some(t.expected?.high)
    ),
    camera!(
        "watchlistd_scores_lost_total",
        "counter",
        "Tracks whose score did not reach the estimate of the threshold in time.",
        |c| c.scores_lost
    ),
    Metric {
        name: "watchlistd_event_latency_seconds",
        kind: "summary",
        labels: &["camera"],
        help: "From the capture of a frame to the publication of its event; quantiles over the last 5 to 10 minutes.",
        write: |s, samples| {
            for c in &s.cameras {
                let l = &c.latency;
                for (quantile, ms) in [("0.5", l.p50_ms), ("0.95", l.p95_ms), ("0.99", l.p99_ms)] {
                    let labels = [("camera", c.id.as_str()), ("quantile", quantile)];
                    samples.put(&labels, ms.map_or("NaN".to_owned(), |ms| (ms as f64 / 1e3).to_string()));
                }
                samples.put_suffixed("_sum", &[("camera", &c.id)], l.sum_s);
                samples.put_suffixed("_count", &[("camera", &c.id)], l.count);
            }
        },
    },
    global!("watchlistd_inference_workers", "gauge", "Inference workers.", |s| s.inference.workers),
    global!("watchlistd_detector_runs_total", "counter", "Runs of the detector, one a frame.", |s| s
        .inference
        .detections),
    global!(
        "watchlistd_detector_busy_seconds_total",
        "counter",
        "Time workers spent in the detector.",
        |s| s.inference.detect_s
    ),
    global!("watchlistd_embedder_runs_total", "counter", "Runs of the embedder, one a batch.", |s| s
        .inference
        .batches),
    global!(
        "watchlistd_embedder_busy_seconds_total",
        "counter",
        "Time workers spent in the embedder.",
        |s| s.inference.embed_s
    ),
    global!("watchlistd_embedder_crops_total", "counter", "Crops in the embedder's runs.", |s| s
        .inference
        .crops),
    global!("watchlistd_embedder_queue", "gauge", "Crops that wait for the embedder.", |s| s.inference.queue),
    global!("watchlistd_inference_failures_total", "counter", "Inference calls that failed.", |s| s
        .inference
        .failures),
    global!("watchlistd_gallery_identities", "gauge", "Enrolled identities that are searched.", |s| s
        .gallery
        .identities),
    global!("watchlistd_gallery_templates", "gauge", "Templates that are searched.", |s| s.gallery.templates),
    global!("watchlistd_gallery_generation", "gauge", "Generation of the gallery that is searched.", |s| s
        .gallery
        .generation),
    global!("watchlistd_gallery_reviews_due", "gauge", "Identities whose review date has come.", |s| s
        .gallery
        .reviews_due),
    global!(
        "watchlistd_index_checks_total",
        "counter",
        "Searches by the approximate index that were repeated exactly.",
        |s| s.gallery.index_checks
    ),
    global!(
        "watchlistd_index_recalled_total",
        "counter",
        "Of these, those that found the nearest identity.",
        |s| s.gallery.index_recalled
    ),
    global!(
        "watchlistd_index_agreed_total",
        "counter",
        "Of these, those that lead to the same decision.",
        |s| s.gallery.index_agreed
    ),
    global!(
        "watchlistd_index_distrusted",
        "gauge",
        "1 once the approximate index answered wrongly too often; exact search answers then.",
        |s| u8::from(s.gallery.index_distrusted)
    ),
    global!("watchlistd_searches_total", "counter", "Searches of the gallery.", |s| s.gallery.searches),
    global!("watchlistd_search_seconds_total", "counter", "Time spent searching.", |s| s.gallery.search_s),
    global!("watchlistd_events_accepted_total", "counter", "Events taken for publishing.", |s| s
        .events
        .accepted),
    global!(
        "watchlistd_events_overflowed_total",
        "counter",
        "Events lost to every sink, because the queue stayed full.",
        |s| s.events.overflowed
    ),
    global!("watchlistd_events_queue", "gauge", "Events that wait to be published.", |s| s.events.queue),
    global!(
        "watchlistd_events_lost_total",
        "counter",
        "Events that a required sink never had, because the event log reached its budget.",
        |s| s.events.lost
    ),
    global!("watchlistd_event_log_bytes", "gauge", "Bytes of the event log that hold something.", |s| s
        .events
        .bytes),
    global!(
        "watchlistd_event_log_commits_total",
        "counter",
        "Transactions that brought events into the event log: each is one wait for the disk.",
        |s| s.events.commits
    ),
    global!("watchlistd_event_log_healthy", "gauge", "0 while the event log cannot be written.", |s| {
        u8::from(!s.events.log_failing)
    }),
    global!(
        "watchlistd_snapshot_pictures_total",
        "counter",
        "Pictures cut out of frames and held in memory until it is known who it is.",
        |s| s.snapshots.made
    ),
    global!(
        "watchlistd_snapshot_pictures_seconds_total",
        "counter",
        "Time workers spent on them, the second look for other faces included.",
        |s| s.snapshots.made_s
    ),
    global!("watchlistd_snapshots_kept_total", "counter", "Snapshots that came to the disk.", |s| s
        .snapshots
        .kept),
    global!(
        "watchlistd_snapshots_kept_seconds_total",
        "counter",
        "Time spent on encoding, sealing and storing them.",
        |s| s.snapshots.kept_s
    ),
    by_reason!(
        "watchlistd_snapshots_missed_total",
        "Attempts at a picture, its scene or its snapshot that gave none, by why.",
        |s| &s.snapshots.missed
    ),
    by_reason!("watchlistd_snapshots_removed_total", "Snapshots that were deleted, by why.", |s| &s
        .snapshots
        .removed),
    global!("watchlistd_snapshots_held", "gauge", "Snapshots in the store.", |s| s.snapshots.held),
    global!(
        "watchlistd_snapshot_store_bytes",
        "gauge",
        "Bytes of the snapshot store that hold something.",
        |s| { s.snapshots.bytes }
    ),
    global!(
        "watchlistd_snapshot_store_healthy",
        "gauge",
        "0 while the snapshot store cannot be written or read.",
        |s| u8::from(!s.snapshots.failing)
    ),
    sink!("watchlistd_sink_written_total", "counter", "Events a sink has a receipt for.", |k| k.written),
    sink!("watchlistd_sink_lost_total", "counter", "Events a sink refused for good: dead letters.", |k| k
        .lost),
    sink!("watchlistd_sink_failures_total", "counter", "Attempts of a sink that failed.", |k| k.failures),
    sink!("watchlistd_sink_behind", "gauge", "Events of the log that a sink has not had yet.", |k| k.behind),
    sink!("watchlistd_sink_healthy", "gauge", "0 while a sink's last attempt failed.", |k| u8::from(
        k.healthy
    )),
    reader!(
        "watchlistd_pull_requests_total",
        "counter",
        "Polls and streams of a reader that were served; of a socket (way unix), connections.",
        |r| r.requests
    ),
    reader!(
        "watchlistd_pull_open",
        "gauge",
        "Polls and streams of a reader that are served now; of a socket, connections.",
        |r| r.open
    ),
    reader!("watchlistd_pull_events_total", "counter", "Events that a reader was given.", |r| r.given),
    reader!(
        "watchlistd_pull_stalled_total",
        "counter",
        "Times that a reader was hung up on, because it took nothing for 30 s.",
        |r| r.stalled
    ),
    global!(
        "watchlistd_pull_refused_total",
        "counter",
        "Requests for events that were refused: no or a wrong token, no place free, or a wrong request.",
        |s| s.events.pulls_refused
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::fixture;

    /// `name{a="b",...} value` as a Prometheus server reads it; panics on what it would refuse.
    fn parse(line: &str) -> (String, Vec<(String, String)>, f64) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().expect("a number");
        let Some((name, rest)) = series.split_once('{') else {
            return (series.to_owned(), Vec::new(), value);
        };
        let mut rest = rest.strip_suffix('}').expect("closed");
        let mut labels = Vec::new();
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").expect("a label");
            let mut text = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (i, '"') => break i,
                    (_, '\\') => match chars.next().expect("escaped").1 {
                        'n' => text.push('\n'),
                        c @ ('\\' | '"') => text.push(c),
                        c => panic!("unknown escape {c:?}"),
                    },
                    (_, c) => text.push(c),
                }
            };
            labels.push((label.trim_start_matches(',').to_owned(), text));
            rest = &after[end + 1..];
        }
        (name.to_owned(), labels, value)
    }

    #[test]
    fn the_page_is_well_formed() {
        let page = render(&fixture::ready().0.snapshot());
        assert!(page.ends_with('\n'));
        let (mut described, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut current = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                current = rest.split_once(' ').expect("text").0;
                assert!(described.insert(current), "{current} is described twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, current);
                assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else {
                let (name, mut labels, _) = parse(line);
                let base = name.trim_end_matches("_sum").trim_end_matches("_count");
                assert_eq!(base, current, "samples stand together under their description");
                let metric = METRICS.iter().find(|m| m.name == base).expect("known");
                let names: Vec<_> = labels.iter().map(|l| l.0.clone()).filter(|l| l != "quantile").collect();
                assert_eq!(names, metric.labels, "{line}");
                labels.sort();
                assert!(seen.insert((name, labels)), "{line} stands there twice");
            }
        }
        assert_eq!(described.len(), METRICS.len());
    }

    #[test]
    fn the_figures_are_those_of_the_counters() {
        let page = render(&fixture::ready().0.snapshot());
        for line in [
            r#"watchlistd_camera_state{camera="door",state="connected"} 1"#,
            r#"watchlistd_camera_state{camera="yard",state="waiting"} 1"#,
            r#"watchlistd_camera_recognising{camera="yard"} 0"#,
            r#"watchlistd_frames_dropped_total{camera="door",reason="replaced"} 20"#,
            r#"watchlistd_frames_dropped_total{camera="yard",reason="replaced"} 0"#,
            r#"watchlistd_faces_refused_total{camera="door",reason="blurred"} 7"#,
            r#"watchlistd_decisions_total{camera="door",kind="confirmed"} 1"#,
            r#"watchlistd_event_latency_seconds{camera="yard",quantile="0.5"} NaN"#,
            r#"watchlistd_event_latency_seconds_sum{camera="door"} 0.18"#,
            r#"watchlistd_camera_fps_in{camera="door"} 25"#,
            "watchlistd_ready 1",
            r#"watchlistd_sink_written_total{sink="file"} 3"#,
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing in:\n{page}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let odd = "a\\b\"c\nd {}=,";
        let mut snapshot = fixture::ready().0.snapshot();
        snapshot.inference.embedder = odd.to_owned();
        let page = render(&snapshot);
        let line = page.lines().find(|l| l.starts_with("watchlistd_info")).expect("there");
        assert!(parse(line).1.contains(&("embedder".to_owned(), odd.to_owned())), "{line}");
    }

    #[test]
    fn the_documentation_lists_every_metric_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
        let mut text = std::fs::read_to_string(path).expect("docs/operations.md");
        let (open, close) = ("<!-- metrics -->\n", "<!-- end of metrics -->");
        let mut table = "| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n".to_owned();
        for m in METRICS {
            let labels: Vec<_> = m.labels.iter().map(|l| format!("`{l}`")).collect();
            let _ = writeln!(table, "| `{}` | {} | {} | {} |", m.name, m.kind, labels.join(", "), m.help);
        }
        let start = text.find(open).expect("a marker") + open.len();
        let end = text.find(close).expect("a marker of the end");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            text.replace_range(start..end, &table);
            std::fs::write(path, text).expect("written");
        } else {
            assert_eq!(&text[start..end], table, "run the tests with UPDATE_DOCS=1");
        }
    }
}
