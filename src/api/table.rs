//! `watchlistd status` for people.

use std::fmt::Write;

use crate::stats::counter::Label;
use crate::stats::snapshot::{CameraSnapshot, Counts, GallerySnapshot, Snapshot};

/// Text that cannot move the cursor or change colours: control characters become spaces.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The status as a table, some lines above and below it.
pub fn render(s: &Snapshot) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "watchlistd {}, {}, up {}", s.version, s.phase, duration(s.uptime_s));
    if !s.stuck.is_empty() {
        let _ = writeln!(out, "STUCK: {}", s.stuck.join(", "));
    }
    let (i, g, e) = (&s.inference, &s.gallery, &s.events);
    let _ = writeln!(
        out,
        "inference: {} on {}, {} workers, {} failures",
        i.embedder, i.device, i.workers, i.failures
    );
    let reviews = if g.reviews_due == 0 { String::new() } else { format!(", {} reviews due", g.reviews_due) };
    let _ = writeln!(
        out,
        "gallery: {} identities, {} templates, generation {}, {} index{}{reviews}",
        g.identities,
        g.templates,
        g.generation,
        g.index,
        checked(g)
    );
    let sinks: Vec<String> = e.sinks.iter().map(sink).collect();
    let _ = writeln!(out, "events: {} published, {} lost; {}\n", e.accepted, e.overflowed, sinks.join(", "));
    let rows: Vec<Vec<String>> = s.cameras.iter().map(row).collect();
    out.push_str(&aligned(&HEAD, &rows));
    s.cameras.iter().for_each(|c| notes(c, &mut out));
    plain_lines(&out)
}

/// What holding the approximate index against exact search gave; nothing where nothing was.
fn checked(g: &GallerySnapshot) -> String {
    let distrusted = if g.index_distrusted { ", HNSW DISTRUSTED" } else { "" };
    match g.index_checks {
        0 => distrusted.to_owned(),
        checks => {
            let share = |part: u64| part as f64 / checks as f64;
            let (recall, agreement) = (share(g.index_recalled), share(g.index_agreed));
            format!(
                "{distrusted} (checked {checks} times: recall {recall:.3}, decision agreement {agreement:.3})"
            )
        }
    }
}

const HEAD: [&str; 13] = [
    "CAMERA",
    "STATE",
    "RECOGNISING",
    "DECODER",
    "FPS IN",
    "INFERRED",
    "DROPPED",
    "TRACKS",
    "EMBEDDED",
    "DECISIONS",
    "P50 MS",
    "P95 MS",
    "P99 MS",
];

/// The first four columns hold words, the others numbers.
const WORDS: usize = 4;

fn row(c: &CameraSnapshot) -> Vec<String> {
    let millis = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| ms.to_string());
    vec![
        c.id.clone(),
        c.state.as_str().to_owned(),
        if c.recognising { "yes" } else { "no" }.to_owned(),
        c.decoder.clone().unwrap_or_else(|| "-".to_owned()),
        format!("{:.1}", c.fps_in),
        format!("{:.1}", c.fps_inferred),
        total(&c.frames_dropped).to_string(),
        c.tracks_live.to_string(),
        c.embedded.to_string(),
        total(&c.decisions).to_string(),
        millis(c.latency.p50_ms),
        millis(c.latency.p95_ms),
        millis(c.latency.p99_ms),
    ]
}

fn sink(s: &crate::stats::snapshot::SinkSnapshot) -> String {
    let trouble = if s.healthy { "" } else { ", FAILING" };
    format!("{}: {} written, {} lost{trouble}", s.name, s.written, s.lost)
}

/// Below the table: what is wrong with a camera, and why frames, faces and crops were not used.
fn notes(c: &CameraSnapshot, out: &mut String) {
    let counts = [
        ("frames dropped", &c.frames_dropped),
        ("faces refused", &c.faces_refused),
        ("crops dropped", &c.crops_dropped),
    ];
    let mut lines: Vec<String> =
        counts.iter().filter_map(|(what, by)| Some(format!("{what}: {}", reasons(by)?))).collect();
    if let Some(e) = &c.last_error {
        lines.push(format!(
            "last error, {}: {} ({})",
            e.at.strftime("%F %T UTC"),
            plain(&e.message),
            e.failure
        ));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\n{} ({} for {}):", c.id, c.state.as_str(), duration(c.state_s));
        for line in lines {
            let _ = writeln!(out, "  {line}");
        }
    }
}

fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

fn reasons(counts: &Counts) -> Option<String> {
    let some: Vec<String> =
        counts.iter().filter(|(_, n)| **n > 0).map(|(why, n)| format!("{why} {n}")).collect();
    (!some.is_empty()).then(|| some.join(", "))
}

fn aligned(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|r| r.get(i)).map(|cell| cell.chars().count());
        cells.chain(head.get(i).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let pad = |(i, (cell, width)): (usize, (&str, &usize))| {
            if i < WORDS { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        let cells: Vec<String> = cells.zip(&widths).enumerate().map(pad).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut out = line(&mut head.iter().copied());
    rows.iter().for_each(|row| out.push_str(&line(&mut row.iter().map(String::as_str))));
    out
}

/// `3 d 4 h`, `4 h 5 min`, `5 min 6 s`, `6 s`.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min {} s", seconds % 60),
        (0, h, m) => format!("{h} h {} min", m % 60),
        (d, h, _) => format!("{d} d {} h", h % 24),
    }
}

/// Names and messages come from outside: nothing in them may steer the terminal.
fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fixture;

    #[test]
    fn the_table_says_it_all() {
        let (report, _) = fixture::ready();
        let text = render(&report.snapshot());
        let lines: Vec<&str> = text.lines().collect();
        let at = |start: &str| *lines.iter().find(|l| l.starts_with(start)).expect(start);
        assert_eq!(lines[0], concat!("watchlistd ", env!("CARGO_PKG_VERSION"), ", ready, up 20 s"));
        let columns = |l: &str| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            columns(at("door ")),
            [
                "door",
                "connected",
                "yes",
                "avdec_h264",
                "25.0",
                "5.0",
                "20",
                "1",
                "34",
                "1",
                "180",
                "180",
                "180"
            ]
        );
        assert_eq!(columns(at("yard "))[1..4], ["waiting", "no", "-"]);
        assert!(text.contains("frames dropped: replaced 20"), "{text}");
        assert!(text.contains("crops dropped: too_old 2"), "{text}");
        assert!(at("  last error").contains("2026-03-01 08:00:20 UTC"), "{text}");
        let end = |l: &str| l.chars().count();
        assert_eq!(end(at("CAMERA")), end(at("door ")), "numbers end under their heading:\n{text}");
    }

    #[test]
    fn the_table_in_the_documentation_is_made_by_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
        let mut text = std::fs::read_to_string(path).expect("docs/operations.md");
        let (open, close) = ("<!-- status -->\n```text\n", "```\n<!-- end of status -->");
        let start = text.find(open).expect("a marker") + open.len();
        let end = text.find(close).expect("a marker of the end");
        let shown = render(&fixture::ready().0.snapshot());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            text.replace_range(start..end, &shown);
            std::fs::write(path, text).expect("written");
        } else {
            assert_eq!(&text[start..end], shown, "run the tests with UPDATE_DOCS=1");
        }
    }

    #[test]
    fn a_message_from_a_camera_cannot_steer_the_terminal() {
        let mut snapshot = fixture::ready().0.snapshot();
        let error = snapshot.cameras.iter_mut().find_map(|c| c.last_error.as_mut()).expect("yard's");
        error.message = "\u{1b}[31mred\nline".to_owned();
        let text = render(&snapshot);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.contains("[31mred line"), "its line break is a space: {text}");
    }

    #[test]
    fn who_is_stuck_stands_on_top() {
        let (report, clock) = fixture::ready();
        let beat = report.beats.register("inference-0", std::time::Duration::from_secs(20));
        beat.begin_work();
        clock.advance(std::time::Duration::from_secs(21));
        assert!(render(&report.snapshot()).contains("STUCK: inference-0"));
    }

    #[test]
    fn durations_read_well() {
        let shown = [5, 65, 3_660, 90_000].map(duration);
        assert_eq!(shown, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
