//! The command line: one file for each subcommand.

pub mod audit;
pub mod calibrate;
pub mod check;
pub mod compare;
pub mod console;
pub mod context;
pub mod desk;
pub mod detect;
pub mod enroll;
pub mod eval;
pub mod events;
pub mod faces;
pub mod gallery;
pub mod input;
pub mod man;
pub mod models;
pub mod output;
mod pictures;
pub mod progress;
pub mod recognize;
pub mod replay;
pub mod review;
pub mod run;
pub mod status;
mod switch;
pub mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::base::error::Result;

/// Face recognition against a watchlist, on live cameras.
///
/// The daemon pulls frames from RTSP and local cameras, finds and tracks faces, embeds the best shots of each,
/// compares them with the enrolled identities and publishes one event for each visit.
#[derive(Debug, Parser)]
#[command(name = "watchlistd", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 all well; 1 a check or comparison says no; 64 wrong usage; 65 broken input; 66 input missing; \
69 something needed is missing; 70 a bug; 73 output cannot be made; 74 input/output error; 75 try again later; \
77 not allowed; 78 wrong configuration.

A first look, in a checkout after `make setup`:
  watchlistd detect photo.jpg --out boxes.png
  watchlistd enroll \"Ada Lovelace\" ada1.jpg ada2.jpg
  watchlistd recognize party.jpg --out named.png
  watchlistd run --config config/demo.toml";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    ///
    /// Everything is said in the configuration; `config/watchlistd.toml` documents each key. Signals: SIGHUP reads cameras
    /// and thresholds again and reopens files, SIGTERM or SIGINT finishes what was seen and ends, a second one ends at once.
    Run(run::RunArgs),
    /// Enrol people from pictures.
    ///
    /// Stores a template of the face in each picture under the name, and says for each picture what was done and why. A
    /// picture with no face, several faces (unless you say which), or a face that is too small, blurred, dark, bright or
    /// turned away is refused, and so is one that looks like a mistake beside what is enrolled (--review). The same picture
    /// again changes nothing, so an interrupted run is simply run again. A running daemon takes it in within a second. Exit
    /// status 65 when any picture was refused, 75 when the run was stopped.
    Enroll(Box<enroll::EnrollArgs>),
    /// Check configuration, models, device, cameras and gallery, and say what is wrong.
    ///
    /// Opens everything the daemon would open, once, and prints one table: configuration, credentials, models (hash, shapes,
    /// a real inference), device, a frame of each camera (decoder in use, size, frame rate), gallery. Exit status 0: all
    /// well; otherwise the status of the first thing that is wrong. A camera whose password cannot be read is not connected
    /// to: most cameras lock out who comes without one.
    Check(check::CheckArgs),
    /// Show what the running daemon is doing.
    ///
    /// Asks the running daemon over its Unix socket: for each camera its state, whether it is recognising, decoder, frame
    /// rates, drops by reason, tracks, embeddings, and latency from capture to publication. Exit status 69 when no daemon
    /// answers.
    Status(status::StatusArgs),
    /// Find faces in a picture: boxes, landmarks and scores as JSON.
    ///
    /// Prints one line of JSON for each picture: its size, and for each face, from left to right, its number, the box, five
    /// landmarks, score and quality. Pictures are JPEG or PNG.
    Detect(detect::DetectArgs),
    /// Compare the faces of two pictures: same person or not.
    ///
    /// Takes the largest face of each picture, unless told which, and prints their cosine similarity, the Euclidean distance
    /// of the normalised embeddings, the threshold, and the verdict. Exit status: 0 the same person, 1 different people.
    Compare(compare::CompareArgs),
    /// Name the enrolled people in a picture or a video.
    ///
    /// Names the enrolled people in pictures (JPEG, PNG) and videos (whatever GStreamer plays).
    ///
    /// A picture gives one line of JSON with every face, from left to right: box, landmarks, quality, the best candidate, and
    /// the decision. A video goes through the daemon's own stages at full speed: one line for each event, as the daemon
    /// publishes it, and a last line with every track. The same video gives the same lines, whatever the number of workers.
    Recognize(recognize::RecognizeArgs),
    /// Play a recording under another threshold or model, and show what would have been decided otherwise.
    ///
    /// The video goes through the daemon's own stages, and every track is judged twice: as it is configured, and with what the command
    /// line changes. Printed are the tracks of which the two say something else. Nothing is published.
    Replay(replay::ReplayArgs),
    /// Measure how well the models tell people apart, on folders of pictures.
    ///
    /// Verification (1:1) and open-set identification (1:N) with the figures of ISO/IEC 19795-1 and NIST FRTE, each with an interval,
    /// and none that the number of trials does not carry. Nothing of the pictures is kept, unless --cache says so.
    Eval(eval::EvalArgs),
    /// Find the thresholds that keep a false match rate, on folders of pictures.
    ///
    /// Compares all pictures of a folder with a sub-folder for each person, and prints for each false match rate the lowest threshold
    /// that keeps it, with an interval, and none that the number of pairs does not carry. With --write the table is kept beside the
    /// model's manifest, and `compare` and the daemon say from it what a threshold stands for.
    Calibrate(Box<calibrate::CalibrateArgs>),
    /// Look after the enrolled identities: list, change, forget, verify, move and back up.
    ///
    /// Asks the running daemon over its Unix socket; where none runs, opens the store itself, with the key that is configured
    /// or with --key-file. What changes is searched for, or no longer, before the command returns, and is in the audit log.
    Gallery(gallery::GalleryArgs),
    /// Look into the audit log of the gallery: who did what, and when.
    ///
    /// The log is a chain under a key: an entry that was changed, removed or moved is found. It names people only as long as
    /// they are enrolled.
    Audit(audit::AuditArgs),
    /// Look into the event log: follow, show, export and check what was seen.
    ///
    /// Asks the running daemon over its Unix socket; where none runs, reads the log itself, with the gallery's key that is configured
    /// or with --key-file. Nothing here changes the log. Names are shown only of people who are still enrolled.
    Events(events::EventsArgs),
    /// Say in words why a decision was made, and what would have changed it.
    ///
    /// Of an event recognized, unknown or undecided, by its number in the event log or its id: each rule with what was measured and
    /// what was asked for, the least change of each that would have given another verdict, and what it was decided with. All of it
    /// stands in the event: neither the configuration nor the gallery of today is asked.
    Explain(events::ExplainArgs),
    /// Say whether a recognition was right, and see how often they are.
    ///
    /// confirm, reject or unsure; said again, the last word counts. It is on record in the audit log, which outlives the event. Without
    /// an event: what was said so far, and the precision that follows from it, with its interval.
    Review(review::ReviewArgs),
    /// Look after models: prepare their files, and change the one the gallery uses.
    Models(models::ModelsArgs),
    /// Print a completion script for a shell.
    ///
    /// For bash: watchlistd completions bash > /etc/bash_completion.d/watchlistd
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder.
    ///
    /// One for the program and one for each command: watchlistd.1, watchlistd-run.1, and so on. `make install` puts them
    /// where `man` finds them.
    Man {
        /// The folder; made if it is missing.
        folder: PathBuf,
    },
}

/// What every command that loads the configuration takes.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Configuration file. Without it: /etc/watchlistd/watchlistd.toml if that exists, else the built-in defaults
    /// (in a checkout after set-up: the models and the gallery under var/).
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// Runs the command; the code is the process's exit status.
///
/// # Errors
/// What went wrong, with the exit status in its kind.
pub fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Enroll(args) => enroll::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Detect(args) => detect::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Recognize(args) => recognize::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Gallery(args) => gallery::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Events(args) => events::run(args),
        Command::Explain(args) => events::run_explain(args),
        Command::Review(args) => review::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Completions { shell } => {
            // Into memory first: the generator panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "watchlistd", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => man::write(Cli::command(), &folder),
    }
}
