use std::sync::Weak;

use super::super::keeper::tests::{Site, ask, record};
use super::super::snapshot::GallerySnapshot;
use super::*;
use crate::gallery::command::{Command, Who};
use crate::gallery::report::Receipt;
use crate::types::matching::IndexKind;

#[test]
fn changes_that_nobody_looked_at_keep_no_old_snapshot_in_memory() {
    let mut site = Site::new();
    let custody = Custody::of(site.opening()).expect("a gallery");
    let mut seen: Vec<Weak<GallerySnapshot>> = Vec::new();
    for person in 0..5 {
        seen.push(Arc::downgrade(&custody.shared.current()));
        site.enrol(&mut hold(&custody.keeper), record(&format!("Person {person}")), person);
    }
    assert_eq!(seen.iter().filter(|snapshot| snapshot.strong_count() > 0).count(), 0);
    custody.swaps.try_recv().expect("told");
    assert!(custody.swaps.try_recv().is_err(), "once for all of them");
    assert!(custody.warnings().contains(&Warning::Empty), "of the first one");
    assert!(custody.warnings().is_empty());
}

#[test]
fn nobody_waits_for_a_command_that_has_the_keeper() {
    let site = Site::new();
    let custody = Custody::of(site.opening()).expect("a gallery");
    let noted = |custody: &Custody| {
        let filter = crate::gallery::command::AuditFilter {
            action: Some("threshold-changed".to_owned()),
            ..Default::default()
        };
        let mut keeper = hold(&custody.keeper);
        ask::<Vec<crate::gallery::report::AuditEntry>>(&mut keeper, Command::AuditShow { filter }, &[]).len()
    };
    let mut config = Config::default();
    config.decide.threshold = Some(crate::config::Threshold::Score(0.625));
    let busy = custody.keeper.lock().expect("ours");
    // All of this would hang if it waited.
    custody.reloaded(&config, crate::types::ids::ModelId([9; 32]), 0.5);
    custody.tend().expect("left for later");
    assert_eq!((custody.wait(), custody.reviews_due(Timestamp::MIN)), (BUSY, None));
    drop(busy);
    assert_eq!(noted(&custody), 0);
    custody.tend().expect("on record");
    assert_eq!(noted(&custody), 1);
    custody.tend().expect("once");
    assert_eq!(noted(&custody), 1);
    assert!(custody.wait() > BUSY);
}

#[test]
fn who_is_forgotten_leaves_memory_with_the_next_look_at_the_latest() {
    for index in [IndexKind::Exact, IndexKind::Hnsw] {
        let mut site = Site::new();
        let open =
            |site: &Site| Custody::of(Opening { index: index.into(), ..site.opening() }).expect("a gallery");
        let custody = open(&site);
        let ids: Vec<_> = (0..4)
            .map(|person| site.enrol(&mut hold(&custody.keeper), record(&format!("Person {person}")), person))
            .collect();
        drop(custody);
        // Now they are in the base; and one more is beside it.
        let custody = open(&site);
        let beside = site.enrol(&mut hold(&custody.keeper), record("Person 4"), 4);
        for id in [ids[1], beside] {
            let forget = Command::Forget { who: Who(id.to_string()), reason: None };
            ask::<Receipt>(&mut hold(&custody.keeper), forget, &[]);
            let now = custody.shared.current();
            assert!(index == IndexKind::Hnsw && id != beside || !now.has_rows_of(id), "{index:?}");
        }
        custody.rebuild().expect("built again");
        let now = custody.shared.current();
        assert!(!now.has_rows_of(ids[1]) && now.has_rows_of(ids[2]) && !now.wants_rebuilding());
        assert_eq!((now.index(), now.identities()), (index, 3));
    }
}
