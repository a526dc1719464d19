//! `watchlistd-demo`: a camera without a camera, and a judge of what the daemon says about it.
//!
//! ```text
//!  scene.toml ─▶ Stage ─▶ x264 ─▶ RTSP server ══network══▶ watchlistd run ─stdout─▶ events ─▶ table
//!  photographs    │ who is where, when                                                 │
//!                 └───────────────────────▶ truth ────────────────▶ Judge ◀────────────┘
//! ```
//!
//! The daemon is the real one, started as a child; nothing here tells it who is in the picture.

mod camera;
mod gallery;
mod judge;
mod run;
mod scene;
mod show;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use watchlistd::base::error::Result;

/// Shows watchlistd at work without a camera: streams a scene made from photographs over RTSP and judges
/// the daemon's events.
#[derive(Debug, Parser)]
#[command(name = "watchlistd-demo", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the enrolment pictures, one folder for each identity
    Prepare(Prepare),
    /// Serves the scene as an RTSP camera until it is stopped
    Camera(camera::command::CameraArguments),
    /// The whole demo: enrols, starts the camera and the daemon, shows the events and judges them
    Run(run::RunArguments),
}

/// Arguments of `prepare`.
#[derive(Debug, clap::Args)]
struct Prepare {
    /// The scene
    #[arg(long, value_name = "FILE", default_value = "config/demo/scene.toml")]
    scene: PathBuf,
    /// Folder of the photographs that set-up fetched
    #[arg(long, value_name = "DIR", default_value = "var/images")]
    images: PathBuf,
    /// The pictures go to DIR/gallery/<identity>/
    #[arg(long, value_name = "DIR", default_value = "var/demo")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Prepare(a) => prepare(a).map(|()| ExitCode::SUCCESS),
        Command::Camera(a) => camera::command::serve(a).map(|()| ExitCode::SUCCESS),
        Command::Run(a) => run::run(a),
    };
    result.unwrap_or_else(|error| {
        // Standard error may be closed; there is nobody left to tell then.
        let _ = writeln!(std::io::stderr(), "watchlistd-demo: {}", error.chain());
        ExitCode::from(error.kind().exit_code())
    })
}

fn prepare(arguments: &Prepare) -> Result<()> {
    let scene = scene::Scene::load(&arguments.scene)?;
    let made = gallery::prepare(&scene, &arguments.images, &arguments.out)?;
    for picture in &made {
        let what = if picture.written { "made" } else { "kept" };
        let _ = writeln!(std::io::stdout(), "{what} {} ({})", picture.path.display(), picture.origin);
    }
    Ok(())
}
