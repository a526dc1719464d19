//! `watchlistd events snapshot`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use uuid::Uuid;

use crate::base::error::Result;
use crate::cli::desk::{Answer, Client, DeskArgs};
use crate::cli::output;
use crate::gallery::command::Command;
use crate::gallery::outside::Kind;
use crate::gallery::report::SnapshotShown;

/// Arguments of `events snapshot`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: watchlistd events snapshot 019c2f4e-8b1a-7c3d-9e5f-0123456789ab --scene --out visit.jpg"
)]
pub struct SnapshotArgs {
    /// The snapshot: `data.snapshot.id` of an event.
    id: Uuid,
    /// What was around, instead of the face.
    #[arg(long)]
    scene: bool,
    /// Write the JPEG there; a new file that only its owner may read.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// `NoInput`, without such a snapshot; what keeps the file from being written.
pub fn run(args: &SnapshotArgs, desk: &DeskArgs) -> Result<ExitCode> {
    fetch(args, &mut Client::new(desk)?)
}

fn fetch(args: &SnapshotArgs, client: &mut Client) -> Result<ExitCode> {
    output::check_new("--out", &args.out)?;
    let kind = if args.scene { Kind::Scene } else { Kind::Face };
    let command = Command::Snapshot { id: args.id, kind };
    let Answer { report, body } = client.ask_with::<SnapshotShown>(command, Vec::new())?;
    let body = zeroize::Zeroizing::new(body);
    output::save(&args.out, &body)?;
    client.console.show(&report, |_| {
        let who = report.identity.map_or("nobody who is enrolled".to_owned(), |id| id.to_string());
        format!("The {kind} of snapshot {}, of {who}: {}\n", report.id, args.out.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind as ErrorKind;
    use crate::cli::desk::testing::Canned;
    use crate::gallery::command::Reply;

    fn args(out: PathBuf, scene: bool) -> SnapshotArgs {
        SnapshotArgs { id: Uuid::from_u128(7), scene, out }
    }

    #[test]
    fn the_picture_is_written_for_its_owner_and_never_over_another_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("face.jpg");
        for (scene, kind) in [(false, Kind::Face), (true, Kind::Scene)] {
            let shown = SnapshotShown { id: Uuid::from_u128(7), kind, identity: None, bytes: 4 };
            let desk = Canned::default();
            let value = serde_json::to_value(&shown).expect("JSON");
            desk.and(Ok(Reply { value, body: b"JPEG".to_vec() }));
            let (mut client, printed, _) = desk.client(false, None);
            fetch(&args(out.clone(), scene), &mut client).expect("written");
            assert_eq!(desk.commands(), [Command::Snapshot { id: Uuid::from_u128(7), kind }]);
            assert!(printed.text().contains(kind.as_str()), "{}", printed.text());
            assert_eq!(std::fs::read(&out).expect("readable"), b"JPEG");
            let mode = std::fs::metadata(&out).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let (mut client, ..) = desk.client(false, None);
            let refused = fetch(&args(out.clone(), scene), &mut client).expect_err("it is there");
            assert_eq!(refused.kind(), ErrorKind::CannotCreate);
            assert_eq!(desk.commands().len(), 1, "nobody was asked for it");
            std::fs::remove_file(&out).expect("removed");
        }
    }
}
