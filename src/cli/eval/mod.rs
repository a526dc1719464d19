//! `watchlistd eval ...`
//!
//! ```text
//!  arguments ─▶ targets, folder, pairs: mistakes are told here ─▶ Setup: models, cache ─▶ acquire ─▶ figures ─▶ tables, JSON, SVG
//! ```

pub(super) mod common;
mod identify;
pub(super) mod setup;
pub(super) mod tables;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::base::error::Result;

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  watchlistd eval verify lfw/ --pairs pairs.txt --roc lfw.svg\n  \
    watchlistd eval identify people/ --enrol-share 0.5 --det people.svg --json people.json\n\n\
    docs/evaluation.md says how to read the figures.")]
pub struct EvalArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare pictures with each other: accuracy, AUC, EER, TAR at FAR, ROC curve.
    ///
    /// With --pairs the protocol of Labeled Faces in the Wild; without, all mated pairs of a folder with a sub-folder for each person,
    /// and all non-mated ones or a sample of them. A picture without a face is never dropped: its pairs count as wrong.
    Verify(Box<verify::VerifyArgs>),
    /// Search for people, some of whom are enrolled: FPIR, FNIR, hit rates, DET curve.
    ///
    /// A part of the people of the folder is enrolled; their other pictures are mated searches, and everybody else's are non-mated ones.
    /// An identity's score is that of its best template; the search is exact.
    Identify(Box<identify::IdentifyArgs>),
}

/// Runs it.
///
/// # Errors
/// A folder, a pairs file or a target that is wrong, models that are not there; `Temporary`, when it was stopped.
pub fn run(args: &EvalArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Verify(args) => verify::run(args),
        Command::Identify(args) => identify::run(args),
    }
}
