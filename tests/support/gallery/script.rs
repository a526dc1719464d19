//! Scripts: commands that make sense one after another, drawn from a seed.

use std::collections::BTreeSet;

use super::model::{DEFAULT_LIST, FIRST_MODEL, State, Step, Template};

/// Draws commands. Names and pictures are never used twice, so that each stands for one person or picture for ever.
pub struct Script {
    rng: fastrand::Rng,
    pub state: State,
    next_person: u64,
    next_list: u64,
}

/// A person's `k`-th picture; a person has at most 100.
fn picture(person: u64, k: u64) -> u64 {
    person * 100 + k
}

impl Script {
    /// Goes on from `state`. Numbers of people start at `first`.
    pub fn new(seed: u64, state: State, first: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), state, next_person: first, next_list: first }
    }

    /// The next `n` commands, each with the state after it.
    pub fn take(&mut self, n: usize) -> Vec<(Step, State)> {
        (0..n).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> (Step, State) {
        let step = loop {
            if let Some(step) = self.draw() {
                break step;
            }
        };
        self.state = self.state.after(&step);
        (step, self.state.clone())
    }

    fn anybody(&mut self) -> Option<String> {
        let names: Vec<&String> = self.state.held.people.keys().collect();
        self.rng.choice(names).cloned()
    }

    fn other_than(&mut self, name: &str) -> Option<String> {
        let names: Vec<&String> = self.state.held.people.keys().filter(|other| *other != name).collect();
        self.rng.choice(names).cloned()
    }

    fn any_template(&mut self, name: &str) -> Option<Template> {
        let templates: Vec<Template> = self.state.held.people[name].templates.iter().copied().collect();
        self.rng.choice(templates)
    }

    /// One that the model in use has a template of.
    fn any_picture(&mut self, name: &str) -> Option<u64> {
        let pictures: Vec<u64> = self.state.held.people[name].pictures(self.state.held.model).collect();
        self.rng.choice(pictures)
    }

    /// A picture nobody has yet.
    fn new_picture(&mut self) -> u64 {
        self.next_person += 1;
        picture(self.next_person, 0)
    }

    /// Somebody new.
    pub fn newcomer(&mut self) -> Step {
        let picture = self.new_picture();
        let number = self.next_person;
        let external_id = number.is_multiple_of(3).then(|| format!("E-{number}"));
        Step::Enrol {
            name: format!("Person {number}"),
            external_id,
            pending: number.is_multiple_of(7),
            picture,
        }
    }

    /// One command of each kind that can be, or `None` where the draw does not fit what is there.
    fn draw(&mut self) -> Option<Step> {
        if self.state.held.people.len() < 3 {
            return Some(self.newcomer());
        }
        let name = self.anybody()?;
        let person = self.state.held.people[&name].clone();
        Some(match self.rng.u8(..22) {
            0..=3 => self.newcomer(),
            4 | 5 => {
                let picture = self.new_picture();
                Step::Enrol { name, external_id: person.external_id, pending: false, picture }
            }
            6 => Step::Again { picture: self.any_picture(&name)?, name },
            7 => {
                self.next_person += 1;
                Step::Rename { to: format!("Person {}", self.next_person), name }
            }
            8 => {
                let notes = Some(format!("seen {} times", self.rng.u32(..)));
                Step::Note { name, notes }
            }
            9 if !person.active => Step::Start { name },
            9 => Step::Reviewed { name },
            10 => self.list_step(name)?,
            11 => {
                let list = self.rng.choice(person.lists)?;
                Step::Off { name, list }
            }
            12 => {
                self.next_list += 1;
                Step::SetList { list: format!("list-{}", self.next_list), priority: self.rng.i32(0..100) }
            }
            13 => self.move_step(name)?,
            14 => Step::Remove { template: self.any_template(&name)?, name },
            15 => Step::Merge { into: self.other_than(&name)?, from: name },
            16 if person.templates.len() > 1 => {
                self.next_person += 1;
                let templates = BTreeSet::from([self.any_template(&name)?]);
                Step::Split { name, templates, to: format!("Person {}", self.next_person) }
            }
            17 | 18 => Step::Forget { name },
            19 => Step::Reopen,
            20 => {
                let others = (1..=3).filter(|model| *model != self.state.held.model);
                Step::Switch { model: self.rng.choice(others.collect::<Vec<u8>>())? }
            }
            21 if self.state.switch.is_some() => Step::Rollback,
            _ => return None,
        })
    }

    /// A template of a picture that the other one has too stays where it is, which is an error.
    fn move_step(&mut self, name: String) -> Option<Step> {
        let (template, to) = (self.any_template(&name)?, self.other_than(&name)?);
        let free = !self.state.held.people[&to].templates.contains(&template);
        free.then_some(Step::Move { name, template, to })
    }

    fn list_step(&mut self, name: String) -> Option<Step> {
        let used = |list: &str| self.state.held.people.values().any(|person| person.lists.contains(list));
        let lists: Vec<String> = self.state.held.lists.keys().cloned().collect();
        let unused = lists.iter().find(|list| *list != DEFAULT_LIST && !used(list)).cloned();
        if let Some(list) = unused.filter(|_| self.rng.bool()) {
            return Some(Step::RemoveList { list });
        }
        let list = self.rng.choice(lists)?;
        let on = self.state.held.people[&name].lists.contains(&list);
        (!on).then_some(Step::Onto { name, list })
    }
}

/// A short script in which every kind of command is there, in an order that makes each of them possible.
pub fn every_kind(exchange: bool) -> Vec<(Step, State)> {
    let name = |n: u64| format!("Person {n}");
    let enrol = |n: u64, k: u64| {
        let external_id = (n == 2).then(|| "E-2".to_owned());
        Step::Enrol { name: name(n), external_id, pending: n == 4, picture: picture(n, k) }
    };
    let by_first = |n: u64, k: u64| (picture(n, k), FIRST_MODEL);
    let mut steps = vec![
        enrol(1, 0),
        enrol(1, 1),
        enrol(2, 0),
        enrol(3, 0),
        enrol(4, 0),
        enrol(5, 0),
        Step::Again { name: name(1), picture: picture(1, 0) },
        Step::SetList { list: "staff".to_owned(), priority: 7 },
        Step::Onto { name: name(2), list: "staff".to_owned() },
        Step::SetList { list: "staff".to_owned(), priority: 8 },
        Step::Note { name: name(2), notes: Some("a note".to_owned()) },
        Step::Forget { name: name(3) },
        Step::Split { name: name(1), templates: BTreeSet::from([by_first(1, 1)]), to: name(6) },
        Step::Move { name: name(6), template: by_first(1, 1), to: name(2) },
        Step::Start { name: name(4) },
        Step::Reopen,
        Step::Merge { from: name(5), into: name(4) },
        Step::Off { name: name(2), list: "staff".to_owned() },
        Step::RemoveList { list: "staff".to_owned() },
        Step::Remove { name: name(4), template: by_first(4, 0) },
        Step::Reviewed { name: name(4) },
        Step::Rename { name: name(2), to: name(7) },
        // Person 2's two pictures: of one a crop is kept, of the other none is.
        Step::Switch { model: 2 },
        enrol(6, 2),
        enrol(9, 0),
        Step::Again { name: name(9), picture: picture(9, 0) },
        Step::Forget { name: name(7) },
        Step::Reopen,
        Step::Rollback,
        Step::Move { name: name(9), template: (picture(9, 0), 2), to: name(1) },
        Step::Switch { model: 3 },
        Step::Forget { name: name(1) },
        // Who was merged into this one is forgotten too.
        Step::Forget { name: name(4) },
        Step::Rollback,
    ];
    if exchange {
        let tail = [
            Step::Rotate { deep: false },
            Step::Rotate { deep: true },
            Step::Trust,
            Step::Import,
            Step::Export,
            Step::Backup,
            Step::Forget { name: name(900) },
            enrol(8, 0),
            Step::Restore,
            Step::Import,
        ];
        steps.extend(tail);
    }
    let mut state = State::new();
    let planned = steps.into_iter().map(|step| {
        state = state.after(&step);
        (step, state.clone())
    });
    planned.collect()
}
