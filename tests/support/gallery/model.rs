//! The oracle: what a gallery should hold, worked out from the commands alone, with code of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The list that every gallery has.
pub const DEFAULT_LIST: &str = "watchlist";

/// A template: of which picture, and made by which model. Both are numbers.
pub type Template = (u64, u8);

/// The model that a new gallery is used with.
pub const FIRST_MODEL: u8 = 1;

/// Whether a picture's crop is kept, so that another model can be switched to with it: that of some is not.
pub fn keeps_crop(picture: u64) -> bool {
    picture % 7 != 3
}

/// Somebody, as the oracle sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    pub external_id: Option<String>,
    pub lists: BTreeSet<String>,
    pub active: bool,
    pub notes: Option<String>,
    pub templates: BTreeSet<Template>,
    /// The pictures whose crops are kept.
    pub crops: BTreeSet<u64>,
}

impl Person {
    /// The pictures that the model has templates of.
    pub fn pictures(&self, model: u8) -> impl Iterator<Item = u64> {
        self.templates.iter().filter(move |(_, of)| *of == model).map(|(picture, _)| *picture)
    }

    /// A crop goes with the last template of its picture.
    fn drop_crops(&mut self) {
        let pictures: BTreeSet<u64> = self.templates.iter().map(|(picture, _)| *picture).collect();
        self.crops.retain(|picture| pictures.contains(picture));
    }
}

/// What is found in a gallery, and what should be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// By name; the scripts give each name once.
    pub people: BTreeMap<String, Person>,
    /// Priorities by name.
    pub lists: BTreeMap<String, i32>,
    /// Whose templates are searched.
    pub model: u8,
    /// The actions in the audit log that were done on command, in order.
    pub log: Vec<String>,
}

/// What is held, and who must never be seen again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub held: Held,
    /// Pictures by the name of their owner when they were forgotten.
    pub forgotten: BTreeMap<String, BTreeSet<u64>>,
    /// How many identities, and external ids of theirs, were dissolved into one that is here: they are forgotten with it.
    pub dissolved: BTreeMap<String, usize>,
    /// Identities that are remembered as forgotten.
    pub tombstones: usize,
    /// The last switch of models, from and to.
    pub switch: Option<(u8, u8)>,
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
        name: String,
        template: Template,
        to: String,
    },
    Remove {
        name: String,
        template: Template,
    },
    Merge {
        from: String,
        into: String,
    },
    Split {
        name: String,
        templates: BTreeSet<Template>,
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
    /// To another model, whoever is lost.
    Switch {
        model: u8,
    },
    /// To the model before the last switch.
    Rollback,
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
            Self::Switch { .. } => "switch",
            Self::Rollback => "rollback",
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
        let lists = BTreeMap::from([(DEFAULT_LIST.to_owned(), 0)]);
        let held = Held { lists, model: FIRST_MODEL, ..Held::default() };
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

    /// Moves templates with their crops; of a picture that both have, the other keeps its own.
    fn give(&mut self, from: &str, to: &str, wanted: &BTreeSet<Template>) {
        let has = self.person(to).templates.clone();
        let giver = self.person(from);
        let (go, stay) = giver.templates.iter().partition(|one| wanted.contains(one) && !has.contains(one));
        let go: BTreeSet<Template> = go;
        giver.templates = stay;
        let crops: BTreeSet<u64> =
            go.iter().map(|(picture, _)| *picture).filter(|picture| giver.crops.contains(picture)).collect();
        giver.drop_crops();
        let taker = self.person(to);
        taker.templates.extend(go);
        taker.crops.extend(crops);
    }

    fn log(&mut self, actions: &[&str]) {
        self.held.log.extend(actions.iter().map(|&action| action.to_owned()));
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Enrol { name, external_id, pending, picture } => {
                let new = !self.held.people.contains_key(name);
                let model = self.held.model;
                let person = self.held.people.entry(name.clone()).or_insert_with(|| Person {
                    external_id: external_id.clone(),
                    lists: BTreeSet::from([DEFAULT_LIST.to_owned()]),
                    active: !pending,
                    ..Person::default()
                });
                person.templates.insert((*picture, model));
                if keeps_crop(*picture) {
                    person.crops.insert(*picture);
                }
                self.log(&[if new { "enrolled" } else { "template-added" }]);
            }
            Step::Again { .. } | Step::Reopen => {}
            Step::Rename { name, to } => {
                let person = self.held.people.remove(name).expect("somebody");
                self.held.people.insert(to.clone(), person);
                if let Some(dissolved) = self.dissolved.remove(name) {
                    self.dissolved.insert(to.clone(), dissolved);
                }
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
            Step::Move { name, template, to } => {
                self.give(name, to, &BTreeSet::from([*template]));
                self.log(&["template-moved"]);
            }
            Step::Remove { name, template } => {
                let person = self.person(name);
                assert!(person.templates.remove(template), "the script names a template that is not there");
                person.drop_crops();
                self.log(&["template-removed"]);
            }
            Step::Merge { from, into } => {
                let all = self.person(from).templates.clone();
                self.give(from, into, &all);
                let gone = self.held.people.remove(from).expect("somebody");
                // The identity, and the external id that it had.
                let own = 1 + usize::from(gone.external_id.is_some());
                let dissolved = own + self.dissolved.remove(from).unwrap_or_default();
                *self.dissolved.entry(into.clone()).or_default() += dissolved;
                self.log(&["merged", "merged"]);
            }
            Step::Split { name, templates, to } => {
                let new = Person {
                    external_id: None,
                    notes: None,
                    templates: BTreeSet::new(),
                    crops: BTreeSet::new(),
                    ..self.person(name).clone()
                };
                self.held.people.insert(to.clone(), new);
                self.give(name, to, templates);
                self.log(&["split"]);
            }
            Step::Forget { name } => {
                let gone = self.held.people.remove(name).expect("somebody");
                let pictures = gone.templates.iter().map(|(picture, _)| *picture).collect();
                self.forgotten.insert(name.clone(), pictures);
                self.tombstones += 1 + self.dissolved.remove(name).unwrap_or_default();
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
            Step::Switch { model } => self.change_over(*model, "model-changed"),
            Step::Rollback => {
                let (before, _) = self.switch.expect("a switch");
                self.change_over(before, "model-rolled-back");
            }
        }
    }

    /// Every kept crop has a template of the new model; those of the model before stay, and older ones go.
    fn change_over(&mut self, to: u8, action: &str) {
        let from = self.held.model;
        for person in self.held.people.values_mut() {
            person.templates.extend(person.crops.iter().map(|&picture| (picture, to)));
            person.templates.retain(|(_, model)| [from, to].contains(model));
        }
        self.held.model = to;
        self.switch = Some((from, to));
        self.log(&[action]);
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
            let before = person.templates.len();
            person.templates.extend(pictures.into_iter().map(|picture| (picture, FIRST_MODEL)));
            if person.templates.len() > before {
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
