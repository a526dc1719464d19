//! `watchlistd gallery ...`
//!
//! ```text
//!  arguments ─▶ checked: targets, files, secrets, --yes ─▶ Client::ask(Command) ─▶ Desk ─▶ report ─▶ JSON or words
//!               refused here, before anything is opened     opens it at the first question
//! ```

mod backup;
mod bundle;
mod change;
mod forget;
pub(in crate::cli) mod health;
mod key;
mod lists;
pub(in crate::cli) mod parse;
mod people;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::desk::{Client, DeskArgs};
use crate::base::error::Result;

/// Arguments of `gallery`.
#[derive(Debug, Args)]
#[command(
    after_help = "WHO is an identity's id, its external id, or its name, if only one has it.\n\nExamples:\n  \
    watchlistd gallery list --list staff\n  \
    watchlistd gallery change \"Ada Lovelace\" --onto vip --valid-until 2027-03-01\n  \
    watchlistd gallery list --json | jq -r 'select(.standing == \"expired\") | .name'\n\n\
    Exit status: 0 all well; 1 problems were found, or the operator did not agree; others as watchlistd(1) says."
)]
pub struct GalleryArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: GalleryCommand,
    #[command(flatten)]
    desk: DeskArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GalleryCommand {
    /// List identities, all or those that fit.
    List(people::ListArgs),
    /// Show an identity and its templates.
    ///
    /// Shows what is known of the identity, and of each template its id, model, quality, source, time, and the similarity
    /// score with the nearest other one of the same identity. Vectors and crops are never shown.
    Show(people::ShowArgs),
    /// Change what is known of an identity, which lists it is on, and for how long.
    ///
    /// What is not named stays as it is; the value `none` takes a field away. A date as --valid-until means the end of that
    /// day, where this box is. A running daemon follows within a second.
    Change(Box<change::ChangeArgs>),
    /// Give an identity another name.
    Rename(change::RenameArgs),
    /// Say that somebody looked whether an identity still belongs here.
    ///
    /// It goes into the audit log. Without --next the review date is taken away.
    Reviewed(change::ReviewedArgs),
    /// Make one identity of two: FROM is dissolved, INTO keeps its record and gets the templates of both.
    ///
    /// It asks before, or needs --yes: the record of FROM is destroyed. Of a face that both have from the same picture one template
    /// is kept.
    Merge(change::MergeArgs),
    /// Make two identities of one: some templates move to a new one.
    ///
    /// The new identity has the same record but for its name and external id: look at its notes, purpose and authority. The
    /// names of the pictures' files do not go along. A template is named by its id, or by a part of
    /// it that no other has; `gallery show` lists them.
    Split(change::SplitArgs),
    /// Move a template to another identity.
    MoveTemplate(change::MoveArgs),
    /// Remove a template.
    RemoveTemplate(change::RemoveTemplateArgs),
    /// Forget somebody: destroy the key and all that is stored of an identity.
    ///
    /// With the id of somebody who is forgotten already it prints the receipt again.
    ///
    /// The identity is no longer found when the command returns, and its name in the audit log cannot be read any more. It
    /// stays forgotten when an earlier backup is restored or a bundle brings it again. The receipt says what was removed
    /// and what this command cannot reach: backups, exports and events made before.
    Forget(forget::ForgetArgs),
    /// Show all lists and their settings.
    Lists,
    /// Make a list, or change its settings.
    ///
    /// What is not named stays as it is.
    SetList(lists::SetListArgs),
    /// Remove a list nobody is on.
    RemoveList(lists::RemoveListArgs),
    /// Show the identities that are hardest to tell apart.
    Confusable(health::ConfusableArgs),
    /// Look at everything that is stored.
    ///
    /// Every template decrypts, has unit norm and a known model, every row is referred to, and the audit log's chain holds.
    /// Exit status 1 when problems are found.
    Verify,
    /// Say what the gallery is: generation, model, counts, key.
    Info,
    /// Write identities into a signed bundle for another box.
    ///
    /// Without --to the bundle is signed but not encrypted: whoever has it has the faces' templates. With --to only the
    /// owners of these age keys can open it.
    Export(bundle::ExportArgs),
    /// Take in a bundle of another box.
    ///
    /// Only bundles signed by a key that `gallery trust` added are taken in. Identities are matched by id and external id;
    /// what is here already is kept, and whoever was forgotten here stays so. Changed bundles, templates of another model,
    /// and a generation older than the last one from that box are refused.
    Import(bundle::ImportArgs),
    /// Trust the bundles of another box; without arguments show this box's own key and who is trusted.
    Trust(bundle::TrustArgs),
    /// Trust the bundles of another box no longer.
    Distrust(bundle::DistrustArgs),
    /// Write the whole store into a file, also while the daemon runs.
    ///
    /// The file is encrypted as the store is and does not hold the master key. Keep the key elsewhere: see `gallery key
    /// export`.
    Backup(backup::BackupArgs),
    /// Put a backup in place of the store, also while the daemon runs.
    ///
    /// Whoever was forgotten since the backup stays forgotten; whoever was enrolled since is removed. --dry-run says who.
    Restore(backup::RestoreArgs),
    /// Look after the master key.
    ///
    /// Without the master key nothing that is stored can be read, and there is no way around it.
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// Runs it.
///
/// # Errors
/// Wrong usage, files that cannot be read or written, no gallery, and what the command itself gives.
pub fn run(args: GalleryArgs) -> Result<ExitCode> {
    args.command.carry_out(&mut Client::new(&args.desk)?)
}

impl GalleryCommand {
    pub(in crate::cli) fn carry_out(self, client: &mut Client) -> Result<ExitCode> {
        match self {
            Self::List(args) => people::list(args, client),
            Self::Show(args) => people::show(args, client),
            Self::Change(args) => change::change(*args, client),
            Self::Rename(args) => change::rename(args, client),
            Self::Reviewed(args) => change::reviewed(args, client),
            Self::Merge(args) => change::merge(args, client),
            Self::Split(args) => change::split(args, client),
            Self::MoveTemplate(args) => change::move_template(args, client),
            Self::RemoveTemplate(args) => change::remove_template(args, client),
            Self::Forget(args) => forget::forget(args, client),
            Self::Lists => lists::lists(client),
            Self::SetList(args) => lists::set(args, client),
            Self::RemoveList(args) => lists::remove(args, client),
            Self::Confusable(args) => health::confusable(&args, client),
            Self::Verify => health::verify(client),
            Self::Info => health::info(client),
            Self::Export(args) => bundle::export(args, client),
            Self::Import(args) => bundle::import(&args, client),
            Self::Trust(args) => bundle::trust(args, client),
            Self::Distrust(args) => bundle::distrust(args, client),
            Self::Backup(args) => backup::backup(&args, client),
            Self::Restore(args) => backup::restore(&args, client),
            Self::Key(command) => command.carry_out(client),
        }
    }
}
