//! A model of a disk and of the memory before it: what may be there after a power cut.
//!
//! ```text
//!    names   (folder, name) ─▶ file         durable: all changes before the last sync of their folder
//!                               │           pending: create, link, unlink, rename, mkdir since then
//!    files   sectors, size ◀────┘           durable: all before the last sync of the file
//!                                           pending: writes and truncates since then
//! ```
//!
//! Guaranteed (nothing more than POSIX and a journaling file system promise):
//! - what was written to a file before its last fsync or fdatasync, and its size then;
//! - the names in a folder as of the folder's last fsync. The sync of a file makes its *content* durable and no name of
//!   it: ext4 does more, POSIX does not. SQLite keeps to this: it syncs the folder with the first sync of a journal or log
//!   that it made, and after it removed one;
//! - a change of a name, also one that replaces another, and a truncation happen wholly or not at all. SQLite relies on the
//!   truncation when it empties its log;
//! - a write harms no byte outside its range (SQLite's "powersafe overwrite"): every disk with sectors written as a whole.
//!
//! Everything else is a matter of luck, drawn from a seed:
//! - each sector (512 bytes, or 4096) holds any of the states it had since the last sync, whatever its neighbours hold; so
//!   one write may be there in part, and a later one without an earlier one;
//! - the size is any that the file had since then; where it grew and the content did not arrive, there are zeros, or what
//!   an old file left on the disk;
//! - pending changes of names survive either in their order up to some point (ext4, XFS), or each on its own (POSIX);
//! - a file without a name is lost.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::journal::Record;
use super::tree::{self, Snapshot, Tree};

/// What chance decides after a cut; the same seed gives the same.
pub struct Luck {
    rng: fastrand::Rng,
    sector: usize,
    /// How likely the newest state survives: 0 nothing newer than the sync, 1 everything, between them any state.
    keep: f64,
    names_in_order: bool,
    old_bytes: bool,
}

impl Luck {
    /// From a seed. The extremes are as likely as all between them: they are what real caches often do.
    pub fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let keep = match rng.u8(..4) {
            0 => 0.0,
            1 => 1.0,
            _ => rng.f64(),
        };
        let sector = if rng.bool() { 512 } else { 4096 };
        Self { sector, keep, names_in_order: rng.bool(), old_bytes: rng.bool(), rng }
    }

    /// Nothing is lost.
    pub fn perfect() -> Self {
        let rng = fastrand::Rng::with_seed(0);
        Self { rng, sector: 512, keep: 1.0, names_in_order: true, old_bytes: false }
    }

    /// The same, with zeros where otherwise there may be what an old file left.
    pub fn without_old_bytes(mut self) -> Self {
        self.old_bytes = false;
        self
    }

    /// Of the states 0 (the durable one) to `newest`, the one that is on the disk.
    fn state(&mut self, newest: usize) -> usize {
        match self.keep {
            0.0 => 0,
            1.0 => newest,
            keep if self.rng.f64() < keep => newest,
            _ => self.rng.usize(..=newest),
        }
    }
}

/// Which file or folder; never used again, unlike an inode number.
type Id = usize;
type Place = (Id, OsString);

enum Change<'a> {
    Write { offset: usize, data: &'a [u8] },
    Truncate(usize),
}

/// A file: what is durable, and what came after.
#[derive(Default)]
struct File<'a> {
    durable: Cow<'a, [u8]>,
    pending: Vec<Change<'a>>,
}

enum NameChange {
    Bind { place: Place, id: Id },
    Remove { place: Place },
    Rename { from: Place, to: Place, id: Id },
}

/// A change of names that is not durable yet, and the folders whose sync it waits for.
struct PendingName {
    change: NameChange,
    waits_for: Vec<Id>,
}

/// See the module.
pub struct Disk<'a> {
    root: Id,
    /// Which file or folder has an inode number now.
    ids: HashMap<u64, Id>,
    /// By [`Id`]; folders have none.
    files: Vec<Option<File<'a>>>,
    durable_names: BTreeMap<Place, Id>,
    /// In the order they were made; those that wait for nothing are durable, but may stand after others that are not.
    changes: Vec<PendingName>,
    /// All changes applied: what programs see.
    names: BTreeMap<Place, Id>,
}

impl<'a> Disk<'a> {
    /// All of `before` is durable.
    pub fn new(before: &'a Snapshot) -> Self {
        let mut disk = Self {
            root: 0,
            ids: HashMap::from([(before.root, 0)]),
            files: vec![None],
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            names: BTreeMap::new(),
        };
        for entry in &before.entries {
            let content = entry.content.as_deref();
            let file = content.map(|bytes| File { durable: Cow::Borrowed(bytes), pending: Vec::new() });
            // Two names of one file are one file.
            let id = disk.ids.get(&entry.inode).copied().unwrap_or_else(|| disk.new_id(entry.inode, file));
            disk.durable_names.insert((disk.id(entry.folder), entry.name.clone()), id);
        }
        disk.names = disk.durable_names.clone();
        disk
    }

    fn new_id(&mut self, inode: u64, file: Option<File<'a>>) -> Id {
        self.files.push(file);
        self.ids.insert(inode, self.files.len() - 1);
        self.files.len() - 1
    }

    #[track_caller]
    fn id(&self, inode: u64) -> Id {
        *self.ids.get(&inode).unwrap_or_else(|| panic!("the shim did not see how inode {inode} came to be"))
    }

    #[track_caller]
    fn file(&mut self, inode: u64) -> &mut File<'a> {
        let id = self.id(inode);
        self.files[id].as_mut().unwrap_or_else(|| panic!("inode {inode} is a folder"))
    }

    /// One step of the journal.
    #[track_caller]
    pub fn apply(&mut self, record: &'a Record) {
        match record {
            Record::Write { inode, offset, data } => {
                self.file(*inode).pending.push(Change::Write { offset: *offset as usize, data });
            }
            Record::Truncate { inode, size } => {
                self.file(*inode).pending.push(Change::Truncate(*size as usize));
            }
            Record::Sync { inode } => self.sync(self.id(*inode)),
            Record::Create { folder, name, inode } => {
                let id = self.new_id(*inode, Some(File::default()));
                self.change(NameChange::Bind { place: (self.id(*folder), name.clone()), id });
            }
            Record::MakeFolder { folder, name, inode } => {
                let id = self.new_id(*inode, None);
                self.change(NameChange::Bind { place: (self.id(*folder), name.clone()), id });
            }
            Record::Link { folder, name, inode } => {
                let place = (self.id(*folder), name.clone());
                self.change(NameChange::Bind { place, id: self.id(*inode) });
            }
            Record::Unlink { folder, name } => {
                self.change(NameChange::Remove { place: (self.id(*folder), name.clone()) });
            }
            Record::Rename { folder, name, to_folder, to_name } => {
                let from = (self.id(*folder), name.clone());
                let to = (self.id(*to_folder), to_name.clone());
                let id = *self.names.get(&from).unwrap_or_else(|| panic!("no {name:?} to rename"));
                self.change(NameChange::Rename { from, to, id });
            }
            Record::Acknowledge(_) => {}
        }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        let waits_for = change.folders();
        self.changes.push(PendingName { change, waits_for });
    }

    fn sync(&mut self, id: Id) {
        match &mut self.files[id] {
            Some(file) => file.settle(),
            None => self.changes.iter_mut().for_each(|c| c.waits_for.retain(|&folder| folder != id)),
        }
    }

    /// What programs see: as if nothing were lost.
    pub fn everything(&self) -> Tree {
        self.tree(&self.names, |file| file.current())
    }

    /// What is on the disk after a power cut.
    pub fn after_power_cut(&self, luck: &mut Luck) -> Tree {
        let names = self.names_after_power_cut(luck);
        let mut tree = self.tree(&names, |file| file.after_power_cut(luck));
        let shm = tree.iter_mut().filter(|(path, _)| path.file_name().is_some_and(tree::is_shm));
        // Its content never was in the journal; a disk may hold anything.
        shm.filter_map(|(_, content)| content.as_mut()).for_each(|bytes| luck.rng.fill(bytes));
        tree
    }

    fn names_after_power_cut(&self, luck: &mut Luck) -> BTreeMap<Place, Id> {
        let pending = self.changes.iter().filter(|change| !change.waits_for.is_empty()).count();
        let mut left = luck.state(pending);
        let mut names = self.durable_names.clone();
        for PendingName { change, waits_for } in &self.changes {
            let survives = if waits_for.is_empty() {
                true
            } else if luck.names_in_order {
                let survives = left > 0;
                left = left.saturating_sub(1);
                survives
            } else {
                luck.state(1) == 1
            };
            if survives {
                change.apply(&mut names);
            }
        }
        names
    }

    /// The files and folders that can be reached by `names` from the root.
    fn tree(&self, names: &BTreeMap<Place, Id>, mut content: impl FnMut(&File<'a>) -> Vec<u8>) -> Tree {
        let mut tree = Tree::new();
        // Two names of one file have one content.
        let mut contents: HashMap<Id, Vec<u8>> = HashMap::new();
        let mut folders: Vec<(Id, PathBuf)> = vec![(self.root, PathBuf::new())];
        while let Some((folder, path)) = folders.pop() {
            let inside = names.range((folder, OsString::new())..(folder + 1, OsString::new()));
            for ((_, name), &id) in inside {
                let path = Path::new(&path).join(name);
                match &self.files[id] {
                    None => {
                        folders.push((id, path.clone()));
                        tree.insert(path, None);
                    }
                    Some(file) => {
                        let bytes = contents.entry(id).or_insert_with(|| content(file));
                        tree.insert(path, Some(bytes.clone()));
                    }
                }
            }
        }
        tree
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<Place, Id>) {
        match self {
            Self::Bind { place, id } => {
                names.insert(place.clone(), *id);
            }
            Self::Remove { place } => {
                names.remove(place);
            }
            Self::Rename { from, to, id } => {
                // Where an earlier change of this name was lost, another file may have it.
                if names.get(from) == Some(id) {
                    names.remove(from);
                }
                names.insert(to.clone(), *id);
            }
        }
    }

    fn folders(&self) -> Vec<Id> {
        match self {
            Self::Bind { place, .. } | Self::Remove { place } => vec![place.0],
            Self::Rename { from, to, .. } if from.0 == to.0 => vec![to.0],
            Self::Rename { from, to, .. } => vec![from.0, to.0],
        }
    }
}

impl File<'_> {
    /// All pending changes become durable.
    fn settle(&mut self) {
        let content = self.durable.to_mut();
        for change in self.pending.drain(..) {
            change.apply(content);
        }
    }

    /// What programs read.
    fn current(&self) -> Vec<u8> {
        let mut content = self.durable.to_vec();
        self.pending.iter().for_each(|change| change.apply(&mut content));
        content
    }

    fn after_power_cut(&self, luck: &mut Luck) -> Vec<u8> {
        if self.pending.is_empty() {
            return self.durable.to_vec();
        }
        let truncations = self.pending.iter().filter(|c| matches!(c, Change::Truncate(_))).count();
        let survivors = luck.state(truncations);
        let size = self.size_after(survivors, luck);
        let sector = luck.sector;
        let mut content = vec![0; size];
        for (index, bytes) in content.chunks_mut(sector).enumerate() {
            let whole = self.sector_after(index * sector, survivors, luck);
            bytes.copy_from_slice(&whole[..bytes.len()]);
        }
        content
    }

    /// A size that the file had between its `survivors`-th truncation and the next.
    fn size_after(&self, survivors: usize, luck: &mut Luck) -> usize {
        let mut sizes = vec![self.durable.len()];
        let mut truncations = 0;
        for change in &self.pending {
            match change {
                Change::Truncate(size) => {
                    truncations += 1;
                    if truncations > survivors {
                        break;
                    }
                    sizes = vec![*size];
                }
                Change::Write { offset, data } => {
                    let before = sizes.last().copied().unwrap_or_default();
                    if offset + data.len() > before {
                        sizes.push(offset + data.len());
                    }
                }
            }
        }
        let newest = sizes.len() - 1;
        sizes[luck.state(newest)]
    }

    /// One of the states of the sector that starts at `start`, in agreement with the truncations that survived.
    fn sector_after(&self, start: usize, survivors: usize, luck: &mut Luck) -> Vec<u8> {
        let end = start + luck.sector;
        // The states: what was durable, or nothing after a truncation below the sector, and then each write to it.
        let mut old = self.durable.get(start..).unwrap_or_default();
        old = &old[..old.len().min(luck.sector)];
        let mut changes: Vec<&Change<'_>> = Vec::new();
        let mut truncations = 0;
        for change in &self.pending {
            match change {
                Change::Truncate(size) => {
                    truncations += 1;
                    let survives = truncations <= survivors;
                    if *size <= start && survives {
                        (old, changes) = (&[], Vec::new());
                    } else if *size <= start {
                        // What was written here later went to other places of the disk, which were not the file's yet.
                        break;
                    } else if *size < end && survives {
                        changes.push(change);
                    }
                }
                Change::Write { offset, data } if *offset < end && offset + data.len() > start => {
                    changes.push(change);
                }
                Change::Write { .. } => {}
            }
        }
        let mut bytes = vec![0; luck.sector];
        bytes[..old.len()].copy_from_slice(old);
        let state = luck.state(changes.len());
        if state == 0 && old.is_empty() && !changes.is_empty() && luck.old_bytes {
            luck.rng.fill(&mut bytes);
        }
        changes[..state].iter().for_each(|change| change.apply_to_sector(&mut bytes, start));
        bytes
    }
}

impl Change<'_> {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Truncate(size) => content.resize(*size, 0),
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if end > content.len() {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
        }
    }

    /// The part of the change that is in the sector `bytes`, which starts at `start` in the file.
    fn apply_to_sector(&self, bytes: &mut [u8], start: usize) {
        match self {
            Self::Truncate(size) => bytes[size.saturating_sub(start)..].fill(0),
            Self::Write { offset, data } => {
                let from = (*offset).max(start);
                let to = (offset + data.len()).min(start + bytes.len());
                bytes[from - start..to - start].copy_from_slice(&data[from - offset..to - offset]);
            }
        }
    }
}
