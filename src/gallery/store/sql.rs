//! The gallery's place, and what SQLite's errors say of it.

use std::path::Path;

use crate::base::sqlite::Names;
pub use crate::base::sqlite::Place;

const NAMES: Names =
    Names { what: "gallery", key: "gallery.path", damaged: "restore a backup, or enrol again" };

/// The store at `path`.
pub(in crate::gallery) fn place(path: &Path) -> Place {
    Place::new(path, &NAMES)
}
