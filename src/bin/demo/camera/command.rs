//! `watchlistd-demo camera`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use watchlistd::base::error::Result;
use watchlistd::base::secret::Secret;
use watchlistd::{bail, err};

use super::showtime::Showtime;
use super::{Camera, Login, Options};
use crate::scene::{self, Scene};
use crate::show::stage::Stage;

/// Arguments of `camera`.
#[derive(Debug, clap::Args)]
pub struct CameraArguments {
    /// Where to listen; port 0 lets the system choose one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8554")]
    listen: SocketAddr,
    /// Path of the camera's address
    #[arg(long, value_name = "PATH", default_value = "/entrance")]
    path: String,
    /// The scene
    #[arg(long, value_name = "FILE", default_value = "config/demo/scene.toml")]
    scene: PathBuf,
    /// Folder of the photographs that set-up fetched
    #[arg(long, value_name = "DIR", default_value = "var/images")]
    images: PathBuf,
    /// Start the scene over at its end, instead of showing the empty backdrop
    #[arg(long = "loop")]
    repeat: bool,
    /// Start this far into the scene
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    start: f64,
    /// Frames a second
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
    /// Picture size; sides are multiples of 8
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<(u32, u32)>,
    /// Only who is asked for with this user and --password may watch
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// See --user
    #[arg(long, value_name = "PASSWORD", requires = "user")]
    password: Option<String>,
    /// Ask for the password by Basic authentication instead of Digest
    #[arg(long, requires = "user")]
    basic: bool,
    /// Print who is in the picture and when, one JSON object a line, after the ready line
    #[arg(long)]
    truth: bool,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the scene, a photograph or the address is no good.
pub fn serve(arguments: &CameraArguments) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|e| err!(Unavailable, "cannot listen for signals").because(e))?;
    let mut scene = Scene::load(&arguments.scene)?;
    if let Some(size) = arguments.size {
        scene = scene.resized(size);
    }
    if !(0.0..=scene.length).contains(&arguments.start) {
        bail!(Usage, "--start {}: expected 0 to {} seconds", arguments.start, scene.length);
    }
    if !arguments.path.starts_with('/') || arguments.path.len() < 2 {
        bail!(Usage, "--path {}: expected a slash and a name", arguments.path);
    }
    let login = arguments.user.as_ref().zip(arguments.password.as_ref()).map(|(user, password)| Login {
        user: Secret::new(user),
        password: Secret::new(password),
        basic: arguments.basic,
    });
    let options =
        Options { listen: arguments.listen, path: arguments.path.clone(), fps: arguments.fps, login };
    let stage = Stage::new(&scene, &arguments.images)?;
    let showtime = Arc::new(Showtime::new(scene.length, arguments.repeat));
    let camera = Camera::start(stage, scene.size, showtime.clone(), &options)?;
    let zero = showtime.start(arguments.start);
    announce(&camera, arguments.truth.then_some((&scene, zero)))
        .map_err(|e| err!(Io, "cannot write to standard output").because(e))?;
    signals.forever().next();
    Ok(())
}

fn announce(camera: &Camera, truth: Option<(&Scene, Timestamp)>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {}", camera.url())?;
    if let Some((scene, zero)) = truth {
        for (number, visit) in scene.visits.iter().enumerate() {
            let (from, to) = visit.visible;
            let wall = |seconds: f64| {
                zero.checked_add(SignedDuration::from_secs_f64(seconds)).unwrap_or(zero).to_string()
            };
            let line = serde_json::json!({
                "visit": number, "who": visit.who, "enrolled": visit.enrolled,
                "from": from, "to": to, "from_at": wall(from), "to_at": wall(to),
            });
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let size = sides.ok_or("expected WIDTHxHEIGHT, such as 640x360")?;
    scene::check_size(size).map(|()| size)
}
