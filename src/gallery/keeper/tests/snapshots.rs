//! What the gallery promises of snapshots, which are kept outside of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::gallery::command::AuditFilter;
use crate::gallery::outside::{Fetched, Kind as Picture, Outside};
use crate::gallery::report::{AuditEntry, SnapshotShown};

/// So many snapshots of somebody.
#[derive(Default)]
struct Shelf {
    of: Mutex<Vec<(IdentityId, u64)>>,
    fails: AtomicBool,
}

impl Outside for Shelf {
    fn count(&self, identities: &[IdentityId]) -> Result<u64> {
        let of = self.of.lock().expect("whole");
        Ok(of.iter().filter(|(id, _)| identities.contains(id)).map(|(_, count)| count).sum())
    }

    fn forget(&self, identities: &[IdentityId]) -> Result<u64> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(err!(Io, "the disk is full"));
        }
        let gone = self.count(identities)?;
        self.of.lock().expect("whole").retain(|(id, _)| !identities.contains(id));
        Ok(gone)
    }

    fn fetch(&self, id: Uuid, _: Picture) -> Result<Option<Fetched>> {
        let first = self.of.lock().expect("whole").first().map(|(identity, _)| *identity);
        let fetched = |identity| Fetched { identity, jpeg: Zeroizing::new(b"JPEG".to_vec()) };
        Ok(match id.as_u128() {
            1 => Some(fetched(first)),
            2 => Some(fetched(None)),
            _ => None,
        })
    }
}

fn entries(keeper: &mut Keeper, action: &str) -> Vec<AuditEntry> {
    let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
    ask(keeper, Command::AuditShow { filter }, &[])
}

fn forget(keeper: &mut Keeper, id: IdentityId) -> Receipt {
    ask(keeper, Command::Forget { who: Who(id.to_string()), reason: None }, &[])
}

#[test]
fn a_receipt_counts_the_snapshots_that_went_with_somebody_and_says_so_again() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let (ana, bob) = (site.enrol(&mut keeper, record("Ana"), 1), site.enrol(&mut keeper, record("Bob"), 2));
    let shelf = Arc::new(Shelf::default());
    *shelf.of.lock().expect("whole") = vec![(ana, 3), (bob, 4)];
    keeper.set_outside(shelf.clone());
    assert_eq!(forget(&mut keeper, ana).snapshots, 3);
    assert_eq!(*shelf.of.lock().expect("whole"), [(bob, 4)], "nobody else's");
    let again = forget(&mut keeper, ana);
    assert_eq!((again.snapshots, again.again), (3, true), "from the audit log");

    // A disk that fails keeps nobody here.
    shelf.fails.store(true, Ordering::SeqCst);
    let receipt = forget(&mut keeper, bob);
    assert_eq!((receipt.snapshots, receipt.returned), (0, 0));
    assert!(receipt.beyond.iter().any(|what| what.contains("snapshot store")), "{:?}", receipt.beyond);
}

#[test]
fn who_looks_at_a_snapshot_is_on_record_and_with_whom_it_shows() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    let command = |id: u128| Command::Snapshot { id: Uuid::from_u128(id), kind: Picture::Scene };
    let none = try_ask::<SnapshotShown>(&mut keeper, command(1), &[]).expect_err("none are kept");
    assert_eq!(none.kind(), Kind::NoInput);
    let shelf = Arc::new(Shelf::default());
    *shelf.of.lock().expect("whole") = vec![(ana, 1)];
    keeper.set_outside(shelf);
    for (id, identity) in [(1, Some(ana)), (2, None)] {
        let reply = keeper.execute(&actor(), command(id), &[], &mut |_| {}).expect("there");
        let shown: SnapshotShown = serde_json::from_value(reply.value).expect("a report");
        assert_eq!((reply.body.as_slice(), shown.identity, shown.bytes), (&b"JPEG"[..], identity, 4));
    }
    let gone = try_ask::<SnapshotShown>(&mut keeper, command(3), &[]).expect_err("no such snapshot");
    assert_eq!(gone.kind(), Kind::NoInput);
    let told = entries(&mut keeper, "snapshot-fetched");
    assert_eq!(told.len(), 2, "nobody has seen the third");
    assert_eq!((told[0].identity, told[0].name.as_deref()), (Some(ana), Some("Ana")));
    assert_eq!((told[1].identity, told[0].actor.as_str()), (None, "uid 0"));
    assert_eq!(told[0].detail["snapshot"], Uuid::from_u128(1).to_string());
    assert_eq!(told[0].detail["picture"], "scene");
    let report: AuditReport = ask(&mut keeper, Command::AuditVerify { head: None }, &[]);
    assert_eq!(report.problems, Vec::<String>::new());
}

#[test]
fn that_strangers_are_kept_is_on_record_whenever_that_changes_and_only_then() {
    let site = Site::new();
    let day = Duration::from_secs(86_400);
    let mut noted = Vec::new();
    for now in [None, Some(day), Some(day), Some(7 * day), None, None] {
        // Each start of the daemon.
        let mut keeper = site.open();
        keeper.note_unknown_snapshots(now).expect("on record");
        noted = entries(&mut keeper, "unknown-snapshots");
    }
    let told: Vec<_> = noted.iter().map(|e| [e.detail["from"].clone(), e.detail["to"].clone()]).collect();
    assert_eq!(told, [["off", "86400 s"], ["86400 s", "604800 s"], ["604800 s", "off"]]);
    assert!(noted.iter().all(|entry| entry.actor == "daemon"));
}
