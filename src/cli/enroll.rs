//! `watchlistd enroll`

mod folder;
mod prompt;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::desk::{self, Need};
use super::faces::LookArgs;
use super::{ConfigArgs, context, output};
use crate::align::Aligner;
use crate::base::error::{Kind, Result};
use crate::config::{Config, QualityLimits};
use crate::gallery::Name;
use crate::gallery::command::{Desk, Review};
use crate::gallery::dates::Edge;
use crate::gallery::enrol::{
    Choice, Details, Enroller, Job, Models as FinderModels, Options, Outcome, Reason, Report, Sheet, Tally,
    describe, expect_lists, moment, plan,
};
use crate::gallery::keeper::Model;
use crate::gallery::record::{ExternalId, ListName, Record, Standing};
use crate::infer::models::Models;
use crate::{bail, err};

/// Arguments of `enroll`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watchlistd enroll \"Ada Lovelace\" ada1.jpg ada2.jpg --list staff\n  \
    watchlistd enroll --dir gallery/        # gallery/<identity>/*.jpg, gallery/metadata.csv")]
pub struct EnrollArgs {
    /// The identity's name, in any script.
    #[arg(value_name = "NAME", required_unless_present = "dir")]
    name: Option<String>,
    /// Pictures of that person.
    #[arg(value_name = "IMAGE", required_unless_present = "dir")]
    images: Vec<PathBuf>,
    /// Enrol a folder of folders: DIR/<identity>/*.jpg, *.jpeg, *.png.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "images", "face"])]
    dir: Option<PathBuf>,
    /// What is known of the people of --dir: CSV, or JSON lines if its name ends in .jsonl. Without it: metadata.csv or
    /// metadata.jsonl in DIR, if there is one.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    metadata: Option<PathBuf>,
    /// How many pictures of --dir are worked on at a time; one a core, unless `inference.workers` says otherwise.
    #[arg(long, value_name = "N", conflicts_with = "name")]
    workers: Option<usize>,
    /// Take this face: 1 is the leftmost.
    #[arg(long, value_name = "N", conflicts_with = "largest")]
    face: Option<usize>,
    /// Take the largest face.
    #[arg(long)]
    largest: bool,
    /// Enrol faces that are small, blurred, badly lit or turned away too.
    #[arg(long)]
    any_quality: bool,
    /// How strictly a face is looked at beside what is enrolled: strict refuses what is doubtful, standard what is nearly
    /// certainly wrong, off nothing. Each tells what it doubts.
    #[arg(long, value_name = "LEVEL")]
    review: Option<ReviewLevel>,
    /// One line of JSON for each picture.
    #[arg(long)]
    json: bool,
    /// Open the store with the master key in this file (mode 0600). Only where no daemon runs: a daemon has its key.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    about: AboutArgs,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What is said of a new identity. Of one that is there already, nothing is changed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "About a new identity (of one that is enrolled nothing is changed)")]
struct AboutArgs {
    /// The id another system knows the person by.
    #[arg(long, value_name = "ID", conflicts_with = "dir")]
    external_id: Option<ExternalId>,
    /// Onto this list; once for each list. Without it: watchlist.
    #[arg(long = "list", value_name = "LIST")]
    lists: Vec<ListName>,
    /// Why the person is looked for.
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    /// By whose authority, or the record of the consent.
    #[arg(long, value_name = "TEXT")]
    authority: Option<String>,
    /// Where the pictures come from.
    #[arg(long, value_name = "TEXT")]
    image_source: Option<String>,
    /// Looked for from then on: a date or an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = start)]
    valid_from: Option<Timestamp>,
    /// Looked for until then; a date is included.
    #[arg(long, value_name = "TIME", value_parser = end)]
    valid_until: Option<Timestamp>,
    /// When somebody should look whether the person still belongs here.
    #[arg(long, value_name = "TIME", value_parser = start)]
    review_date: Option<Timestamp>,
    /// Anything else.
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ReviewLevel {
    Strict,
    Standard,
    Off,
}

fn start(text: &str) -> Result<Timestamp> {
    moment(text, Edge::Start)
}

fn end(text: &str) -> Result<Timestamp> {
    moment(text, Edge::End)
}

impl AboutArgs {
    /// True if anything is said that only a new identity takes over.
    fn says_more_than_who(&self) -> bool {
        self.details() != Details { external_id: self.external_id.clone(), ..Details::default() }
    }

    fn details(&self) -> Details {
        let said = self.clone();
        Details {
            name: None,
            external_id: said.external_id,
            lists: (!said.lists.is_empty()).then(|| said.lists.into_iter().collect()),
            purpose: said.purpose,
            authority: said.authority,
            image_source: said.image_source,
            valid_from: said.valid_from,
            valid_until: said.valid_until,
            review: said.review_date,
            notes: said.notes,
        }
    }
}

/// Runs it.
///
/// # Errors
/// Models or gallery that cannot be opened, metadata with mistakes. What is wrong with a picture is printed, and is in the exit
/// status.
pub fn run(args: &EnrollArgs) -> Result<ExitCode> {
    if args.face == Some(0) {
        bail!(Usage, "--face 0: faces are counted from 1");
    }
    let work = work(args)?;
    work.warn_of_the_past(Timestamp::now());
    if let Some(refused) = work.nothing_to_do() {
        return folder::report_all(refused, args.json);
    }
    let config = context::load_for_tools(&args.config)?;
    let models = context::models(&config)?;
    let model = Model::configured(&models, &config.decide);
    let need =
        Need { key_file: args.key_file.clone(), store: desk::Store::MadeIfMissing, model: Some(model) };
    let mut desk = desk::open(&config, &need)?;
    expect_lists(desk.as_mut(), work.records())?;
    let options = options(args, desk.as_mut(), &models, &config)?;
    let finder = |_| finder(args, &config, &models);
    let tally = match work {
        Work::One(record) => {
            let mut finder = finder(0)?;
            let enroller = Enroller::new(&mut finder, desk.as_mut(), options);
            enrol_files(enroller, &record, args)?
        }
        Work::Folder(jobs) => {
            let workers = context::workers(args.workers.or(Some(models.plan().workers)))?.min(jobs.len());
            let mut finders = (0..workers).map(finder).collect::<Result<Vec<_>>>()?;
            folder::enrol(&jobs, &mut finders, desk.as_mut(), &options, args.json)?
        }
    };
    output::tell(&tally.to_string());
    Ok(match tally {
        Tally { untouched: 1.., .. } => {
            output::tell("stopped; the same command goes on from there");
            ExitCode::from(Kind::Temporary.exit_code())
        }
        Tally { refused: 1.., .. } => ExitCode::from(Kind::Data.exit_code()),
        _ => ExitCode::SUCCESS,
    })
}

/// What is asked for.
enum Work {
    One(Record),
    Folder(Vec<Job>),
}

impl Work {
    /// Whoever's validity is over is stored and not looked for: seldom what is meant.
    fn warn_of_the_past(&self, now: Timestamp) {
        let over = self.records().filter(|record| record.standing_at(now) == Standing::Expired);
        let names: BTreeSet<&str> = over.map(|record| record.name.as_str()).collect();
        if let Some(name) = names.first() {
            let others =
                if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            output::tell(&format!(
                "watchlistd: {name:?}{others}: the validity ends in the past, so whoever is new is stored and not looked for"
            ));
        }
    }

    /// The folder, if there is nothing in it that models or a gallery are needed for.
    fn nothing_to_do(&self) -> Option<&[Job]> {
        match self {
            Work::Folder(jobs) if jobs.iter().all(|job| job.refused.is_some()) => Some(jobs),
            _ => None,
        }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        let (one, jobs) = match self {
            Work::One(record) => (Some(record), &[][..]),
            Work::Folder(jobs) => (None, jobs.as_slice()),
        };
        one.into_iter().chain(jobs.iter().filter_map(|job| job.record.as_deref()))
    }
}

/// Reads what the command line and the folder ask for. Nothing else is opened for what is wrong already.
fn work(args: &EnrollArgs) -> Result<Work> {
    let said = args.about.details();
    let Some(dir) = &args.dir else {
        let name = args.name.as_deref().ok_or_else(|| err!(Usage, "NAME is missing"))?;
        return Ok(Work::One(said.record(a_name(name)?)?));
    };
    let sheet = match &args.metadata {
        Some(file) => Some(Sheet::read(file)?),
        None => Sheet::beside(dir)?,
    };
    Ok(Work::Folder(plan(dir, &said, sheet)?))
}

/// The name, unless it is a picture's: somebody who forgot it would enrol the second picture's face as the first one.
fn a_name(text: &str) -> Result<Name> {
    let lower = text.to_lowercase();
    if [".jpg", ".jpeg", ".png"].iter().any(|end| lower.ends_with(end)) || Path::new(text).is_file() {
        bail!(
            Usage,
            "{text:?} is a file, and NAME comes first: watchlistd enroll \"Ada Lovelace\" {text:?} ..."
        );
    }
    // As every other command has it.
    Name::new(text).map_err(|why| err!(Usage, "{why}"))
}

fn options(args: &EnrollArgs, desk: &mut dyn Desk, models: &Models, config: &Config) -> Result<Options> {
    let gallery = describe(desk)?;
    if let Some(searched) = gallery.model.filter(|model| *model != models.model_id()) {
        output::tell(&format!(
            "watchlistd: the gallery searches templates of model {searched}; these will be of model {}",
            models.model_id()
        ));
    }
    Ok(Options {
        min_score: args.look.min_score,
        choice: match (args.face, args.largest) {
            (Some(number), _) => Choice::Number(number),
            (None, true) => Choice::Largest,
            (None, false) => Choice::Only,
        },
        chips: gallery.keeps_crops,
        review: review(args, config.gallery.review),
    })
}

/// As the command line says, else as is usual.
fn review(args: &EnrollArgs, usual: Review) -> Review {
    args.review.map_or(usual, |level| match level {
        ReviewLevel::Strict => Review::Strict,
        ReviewLevel::Standard => Review::Standard,
        ReviewLevel::Off => Review::Off,
    })
}

/// Models for one worker.
fn finder(args: &EnrollArgs, config: &Config, models: &Models) -> Result<FinderModels> {
    let limits = if args.any_quality { QualityLimits::none() } else { config.quality.clone() };
    Ok(FinderModels {
        detector: models.detector()?,
        input: args.look.input,
        aligner: Aligner::new(models.alignment().clone(), limits)?,
        embedder: models.embedder()?,
    })
}

fn enrol_files(mut enroller: Enroller<'_>, record: &Record, args: &EnrollArgs) -> Result<Tally> {
    let mut tally = Tally::default();
    let (mut known, mut new) = (false, false);
    for image in &args.images {
        let mut report = enroller.enrol_file(record, image)?;
        if let Some(number) = choose(&report)? {
            report = enroller.enrol_face(record, image, Choice::Number(number))?;
        }
        say(&report, args.json)?;
        tally.count(&report.outcome);
        known |= match &report.outcome {
            Outcome::Enrolled { new_identity, .. } => !*new_identity && !new,
            Outcome::AlreadyThere => !new,
            Outcome::Refused { .. } => false,
        };
        new |= matches!(report.outcome, Outcome::Enrolled { new_identity: true, .. });
    }
    if known && args.about.says_more_than_who() {
        output::tell(&format!(
            "watchlistd: {:?} was enrolled before, and nothing of that record is changed; `watchlistd gallery change` does it",
            record.name.as_str()
        ));
    }
    Ok(tally)
}

/// Of several faces the one that the person at the terminal means, if there is somebody to ask.
fn choose(report: &Report) -> Result<Option<usize>> {
    match &report.outcome {
        Outcome::Refused { reason: Reason::SeveralFaces { faces } } if prompt::somebody_there() => {
            prompt::ask(&report.path, faces)
        }
        _ => Ok(None),
    }
}

fn say(report: &Report, json: bool) -> Result<()> {
    if json {
        return output::json(report);
    }
    output::print(&format!("{report}\n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: EnrollArgs,
    }

    fn parsed(line: &[&str]) -> std::result::Result<EnrollArgs, String> {
        let line = ["enroll"].iter().chain(line);
        Line::try_parse_from(line).map(|line| line.args).map_err(|e| e.to_string())
    }

    fn record(line: &[&str]) -> Record {
        match work(&parsed(line).expect("a command line")).expect("work") {
            Work::One(record) => record,
            Work::Folder(_) => panic!("no folder was named"),
        }
    }

    #[test]
    fn what_is_said_of_somebody_is_in_the_record() {
        assert_eq!(record(&["Ana", "a.jpg"]), Record::new(Name::new("Ana").expect("a name")));
        let line = "Ana a.jpg --external-id hr-1 --list staff --list night.shift --purpose why --authority who \
                    --image-source badge --valid-from 2027-03-01T00:00:00Z --valid-until 2027-04-01T00:00:00Z \
                    --review-date 2027-03-15T00:00:00Z --notes more";
        let record = record(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(record.external_id.as_ref().map(|id| id.as_str()), Some("hr-1"));
        assert_eq!(record.lists.iter().map(ListName::as_str).collect::<Vec<_>>(), ["night.shift", "staff"]);
        let texts =
            [&record.purpose, &record.authority, &record.image_source, &record.notes].map(Option::as_deref);
        assert_eq!(texts, [Some("why"), Some("who"), Some("badge"), Some("more")]);
        let times = [record.valid_from, record.valid_until, record.review].map(|t| t.map(|t| t.to_string()));
        let day = |text: &str| Some(format!("2027-{text}T00:00:00Z"));
        assert_eq!(times, [day("03-01"), day("04-01"), day("03-15")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_option() {
        for (line, part) in [
            (&["Ana", "a.jpg", "--list", "Staff!"][..], "--list"),
            (&["Ana", "a.jpg", "--valid-until", "soon"], "2027-03-01"),
            (&["Ana", "a.jpg", "--review", "lax"], "strict"),
            (&["--dir", "x", "--external-id", "hr-1"], "--external-id"),
            (&["--dir", "x", "--face", "1"], "--face"),
            (&["Ana", "a.jpg", "--metadata", "m.csv"], "--metadata"),
            (&["Ana", "a.jpg", "--workers", "2"], "--workers"),
        ] {
            let message = parsed(line).err().unwrap_or_else(|| panic!("{line:?} is accepted"));
            assert!(message.contains(part), "{line:?}: {message}");
        }
        let late = parsed(&["Ana", "a.jpg", "--valid-from", "2027-03-02", "--valid-until", "2027-03-01"]);
        assert_eq!(work(&late.expect("dates")).err().map(|e| e.kind()), Some(Kind::Data));
    }

    #[test]
    fn the_review_is_what_was_asked_for_else_the_usual_one() {
        let asked = |line: &[&str]| review(&parsed(line).expect("a command line"), Review::Standard);
        assert_eq!(asked(&["Ana", "a.jpg"]), Review::Standard);
        assert_eq!(asked(&["Ana", "a.jpg", "--review", "off"]), Review::Off);
        assert_eq!(asked(&["Ana", "a.jpg", "--review", "strict"]), Review::Strict);
    }

    #[test]
    fn a_folder_has_its_metadata_beside_it_or_elsewhere_and_the_command_line_speaks_for_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("in");
        std::fs::create_dir_all(root.join("Ana")).expect("made");
        std::fs::create_dir(root.join("Berta")).expect("made");
        for (path, text) in [
            ("in/Ana/1.jpg", ""),
            ("in/Berta/1.jpg", ""),
            ("in/metadata.csv", "folder,purpose\nAna,hers\n"),
            ("other.jsonl", "{\"folder\": \"Ana\", \"lists\": [\"vip\"]}\n"),
        ] {
            std::fs::write(folder.path().join(path), text).expect("written");
        }
        let told = |more: &[&str]| -> Vec<String> {
            let root = root.to_str().expect("UTF-8");
            let line = [&["--dir", root, "--purpose", "everybody's", "--list", "staff"], more].concat();
            match work(&parsed(&line).expect("a command line")).expect("work") {
                Work::One(_) => panic!("a folder was named"),
                Work::Folder(jobs) => jobs
                    .iter()
                    .filter_map(|job| job.record.as_ref())
                    .map(|r| {
                        format!(
                            "{} {:?} {:?}",
                            r.name,
                            r.purpose.as_deref(),
                            r.lists.iter().map(ListName::as_str).collect::<Vec<_>>()
                        )
                    })
                    .collect(),
            }
        };
        assert_eq!(told(&[]), ["Ana Some(\"hers\") [\"staff\"]", "Berta Some(\"everybody's\") [\"staff\"]"]);
        let other = folder.path().join("other.jsonl");
        let other = told(&["--metadata", other.to_str().expect("UTF-8")]);
        assert_eq!(other, ["Ana Some(\"everybody's\") [\"vip\"]", "Berta Some(\"everybody's\") [\"staff\"]"]);
    }
}
