//! Of who is not enrolled nothing is left behind, and of who is only what is sealed: not in a file, not in a log, not in an event, in
//! no encoding. docs/privacy.md rests on this.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "support/privacy/mod.rs"]
mod search;
mod support;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use search::census::{self, Census};
use search::events;
use search::numbers::LIKE;
use search::people::{Eyes, Portrait, configuration};
use search::places::{self, Thing};
use search::snapshots::{self, Kept};
use search::trial::Trial;
use search::{Face, Finding, Searcher, plant, residue, sown, text};
use support::{DemoCamera, is_recognized, var};
use watchlistd::image::codec::read_image;
use watchlistd::types::frame::RgbImage;
use watchlistd::types::geometry::Size;
use watchlistd::types::ids::ModelId;

/// Enrolled for the whole of it. Everybody else who comes is a stranger.
const ENROLLED: [&str; 2] = ["Barack Obama", "Card player in grey"];
/// Enrolled while the daemon runs, and forgotten while it runs.
const FORGOTTEN: &str = "Joe Biden";
/// Never enrolled; one of those whose faces are planted.
const STRANGER: &str = "stranger in red";
/// A SHA-256 has 64 characters. An embedding, written in any way, has hundreds.
const LONGEST_WORD: usize = 256;

/// A vector of nobody's.
fn made_up(seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    // The sum of twelve is near enough to a normal distribution.
    let raw: Vec<f32> = (0..512).map(|_| (0..12).map(|_| random.f32()).sum::<f32>() - 6.0).collect();
    let length = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
    raw.iter().map(|v| v / length).collect()
}

/// Something as smooth and as noisy as a face.
fn made_up_crop() -> RgbImage {
    let mut random = fastrand::Rng::with_seed(1);
    let size = Size::new(112, 112);
    let wave = |x: u32, y: u32, c: u32| {
        let (x, y) = (f64::from(x) / 17.0, f64::from(y) / 11.0);
        128.0 + 60.0 * (x + f64::from(c)).sin() + 50.0 * (y - x / 2.0).cos()
    };
    let place = (0..112).flat_map(|y| (0..112).flat_map(move |x| (0..3).map(move |c| (x, y, c))));
    let pixels = place.map(|(x, y, c)| (wave(x, y, c) + f64::from(random.u8(..12))) as u8).collect();
    RgbImage::new(size, pixels).expect("a picture")
}

fn show(findings: &[(&Thing, Finding)]) -> String {
    findings.iter().map(|(thing, finding)| format!("\n  {}: {finding}", thing.name)).collect()
}

#[test]
fn random_bytes_and_text_hold_nothing() {
    let searcher = Searcher::new((0..8).map(|n| Face::new("nobody", &made_up(n))).collect());
    let mut random = fastrand::Rng::with_seed(2);
    let mut things = vec![Thing::new("random", (0..300_000).map(|_| random.u8(..)).collect::<Vec<u8>>())];
    for folder in ["src", "docs", "config"] {
        things.extend(places::things(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &|_| false));
    }
    // Tests have pictures and vectors in them.
    things.retain(|thing| !thing.name.contains("tests"));
    let all: Vec<u8> = things.iter().skip(1).flat_map(|thing| thing.bytes.clone()).collect();
    assert!(all.len() > 1 << 20, "{} bytes of text", all.len());
    let found = searcher.look_through(&things, |thing| &thing.bytes);
    assert!(found.is_empty(), "{}", show(&found));
}

#[test]
fn every_encoding_is_found_where_it_is_planted() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("outputs")).expect("a folder");
    for file in ["outputs/log", "events.jsonl"] {
        std::fs::write(folder.path().join(file), "nothing yet\n").expect("written");
    }
    let (vector, noise) = (made_up(1), made_up(2));
    // As another crop of the same face: 0.7 like the one that is searched for.
    let other: Vec<f32> = vector.iter().zip(&noise).map(|(a, b)| 0.7 * a + 0.7 * b).collect();
    let searcher = Searcher::new(vec![Face::new("somebody", &vector), Face::new("nobody", &made_up(3))]);
    let mut seeds = plant::templates(&other);
    seeds.extend(plant::crops(&made_up_crop()));
    match sown::try_all(&searcher, folder.path(), &seeds, "somebody") {
        Ok(table) => eprintln!("{table}"),
        Err(missed) => panic!("{missed}"),
    }
}

#[test]
fn what_is_deleted_and_not_wiped_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let mut random = fastrand::Rng::with_seed(4);
    let mut secret = || (0..300).map(|_| random.u8(..)).collect::<Vec<u8>>();
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection
        .execute_batch("PRAGMA secure_delete = ON; CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
        .unwrap();
    for _ in 0..20 {
        connection.execute("INSERT INTO t (v) VALUES (?1)", [secret()]).expect("a row");
    }
    connection.execute("DELETE FROM t WHERE id = 7", []).expect("wiped");
    assert_eq!(
        residue::unexplained(&path),
        Vec::<Range<usize>>::new(),
        "all that is there is stored, or was wiped"
    );
    connection.execute_batch("PRAGMA secure_delete = OFF; DELETE FROM t WHERE id = 8").expect("not wiped");
    drop(connection);
    assert!(residue::unexplained(&path).iter().map(ExactSizeIterator::len).sum::<usize>() > 200);
}

/// The files that may be there when the daemon has stopped.
fn is_expected(name: &str) -> bool {
    let known = [
        "watchlistd.toml",
        "gallery.db",
        "gallery.db-shm",
        "gallery.db.lock",
        "gallery.key",
        "gallery.head",
        "gallery.forgotten",
        "events.jsonl",
        "events.db",
        "events.db-shm",
        "events.head",
        "snapshots.db",
        "snapshots.db-shm",
        "runtime/control.sock.lock",
        // A byte or two of GLib's, when it has looked for settings.
        "home/.cache/dconf/user",
    ];
    // GStreamer's list of plug-ins is left out if it is as it was; ONNX Runtime would keep its reports at home.
    let databases = ["gallery.db ", "events.db ", "snapshots.db "];
    let row =
        name.split(" row ").next().is_some_and(|table| databases.iter().any(|db| table.starts_with(db)));
    known.contains(&name) || row || name.starts_with("outputs/")
}

/// Nothing but text, and no word that could be an encoding of something, known to the search or not.
fn assert_plain(thing: &Thing) {
    let text = std::str::from_utf8(&thing.bytes).unwrap_or_else(|_| panic!("{} is no text", thing.name));
    let (length, start) = text::longest_word(text);
    assert!(length <= LONGEST_WORD, "{}: a word of {length} characters: {start}...", thing.name);
}

#[test]
fn strangers_leave_nothing_behind() {
    let Some(var) = var() else { return };
    let begun = Instant::now();
    // The pictures people are enrolled with are the operator's, and lie elsewhere.
    let album = Album::new(&var);
    let (door, yard) = (DemoCamera::start(0, 3), DemoCamera::start(0, 28));
    let trial = Trial::new(&var, &[("door", &door.url), ("yard", &yard.url)]);
    let mut known = Known::of(&trial, &var, &album);
    let [before, running, stopped] = run(&trial, &album);
    eprintln!("{:.0?} for the run", begun.elapsed());

    let searcher = Searcher::new(known.faces());
    assert_planted_is_found(&searcher, trial.root(), &known);
    eprintln!("{:.0?} with the planted", begun.elapsed());

    let skip = |path: &Path| trial.is_as_before(path);
    // Before anything is opened: SQLite puts a file beside what it reads.
    let things = places::things(stopped.path(), &skip);

    // While everybody was enrolled who ever was; and in the end, when one is forgotten.
    let census_before = census::take(before.path(), known.model, None);
    assert_eq!(census_before.vectors.len(), ENROLLED.len() + 1);
    let census = census::take(stopped.path(), known.model, Some(&census_before));
    assert_nothing(&searcher, "after", &things);
    assert_nothing(&searcher, "while it ran", &places::things(running.path(), &skip));
    assert_nothing(&searcher, "in what was sealed as text", &census_before.texts);

    // Nothing that the search would not know: no file that is not expected, and in those that are, text.
    let strange: Vec<&str> =
        things.iter().map(|t| t.name.as_str()).filter(|name| !is_expected(name)).collect();
    assert!(strange.is_empty(), "{strange:?} were written");
    let database =
        |name: &str| ["gallery.db", "events.db", "snapshots.db"].iter().any(|db| name.starts_with(db));
    let is_text = |thing: &&Thing| !database(&thing.name) || thing.name.ends_with(".lock");
    things.iter().filter(is_text).for_each(assert_plain);

    // The events that were accepted: rows of those who are enrolled, and text.
    events::account(stopped.path(), before.path()).iter().for_each(assert_plain);

    // What is sealed is of those who are enrolled, all of it; nothing else that looks sealed is in the store's file.
    known.assert_theirs(&census);
    known.assert_theirs(&census_before);
    assert_eq!(census.vectors.len(), ENROLLED.len());
    assert_eq!(census.crops.len(), ENROLLED.len(), "crops are kept, and one for each");
    assert!(census.counts["names of the forgotten, whose key is gone"] > 0);
    for database in ["gallery.db", "snapshots.db"] {
        let rest = residue::unexplained(&stopped.path().join(database));
        assert_eq!(rest, Vec::<Range<usize>>::new(), "beside what is stored in {database}");
    }

    // Pictures were kept of those who are enrolled; of whoever stood beside them, nothing can be recognised in them.
    known.assert_nobody_else(&snapshots::account(stopped.path()));
    eprintln!("sealed, opened, attributed: {:#?}\n{:.0?} in all", census.counts, begun.elapsed());
}

/// Runs the daemon among strangers, enrols somebody and forgets him again. Copies of all that was written: before he was
/// forgotten, while strangers were there, and when it had stopped.
fn run(trial: &Trial, album: &Album) -> [tempfile::TempDir; 3] {
    let copy = || {
        let folder = tempfile::tempdir().expect("a folder");
        places::copy(trial.root(), folder.path());
        folder
    };
    let folder = album.folder.path().join("gallery").display().to_string();
    trial.tool("enrol-folder", &["enroll", "--json", "--dir", &folder]);
    let mut daemon = trial.start();
    let late = album.picture(FORGOTTEN).display().to_string();
    trial.tool(
        "enrol",
        &["enroll", "--json", FORGOTTEN, &late, "--external-id", "P-7", "--purpose", "a test"],
    );
    trial.tool("show", &["gallery", "show", "--json", FORGOTTEN]);
    let before = copy();
    trial.tool("forget", &["gallery", "forget", "--json", "--yes", "--reason", "a test", FORGOTTEN]);

    // From where the two begin, everybody in the scene comes by within half a minute: five strangers of seven.
    trial.until(&mut daemon, "strangers at both cameras, and somebody enrolled", |trial| {
        let seen = trial.events();
        let strangers = seen.iter().filter(|e| e["type"] == "io.watchlistd.unknown.v1");
        let tracks: BTreeSet<String> =
            strangers.map(|e| format!("{}/{}", e["data"]["camera"], e["data"]["track"])).collect();
        let at = |camera: &str| tracks.iter().filter(|track| track.contains(camera)).count();
        at("door") >= 3 && at("yard") >= 2 && seen.iter().any(|e| is_recognized(e, "door"))
    });
    trial.until(&mut daemon, "a picture of somebody enrolled", |trial| {
        trial.events().iter().any(|event| event["data"]["snapshot"]["id"].is_string())
    });
    for (name, arguments) in [
        ("list", &["gallery", "list", "--json"][..]),
        ("info", &["gallery", "info", "--json"]),
        ("confusable", &["gallery", "confusable", "--json"]),
        ("audit", &["audit", "show", "--json"]),
    ] {
        trial.tool(name, arguments);
    }
    let status = trial.tool("status", &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
    for camera in status["cameras"].as_array().expect("cameras") {
        assert!(camera["embedded"].as_u64() > Some(4), "faces were cut out and embedded: {camera}");
    }
    trial.scrape();
    assert_eq!(trial.strange_files(&daemon), Vec::<PathBuf>::new(), "open for writing elsewhere");
    let running = copy();
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0), "{}", trial.log());
    assert!(trial.log().contains("TRACE"), "the log is the most detailed one");
    [before, running, copy()]
}

/// Every encoding is found where it is planted: in a copy of what this very run wrote, and from another crop of the face.
fn assert_planted_is_found(searcher: &Searcher, root: &Path, known: &Known) {
    let stranger = known.scene.iter().find(|p| p.who == STRANGER).expect("in the scene");
    let planted = tempfile::tempdir().expect("a folder");
    places::copy(root, planted.path());
    let mut seeds = plant::templates(&stranger.worse);
    seeds.extend(plant::crops(&stranger.crop));
    match sown::try_all(searcher, planted.path(), &seeds, STRANGER) {
        Ok(table) => eprintln!("planted, and found in:\n{table}"),
        Err(missed) => panic!("{missed}"),
    }
}

fn assert_nothing(searcher: &Searcher, when: &str, things: &[Thing]) {
    let found = searcher.look_through(things, |thing| &thing.bytes);
    let bytes: usize = things.iter().map(|thing| thing.bytes.len()).sum();
    eprintln!("{when}: {} things, {bytes} bytes, {} findings", things.len(), found.len());
    assert!(found.is_empty(), "{when}:{}", show(&found));
}

/// The demo's enrolment pictures.
struct Album {
    folder: tempfile::TempDir,
}

impl Album {
    /// Those of who is enrolled from the start are in `gallery`.
    fn new(var: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let demo = Command::new(env!("CARGO_BIN_EXE_watchlistd-demo"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["prepare", "--images"])
            .arg(var.join("images"))
            .arg("--out")
            .arg(folder.path())
            .output()
            .expect("the demo program runs");
        assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
        for person in std::fs::read_dir(folder.path().join("gallery")).expect("made").flatten() {
            if !ENROLLED.iter().any(|name| person.file_name() == *name) {
                std::fs::rename(person.path(), folder.path().join(person.file_name())).expect("moved");
            }
        }
        Self { folder }
    }

    fn picture(&self, who: &str) -> PathBuf {
        let folder = self.folder.path();
        let of = |folder: &Path| folder.join(who).join("01.jpg");
        let enrolled = of(&folder.join("gallery"));
        if enrolled.is_file() { enrolled } else { of(folder) }
    }
}

/// Everybody's faces, and the models that made them.
struct Known {
    model: ModelId,
    eyes: Eyes,
    scene: Vec<Portrait>,
    enrolled: Vec<Portrait>,
}

impl Known {
    fn of(trial: &Trial, var: &Path, album: &Album) -> Self {
        let (model, mut eyes) = Eyes::open(&configuration(trial.config()));
        let scene = eyes.scene(&var.join("images"));
        let mut portrait =
            |who: &str| eyes.portrait(who, &read_image(&album.picture(who)).expect("a picture"));
        let enrolled = ENROLLED.into_iter().chain([FORGOTTEN]).map(&mut portrait).collect();
        Self { model, eyes, scene, enrolled }
    }

    fn faces(&self) -> Vec<Face> {
        self.scene.iter().chain(&self.enrolled).map(|p| Face::new(&p.who, &p.vector)).collect()
    }

    /// Each picture shows whose it is said to be, or nobody; and never anybody else.
    fn assert_nobody_else(&mut self, kept: &[Kept]) {
        assert!(!kept.is_empty(), "no picture was kept");
        let mut seen = 0;
        for Kept { name, kind, image } in kept {
            for vector in self.eyes.faces(image) {
                let score = |p: &Portrait| p.vector.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
                let others = self.scene.iter().chain(&self.enrolled).filter(|p| p.who != *name);
                for other in others {
                    assert!(
                        score(other) < LIKE,
                        "the {kind} of {name} shows {}: {:.2}",
                        other.who,
                        score(other)
                    );
                }
                seen += usize::from(self.enrolled.iter().any(|p| p.who == *name && score(p) > LIKE));
            }
        }
        eprintln!("{} pictures were kept; in {seen} whoever it is can be recognised", kept.len());
        assert!(seen > 0);
    }

    /// What is sealed is of those whose it is said to be, and looks like nobody else.
    fn assert_theirs(&mut self, census: &Census) {
        let crops = census.crops.iter().map(|(name, crop)| (name, self.eyes.face(crop).1));
        let vectors = census.vectors.iter().map(|(name, vector)| (name, vector.clone()));
        for (name, vector) in vectors.chain(crops) {
            let score = |p: &Portrait| p.vector.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
            let own = self.enrolled.iter().filter(|p| p.who == *name).map(score).fold(0.0, f32::max);
            assert!(own > 0.9, "what is stored of {name} is not: {own:.2}");
            for other in self.scene.iter().filter(|p| p.who != *name) {
                assert!(score(other) < LIKE, "what is stored of {name} is like {}", other.who);
            }
        }
    }
}
