//! A synthetic gallery and what must hold of decisions: rules one by one, then properties over any history.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::base::clock::Moment;
use crate::config;
use crate::types::decision::{Decision, Notice, Sight, Stage, ThresholdOrigin, Verdict};
use crate::types::embedding::Embedding;
use crate::types::geometry::Rect;
use crate::types::ids::{CameraId, IdentityId, ModelId, TrackId};
use crate::types::matching::{Candidate, IndexKind, ListRule, Match, Publish};

mod lists;
mod places;
mod presence;
mod properties;
mod rules;
mod scored;

const MODEL: ModelId = ModelId([7; 32]);
const THRESHOLD: f32 = 0.4;
const DIMENSIONS: usize = 64;

fn rules() -> config::Decide {
    config::Decide {
        threshold: None,
        lists: Default::default(),
        margin: 0.05,
        confirm: 2,
        fuse: 5,
        fusion: config::Fusion::Mean,
        fair_shots: 3,
        fair_look: Duration::from_secs(1),
        cooldown: Duration::from_secs(30),
    }
}

fn at(seconds: f64) -> Moment {
    Moment { mono: Duration::from_secs_f64(seconds), wall: Timestamp::UNIX_EPOCH }
}

fn track(number: u64) -> TrackId {
    TrackId { camera: CameraId::new("door").unwrap(), epoch: 1, number }
}

fn person(number: usize) -> IdentityId {
    IdentityId(Uuid::from_u128(number as u128 + 1))
}

/// Identity `i` has one template: the axis `i`. So a shot's scores are simply its coordinates.
#[derive(Clone)]
struct World {
    identities: Vec<usize>,
    /// The lists of each identity; none of the others'.
    lists: HashMap<usize, Vec<Arc<ListRule>>>,
    generation: u64,
    model: ModelId,
}

impl World {
    fn of(identities: impl IntoIterator<Item = usize>) -> Self {
        Self {
            identities: identities.into_iter().collect(),
            lists: HashMap::new(),
            generation: 1,
            model: MODEL,
        }
    }

    /// Puts an identity on a list.
    fn on(mut self, identity: usize, rule: ListRule) -> Self {
        self.lists.entry(identity).or_default().push(Arc::new(rule));
        self
    }

    fn search(&self, probe: &Embedding) -> Match {
        let score = |i: &usize| Candidate {
            identity: person(*i),
            name: format!("person {i}").into(),
            external_id: Some(format!("x{i}").into()),
            lists: ListRule::in_order(self.lists.get(i).cloned().unwrap_or_default()),
            score: probe.as_slice()[*i],
        };
        let mut candidates: Vec<Candidate> = self.identities.iter().map(score).collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.identity.cmp(&b.identity)));
        candidates.truncate(5);
        Match { candidates, model: self.model, generation: self.generation, index: IndexKind::Exact }
    }

    fn gallery(&self) -> Gallery {
        Gallery { model: self.model, generation: self.generation, index: IndexKind::Exact }
    }
}

fn base() -> AtCamera {
    Threshold { value: THRESHOLD, origin: ThresholdOrigin::Model }.into()
}

/// A shot with the given scores; the rest of its length points to a direction of its own, as different shots of one
/// face do, so that fusing raises the score.
fn shot(sequence: u64, seconds: f64, scores: &[(usize, f32)], quality: f32) -> Shot {
    let mut vector = vec![0.0f32; DIMENSIONS];
    for &(identity, score) in scores {
        vector[identity] = score;
    }
    let rest = 1.0 - vector.iter().map(|x| x * x).sum::<f32>();
    vector[16 + sequence as usize % (DIMENSIONS - 16)] = rest.max(0.0).sqrt();
    Shot {
        embedding: Embedding::new(MODEL, vector).unwrap(),
        quality,
        sequence,
        captured: at(seconds),
        bbox: Rect::new(0.0, 0.0, 40.0, 50.0),
    }
}

/// A decider with counted visit ids and its world.
struct Scene {
    decider: Decider,
    world: World,
    log: Vec<Decision>,
    /// The same, with who appeared and left.
    told: Vec<Notice>,
}

impl Scene {
    fn with(rules: config::Decide, world: World) -> Self {
        let mut next = 0u128;
        let new_id = Box::new(move || {
            next += 1;
            Uuid::from_u128(next)
        });
        let thresholds = Thresholds::from_parts(THRESHOLD, rules.score(), []);
        Self {
            decider: Decider::new(rules, thresholds, world.gallery(), new_id),
            world,
            log: Vec::new(),
            told: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::with(rules(), World::of(0..4))
    }

    fn shot(&mut self, number: u64, shot: Shot) -> Vec<String> {
        let world = self.world.clone();
        let made = self.decider.shot(&track(number), shot, &|probe| world.search(probe));
        self.note(made)
    }

    /// A shot at `seconds` that scores `score` for one identity.
    fn see(&mut self, number: u64, seconds: f64, identity: usize, score: f32) -> Vec<String> {
        self.shot(number, shot((seconds * 1000.0) as u64, seconds, &[(identity, score)], 0.5))
    }

    /// The track begins to count at `seconds`; it was first detected half a second before.
    fn appear(&mut self, number: u64, seconds: f64) -> Vec<Notice> {
        let sight = Sight {
            since: at((seconds - 0.5).max(0.0)),
            captured: at(seconds),
            sequence: (seconds * 1000.0) as u64,
            bbox: Rect::new(0.0, 0.0, 40.0, 50.0),
        };
        let made = self.decider.appeared(&track(number), sight);
        self.note(made.clone());
        made
    }

    fn end(&mut self, number: u64, seconds: f64) -> Vec<String> {
        let made = self.decider.ended(&track(number), at(seconds));
        self.note(made)
    }

    fn change_gallery(&mut self, world: World) -> Vec<String> {
        self.world = World { generation: self.world.generation + 1, ..world };
        let world = self.world.clone();
        let made = self.decider.gallery_changed(world.gallery(), &|probe| world.search(probe));
        self.note(made)
    }

    fn note(&mut self, made: Vec<Notice>) -> Vec<String> {
        let decisions: Vec<Decision> = made.iter().filter_map(Notice::decision).cloned().collect();
        let texts = decisions.iter().map(short).collect();
        self.log.extend(decisions);
        self.told.extend(made);
        check_legal(&self.log).unwrap();
        texts
    }
}

/// `track verdict visit`, to compare with.
fn short(decision: &Decision) -> String {
    let verdict = match &decision.verdict {
        Verdict::Recognized { identity, stage, .. } => {
            let lists =
                if decision.lists.is_empty() { String::new() } else { format!(" {:?}", decision.lists) };
            format!("person {} {stage:?}{lists}", identity.0.as_u128() - 1).replace('"', "")
        }
        Verdict::Unknown => "Unknown".into(),
        Verdict::Undecided { reason, refusal: None } => format!("{reason:?}"),
        Verdict::Undecided { reason, refusal: Some(refusal) } => format!("{reason:?} {refusal:?}"),
    };
    format!("t{} {verdict} v{}", decision.track.number, decision.visit.as_u128())
}

/// What a track, or a visit, has said last.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Nothing,
    Unknown,
    Recognized(IdentityId, Stage, BTreeSet<Arc<str>>, Publish),
    Final,
}

/// Checks a history against the rules of the module's documentation: by track and by visit.
fn check_legal(log: &[Decision]) -> Result<(), String> {
    let mut tracks: HashMap<TrackId, (Said, Uuid)> = HashMap::new();
    let mut visits: HashMap<Uuid, Said> = HashMap::new();
    let mut whose: HashMap<Uuid, IdentityId> = HashMap::new();
    for decision in log {
        let wrong = |why: &str| Err(format!("{why}: {:?}", log.iter().map(short).collect::<Vec<_>>()));
        let (said, under) = tracks.get(&decision.track).cloned().unwrap_or((Said::Nothing, decision.visit));
        let by_visit = visits.get(&decision.visit).cloned().unwrap_or(Said::Nothing);
        let Some(next) = step(&said, decision) else { return wrong("illegal for the track") };
        let Some(next_of_visit) = step(&by_visit, decision) else { return wrong("illegal for the visit") };
        if let (Said::Recognized(_, _, before, _), Said::Recognized(_, _, after, _)) = (&said, &next)
            && !before.is_subset(&decision.lists.iter().cloned().collect())
        {
            return wrong(&format!("{before:?} became {after:?} without a withdrawal"));
        }
        if matches!(said, Said::Unknown | Said::Recognized(..)) && under != decision.visit {
            return wrong("what replaces a verdict has its visit id");
        }
        if let Verdict::Recognized { identity, .. } = decision.verdict
            && *whose.entry(decision.visit).or_insert(identity) != identity
        {
            return wrong("a visit is one identity");
        }
        let at_visit = match &decision.verdict {
            Verdict::Recognized { stage: Stage::Withdrawn, .. } => Said::Final,
            _ => next_of_visit,
        };
        visits.insert(decision.visit, at_visit);
        tracks.insert(decision.track.clone(), (next, decision.visit));
    }
    Ok(())
}

/// One step of the state machine of one track.
fn step(said: &Said, decision: &Decision) -> Option<Said> {
    use Stage::{Confirmed, Preliminary, Withdrawn};
    let mut lists: BTreeSet<Arc<str>> = decision.lists.iter().cloned().collect();
    match (said, &decision.verdict) {
        (Said::Final, _) => None,
        (
            Said::Recognized(a, Preliminary, before, publish),
            Verdict::Recognized { identity, stage: Confirmed, .. },
        ) => {
            lists.extend(before.iter().cloned());
            (a == identity).then_some(Said::Recognized(
                *identity,
                Confirmed,
                lists,
                decision.publish.max(*publish),
            ))
        }
        (Said::Recognized(a, ..), Verdict::Recognized { identity, stage: Withdrawn, .. }) => {
            (a == identity).then_some(Said::Nothing)
        }
        // The same stage again only with news.
        (Said::Recognized(a, then, before, publish), Verdict::Recognized { identity, stage, .. }) => {
            let news = !lists.is_subset(before) || decision.publish > *publish;
            lists.extend(before.iter().cloned());
            (a == identity && then == stage && news).then_some(Said::Recognized(
                *identity,
                *stage,
                lists,
                decision.publish.max(*publish),
            ))
        }
        (Said::Recognized(..), _) | (_, Verdict::Recognized { stage: Withdrawn, .. }) => None,
        (_, Verdict::Recognized { identity, stage, .. }) => {
            Some(Said::Recognized(*identity, *stage, lists, decision.publish))
        }
        (Said::Nothing, Verdict::Unknown) => Some(Said::Unknown),
        (_, Verdict::Undecided { .. }) => Some(Said::Final),
        (_, Verdict::Unknown) => None,
    }
}
