//! What both measurements take, and what they say of the run.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::setup::Setup;
use crate::base::durable;
use crate::base::error::Result;
use crate::cli::context::ModelArgs;
use crate::cli::faces::LookArgs;
use crate::cli::{ConfigArgs, output, table};
use crate::err;
use crate::eval::Failures;
use crate::eval::acquire::{Acquired, Acquisition, Failure, Tally, Which};

/// Most failures that are named on standard error; the JSON has all.
const NAMED: usize = 10;

/// Arguments of both.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// The folder: a sub-folder for each person, with that person's pictures (JPEG, PNG).
    #[arg(value_name = "FOLDER", required = true)]
    folder: Option<PathBuf>,
    /// The pictures are the embedder's aligned crops already. Those of another size are resized.
    #[arg(long, conflicts_with_all = ["face", "input", "min_score"])]
    pub aligned: bool,
    /// Which face of a picture is taken, where there are several.
    #[arg(long, value_name = "WHICH", default_value = "centre")]
    pub face: Face,
    /// What becomes of a comparison that a picture without a template is in.
    #[arg(long, value_name = "HOW", default_value = "wrong")]
    pub failures: Count,
    /// Decides everything that is drawn: folds, samples, who is enrolled, the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Draws of the bootstrap over people; 0 leaves those intervals out.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub bootstrap: u32,
    /// Write everything there as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep templates in this folder, encrypted, so that the next run, or this one after a kill, does not make them again.
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
    /// The cache's key, made (mode 0600) if there is none. Without it: evaluation-cache.key beside the gallery.
    #[arg(long, value_name = "FILE", requires = "cache")]
    pub cache_key: Option<PathBuf>,
    /// How many pictures are worked on at a time; one a core, unless `inference.workers` says otherwise.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Say how fast it was, on standard error.
    #[arg(long)]
    pub stats: bool,
    #[command(flatten)]
    pub look: LookArgs,
    #[command(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Which face is taken.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Face {
    /// The one nearest to the picture's centre, as LFW's pictures have it.
    Centre,
    /// The largest.
    Largest,
}

impl From<Face> for Which {
    fn from(face: Face) -> Self {
        match face {
            Face::Centre => Self::Centre,
            Face::Largest => Self::Largest,
        }
    }
}

/// How failures to acquire count.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Count {
    /// As an error: a mated one is missed at every threshold.
    Wrong,
    /// Not at all, but in the rate of failures.
    LeftOut,
}

impl From<Count> for Failures {
    fn from(count: Count) -> Self {
        match count {
            Count::Wrong => Self::Wrong,
            Count::LeftOut => Self::LeftOut,
        }
    }
}

impl CommonArgs {
    /// The folder. The command line has one, unless the command says otherwise.
    pub fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new("."))
    }

    /// Refuses targets that could not be written, before any work is done for them.
    ///
    /// # Errors
    /// As [`output::check_target`].
    pub fn check_targets(&self, option: &str, svg: Option<&Path>) -> Result<()> {
        if let Some(path) = &self.json {
            output::check_target("--json", path, &["json"])?;
        }
        svg.map_or(Ok(()), |path| output::check_target(option, path, &["svg"]))
    }
}

/// The models of a run, in its JSON.
#[derive(Debug, Clone, Serialize)]
pub struct ModelsUsed {
    /// The detector's name; null for aligned crops.
    pub detector: Option<String>,
    /// The embedder's name.
    pub embedder: String,
    /// The embedding model.
    pub model: String,
}

impl ModelsUsed {
    /// The two lines about them in a summary.
    pub fn fields(&self) -> [(&'static str, Option<String>); 2] {
        let detector = self.detector.clone().unwrap_or_else(|| "none: the pictures are aligned".to_owned());
        let short: String = self.model.chars().take(12).collect();
        [("detector", Some(detector)), ("embedder", Some(format!("{} (model {short})", self.embedder)))]
    }
}

/// A picture without a template, in the JSON.
#[derive(Debug, Clone, Serialize)]
pub struct FailedPicture {
    /// The file.
    pub picture: String,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
}

/// How fast it was.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stats {
    /// Seconds from the first picture to the last.
    pub seconds: f64,
    /// Pictures that went through the models.
    pub made: usize,
    /// Pictures that were in the cache.
    pub from_cache: usize,
    /// Workers.
    pub workers: usize,
}

/// What is said of every run, with its figures.
#[derive(Debug, Serialize)]
pub struct Document<'a, S, F> {
    /// `verify` or `identify`.
    pub measurement: &'static str,
    /// The folder.
    pub folder: String,
    /// What was drawn or read, and how it counts.
    pub protocol: S,
    /// The models.
    pub models: ModelsUsed,
    /// What became of the pictures.
    pub pictures: Tally,
    /// Those without a template.
    pub failed: Vec<FailedPicture>,
    /// The figures.
    pub figures: &'a F,
    /// How fast it was.
    pub stats: Stats,
}

impl<'a, S: Serialize, F: Serialize> Document<'a, S, F> {
    /// Of a run.
    pub fn new(
        measurement: &'static str,
        args: &'a CommonArgs,
        protocol: S,
        run: (&Setup, &[&Path], &Acquired),
        figures: &'a F,
    ) -> Self {
        let (setup, paths, acquired) = run;
        Self {
            measurement,
            folder: args.folder().display().to_string(),
            protocol,
            models: setup.models_used(),
            pictures: Tally::of(&acquired.of),
            failed: failed(paths, &acquired.of),
            figures,
            stats: Stats {
                seconds: acquired.took.as_secs_f64(),
                made: acquired.of.len() - acquired.from_cache,
                from_cache: acquired.from_cache,
                workers: acquired.workers,
            },
        }
    }

    /// Writes it, if --json asks for it, and says on standard error what failed and how fast it was.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, args: &CommonArgs) -> Result<()> {
        for FailedPicture { picture, failure } in self.failed.iter().take(NAMED) {
            output::tell(&table::plain(&format!("watchlistd: {picture}: {failure}")));
        }
        if self.failed.len() > NAMED {
            let more = self.failed.len() - NAMED;
            output::tell(&format!(
                "watchlistd: and {more} more pictures without a template; --json names them"
            ));
        }
        if args.stats {
            output::tell(&self.stats.to_string());
        }
        let Some(path) = &args.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(self)
            .map_err(|cause| err!(Software, "a report that is no JSON").because(cause))?;
        durable::write(path, (text + "\n").as_bytes(), 0o644)
    }
}

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seconds, made, from_cache, workers } = *self;
        let rate = (made + from_cache) as f64 / seconds.max(1e-9);
        write!(
            f,
            "{} pictures in {seconds:.2} s: {rate:.1} a second, {:.1} a worker ({workers}); {from_cache} from the cache",
            made + from_cache,
            rate / workers.max(1) as f64
        )
    }
}

fn failed(paths: &[&Path], of: &[Acquisition]) -> Vec<FailedPicture> {
    let failures = paths.iter().zip(of).filter_map(|(path, acquisition)| match acquisition {
        Acquisition::Failed(failure) => Some((path, failure)),
        Acquisition::Template(_) => None,
    });
    let own = |(path, failure): (&&Path, &Failure)| FailedPicture {
        picture: path.display().to_string(),
        failure: failure.clone(),
    };
    failures.map(own).collect()
}
