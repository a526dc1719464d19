//! Properties of the model of the disk, on random histories of two files.

use std::ffi::OsString;
use std::path::Path;

use super::faults::disk::{Disk, Luck};
use super::faults::journal::Record;
use super::faults::tree::{Snapshot, Tree};

const ROOT: u64 = 1;

/// A random history that starts with two durable files.
fn history(seed: u64) -> Vec<Record> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let create = |inode, name: &str| Record::Create { folder: ROOT, name: name.into(), inode };
    let mut records = vec![create(10, "a"), create(11, "b"), Record::Sync { inode: ROOT }];
    for step in 0..rng.u64(1..40) {
        let inode = rng.u64(10..12);
        records.push(match rng.u8(..8) {
            0 => Record::Truncate { inode, size: rng.u64(..20_000) },
            1 => Record::Sync { inode },
            2 => Record::Truncate { inode, size: 0 },
            _ => {
                let data = vec![rng.u8(1..); rng.usize(1..6_000)];
                Record::Write { inode, offset: rng.u64(..12_000), data }
            }
        });
        if rng.u8(..8) == 0 {
            records.push(create(100 + step, &format!("new-{step}")));
        }
    }
    records
}

fn played<'a>(before: &'a Snapshot, records: &'a [Record]) -> Disk<'a> {
    let mut disk = Disk::new(before);
    records.iter().for_each(|record| disk.apply(record));
    disk
}

fn empty() -> Snapshot {
    Snapshot { root: ROOT, entries: Vec::new() }
}

#[test]
fn with_perfect_luck_nothing_is_lost() {
    for seed in 0..300 {
        let (before, records) = (empty(), history(seed));
        let disk = played(&before, &records);
        assert!(disk.after_power_cut(&mut Luck::perfect()) == disk.everything(), "history {seed}");
    }
}

#[test]
fn what_was_synced_survives_every_cut() {
    for seed in 0..300 {
        let (before, mut records) = (empty(), history(seed));
        records.extend([10, 11, ROOT].map(|inode| Record::Sync { inode }));
        let disk = played(&before, &records);
        assert!(disk.after_power_cut(&mut Luck::of(seed)) == disk.everything(), "history {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_disk_and_another_one_another() {
    let (mut different, histories) = (0, 100);
    for seed in 0..histories {
        let (before, mut records) = (empty(), history(seed));
        records.push(Record::Write { inode: 10, offset: 0, data: vec![1; 40_000] });
        let disk = played(&before, &records);
        let cut = |luck| -> Tree { disk.after_power_cut(&mut Luck::of(luck)) };
        assert!(cut(seed) == cut(seed));
        different += usize::from(cut(seed) != cut(seed + 1));
    }
    assert!(different > histories as usize / 2, "{different}");
}

/// Each sector is of one moment since the sync: no byte is of a time that never was.
#[test]
fn a_sector_is_what_it_was_at_some_moment() {
    for seed in 0..300 {
        let (before, records) = (empty(), history(seed));
        let disk = played(&before, &records);
        let last_sync = records.iter().rposition(|r| matches!(r, Record::Sync { inode: 10 })).unwrap_or(0);
        let moments: Vec<Vec<u8>> = (last_sync..=records.len())
            .map(|n| played(&before, &records[..n]).everything())
            .map(|mut tree| tree.remove(Path::new("a")).flatten().unwrap_or_default())
            .collect();
        let after = disk.after_power_cut(&mut Luck::of(seed).without_old_bytes());
        let Some(Some(file)) = after.get(Path::new("a")) else { panic!("a durable name is lost") };
        for (index, sector) in file.chunks(512).enumerate() {
            // The state may be a longer one whose end was cut off with the size, or a shorter one filled up with zeros.
            let was = moments.iter().any(|moment| {
                let mut then: Vec<u8> = moment.iter().skip(index * 512).take(sector.len()).copied().collect();
                then.resize(sector.len(), 0);
                then == sector
            });
            assert!(was, "history {seed}, sector {index}");
        }
    }
}

/// Names of a folder that was not synced: each on its own, or in order; both are seen.
#[test]
fn names_survive_in_order_or_each_on_its_own() {
    let before = empty();
    let names = ["1", "2", "3"];
    let records = names.map(|name| Record::Create {
        folder: ROOT,
        name: OsString::from(name),
        inode: name.parse::<u64>().expect("a number") + 1,
    });
    let disk = played(&before, &records);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let tree = disk.after_power_cut(&mut Luck::of(seed));
        seen.insert(tree.keys().map(|path| path.display().to_string()).collect::<String>());
    }
    let all = ["", "1", "12", "123", "13", "2", "23", "3"];
    assert_eq!(seen, all.map(str::to_owned).into());
}
