//! What a sink is not to hear it does not hear, and what it has to hear it does.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::base::clock::Moment;
use crate::events::{
    CameraChange, EventMaker, GalleryAction, GalleryChange, GalleryNews, HealthChange, HealthState, Ids, Lost,
};
use crate::stats::CameraState;
use crate::types::decision::{
    Appearance, Asked, Decision, Departure, Sight, ThresholdOrigin, Undecided, Verdict, Word,
};
use crate::types::face::Refusal;
use crate::types::geometry::Rect;
use crate::types::ids::{IdentityId, ModelId, TrackId};
use crate::types::matching::{IndexKind, Publish};

const RUN: Uuid = Uuid::from_u128(0x0198_f3c2_7d00_7a10_8000_0000_0000_0001);
const LISTS: [&str; 3] = ["vip", "guests", "staff"];
const CAMERAS: [&str; 2] = ["door", "yard"];

/// Somebody: everything by which one person's events differ from another's.
#[derive(Debug, Clone)]
struct Somebody {
    identity: IdentityId,
    name: String,
    external_id: Option<String>,
    lists: Vec<&'static str>,
    visit: Uuid,
    track: u64,
    score: Option<f32>,
    shots: u32,
    bbox: Option<Rect>,
    frames: Vec<u64>,
}

/// What happens, to whomever.
#[derive(Debug, Clone, Copy)]
enum What {
    Recognized(Stage),
    Unknown,
    Undecided,
    Appeared,
    Left(Option<Stage>),
    Gallery,
    Camera,
    Health,
    Lost,
}

const EVERYTHING: [What; 13] = [
    What::Recognized(Stage::Preliminary),
    What::Recognized(Stage::Confirmed),
    What::Recognized(Stage::Withdrawn),
    What::Unknown,
    What::Undecided,
    What::Appeared,
    What::Left(None),
    What::Left(Some(Stage::Preliminary)),
    What::Left(Some(Stage::Confirmed)),
    What::Gallery,
    What::Camera,
    What::Health,
    What::Lost,
];

fn at(ms: u64) -> Moment {
    let start: Timestamp = "2026-03-01T08:30:00Z".parse().expect("valid");
    let mono = Duration::from_millis(ms);
    Moment { mono, wall: start + mono }
}

impl Somebody {
    fn verdict(&self, stage: Stage) -> Verdict {
        Verdict::Recognized {
            identity: self.identity,
            name: Some(self.name.as_str().into()),
            external_id: self.external_id.as_deref().map(Arc::from),
            stage,
        }
    }

    fn lists(&self, verdict: &Verdict) -> Vec<Arc<str>> {
        match verdict {
            Verdict::Recognized { .. } => self.lists.iter().map(|list| Arc::from(*list)).collect(),
            _ => Vec::new(),
        }
    }

    fn track(&self, camera: &CameraId) -> TrackId {
        TrackId { camera: camera.clone(), epoch: 2, number: self.track }
    }

    fn decision(&self, verdict: Verdict, camera: &CameraId) -> Decision {
        Decision {
            track: self.track(camera),
            visit: self.visit,
            lists: self.lists(&verdict),
            verdict,
            publish: Publish::Name,
            score: self.score,
            margin: self.score,
            threshold: 0.42,
            threshold_origin: ThresholdOrigin::Model,
            asked: Asked::default(),
            looked: Duration::ZERO,
            shots: self.shots,
            agreeing: self.shots,
            quality: self.score,
            captured: at(900),
            frames: self.frames.clone(),
            bbox: self.bbox,
            model: ModelId([7; 32]),
            generation: 41,
            index: IndexKind::Exact,
        }
    }

    fn departure(&self, stage: Option<Stage>, camera: &CameraId) -> Departure {
        let verdict = stage.map_or(Verdict::Unknown, |stage| self.verdict(stage));
        let word = Word { lists: self.lists(&verdict), verdict, publish: Publish::Name };
        let (first_seen, last_seen) = (at(u64::from(self.shots)), at(950));
        Departure {
            track: self.track(camera),
            visit: self.visit,
            first_seen,
            last_seen,
            shots: self.shots,
            word: Some(word),
        }
    }

    fn appearance(&self, camera: &CameraId) -> Appearance {
        let bbox = self.bbox.unwrap_or(Rect::new(0.0, 0.0, 40.0, 50.0));
        let sight = Sight { since: at(u64::from(self.shots)), captured: at(900), sequence: self.track, bbox };
        Appearance { track: self.track(camera), visit: self.visit, sight }
    }

    fn news(&self) -> GalleryNews {
        let lists = self.lists.iter().map(|list| (*list).to_owned()).collect();
        let identities = vec![Listed { id: self.identity, lists }];
        GalleryNews {
            generation: 41,
            identities: 3,
            templates: 7,
            model: ModelId([7; 32]),
            index: IndexKind::Exact,
            changes: vec![GalleryChange { what: GalleryAction::Added, count: 1, identities }],
        }
    }
}

/// The event of this happening to this person: the third of a run, always at the same time.
fn event(what: What, who: &Somebody, camera: &str) -> Event {
    let (maker, camera) = (EventMaker::new("/w", RUN, Ids::Numbered), CameraId::new(camera).expect("an id"));
    let change = CameraChange {
        camera: &camera,
        epoch: 2,
        state: CameraState::Connecting,
        error: None,
        retry: None,
        info: None,
    };
    let decided = |verdict| maker.decision(&who.decision(verdict, &camera), at(1_000)).expect("published");
    let undecided = Verdict::Undecided { reason: Undecided::NoGoodShot, refusal: Some(Refusal::ExtremePose) };
    let health = HealthChange::of_all(HealthState::Ready, Some("2 cameras"));
    let mut event = match what {
        What::Recognized(stage) => decided(who.verdict(stage)),
        What::Unknown => decided(Verdict::Unknown),
        What::Undecided => decided(undecided),
        What::Appeared => maker.appeared(&who.appearance(&camera), at(1_000)),
        What::Left(stage) => maker.left(&who.departure(stage, &camera), at(1_000)),
        What::Gallery => maker.gallery(&who.news(), at(1_000)),
        What::Camera => maker.camera(&change, at(1_000)),
        What::Health => maker.health(health, at(1_000)),
        What::Lost => maker.lost(Lost::not_accepted(5), at(1_000)),
    };
    event.place(RUN, 3);
    event
}

fn json(event: &Event) -> Value {
    serde_json::to_value(event).expect("serialises")
}

prop_compose! {
    fn somebody()(
        (identity, visit) in (any::<u128>(), any::<u128>()),
        name in "[A-Z][a-z]{7,12} [A-Z][a-z]{7,12}",
        external_id in prop::option::of("X-[0-9]{9,12}"),
        lists in prop::sample::subsequence(LISTS.to_vec(), 0..=3),
        track in 1_000_000_u64..2_000_000,
        score in prop::option::of(0.0_f32..1.0),
        shots in 0_u32..800,
        boxed in prop::option::of((0.0_f32..100.0, 0.0_f32..100.0)),
        frames in prop::collection::vec(1_000_000_u64..2_000_000, 0..5),
    ) -> Somebody {
        Somebody {
            identity: IdentityId(Uuid::from_u128(identity)),
            name,
            external_id,
            lists,
            visit: Uuid::from_u128(visit),
            track,
            score,
            shots,
            bbox: boxed.map(|(x, y)| Rect::new(x, y, x + 40.0, y + 50.0)),
            frames,
        }
    }
}

fn what() -> impl Strategy<Value = What> {
    prop::sample::select(EVERYTHING.to_vec())
}

fn camera() -> impl Strategy<Value = &'static str> {
    prop::sample::select(CAMERAS.to_vec())
}

fn some_of<T: Clone + std::fmt::Debug + 'static>(all: Vec<T>) -> impl Strategy<Value = Option<Vec<T>>> {
    let most = all.len();
    prop::option::of(prop::sample::subsequence(all, 1..=most))
}

prop_compose! {
    fn shape()(
        types in some_of(EventType::ALL.to_vec()),
        lists in some_of(LISTS.iter().map(|l| ListName::new(l).expect("a list")).collect()),
        cameras in some_of(CAMERAS.iter().map(|c| CameraId::new(c).expect("an id")).collect()),
        min_score in prop::option::of(0.0..=1.0),
        fields in prop::sample::select(Fields::ALL.to_vec()),
        omit in prop::sample::subsequence(Omit::ALL.to_vec(), 0..=Omit::ALL.len()),
    ) -> Shape {
        Shape { types, lists, cameras, min_score, fields, omit }
    }
}

/// Everything that finds a person again.
fn traces(who: &Somebody) -> Vec<String> {
    let track = who.track.to_string();
    [who.identity.to_string(), who.visit.to_string(), track, who.name.clone()]
        .into_iter()
        .chain(who.external_id.clone())
        .chain(who.frames.iter().map(u64::to_string))
        .collect()
}

/// Two filters of which the second is wider: without one, with a longer list, or with a lower score.
fn wider(shape: &Shape, how: usize) -> Shape {
    let mut wide = shape.clone();
    match how {
        0 => wide.types = None,
        1 => wide.lists = None,
        2 => wide.cameras = None,
        3 => wide.min_score = None,
        4 => wide.min_score = wide.min_score.map(|score| score / 2.0),
        5 => wide.types.iter_mut().for_each(|types| types.extend(EventType::ALL)),
        6 => wide.lists.iter_mut().for_each(|lists| lists.push(ListName::new("guests").expect("a list"))),
        _ => wide.cameras.iter_mut().for_each(|cameras| cameras.push(CameraId::new("yard").expect("an id"))),
    }
    wide
}

proptest! {
    #[test]
    fn a_pseudonym_holds_neither_name_nor_external_id_and_everything_else(
        what in what(), who in somebody(), camera in camera(),
    ) {
        let before = event(what, &who, camera);
        let shape = Shape { fields: Fields::Pseudonym, ..Shape::default() };
        let after = shape.shaped(before.clone()).expect("it gets everything");
        let text = after.to_line();
        prop_assert!(!text.contains(&who.name), "{text}");
        prop_assert!(who.external_id.as_ref().is_none_or(|id| !text.contains(id)), "{text}");
        let mut expected = json(&before);
        if let Some(identity) = expected.pointer_mut("/data/identity").and_then(Value::as_object_mut) {
            identity.remove("name");
            identity.remove("external_id");
        }
        prop_assert_eq!(json(&after), expected);
    }

    #[test]
    fn a_count_holds_no_trace_of_anybody(what in what(), who in somebody(), camera in camera()) {
        let shape = Shape { fields: Fields::Count, ..Shape::default() };
        let text = shape.shaped(event(what, &who, camera)).expect("it gets everything").to_line();
        for trace in traces(&who) {
            prop_assert!(!text.contains(&trace), "{trace} in {text}");
        }
    }

    /// The strongest there is to say: whoever it was, the bytes are the same.
    #[test]
    fn counts_of_two_people_are_the_same(
        what in what(), one in somebody(), other in somebody(), camera in camera(), mut shape in shape(),
    ) {
        // What the filters let through does depend on who it was.
        (shape.lists, shape.min_score, shape.fields) = (None, None, Fields::Count);
        let line = |who| shape.shaped(event(what, who, camera)).map(|event| event.to_line());
        prop_assert_eq!(line(&one), line(&other));
    }

    #[test]
    fn a_count_is_enough_to_count(what in what(), who in somebody(), camera in camera()) {
        let before = event(what, &who, camera);
        let shape = Shape { fields: Fields::Count, ..Shape::default() };
        let after = shape.shaped(before.clone()).expect("it gets everything");
        let same = (after.id, after.kind, after.time, after.log(), after.sequence(), after.run());
        prop_assert_eq!(same, (before.id, before.kind, before.time, before.log(), before.sequence(), before.run()));
        prop_assert_eq!(after.camera(), before.camera());
        let (before, after) = (json(&before), json(&after));
        for field in ["decision", "stage", "count", "state"] {
            prop_assert_eq!(&after["data"][field], &before["data"][field]);
        }
    }

    #[test]
    fn wider_filters_let_more_through(
        what in what(), who in somebody(), camera in camera(), narrow in shape(), how in 0_usize..8,
    ) {
        let event = event(what, &who, camera);
        let wide = wider(&narrow, how);
        prop_assert!(!narrow.wants(&event) || wide.wants(&event), "{narrow:?} lets it through, {wide:?} does not");
        prop_assert_eq!(narrow.shaped(event.clone()).is_some(), narrow.wants(&event));
    }

    /// Whatever the filters: who heard of a recognition hears of its withdrawal, which has any score or none.
    #[test]
    fn a_withdrawal_reaches_whoever_heard_of_the_recognition(
        who in somebody(), camera in camera(), shape in shape(), confirmed in any::<bool>(),
        more in prop::sample::subsequence(LISTS.to_vec(), 0..=3), score in prop::option::of(-1.0_f32..1.0),
    ) {
        let stage = if confirmed { Stage::Confirmed } else { Stage::Preliminary };
        let said = event(What::Recognized(stage), &who, camera);
        // It names at least the lists that were named.
        let lists = who.lists.iter().copied().chain(more).collect();
        let later = Somebody { lists, score, bbox: None, ..who };
        let withdrawn = event(What::Recognized(Stage::Withdrawn), &later, camera);
        prop_assert!(!shape.wants(&said) || shape.wants(&withdrawn), "{shape:?}");
    }

    #[test]
    fn what_is_omitted_is_gone_and_nothing_else(
        what in what(), who in somebody(), camera in camera(),
        omit in prop::sample::subsequence(Omit::ALL.to_vec(), 0..=Omit::ALL.len()),
    ) {
        let before = event(what, &who, camera);
        let shape = Shape { omit: omit.clone(), ..Shape::default() };
        let after = shape.shaped(before.clone()).expect("it gets everything");
        let mut expected = json(&before);
        let data = expected["data"].as_object_mut().expect("an object");
        for field in omit {
            data.remove(field.as_str());
            if field == Omit::Frames {
                data.remove("frame");
            }
            if let Some(identity) = data.get_mut("identity").and_then(Value::as_object_mut) {
                identity.remove(field.as_str());
            }
        }
        prop_assert_eq!(json(&after), expected);
    }

    /// What is shaped is still an event, for whoever reads it with this program's types.
    #[test]
    fn what_is_left_survives_json(what in what(), who in somebody(), camera in camera(), shape in shape()) {
        if let Some(event) = shape.shaped(event(what, &who, camera)) {
            prop_assert_eq!(&serde_json::from_str::<Event>(&event.to_line()).expect("an event"), &event);
        }
    }

    /// A field of a later version, read by this one, does not get past it.
    #[test]
    fn unknown_fields_go_nowhere(what in what(), who in somebody(), camera in camera(), shape in shape()) {
        const CANARY: &str = "c4n4ry";
        let mut json = json(&event(what, &who, camera));
        for place in ["", "/data", "/data/identity"] {
            if let Some(object) = json.pointer_mut(place).and_then(Value::as_object_mut) {
                object.insert("shoesize".to_owned(), CANARY.into());
            }
        }
        let event: Event = serde_json::from_value(json).expect("an event of a later version");
        let left = shape.shaped(event).map(|event| event.to_line()).unwrap_or_default();
        prop_assert!(!left.contains(CANARY), "{left}");
    }

    #[test]
    fn losses_and_health_pass_unless_their_type_is_left_out(who in somebody(), camera in camera(), shape in shape()) {
        for what in [What::Lost, What::Health] {
            let event = event(what, &who, camera);
            let of_type = shape.types.as_ref().is_none_or(|types| types.contains(&event.kind));
            prop_assert_eq!(shape.wants(&event), of_type);
        }
    }
}

fn ada() -> Somebody {
    Somebody {
        identity: IdentityId(Uuid::from_u128(1)),
        name: "Ada Lovelace".into(),
        external_id: Some("HR-1815".into()),
        lists: vec!["vip", "guests"],
        visit: Uuid::from_u128(2),
        track: 17,
        score: Some(0.6),
        shots: 3,
        bbox: Some(Rect::new(1.0, 2.0, 3.0, 4.0)),
        frames: vec![288],
    }
}

fn recognized(who: &Somebody) -> Event {
    event(What::Recognized(Stage::Confirmed), who, "door")
}

#[test]
fn by_default_everything_goes_on_as_it_is() {
    for what in EVERYTHING {
        let event = event(what, &ada(), "door");
        assert_eq!(Shape::default().shaped(event.clone()), Some(event));
    }
}

#[test]
fn a_list_takes_whom_it_names_and_nobody_else() {
    let shape = Shape { lists: Some(vec![ListName::new("guests").expect("a list")]), ..Shape::default() };
    let staff = Somebody { lists: vec!["staff"], ..ada() };
    assert!(shape.wants(&recognized(&ada())) && !shape.wants(&recognized(&staff)));
    let left = What::Left(Some(Stage::Confirmed));
    assert!(shape.wants(&event(left, &ada(), "door")) && !shape.wants(&event(left, &staff, "door")));
    for nobody in [What::Unknown, What::Undecided, What::Appeared, What::Left(None)] {
        assert!(!shape.wants(&event(nobody, &ada(), "door")), "{nobody:?}");
    }
    assert!(shape.wants(&event(What::Camera, &ada(), "door")));
}

#[test]
fn of_a_change_of_the_gallery_a_list_hears_the_number_and_its_own() {
    let shape = Shape { lists: Some(vec![ListName::new("guests").expect("a list")]), ..Shape::default() };
    let identities = |who: &Somebody| match shape.shaped(event(What::Gallery, who, "door")).map(|e| e.data) {
        Some(Data::Gallery(data)) => (data.changes[0].count, data.changes[0].identities.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(identities(&ada()), (1, 1));
    assert_eq!(identities(&Somebody { lists: vec!["staff"], ..ada() }), (1, 0));
}

#[test]
fn the_least_score_is_that_of_recognitions_only_and_is_met_by_itself() {
    let shape = Shape { min_score: Some(0.6), ..Shape::default() };
    assert!(shape.wants(&recognized(&ada())), "0.6 is at least 0.6, as it stands in the event");
    let below = Somebody { score: Some(0.5999), ..ada() };
    assert!(!shape.wants(&recognized(&below)));
    for other in [What::Recognized(Stage::Withdrawn), What::Unknown, What::Left(Some(Stage::Confirmed))] {
        assert!(shape.wants(&event(other, &below, "door")), "{other:?}");
    }
}

#[test]
fn a_camera_takes_its_own_and_what_is_of_none() {
    let shape = Shape { cameras: Some(vec![CameraId::new("yard").expect("an id")]), ..Shape::default() };
    for what in EVERYTHING {
        let (here, there) = (event(what, &ada(), "yard"), event(what, &ada(), "door"));
        assert!(shape.wants(&here), "{what:?}");
        assert_eq!(shape.wants(&there), there.camera().is_none(), "{what:?}");
    }
}

#[test]
fn a_count_says_this_much() {
    let shape = Shape { fields: Fields::Count, ..Shape::default() };
    let event = shape.shaped(recognized(&ada())).expect("it gets it");
    let text = serde_json::to_string(&event).expect("serialises");
    let expected = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{}\",\"source\":\"/w/door\",\"type\":\"io.watchlistd.recognized.v1\",\
         \"time\":\"2026-03-01T08:30:01Z\",\"subject\":\"count\",\"datacontenttype\":\"application/json\",\
         \"dataschema\":\"urn:watchlistd:events:v1\",\"data\":{{\"schema\":1,\"log\":\"{RUN}\",\"sequence\":3,\
         \"run\":\"{RUN}\",\"camera\":\"door\",\"decision\":\"recognized\",\"stage\":\"confirmed\",\
         \"published_at\":\"2026-03-01T08:30:01Z\"}}}}",
        event.id
    );
    assert_eq!(text, expected);
}

#[test]
fn what_is_left_is_as_the_schema_says() {
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&crate::events::json_schema()).expect("a schema");
    for what in EVERYTHING {
        for fields in Fields::ALL {
            let shape = Shape { fields, omit: Omit::ALL.to_vec(), ..Shape::default() };
            let json = json(&shape.shaped(event(what, &ada(), "door")).expect("it gets it"));
            let mistakes: Vec<_> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
            assert!(mistakes.is_empty(), "{what:?} {fields:?}: {mistakes:?}\n{json}");
        }
    }
}
