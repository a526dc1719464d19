//! A folder and everything below it, as values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the paths below a folder hold: `None` for a folder, bytes for a file.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The file of acknowledgements is no part of the disk.
pub fn is_acks(name: &OsStr) -> bool {
    name == "acks"
}

/// SQLite's index of its write-ahead log: written through mmap, which no shim sees, and built anew from the log whenever
/// the first connection opens the database. It holds nothing that must survive.
pub fn is_shm(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b"-shm")
}

/// What is on the disk when a recording starts.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Inode of the folder itself.
    pub root: u64,
    /// All below it, a folder before what is in it.
    pub entries: Vec<Entry>,
}

/// A name in a folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Inode of the folder it is in.
    pub folder: u64,
    /// Its name there.
    pub name: OsString,
    /// Its own inode.
    pub inode: u64,
    /// The bytes of a file; `None` for a folder.
    pub content: Option<Vec<u8>>,
}

impl Snapshot {
    /// Reads `folder`. Sockets and the like are left out.
    pub fn of(folder: &Path) -> Self {
        let root = fs::metadata(folder).expect("a folder").ino();
        let mut entries = Vec::new();
        walk(folder, root, &mut |entry, _| entries.push(entry));
        Self { root, entries }
    }
}

/// Reads `folder` by path.
pub fn read(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    walk(folder, 0, &mut |entry, path| {
        tree.insert(path.strip_prefix(folder).expect("inside").to_owned(), entry.content);
    });
    tree
}

fn walk(folder: &Path, inode: u64, found: &mut impl FnMut(Entry, &Path)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("readable");
        let (path, name) = (entry.path(), entry.file_name());
        let meta = fs::symlink_metadata(&path).expect("readable");
        if is_acks(&name) || !(meta.is_file() || meta.is_dir()) {
            continue;
        }
        let content = meta.is_file().then(|| fs::read(&path).expect("readable"));
        found(Entry { folder: inode, name, inode: meta.ino(), content }, &path);
        if meta.is_dir() {
            walk(&path, meta.ino(), found);
        }
    }
}

/// Makes `folder`, which must be empty or missing, hold `tree`.
pub fn write(tree: &Tree, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    assert!(fs::read_dir(folder).expect("a folder").next().is_none(), "{} is not empty", folder.display());
    for (path, content) in tree {
        let path = folder.join(path);
        match content {
            None => fs::create_dir(&path).expect("a folder"),
            Some(bytes) => {
                // Modes are not journalled; the programs that are tested make their files for their owner.
                let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
                made.and_then(|mut file| file.write_all(bytes)).expect("a file");
            }
        }
    }
}
