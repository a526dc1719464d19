//! Compression of rotated files, and what a kill in its midst leaves.

use std::os::unix::fs::MetadataExt as _;

use super::*;

fn site(compress: Compression) -> Site {
    let mut site = Site::of(2, 100);
    site.config.compress = compress;
    site
}

fn is_packed(site: &Site, rotated: usize) -> bool {
    let names = site.names();
    let suffix = if site.config.compress == Compression::Zstd { ".zst" } else { ".gz" };
    let packed = names.iter().filter(|name| name.ends_with(suffix)).count();
    packed == rotated && names.len() == rotated + 1
}

#[test]
fn rotated_files_are_compressed_and_hold_every_event_once() {
    for compress in [Compression::Gzip, Compression::Zstd] {
        let site = site(compress);
        let mut sink = site.open();
        (1..=21).for_each(|n| publish(&mut sink, n).expect("written"));
        eventually("ten files are compressed", || is_packed(&site, 10));
        assert_eq!(site.all(), (1..=21).collect::<Vec<_>>());
        let mode = fs::metadata(site.path(if compress == Compression::Zstd { ".1.zst" } else { ".1.gz" }));
        assert_eq!(mode.expect("there").permissions().mode() & 0o777 & !0o640, 0);
        sink.close();
    }
}

/// The programs that everybody has can read them.
#[test]
fn gzip_reads_what_is_written() {
    let site = site(Compression::Gzip);
    let mut sink = site.open();
    (1..=3).for_each(|n| publish(&mut sink, n).expect("written"));
    eventually("it is compressed", || is_packed(&site, 1));
    let output =
        std::process::Command::new("gzip").args(["-dc"]).arg(site.path(".1.gz")).output().expect("gzip runs");
    assert_eq!(ids(&String::from_utf8(output.stdout).expect("text")), [1, 2]);
}

#[test]
fn keep_counts_files_however_they_are_stored() {
    let mut site = site(Compression::Gzip);
    site.config.keep = 3;
    let mut sink = site.open();
    (1..=5).for_each(|n| publish(&mut sink, n).expect("written"));
    eventually("two are compressed", || is_packed(&site, 2));
    drop(sink);
    site.config.compress = Compression::None;
    let mut sink = site.open();
    (6..=7).for_each(|n| publish(&mut sink, n).expect("written"));
    assert_eq!(site.names(), names(["", ".1", ".2.gz", ".3.gz"]));
    (8..=9).for_each(|n| publish(&mut sink, n).expect("written"));
    assert_eq!(site.names(), names(["", ".1", ".2", ".3.gz"]));
    assert_eq!(site.all(), (3..=9).collect::<Vec<_>>());
    drop(sink);
    // And the other way round: what was plain is compressed when that is asked for.
    site.config.compress = Compression::Zstd;
    let sink = site.open();
    eventually("all are compressed", || site.names() == names(["", ".1.zst", ".2.zst", ".3.gz"]));
    assert_eq!(site.all(), (3..=9).collect::<Vec<_>>());
    drop(sink);
}

/// Each state that a kill in mid-compression leaves, built by hand; tests/jsonl_crash.rs kills for real.
#[test]
fn what_a_kill_left_is_finished_at_the_next_start() {
    for compress in [Compression::Gzip, Compression::None] {
        let mut site = site(Compression::Gzip);
        let mut sink = site.open();
        (1..=4).for_each(|n| publish(&mut sink, n).expect("written"));
        drop(sink);
        let mut whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut whole, &fs::read(&site.config.path).expect("read"))
            .expect("in memory");
        // Rotated by hand, its compressed twin in place, and a half one of another.
        fs::rename(site.path(""), site.path(".7")).expect("moved");
        fs::write(site.path(".7.gz"), whole.finish().expect("in memory")).expect("written");
        fs::write(site.folder.path().join(".events.jsonl.pack"), [0x1f, 0x8b, 8]).expect("written");
        site.config.compress = compress;
        let sink = site.open();
        eventually("the plain twin and the half one go", || {
            let names = site.names();
            names.contains(".7.gz")
                && !names.contains(".7")
                && !names.iter().any(|name| name.ends_with(".pack"))
        });
        let mut all = site.all();
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4], "each once");
        drop(sink);
    }
}

#[test]
fn a_compressed_twin_that_is_broken_or_another_costs_nothing() {
    let site = site(Compression::Gzip);
    fs::write(site.path(".2"), event(1).to_line() + "\n").expect("written");
    fs::write(site.path(".2.gz"), [0x1f, 0x8b, 8]).expect("written");
    let mut sink = site.open();
    (2..=4).for_each(|n| publish(&mut sink, n).expect("written"));
    eventually("what can be is compressed", || site.path(".1.gz").exists() && !site.path(".1").exists());
    assert_eq!(site.events(".2"), [1]);
    assert!(site.path(".2.gz").exists());
    drop(sink);
}

#[test]
fn a_file_that_was_written_to_meanwhile_is_not_replaced() {
    let site = site(Compression::Gzip);
    fs::write(site.path(".1"), "one\n").expect("written");
    let names = Names::new(&site.config.path, 100, true);
    let it = fs::metadata(site.path(".1")).expect("there");
    let it = (it.dev(), it.ino());
    let packed = names.unfinished();
    fs::write(&packed, "packed").expect("written");
    assert!(!names.replace(it, 3, &packed, Packing::Gzip).expect("looked at"), "of another length");
    assert_eq!(fs::read_to_string(site.path(".1")).expect("there"), "one\n");
    // It has moved on by now, and is found by what it is.
    fs::rename(site.path(".1"), site.path(".5")).expect("moved");
    assert!(names.replace(it, 4, &packed, Packing::Gzip).expect("replaced"));
    assert_eq!(fs::read_to_string(site.path(".5.gz")).expect("there"), "packed");
    assert!(!site.path(".5").exists());
}

#[test]
fn a_stop_in_the_midst_leaves_the_plain_file_and_no_half_one() {
    let site = site(Compression::Zstd);
    // Large enough to be stopped in.
    let line = event(1).to_line() + "\n";
    fs::write(site.path(".1"), line.repeat(100_000)).expect("written");
    let sink = site.open();
    drop(sink);
    let left = site.names();
    assert!(!left.iter().any(|name| name.ends_with(".pack")), "{left:?}");
    assert!(left.contains(".1") != left.contains(".1.zst"), "{left:?}");
}
