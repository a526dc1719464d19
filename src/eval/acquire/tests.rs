use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::fixture::{Fake, MODEL, files};
use super::*;
use crate::base::error::Kind;
use crate::base::shutdown;
use crate::eval::cache::{Cache, Space};
use crate::gallery::crypt::Key;

fn all(paths: &[PathBuf], fakes: &mut [Fake], cache: Option<&Cache>) -> Result<Acquired> {
    let ((_stopper, stop), mut last) = (shutdown::channel(), 0);
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let acquired = acquire(&paths, fakes, cache, &stop, &mut |done| {
        assert_eq!(done, last + 1);
        last = done;
    })?;
    assert_eq!(last, paths.len());
    Ok(acquired)
}

/// 60 pictures, of which some fail.
fn crowd() -> Vec<String> {
    let special = ["no-face", "no-crop", "broken", "no-vector"];
    let word = |n: usize| special.get(n % 13).map_or_else(|| (n * 3).to_string(), |word| (*word).to_owned());
    (0..60).map(|n| format!("{} {n}", word(n))).collect()
}

fn written(folder: &Path, contents: &[String]) -> Vec<PathBuf> {
    files(folder, &contents.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn any_number_of_workers_and_any_batch_gives_the_same_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = written(folder.path(), &crowd());
    paths.push(folder.path().join("missing.jpg"));
    let one = all(&paths, &mut [Fake::new(1)], None).expect("works");
    let tally = Tally::of(&one.of);
    assert_eq!((tally.pictures, tally.templates, tally.no_face), (61, 40, 5));
    assert_eq!((tally.no_crop, tally.unreadable, tally.no_vector), (5, 6, 5), "one file is missing");
    for (workers, batch) in [(1, 7), (3, 1), (4, 8), (2, 100)] {
        let fake = Fake::new(batch);
        let many = all(&paths, &mut vec![fake.clone(); workers], None).expect("works");
        assert!(many.of == one.of, "{workers} workers, batches of {batch}");
        assert!(fake.largest.load(std::sync::atomic::Ordering::Relaxed) <= batch);
    }
}

#[test]
fn what_is_in_the_cache_is_not_looked_at_again_and_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = written(folder.path(), &crowd());
    let key = Key::generate().expect("random");
    let open = || Cache::open(&folder.path().join("cache"), &key, &Space::of_crops(MODEL, 2)).expect("opens");
    let fake = Fake::new(4);
    let first = all(&paths[..25], &mut [fake.clone(), fake.clone()], Some(&open())).expect("works");
    assert_eq!((first.from_cache, fake.looks()), (0, 25));

    let fake = Fake::new(4);
    let second = all(&paths, &mut [fake.clone(), fake.clone()], Some(&open())).expect("works");
    // Two of the first 25 cannot be read, and are tried again.
    assert_eq!((second.from_cache, fake.looks()), (23, 37));
    let without = all(&paths, &mut [Fake::new(1)], None).expect("works");
    assert!(second.of == without.of);
}

#[test]
fn a_stop_keeps_what_was_done_for_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = written(folder.path(), &(0..200).map(|n| format!("{} {n}", n % 250)).collect::<Vec<_>>());
    let key = Key::generate().expect("random");
    let open = || Cache::open(&folder.path().join("cache"), &key, &Space::of_crops(MODEL, 2)).expect("opens");
    let (stopper, stop) = shutdown::channel();
    let refs: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let mut fake = Fake::new(3);
    fake.stops = Some((10, Arc::new(Mutex::new(stopper))));
    let error = acquire(&refs, &mut [fake], Some(&open()), &stop, &mut |_| {}).expect_err("stopped");
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.to_string().contains("10 of 200"), "what was in hand came to its end: {error}");
    assert_eq!(open().len(), 10);
    let next = all(&paths, &mut [Fake::new(3)], Some(&open())).expect("works");
    assert_eq!(next.from_cache, 10);
}

#[test]
fn a_model_that_fails_ends_the_run_and_so_does_a_worker_that_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    for (word, kind) in [("fails", Kind::Unavailable), ("panics", Kind::Software)] {
        let mut contents: Vec<String> = (0..50).map(|n| format!("{n} x")).collect();
        contents[20] = format!("{word} 20");
        let paths = written(folder.path(), &contents);
        let refs: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let (_stopper, stop) = shutdown::channel();
        let result = acquire(&refs, &mut [Fake::new(1), Fake::new(5)], None, &stop, &mut |_| {});
        assert_eq!(result.expect_err(word).kind(), kind);
    }
}
