//! What the last demo left goes: its gallery and its events, with all the files beside them, but for the key.

use std::path::{Path, PathBuf};

use watchlistd::base::error::{Error, Result};

/// What stands beside a gallery, by its name.
const LEFT: [&str; 11] = [
    "gallery.db",
    "gallery.db-wal",
    "gallery.db-shm",
    "gallery.db-journal",
    "gallery.head",
    "gallery.forgotten",
    "events.db",
    "events.db-wal",
    "events.db-shm",
    "events.head",
    "events.db.damaged",
];

/// Takes them away; `gallery` is the gallery's path, in a folder of the demo's own.
///
/// # Errors
/// When one cannot be removed.
pub fn begin(gallery: &Path) -> Result<()> {
    let stem = gallery.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for name in LEFT {
        let file: PathBuf = gallery.with_file_name(name.replace("gallery", &stem));
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove the last demo's", &file, e));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_demo_begins_as_the_first_but_for_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["gallery.db", "gallery.db-wal", "gallery.head", "gallery.forgotten", "gallery.key"] {
            std::fs::write(at(name), b"x").expect("written");
        }
        begin(&at("gallery.db")).expect("taken away");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").flatten().collect();
        assert_eq!(left.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["gallery.key"]);
    }
}
