//! Long work in a terminal: a bar while it lasts, and a stop that lets what is in hand come to its end.

use std::fmt;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::output;
use crate::base::error::Result;
use crate::base::shutdown::{self, Stop};
use crate::daemon::signals::Signals;

/// A bar on standard error, and only on a terminal.
pub fn bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let template = "{wide_bar} {pos}/{len}, {rate} a second, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is no reason to stop.
            let _ = write!(out, "{:.1}", state.per_sec());
        }));
    }
    bar
}

/// Ctrl-C, and whatever else tells a program to end, finishes the pictures in hand; a second time it ends at once.
///
/// # Errors
/// As [`Signals::install`].
pub fn stop_on_signals() -> Result<(Signals, Stop)> {
    let signals = Signals::install()?;
    let (mut stopper, stop) = shutdown::channel();
    let received = signals.receiver().clone();
    std::thread::spawn(move || {
        // A closed channel: the signals are no longer listened to, and the work is over.
        if received.recv().is_ok() {
            output::tell("stopping after the pictures in hand; once more ends at once");
            stopper.stop();
        }
    });
    Ok((signals, stop))
}
