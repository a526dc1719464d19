//! A folder enrolled by the real program, killed again and again: nothing that was reported is lost, nothing is there twice,
//! and nothing is missing in the end. And what a new user gets wrong with such a folder.
//!
//! `make bulk-gallery` runs the long form: `WATCHLISTD_BULK` pictures, `WATCHLISTD_BULK_KILLS` kills.
#![cfg(feature = "faults")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

#[path = "bulk_gallery/album.rs"]
mod album;
#[path = "bulk_gallery/kills.rs"]
mod kills;
#[path = "bulk_gallery/mistakes.rs"]
mod mistakes;
mod support;

use std::process::Output;

use support::Site;

/// `watchlistd enroll --dir`: fast, and with nothing refused for what the picture looks like.
fn enroll(site: &Site, folder: &str) -> std::process::Command {
    let mut command = site.command("enroll");
    command.args(["--dir", folder, "--input", "320x320", "--any-quality", "--review", "off"]);
    command
}

/// What it printed last on standard error.
fn last_word(output: &Output) -> String {
    support::errors(output).lines().last().unwrap_or_default().to_owned()
}
