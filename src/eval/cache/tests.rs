use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::base::error::Kind;
use crate::eval::acquire::{Failure, Template};
use crate::eval::quality::Measured;
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;

const MODEL: ModelId = ModelId([5; 32]);
const DIMENSION: usize = 8;

struct Here {
    folder: tempfile::TempDir,
    key: Key,
}

impl Here {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), key: Key::generate().expect("random") }
    }

    fn open(&self) -> Result<Cache> {
        Cache::open(&self.folder.path().join("cache"), &self.key, &space())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cache").join(space().file_name())
    }

    /// With so many records; the last one is a failure.
    fn filled(records: u8) -> Self {
        let here = Self::new();
        let cache = here.open().expect("opens");
        (0..records - 1).for_each(|n| cache.append(&digest(n), &template(n)).expect("written"));
        cache.append(&digest(records - 1), &Acquisition::Failed(Failure::NoFace)).expect("written");
        here
    }
}

fn space() -> Space {
    Space::of_crops(MODEL, DIMENSION)
}

fn digest(n: u8) -> Digest {
    [n; 32]
}

fn template(n: u8) -> Acquisition {
    let raw = (0..DIMENSION).map(|i| (i as f32 + f32::from(n)).sin()).collect();
    let mut measures = [f32::NAN; 7];
    measures[2] = f32::from(n);
    Acquisition::Template(Box::new(Template {
        embedding: Embedding::new(MODEL, raw).expect("a vector"),
        measured: Measured::from_numbers(measures),
        faces: u32::from(n) + 1,
    }))
}

#[test]
fn what_was_kept_comes_back_bit_by_bit_and_only_what_was_kept() {
    let here = Here::filled(5);
    let cache = here.open().expect("opens");
    assert_eq!((cache.len(), cache.damaged()), (5, 0));
    for n in 0..4 {
        assert!(cache.look_up(&digest(n)) == Some(template(n)), "{n}");
    }
    assert_eq!(cache.look_up(&digest(4)), Some(Acquisition::Failed(Failure::NoFace)));
    assert_eq!(cache.look_up(&digest(9)), None);
    let unreadable = Acquisition::Failed(Failure::Unreadable("gone".to_owned()));
    cache.append(&digest(9), &unreadable).expect("nothing to write");
    drop(cache);
    assert_eq!(here.open().expect("opens").len(), 5);
}

#[test]
fn a_kill_in_the_middle_of_a_record_costs_that_record() {
    let here = Here::filled(3);
    let whole = fs::read(here.file()).expect("bytes");
    let length = (whole.len() - HEADER) / 3;
    for cut in [HEADER + 2 * length + 1, HEADER + 3 * length - 1, HEADER + 2 * length] {
        fs::write(here.file(), &whole[..cut]).expect("written");
        let cache = here.open().expect("opens");
        assert_eq!((cache.len(), cache.damaged()), (2, 0), "{cut}");
        cache.append(&digest(7), &template(7)).expect("written");
        drop(cache);
        let cache = here.open().expect("opens");
        assert!(cache.len() == 3 && cache.look_up(&digest(7)) == Some(template(7)), "{cut}");
    }
    for cut in [0, 1, HEADER - 1] {
        fs::write(here.file(), &whole[..cut]).expect("written");
        assert!(here.open().expect("begins anew").is_empty());
    }
}

#[test]
fn a_damaged_record_costs_itself_and_nothing_else() {
    let here = Here::filled(4);
    let whole = fs::read(here.file()).expect("bytes");
    let length = (whole.len() - HEADER) / 4;
    for at in (0..length).step_by(7) {
        let mut broken = whole.clone();
        broken[HEADER + length + at] ^= 1;
        fs::write(here.file(), broken).expect("written");
        let cache = here.open().expect("opens");
        assert_eq!((cache.len(), cache.damaged(), cache.look_up(&digest(1))), (3, 1, None), "{at}");
        assert!(cache.look_up(&digest(2)) == Some(template(2)));
    }
    // Bytes in the middle are gone: what came before them is left.
    let mut shorter = whole.clone();
    shorter.drain(HEADER + length + 10..HEADER + length + 20);
    fs::write(here.file(), shorter).expect("written");
    let cache = here.open().expect("opens");
    assert_eq!((cache.len(), cache.damaged()), (1, 2));
}

#[test]
fn nothing_of_a_picture_stands_in_the_clear() {
    let here = Here::filled(4);
    let bytes = fs::read(here.file()).expect("bytes");
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    for n in 0..4u8 {
        assert!(!holds(&digest(n)[..8]));
        let Acquisition::Template(template) = template(n) else { continue };
        let vector = template.embedding.as_slice();
        assert!(vector.iter().all(|x| !holds(&x.to_le_bytes())), "{n}");
    }
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&here.file()), 0o600);
    assert_eq!(mode(&here.folder.path().join("cache")), 0o700);
}

#[test]
fn another_key_another_file_or_another_run_is_told() {
    let here = Here::filled(2);
    let other = Here { key: Key::generate().expect("random"), folder: here.folder };
    let error = other.open().expect_err("another key");
    assert!(error.kind() == Kind::Permission && error.to_string().contains("--cache-key"), "{error}");

    fs::write(other.file(), [b'x'; 500]).expect("written");
    let error = other.open().expect_err("no cache");
    assert!(error.kind() == Kind::Data && error.to_string().contains("remove it"), "{error}");

    fs::remove_file(other.file()).expect("removed");
    let first = other.open().expect("opens");
    assert_eq!(other.open().expect_err("it is open").kind(), Kind::Temporary);
    drop(first);
    other.open().expect("it is free");

    fs::write(other.folder.path().join("file"), b"").expect("written");
    let error = Cache::open(&other.folder.path().join("file/x"), &other.key, &space()).expect_err("a file");
    assert_eq!(error.kind(), Kind::CannotCreate);
}

#[test]
fn each_way_of_looking_has_a_space_of_its_own() {
    use crate::detect::DetectOptions;
    use crate::eval::acquire::Which;
    use crate::types::geometry::Size;

    let folder = tempfile::tempdir().expect("a folder");
    let manifest = folder.path().join("detector.toml");
    fs::write(&manifest, "name = \"a\"").expect("written");
    let look = DetectOptions { input: Size::new(960, 960), min_score: 0.7, roi: None };
    let of = |model, dimension, look: &DetectOptions, which| {
        Space::of_photographs(model, dimension, &manifest, look, which).expect("a space")
    };
    let mut spaces = vec![space(), of(MODEL, 8, &look, Which::Centre), of(MODEL, 8, &look, Which::Largest)];
    spaces.push(of(ModelId([6; 32]), 8, &look, Which::Centre));
    spaces.push(of(MODEL, 9, &look, Which::Centre));
    spaces.push(of(MODEL, 8, &DetectOptions { min_score: 0.6, ..look.clone() }, Which::Centre));
    spaces.push(of(MODEL, 8, &DetectOptions { input: Size::new(640, 960), ..look.clone() }, Which::Centre));
    fs::write(&manifest, "name = \"b\"").expect("written");
    spaces.push(of(MODEL, 8, &look, Which::Centre));
    let names: std::collections::HashSet<String> = spaces.iter().map(Space::file_name).collect();
    assert_eq!(names.len(), spaces.len());
}
