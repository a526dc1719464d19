//! The oracle: what a gallery should hold, worked out from the commands alone, with code of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The list that every gallery has.
pub const DEFAULT_LIST: &str = "watchlist";

/// Somebody, as the oracle sees it. Pictures are numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    pub external_id: Option<String>,
    pub lists: BTreeSet<String>,
    pub active: bool,
    pub notes: Option<String>,
    pub pictures: BTreeSet<u64>,
}

/// What is found in a gallery, and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// By name; the scripts give each name once.
    pub people: BTreeMap<String, Person>,
    /// Priorities by name.
    pub lists: BTreeMap<String, i32>,
    /// The actions in the audit log that were done on command, in order.
    pub log: Vec<String>,
}

/// What is held, and who must never be seen again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub held: Held,
    /// Pictures by the name of their owner when they were forgotten.
    pub forgotten: BTreeMap<String, BTreeSet<u64>>,
    /// What the last backup holds.
    pub backup: Option<Held>,
    /// True if the other box's bundles are imported.
    pub trusts: bool,
}

/// A command, in the oracle's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Somebody new, or another picture of somebody.
    Enrol {
        name: String,
        external_id: Option<String>,
        pending: bool,
        picture: u64,
    },
    /// The same picture again, which is no change.
    Again {
        name: String,
        picture: u64,
    },
    Rename {
        name: String,
        to: String,
    },
    Note {
        name: String,
        notes: Option<String>,
    },
    Onto {
        name: String,
        list: String,
    },
    Off {
        name: String,
        list: String,
    },
    /// The validity of somebody who was pending begins.
    Start {
        name: String,
    },
    Reviewed {
        name: String,
    },
    SetList {
        list: String,
        priority: i32,
    },
    RemoveList {
        list: String,
    },
    Move {
        picture: u64,
        to: String,
    },
    Remove {
        picture: u64,
    },
    Merge {
        from: String,
        into: String,
    },
    Split {
        name: String,
        pictures: BTreeSet<u64>,
        to: String,
    },
    Forget {
        name: String,
    },
    /// No command: the gallery is closed and opened again.
    Reopen,
    Rotate {
        deep: bool,
    },
    Export,
    Trust,
    Import,
    Backup,
    Restore,
}

impl Step {
    /// Its name in tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enrol { .. } => "enrol",
            Self::Again { .. } => "enrol again",
            Self::Rename { .. }
            | Self::Note { .. }
            | Self::Onto { .. }
            | Self::Off { .. }
            | Self::Start { .. } => "change",
            Self::Reviewed { .. } => "review",
            Self::SetList { .. } => "set-list",
            Self::RemoveList { .. } => "remove-list",
            Self::Move { .. } => "move-template",
            Self::Remove { .. } => "remove-template",
            Self::Merge { .. } => "merge",
            Self::Split { .. } => "split",
            Self::Forget { .. } => "forget",
            Self::Reopen => "open",
            Self::Rotate { deep: false } => "rotate",
            Self::Rotate { deep: true } => "rotate --deep",
            Self::Export => "export",
            Self::Trust => "trust",
            Self::Import => "import",
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }
}

/// The pictures of the other box's bundle: person 900 to 909, two of each.
pub fn bundled() -> BTreeMap<String, BTreeSet<u64>> {
    (900..910).map(|n| (format!("Person {n}"), BTreeSet::from([n * 100, n * 100 + 1]))).collect()
}

impl State {
    /// A gallery that was just made.
    pub fn new() -> Self {
        let held = Held { lists: BTreeMap::from([(DEFAULT_LIST.to_owned(), 0)]), ..Held::default() };
        Self { held, ..Self::default() }
    }

    /// After the command.
    pub fn after(&self, step: &Step) -> Self {
        let mut next = self.clone();
        next.apply(step);
        next
    }

    fn person(&mut self, name: &str) -> &mut Person {
        self.held.people.get_mut(name).unwrap_or_else(|| panic!("the script names {name}, who is not there"))
    }

    /// Whose the picture is.
    pub fn owner(&self, picture: u64) -> Option<&str> {
        let mut people = self.held.people.iter();
        people.find(|(_, person)| person.pictures.contains(&picture)).map(|(name, _)| name.as_str())
    }

    fn take(&mut self, picture: u64) {
        let owner = self.owner(picture).expect("the script names a picture that is not there").to_owned();
        self.person(&owner).pictures.remove(&picture);
    }

    fn log(&mut self, actions: &[&str]) {
        self.held.log.extend(actions.iter().map(|&action| action.to_owned()));
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Enrol { name, external_id, pending, picture } => {
                let new = !self.held.people.contains_key(name);
                let person = self.held.people.entry(name.clone()).or_insert_with(|| Person {
                    external_id: external_id.clone(),
                    lists: BTreeSet::from([DEFAULT_LIST.to_owned()]),
                    active: !pending,
                    ..Person::default()
                });
                person.pictures.insert(*picture);
                self.log(&[if new { "enrolled" } else { "template-added" }]);
            }
            Step::Again { .. } | Step::Reopen => {}
            Step::Rename { name, to } => {
                let person = self.held.people.remove(name).expect("somebody");
                self.held.people.insert(to.clone(), person);
                self.log(&["changed"]);
            }
            Step::Note { name, notes } => {
                self.person(name).notes = notes.clone();
                self.log(&["changed"]);
            }
            Step::Onto { name, list } => {
                self.person(name).lists.insert(list.clone());
                self.log(&["changed"]);
            }
            Step::Off { name, list } => {
                self.person(name).lists.remove(list);
                self.log(&["changed"]);
            }
            Step::Start { name } => {
                self.person(name).active = true;
                self.log(&["changed"]);
            }
            Step::Reviewed { .. } => self.log(&["reviewed"]),
            Step::SetList { list, priority } => {
                self.held.lists.insert(list.clone(), *priority);
                self.log(&["list-set"]);
            }
            Step::RemoveList { list } => {
                self.held.lists.remove(list);
                self.log(&["list-removed"]);
            }
            Step::Move { picture, to } => {
                self.take(*picture);
                self.person(to).pictures.insert(*picture);
                self.log(&["template-moved"]);
            }
            Step::Remove { picture } => {
                self.take(*picture);
                self.log(&["template-removed"]);
            }
            Step::Merge { from, into } => {
                let gone = self.held.people.remove(from).expect("somebody");
                self.person(into).pictures.extend(gone.pictures);
                self.log(&["merged", "merged"]);
            }
            Step::Split { name, pictures, to } => {
                let before = self.person(name);
                before.pictures.retain(|picture| !pictures.contains(picture));
                let new = Person { external_id: None, pictures: pictures.clone(), ..before.clone() };
                self.held.people.insert(to.clone(), new);
                self.log(&["split"]);
            }
            Step::Forget { name } => {
                let gone = self.held.people.remove(name).expect("somebody");
                self.forgotten.insert(name.clone(), gone.pictures);
                self.log(&["forgotten"]);
            }
            Step::Rotate { .. } => self.log(&["key-rotated"]),
            Step::Export => self.log(&["exported"]),
            Step::Trust => {
                self.trusts = true;
                self.log(&["trusted"]);
            }
            Step::Import => self.import(),
            Step::Backup => {
                self.log(&["backed-up"]);
                self.backup = Some(self.held.clone());
            }
            Step::Restore => self.restore(),
        }
    }

    fn import(&mut self) {
        self.log(&["imported"]);
        for (name, pictures) in bundled() {
            if self.forgotten.contains_key(&name) {
                continue;
            }
            let new = !self.held.people.contains_key(&name);
            let person = self.held.people.entry(name).or_insert_with(|| Person {
                lists: BTreeSet::from([DEFAULT_LIST.to_owned()]),
                active: true,
                ..Person::default()
            });
            let before = person.pictures.len();
            person.pictures.extend(pictures);
            if person.pictures.len() > before {
                self.log(&[if new { "enrolled" } else { "template-added" }]);
            }
        }
    }

    /// The log says it once, and once more for everybody who is not as before.
    fn restore(&mut self) {
        let mut backup = self.backup.clone().expect("a backup");
        backup.people.retain(|name, _| !self.forgotten.contains_key(name));
        let names: BTreeSet<&String> = self.held.people.keys().chain(backup.people.keys()).collect();
        let differ = |name: &&&String| self.held.people.get(**name) != backup.people.get(**name);
        let touched = names.iter().filter(differ).count();
        self.log(&vec!["restored"; 1 + touched]);
        self.held.people = backup.people;
        self.held.lists = backup.lists;
    }
}
