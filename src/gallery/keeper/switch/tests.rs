//! What a switch promises: who is in the gallery stays in it, under another model, and nobody else.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::super::tests::{Site, actor, ask, record, try_ask, who};
use super::super::{Opening, execute_shared};
use super::*;
use crate::base::error::Kind;
use crate::gallery::command::{AuditFilter, Change, Review, Subject, TemplateData};
use crate::gallery::enrol;
use crate::gallery::name::Name;
use crate::gallery::report::{
    AuditEntry, AuditReport, Description, Enrolment, Examination, Person, Portrait, Receipt,
};
use crate::image::testing::painted;
use crate::types::embedding::Embedding;
use crate::types::face::Detection;
use crate::types::geometry::{Point, Rect, Size};
use crate::types::matching::IndexKind;

/// As many as the site's model has.
const DIMENSION: usize = 128;

/// The models of `1.toml`, `2.toml`, ...; the first is the site's.
fn model(number: u8) -> Model {
    let name = if number == 1 { "test".to_owned() } else { format!("model {number}") };
    Model { id: ModelId([number; 32]), dimension: DIMENSION, name, threshold: 0.5 }
}

fn manifest(number: u8) -> PathBuf {
    PathBuf::from(format!("/manifests/{number}.toml"))
}

fn number_of(manifest: &Path) -> Result<u8> {
    let stem = manifest.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.parse().map_err(|_| crate::err!(NoInput, "no manifest at {}", manifest.display()))
}

/// Where a person lies for a model: nobody is near another, and no model's numbers mean anything to another's.
fn vector(person: usize, number: u8) -> Embedding {
    let mut vector = vec![0.0; DIMENSION];
    vector[(person * 7 + usize::from(number) * 13) % DIMENSION] = 1.0;
    vector[(person + 50) % DIMENSION] = 0.1;
    Embedding::new(ModelId([number; 32]), vector).expect("a vector")
}

/// A picture that says who it is: its gray.
fn chip(person: usize) -> Chip {
    let size = Size::new(96, 96);
    let picture = painted(size, |_, _| [person as u8 * 10; 3]);
    let landmarks = [(38.0, 42.0), (58.0, 42.0), (48.0, 52.0), (40.0, 60.0), (56.0, 60.0)];
    let landmarks = landmarks.map(|(x, y)| Point { x, y });
    let face = Detection::new(Rect::new(28.0, 28.0, 68.0, 68.0), landmarks, 0.9, size).expect("a face");
    Chip::cut(&picture, &face).expect("a chip")
}

type Happens = Box<dyn FnOnce() + Send>;
type Hook = Arc<Mutex<Option<Happens>>>;

/// Embedders that read who it is off the chip.
#[derive(Clone, Default)]
struct Fake {
    /// Runs while the next crops are embedded.
    meanwhile: Hook,
    took_over: Arc<Mutex<Vec<ModelId>>>,
}

impl Embedders for Fake {
    fn configured(&self) -> PathBuf {
        manifest(1)
    }

    fn identify(&self, manifest: &Path) -> Result<ModelId> {
        Ok(ModelId([number_of(manifest)?; 32]))
    }

    fn load(&self, manifest: &Path) -> Result<Box<dyn Successor>> {
        Ok(Box::new(FakeSuccessor { fake: self.clone(), model: model(number_of(manifest)?) }))
    }
}

struct FakeSuccessor {
    fake: Fake,
    model: Model,
}

impl Successor for FakeSuccessor {
    fn model(&self) -> &Model {
        &self.model
    }

    fn embed(&mut self, chips: &[Chip]) -> Result<Vec<Result<Embedding>>> {
        let meanwhile = self.fake.meanwhile.lock().expect("no panic").take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let person = |chip: &Chip| {
            let picture = chip.image()?;
            let sum: usize = crate::types::frame::Pixels::size(&picture).area() as usize * 3;
            let gray = picture.data().iter().map(|&x| usize::from(x)).sum::<usize>() / sum;
            Ok(vector((gray + 5) / 10, self.model.id.0[0]))
        };
        Ok(chips.iter().map(person).collect())
    }

    fn take_over(self: Box<Self>) {
        self.fake.took_over.lock().expect("no panic").push(self.model.id);
    }
}

struct Scene {
    site: Site,
    fake: Fake,
    pictures: u32,
}

impl Scene {
    fn new() -> Self {
        Self { site: Site::new(), fake: Fake::default(), pictures: 100 }
    }

    fn opening(&self, number: u8) -> Opening {
        Opening { keeps_crops: true, model: Some(model(number)), ..self.site.opening() }
    }

    /// Opens the gallery for a model.
    fn open(&self, number: u8) -> Keeper {
        self.open_with(number, IndexKind::Exact)
    }

    fn open_with(&self, number: u8, index: IndexKind) -> Keeper {
        let opening = Opening { index: index.into(), ..self.opening(number) };
        let (mut keeper, _) = Keeper::open(opening, Box::new(drop)).expect("a gallery");
        keeper.set_embedders(Arc::new(self.fake.clone()));
        keeper
    }

    fn enrolment(&mut self, name: &str, person: usize, number: u8, crop: bool) -> (Command, Vec<u8>) {
        self.pictures += 1;
        let source = Source {
            kind: SourceKind::File,
            name: "a.jpg".to_owned(),
            sha256: format!("{:064x}", self.pictures),
        };
        let template =
            TemplateData { model: ModelId([number; 32]), dimension: DIMENSION, quality: 0.7, source };
        let chip = crop.then(|| chip(person));
        let body = enrol::pack(&vector(person, number), chip.as_ref()).expect("a body").to_vec();
        let subject = Subject { record: record(name) };
        (Command::Enrol { subject, template, review: Review::Off }, body)
    }

    fn enrol(
        &mut self,
        keeper: &mut Keeper,
        name: &str,
        person: usize,
        number: u8,
        crop: bool,
    ) -> IdentityId {
        let (command, body) = self.enrolment(name, person, number, crop);
        match ask::<Enrolment>(keeper, command, &body) {
            Enrolment::Stored { identity, .. } => identity,
            other => panic!("{other:?}"),
        }
    }
}

fn switch(number: u8) -> Command {
    Command::SwitchModel { manifest: manifest(number), dry_run: false, force: false }
}

fn found(keeper: &Keeper, person: usize, number: u8) -> Option<String> {
    let found = keeper.shared().current().search(&vector(person, number), 1);
    found.best().filter(|best| best.score > 0.9).map(|best| best.name.to_string())
}

fn models(keeper: &mut Keeper) -> Vec<(u8, u64)> {
    let description: Description = ask(keeper, Command::Describe, &[]);
    description.templates.into_iter().map(|(id, count)| (id.0[0], count)).collect()
}

fn actions(keeper: &mut Keeper) -> Vec<String> {
    let shown: Vec<AuditEntry> = ask(keeper, Command::AuditShow { filter: AuditFilter::default() }, &[]);
    assert!(ask::<AuditReport>(keeper, Command::AuditVerify { head: None }, &[]).problems.is_empty());
    shown.into_iter().map(|entry| entry.action).collect()
}

#[test]
fn everybody_with_a_crop_is_found_by_the_new_model_at_once_and_after_a_restart() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    for (name, person) in [("Ana", 1), ("Ana", 1), ("Ben", 2)] {
        scene.enrol(&mut keeper, name, person, 1, true);
    }
    let held = keeper.shared().current();
    let before = held.generation();
    let report: Switched = ask(&mut keeper, switch(2), &[]);
    assert!(report.switched && report.lost.is_empty(), "{report:?}");
    assert_eq!((report.from, report.to), (ModelId([1; 32]), ModelId([2; 32])));
    assert_eq!((report.ready, report.embedded), (2, 3));
    let sees: Vec<ModelId> = report.scores.iter().map(|scores| scores.model).collect();
    assert_eq!(sees, [report.from, report.to]);
    for scores in &report.scores {
        assert!(scores.mated.is_some_and(|mean| mean > 0.99), "{scores:?}");
        assert!(
            scores.non_mated.is_some_and(|mean| mean < 0.1) && scores.confusable.is_empty(),
            "{scores:?}"
        );
    }
    assert_eq!(
        (found(&keeper, 1, 2).as_deref(), found(&keeper, 2, 2).as_deref()),
        (Some("Ana"), Some("Ben"))
    );
    assert!(found(&keeper, 1, 1).is_none(), "the old model's vectors mean nothing now");
    assert_eq!(
        held.search(&vector(1, 1), 1).candidates.len(),
        1,
        "a search under way has what it began with"
    );
    assert_eq!(keeper.shared().current().generation(), before + 1);
    assert_eq!(*scene.fake.took_over.lock().expect("no panic"), [ModelId([2; 32])]);
    assert_eq!(models(&mut keeper), [(1, 3), (2, 3)], "the way back is kept");
    let shown: Portrait = ask(&mut keeper, Command::Show { who: who("Ben") }, &[]);
    let kinds: Vec<_> = shown.stored.iter().map(|t| (t.model.0[0], t.source.kind, t.crop)).collect();
    assert!(kinds.contains(&(1, SourceKind::File, true)) && kinds.contains(&(2, SourceKind::Crop, true)));
    assert_eq!(shown.stored[0].source.sha256, shown.stored[1].source.sha256);
    assert_eq!(actions(&mut keeper).last().map(String::as_str), Some("model-changed"));
    drop(keeper);
    let mut keeper = scene.open(2);
    assert_eq!(
        (found(&keeper, 1, 2).as_deref(), found(&keeper, 2, 2).as_deref()),
        (Some("Ana"), Some("Ben"))
    );
    assert_eq!(actions(&mut keeper).iter().filter(|action| *action == "model-changed").count(), 2);
    let again = try_ask::<Switched>(&mut keeper, switch(2), &[]).expect_err("that is the model");
    assert_eq!(again.kind(), Kind::Usage);
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    scene.enrol(&mut keeper, "Ben", 2, 1, false);
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let dry = Command::SwitchModel { manifest: manifest(2), dry_run: true, force: false };
    let report: Switched = ask(&mut keeper, dry, &[]);
    assert!(!report.switched);
    assert_eq!((report.ready, report.embedded, report.lost.len()), (1, 1, 1));
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    assert_eq!(found(&keeper, 1, 1).as_deref(), Some("Ana"));
    assert!(scene.fake.took_over.lock().expect("no panic").is_empty());
}

#[test]
fn who_would_be_lost_is_named_and_keeps_the_switch_from_happening_unless_it_is_forced() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    let ben = scene.enrol(&mut keeper, "Ben", 2, 1, false);
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let report: Switched = ask(&mut keeper, switch(2), &[]);
    assert!(!report.switched);
    assert_eq!(report.lost, [(ben, "Ben".to_owned())]);
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    let forced = Command::SwitchModel { manifest: manifest(2), dry_run: false, force: true };
    let report: Switched = ask(&mut keeper, forced, &[]);
    assert!(report.switched && report.lost.len() == 1);
    assert_eq!((found(&keeper, 1, 2).as_deref(), found(&keeper, 2, 2)), (Some("Ana"), None));
}

#[test]
fn a_rollback_goes_back_and_takes_along_who_came_since() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    let nothing = try_ask::<Switched>(&mut keeper, Command::RollbackModel, &[]).expect_err("never used");
    assert_eq!(nothing.kind(), Kind::NoInput, "{nothing}");
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    ask::<Switched>(&mut keeper, switch(2), &[]);
    scene.enrol(&mut keeper, "Ben", 2, 2, true);
    let cleo = scene.enrol(&mut keeper, "Cleo", 3, 2, false);
    let back: Switched = ask(&mut keeper, Command::RollbackModel, &[]);
    assert!(back.switched);
    assert_eq!((back.to, back.embedded), (ModelId([1; 32]), 1), "Ana's is still there");
    assert_eq!(back.lost, [(cleo, "Cleo".to_owned())]);
    assert_eq!(
        (found(&keeper, 1, 1).as_deref(), found(&keeper, 2, 1).as_deref()),
        (Some("Ana"), Some("Ben"))
    );
    assert_eq!(actions(&mut keeper).last().map(String::as_str), Some("model-rolled-back"));
    // And forth again: nothing has to be embedded.
    let forth: Switched = ask(&mut keeper, Command::RollbackModel, &[]);
    assert_eq!((forth.to, forth.embedded, forth.lost.len()), (ModelId([2; 32]), 0, 0));
    assert_eq!(found(&keeper, 3, 2).as_deref(), Some("Cleo"));
    drop(keeper);
    let keeper = scene.open(2);
    assert_eq!(found(&keeper, 3, 2).as_deref(), Some("Cleo"));
}

#[test]
fn two_models_are_kept_and_the_third_last_goes() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    ask::<Switched>(&mut keeper, switch(2), &[]);
    ask::<Switched>(&mut keeper, switch(3), &[]);
    assert_eq!(models(&mut keeper), [(2, 1), (3, 1)]);
    let shown: Portrait = ask(&mut keeper, Command::Show { who: who("Ana") }, &[]);
    assert!(shown.stored.iter().all(|template| template.crop), "the crop stays");
    drop(keeper);
    let mut keeper = scene.open(3);
    assert_eq!(ask::<Switched>(&mut keeper, Command::RollbackModel, &[]).to, ModelId([2; 32]));
    assert_eq!(found(&keeper, 1, 2).as_deref(), Some("Ana"));
}

#[test]
fn others_are_served_meanwhile_and_what_they_changed_holds() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    scene.enrol(&mut keeper, "Ben", 2, 1, true);
    let (enrol, body) = scene.enrolment("Cleo", 3, 1, true);
    let keeper = Arc::new(Mutex::new(keeper));
    let theirs = keeper.clone();
    *scene.fake.meanwhile.lock().expect("no panic") = Some(Box::new(move || {
        let mut keeper = theirs.try_lock().expect("nobody holds it while crops are embedded");
        assert_eq!(found(&keeper, 2, 1).as_deref(), Some("Ben"), "the old model is searched");
        let receipt: Receipt = ask(&mut keeper, Command::Forget { who: who("Ben"), reason: None }, &[]);
        assert_eq!(receipt.returned, 0);
        assert!(matches!(ask(&mut keeper, enrol, &body), Enrolment::Stored { .. }));
    }));
    let reply = execute_shared(&keeper, &actor(), switch(2), &[], &mut |_| {}).expect("switched");
    let report: Switched = serde_json::from_value(reply.value).expect("its report");
    assert_eq!((report.switched, report.ready, report.embedded), (true, 2, 2));
    let mut keeper = keeper.lock().expect("no panic");
    assert_eq!(
        (found(&keeper, 1, 2).as_deref(), found(&keeper, 3, 2).as_deref()),
        (Some("Ana"), Some("Cleo"))
    );
    assert!(found(&keeper, 2, 2).is_none(), "who was forgotten stays forgotten");
    assert!(try_ask::<Portrait>(&mut keeper, Command::Show { who: who("Ben") }, &[]).is_err());
    ask::<Switched>(&mut keeper, Command::RollbackModel, &[]);
    assert!(found(&keeper, 2, 1).is_none(), "also on the way back");
}

/// An index of many templates takes long to build.
#[test]
fn others_are_served_while_the_index_is_built_and_what_they_changed_holds() {
    for kind in [IndexKind::Exact, IndexKind::Hnsw] {
        let mut scene = Scene::new();
        let mut keeper = scene.open_with(1, kind);
        for (name, person) in [("Ana", 1), ("Ben", 2), ("Dora", 4), ("Eva", 5)] {
            scene.enrol(&mut keeper, name, person, 1, true);
        }
        let (enrol, body) = scene.enrolment("Cleo", 3, 1, true);
        let keeper = Mutex::new(keeper);
        let mut served = 0;
        let mut meanwhile = |step: Progress| {
            if step.what != "building the index" {
                return;
            }
            served += 1;
            let mut keeper = keeper.try_lock().expect("nobody holds it while the index is built");
            assert_eq!(found(&keeper, 2, 1).as_deref(), Some("Ben"), "the old model is searched");
            ask::<Receipt>(&mut keeper, Command::Forget { who: who("Ben"), reason: None }, &[]);
            let name = Some(Name::new("Anna").expect("a name"));
            let change = Box::new(Change { name, ..Change::default() });
            ask::<Person>(&mut keeper, Command::Change { who: who("Ana"), change }, &[]);
            let merge = Command::Merge { from: who("Eva"), into: who("Dora") };
            ask::<Person>(&mut keeper, merge, &[]);
            assert!(matches!(ask(&mut keeper, enrol.clone(), &body), Enrolment::Stored { .. }));
        };
        let reply = execute_shared(&keeper, &actor(), switch(2), &[], &mut meanwhile).expect("switched");
        assert_eq!(served, 1);
        let report: Switched = serde_json::from_value(reply.value).expect("its report");
        assert_eq!((report.switched, report.ready), (true, 3), "{report:?}");
        let mut keeper = keeper.into_inner().expect("no panic");
        let now = |keeper: &Keeper| [1, 2, 3, 4, 5].map(|person| found(keeper, person, 2));
        let names = [Some("Anna"), None, Some("Cleo"), Some("Dora"), Some("Dora")];
        assert_eq!(now(&keeper).each_ref().map(|name| name.as_deref()), names);
        assert_eq!(ask::<Examination>(&mut keeper, Command::Verify, &[]).problems, [""; 0]);
        let before = now(&keeper);
        drop(keeper);
        let keeper = scene.open_with(2, kind);
        assert_eq!(now(&keeper), before, "as after a restart");
    }
}

#[test]
fn of_two_switches_at_once_the_second_is_told() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    let keeper = Arc::new(Mutex::new(keeper));
    let theirs = keeper.clone();
    *scene.fake.meanwhile.lock().expect("no panic") = Some(Box::new(move || {
        execute_shared(&theirs, &actor(), switch(3), &[], &mut |_| {})
            .map(drop)
            .expect("the first to be done");
    }));
    let late = execute_shared(&keeper, &actor(), switch(2), &[], &mut |_| {}).map(drop).expect_err("late");
    assert_eq!(late.kind(), Kind::Temporary, "{late}");
    assert_eq!(found(&keeper.lock().expect("no panic"), 1, 3).as_deref(), Some("Ana"));
    assert_eq!(*scene.fake.took_over.lock().expect("no panic"), [ModelId([3; 32])]);
}

#[test]
fn a_model_that_cannot_be_had_changes_nothing() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let missing = Command::SwitchModel { manifest: "/manifests/x.toml".into(), dry_run: false, force: true };
    assert_eq!(try_ask::<Switched>(&mut keeper, missing, &[]).expect_err("none").kind(), Kind::NoInput);
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    drop(keeper);
    scene.site.clock.advance(Duration::from_secs(1));
    let mut keeper = Keeper::open(scene.opening(1), Box::new(drop)).expect("a gallery").0;
    let none = try_ask::<Switched>(&mut keeper, switch(2), &[]).expect_err("no models at hand");
    assert_eq!(none.kind(), Kind::Unavailable);
}

/// A program reads which model is in use before it opens the gallery: that may fail for a moment, or be too early.
#[test]
fn a_start_that_did_not_see_the_switch_is_refused_and_undoes_nothing() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    ask::<Switched>(&mut keeper, switch(2), &[]);
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    drop(keeper);
    let refused = Keeper::open(scene.opening(1), Box::new(drop)).map(drop).expect_err("the model before");
    assert_eq!(refused.kind(), Kind::Temporary, "{refused}");
    assert!(refused.to_string().contains("again"), "{refused}");
    let mut keeper = scene.open(2);
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    ask::<Switched>(&mut keeper, Command::RollbackModel, &[]);
    drop(keeper);
    // A third one is the operator's word.
    let mut keeper = scene.open(3);
    assert_eq!(actions(&mut keeper).last().map(String::as_str), Some("model-changed"));
    drop(keeper);
    drop(scene.open(1));
}

#[test]
fn who_asks_from_outside_can_name_a_manifest_and_no_other_file() {
    let mut scene = Scene::new();
    let mut keeper = scene.open(1);
    scene.enrol(&mut keeper, "Ana", 1, 1, true);
    let keeper = Arc::new(Mutex::new(keeper));
    for path in ["/var/lib/watchlistd/gallery.key", "/dev/zero", "/etc/shadow", "2"] {
        let command = Command::SwitchModel { manifest: path.into(), dry_run: true, force: false };
        let refused = execute_shared(&keeper, &actor(), command, &[], &mut |_| {}).map(drop);
        assert_eq!(refused.expect_err("no manifest").kind(), Kind::Usage, "{path}");
    }
    execute_shared(&keeper, &actor(), switch(2), &[], &mut |_| {}).map(drop).expect("a manifest");
}
