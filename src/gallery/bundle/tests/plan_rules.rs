//! What an import does to a box, rule by rule.

use std::collections::BTreeMap;

use super::*;
use crate::base::error::Kind;

/// A box with a gallery of its own: the tenth of those that one headquarters feeds.
#[derive(Default)]
pub(super) struct Box10 {
    identities: BTreeMap<IdentityId, (Record, Vec<BundledTemplate>)>,
    forgotten: Vec<(IdentityId, Option<ExternalId>)>,
    forgotten_templates: Vec<TemplateId>,
    generations: BTreeMap<PublicKey, u64>,
    models: Vec<ModelContract>,
    lists: Vec<List>,
    keeps_crops: bool,
}

impl Here for Box10 {
    fn record(&self, id: IdentityId) -> Result<Option<Record>> {
        Ok(self.identities.get(&id).map(|(record, _)| record.clone()))
    }

    fn owner_of(&self, external_id: &ExternalId) -> Result<Option<IdentityId>> {
        let mut all = self.identities.iter();
        Ok(all.find(|(_, (record, _))| record.external_id.as_ref() == Some(external_id)).map(|(id, _)| *id))
    }

    fn holds_template(&self, id: TemplateId) -> Result<bool> {
        Ok(self.identities.values().any(|(_, templates)| templates.iter().any(|template| template.id == id)))
    }

    fn holds_source(&self, identity: IdentityId, model: ModelId, sha256: &str) -> Result<bool> {
        let templates =
            self.identities.get(&identity).map(|(_, templates)| templates.as_slice()).unwrap_or_default();
        let same = |t: &BundledTemplate| t.embedding.model() == model && t.source.sha256 == sha256;
        Ok(templates.iter().any(same))
    }

    fn is_forgotten(&self, id: IdentityId, external_id: Option<&ExternalId>) -> Result<bool> {
        let same = |(gone, external): &(IdentityId, Option<ExternalId>)| {
            *gone == id || external_id.is_some() && external.as_ref() == external_id
        };
        Ok(self.forgotten.iter().any(same))
    }

    fn is_forgotten_template(&self, id: TemplateId) -> Result<bool> {
        Ok(self.forgotten_templates.contains(&id))
    }

    fn last_generation(&self, signer: &PublicKey) -> Result<Option<u64>> {
        Ok(self.generations.get(signer).copied())
    }

    fn models(&self) -> Result<Vec<ModelContract>> {
        Ok(self.models.clone())
    }

    fn has_list(&self, name: &ListName) -> Result<bool> {
        Ok(self.lists.iter().any(|list| list.name == *name))
    }

    fn keeps_crops(&self) -> bool {
        self.keeps_crops
    }
}

impl Box10 {
    /// Uses the bundle's models, and has the list that every gallery has.
    pub(super) fn knowing(mut self, content: &Content) -> Self {
        self.models.clone_from(&content.header.models);
        self.lists = vec![List::new(ListName::default())];
        self
    }

    /// Carries the plan out.
    fn import(&mut self, plan: &Plan<'_>) {
        for planned in &plan.identities {
            if matches!(planned.what, What::Added | What::Merged) {
                let entry = self.identities.entry(planned.target).or_insert((planned.record.clone(), vec![]));
                entry.0 = planned.record.clone();
                let new = planned
                    .templates
                    .iter()
                    .map(|new| BundledTemplate { source: new.source.clone(), ..new.theirs.clone() });
                entry.1.extend(new);
            }
        }
        self.lists.extend(plan.lists.iter().map(|&list| list.clone()));
        self.generations.insert(plan.signer, plan.generation);
    }

    fn holds(&mut self, identity: &BundledIdentity) {
        self.identities.insert(identity.id, (identity.record.clone(), identity.templates.clone()));
    }

    fn record_mut(&mut self, id: IdentityId) -> &mut Record {
        &mut self.identities.get_mut(&id).expect("is here").0
    }
}

/// The bundle of a headquarters with `count` identities, and a box that has imported nothing yet.
fn start(count: usize) -> (Opened, Box10) {
    let content = sample(21, count);
    let here = Box10::default().knowing(&content);
    (opened(&written(&content)).expect("opens"), here)
}

fn only<'p, 'a>(plan: &'p Plan<'a>) -> &'p Planned<'a> {
    assert_eq!(plan.identities.len(), 1);
    &plan.identities[0]
}

#[track_caller]
fn refused(opened: &Opened, here: &Box10, expected: &[&str]) {
    let refusal = plan(opened, here, false).expect_err("refused");
    let message = refusal.chain();
    assert_eq!(refusal.kind(), Kind::Data);
    expected.iter().for_each(|part| assert!(message.contains(part), "expected {part:?} in: {message}"));
}

#[test]
fn what_is_new_is_added_and_the_second_time_nothing_happens() {
    let (bundle, mut here) = start(10);
    let first = plan(&bundle, &here, false).expect("a plan");
    let report = first.report(true);
    assert_eq!((report.added, report.merged, report.unchanged, report.forgotten), (10, 0, 0, 0));
    assert_eq!((report.templates, report.generation, report.signer.as_str()), (20, 41, "headquarters"));
    assert_eq!(
        (report.changes[0].name.as_str(), report.changes[0].external_id.as_deref()),
        ("Ana", Some("hr-0"))
    );
    assert!(
        report.dry_run && report.changes.iter().all(|change| change.what == "added" && change.templates == 2)
    );
    for (planned, theirs) in first.identities.iter().zip(&bundle.content.identities) {
        assert_eq!(
            (planned.target, &planned.record, planned.created),
            (theirs.id, &theirs.record, theirs.created)
        );
        assert!(planned.record_changed);
    }
    here.import(&first);
    let second = plan(&bundle, &here, false).expect("the same generation again");
    assert_eq!((second.count(What::Unchanged), second.report(false).templates), (10, 0));
    assert!(second.lists.is_empty() && second.identities.iter().all(|planned| !planned.record_changed));
}

#[test]
fn templates_come_in_as_imports_from_the_signer_and_keep_the_pictures_hash() {
    let (bundle, here) = start(1);
    let plan = plan(&bundle, &here, false).expect("a plan");
    for new in &only(&plan).templates {
        assert_eq!((new.source.kind, new.source.name.as_str()), (SourceKind::Import, "headquarters"));
        assert_eq!(new.source.sha256, new.theirs.source.sha256);
    }
}

#[test]
fn one_with_the_same_external_id_is_merged_into_the_one_that_is_here() {
    let (bundle, mut here) = start(1);
    let mut local = identity(&mut Rng::with_seed(1), "Anna", &here.models.clone());
    local.record.external_id = Some(external("hr-0"));
    here.holds(&local);
    let plan = plan(&bundle, &here, false).expect("a plan");
    let planned = only(&plan);
    assert_eq!((planned.what, planned.target, planned.templates.len()), (What::Merged, local.id, 2));
    assert_eq!(planned.record.name.as_str(), "Ana");
}

#[test]
fn without_an_external_id_the_id_decides() {
    let (mut bundle, mut here) = start(1);
    here.holds(&bundle.content.identities[0]);
    bundle.content.identities[0].record.external_id = None;
    bundle.content.identities[0].templates.push(template(&mut Rng::with_seed(2), &here.models[0]));
    let plan = plan(&bundle, &here, false).expect("a plan");
    let planned = only(&plan);
    assert_eq!(
        (planned.what, planned.target, planned.templates.len()),
        (What::Merged, bundle.content.identities[0].id, 1)
    );
    assert!(!planned.record_changed, "the external id that is here stays");
}

#[test]
fn an_external_id_that_the_sender_corrected_is_corrected_here() {
    let (mut bundle, mut here) = start(1);
    here.holds(&bundle.content.identities[0]);
    bundle.content.identities[0].record.external_id = Some(external("hr-corrected"));
    let plan = plan(&bundle, &here, false).expect("a plan");
    assert_eq!(only(&plan).record.external_id, Some(external("hr-corrected")));
    assert_eq!(only(&plan).what, What::Merged);
}

#[test]
fn a_namesake_is_somebody_else() {
    let (bundle, mut here) = start(1);
    here.holds(&identity(&mut Rng::with_seed(3), "Ana", &here.models.clone()));
    assert_eq!(only(&plan(&bundle, &here, false).expect("a plan")).what, What::Added);
}

#[test]
fn fields_that_the_bundle_sets_win_and_the_others_stay_and_lists_are_those_of_both() {
    let (bundle, mut here) = start(1);
    let theirs = bundle.content.identities[0].clone();
    here.holds(&theirs);
    *here.record_mut(theirs.id) = Record {
        lists: BTreeSet::from([list("local")]),
        purpose: Some("a local purpose".to_owned()),
        image_source: Some("a local source".to_owned()),
        review: Some(time(99)),
        notes: Some("a local note".to_owned()),
        ..Record::new(Name::new("A local name").expect("a name"))
    };
    let plan = plan(&bundle, &here, false).expect("a plan");
    let record = &only(&plan).record;
    assert_eq!((&record.name, &record.external_id), (&theirs.record.name, &theirs.record.external_id));
    assert_eq!((&record.purpose, &record.authority), (&theirs.record.purpose, &theirs.record.authority));
    assert_eq!((record.valid_from, record.valid_until), (Some(time(1)), Some(time(2))));
    assert_eq!(
        (record.image_source.as_deref(), record.notes.as_deref()),
        (Some("a local source"), Some("a local note"))
    );
    assert_eq!(record.review, Some(time(99)));
    assert_eq!(record.lists, BTreeSet::from([list("local"), list("watchlist"), list("staff")]));
    assert_eq!((only(&plan).what, only(&plan).templates.len()), (What::Merged, 0));
}

#[test]
fn start_and_end_are_both_the_bundles_if_the_two_records_leave_no_time_between_them() {
    let (mut bundle, mut here) = start(1);
    let id = bundle.content.identities[0].id;
    here.holds(&bundle.content.identities[0]);
    (here.record_mut(id).valid_from, here.record_mut(id).valid_until) = (Some(time(10)), Some(time(20)));
    for (theirs, expected) in [
        ((None, None), (Some(10), Some(20))),
        ((None, Some(15)), (Some(10), Some(15))),
        ((Some(15), None), (Some(15), Some(20))),
        ((None, Some(10)), (None, Some(10))),
        ((Some(30), None), (Some(30), None)),
        ((Some(1), Some(2)), (Some(1), Some(2))),
    ] {
        let record = &mut bundle.content.identities[0].record;
        (record.valid_from, record.valid_until) = (theirs.0.map(time), theirs.1.map(time));
        let plan = plan(&bundle, &here, false).expect("a plan");
        let record = &only(&plan).record;
        assert_eq!(
            (record.valid_from, record.valid_until),
            (expected.0.map(time), expected.1.map(time)),
            "{theirs:?}"
        );
        assert!(record.check().is_ok());
    }
}

#[test]
fn a_template_that_is_here_is_not_stored_again_whoever_has_it_now() {
    let (bundle, mut here) = start(2);
    let [one, other] = &bundle.content.identities[..] else { panic!("two") };
    // One template was moved to somebody else here; the other picture was enrolled here from the same file.
    here.holds(&BundledIdentity { templates: vec![], ..one.clone() });
    here.holds(&BundledIdentity {
        templates: vec![one.templates[0].clone(), other.templates[0].clone(), other.templates[1].clone()],
        ..other.clone()
    });
    let again = BundledTemplate { id: TemplateId(Uuid::from_u128(5)), ..one.templates[1].clone() };
    here.identities.get_mut(&one.id).expect("is here").1.push(again);
    let plan = plan(&bundle, &here, false).expect("a plan");
    assert_eq!((plan.count(What::Unchanged), plan.report(true).templates), (2, 0));
}

#[test]
fn the_same_picture_twice_in_a_bundle_comes_once_for_each_model() {
    let (mut bundle, here) = start(1);
    let templates = &mut bundle.content.identities[0].templates;
    let twice = BundledTemplate { id: TemplateId(Uuid::from_u128(5)), ..templates[0].clone() };
    templates[1].source = templates[0].source.clone();
    templates.push(twice);
    let plan = plan(&bundle, &here, false).expect("a plan");
    let models: Vec<_> = only(&plan).templates.iter().map(|new| new.theirs.embedding.model()).collect();
    assert_eq!(models, [here.models[0].id, here.models[1].id]);
}

#[test]
fn one_that_was_merged_into_another_here_does_not_come_back_empty() {
    let (bundle, mut here) = start(2);
    let [one, other] = &bundle.content.identities[..] else { panic!("two") };
    let templates = [&one.templates[..], &other.templates[..]].concat();
    here.holds(&BundledIdentity { templates, ..other.clone() });
    let plan = plan(&bundle, &here, false).expect("a plan");
    assert_eq!((plan.count(What::Unchanged), plan.count(What::Added)), (2, 0));
}

#[test]
fn one_without_templates_is_added_all_the_same() {
    let (mut bundle, here) = start(1);
    bundle.content.identities[0].templates.clear();
    assert_eq!(only(&plan(&bundle, &here, false).expect("a plan")).what, What::Added);
}

#[test]
fn whom_this_box_forgot_stays_forgotten_by_id_and_by_external_id() {
    let (bundle, mut here) = start(4);
    let ids: Vec<_> = bundle.content.identities.iter().map(|identity| identity.id).collect();
    here.forgotten = vec![(ids[1], None), (IdentityId(Uuid::from_u128(8)), Some(external("hr-2")))];
    let plan = plan(&bundle, &here, false).expect("a plan");
    let what: Vec<_> = plan.identities.iter().map(|planned| planned.what).collect();
    assert_eq!(what, [What::Added, What::Forgotten, What::Forgotten, What::Added]);
    let report = plan.report(false);
    assert_eq!((report.forgotten, report.added, report.templates), (2, 2, 4));
    assert!(plan.identities[1].templates.is_empty() && !plan.identities[1].record_changed);
}

#[test]
fn pictures_of_somebody_this_box_forgot_are_skipped_whoevers_they_are_in_the_bundle() {
    let (bundle, mut here) = start(3);
    let templates = |n: usize| bundle.content.identities[n].templates.iter().map(|template| template.id);
    // All of one, and one of another.
    here.forgotten_templates = templates(0).chain(templates(1).take(1)).collect();
    let plan = plan(&bundle, &here, false).expect("a plan");
    let what: Vec<_> = plan.identities.iter().map(|planned| planned.what).collect();
    assert_eq!(what, [What::Forgotten, What::Added, What::Added]);
    let taken: Vec<_> = plan.identities[1].templates.iter().map(|planned| planned.theirs.id).collect();
    assert_eq!(taken, templates(1).skip(1).collect::<Vec<_>>());
    assert_eq!(plan.identities[2].templates.len(), templates(2).count());
}

#[test]
fn a_list_is_made_only_if_it_is_new_here_and_somebody_comes_onto_it() {
    let (bundle, mut here) = start(2);
    let made = |here: &Box10| {
        let plan = plan(&bundle, here, false).expect("a plan");
        plan.lists.iter().map(|list| (list.name.to_string(), list.threshold)).collect::<Vec<_>>()
    };
    assert_eq!(made(&here), [("staff".to_owned(), Some(0.55))], "with the sender's settings");
    here.lists.push(List::new(list("staff")));
    assert_eq!(made(&here), [], "the settings that are here stay");
    here.lists.pop();
    here.forgotten.push((bundle.content.identities[0].id, None));
    assert_eq!(made(&here), [], "nobody comes onto it");
}

#[test]
fn another_models_templates_are_refused_and_both_models_are_named() {
    let (mut bundle, mut here) = start(2);
    here.models = vec![model(3, 256), here.models.remove(0)];
    refused(
        &bundle,
        &here,
        &[
            "another model's templates",
            "\"model-2\" (020202020202)",
            "\"model-3\" (030303030303)",
            "\"model-1\"",
        ],
    );
    here.models.clear();
    refused(&bundle, &here, &["no model at all"]);
    here.models = vec![model(1, 512)];
    bundle.content.identities.iter_mut().for_each(|identity| identity.templates.truncate(1));
    assert!(plan(&bundle, &here, false).is_ok(), "a model that no template is of does not matter");
    here.models = vec![model(1, 256)];
    refused(&bundle, &here, &["512 dimensions in the bundle and 256 here"]);
}

#[test]
fn an_older_generation_is_refused_unless_forced() {
    let (mut bundle, mut here) = start(1);
    here.generations.insert(key(1).public(), 42);
    refused(&bundle, &here, &["generation 41", "generation 42", "--force"]);
    let forced = plan(&bundle, &here, true).expect("forced");
    assert_eq!(forced.generation, 41);
    here.import(&forced);
    assert!(plan(&bundle, &here, false).is_ok(), "from then on the sender's new count holds");
    for generation in [41, 43] {
        bundle.content.header.generation = generation;
        assert!(plan(&bundle, &here, false).is_ok());
    }
    here.generations = BTreeMap::from([(key(2).public(), 99)]);
    assert!(plan(&bundle, &here, false).is_ok(), "another signer's generations do not matter");
}

#[test]
fn an_id_and_an_external_id_that_name_two_identities_are_a_conflict() {
    let (bundle, mut here) = start(3);
    let theirs = &bundle.content.identities[0];
    let local = identity(&mut Rng::with_seed(4), "Anna", &here.models.clone());
    here.holds(&BundledIdentity {
        record: Record { external_id: Some(external("hr-0")), ..local.record.clone() },
        ..local.clone()
    });
    for external_id in [Some(external("other")), None] {
        here.holds(&BundledIdentity {
            record: Record { external_id, ..theirs.record.clone() },
            ..theirs.clone()
        });
        let (id, owner) = (theirs.id.to_string(), local.id.to_string());
        refused(
            &bundle,
            &here,
            &["1 of the bundle's identities", "nothing was imported", &id, &owner, "gallery merge"],
        );
    }
    here.forgotten.push((theirs.id, None));
    assert!(plan(&bundle, &here, false).is_ok(), "who is forgotten contradicts nobody");
}

#[test]
fn two_of_the_bundle_that_are_one_here_are_a_conflict() {
    let (bundle, mut here) = start(3);
    let [one, two, _] = &bundle.content.identities[..] else { panic!("three") };
    // Here, the second one has the first one's external id.
    here.holds(&BundledIdentity { record: one.record.clone(), ..two.clone() });
    refused(&bundle, &here, &["two in the bundle and one here", &one.id.to_string(), &two.id.to_string()]);
}

#[test]
fn of_many_conflicts_twenty_are_named() {
    let (bundle, mut here) = start(60);
    for theirs in bundle.content.identities.iter().step_by(2) {
        let record = Record { external_id: None, ..theirs.record.clone() };
        here.holds(&BundledIdentity { record, ..theirs.clone() });
        here.holds(&BundledIdentity { id: IdentityId::generate(), templates: vec![], ..theirs.clone() });
    }
    let message = plan(&bundle, &here, false).expect_err("conflicts").chain();
    assert!(message.starts_with("30 of") && message.contains("and 10 more"), "{message}");
    assert_eq!(message.matches("is here, and so is").count(), 20);
}

#[test]
fn crops_come_with_their_templates_where_crops_are_kept() {
    let (mut bundle, mut here) = start(1);
    let theirs = &mut bundle.content.identities[0];
    theirs.templates[1].source = theirs.templates[0].source.clone();
    theirs.crops.truncate(1);
    assert!(
        only(&plan(&bundle, &here, false).expect("a plan")).templates.iter().all(|new| new.crop.is_none())
    );
    here.keeps_crops = true;
    let plan = plan(&bundle, &here, false).expect("a plan");
    let crops: Vec<_> = only(&plan).templates.iter().map(|new| new.crop).collect();
    assert_eq!(crops, [Some(&bundle.content.identities[0].crops[0]), None], "once for each source");
}

/// A store that cannot be read is no empty store.
#[test]
fn what_the_store_says_of_itself_is_passed_on() {
    struct Broken;
    impl Here for Broken {
        fn record(&self, _: IdentityId) -> Result<Option<Record>> {
            crate::bail!(Io, "the disk is gone")
        }
        fn owner_of(&self, _: &ExternalId) -> Result<Option<IdentityId>> {
            Ok(None)
        }
        fn holds_template(&self, _: TemplateId) -> Result<bool> {
            Ok(false)
        }
        fn holds_source(&self, _: IdentityId, _: ModelId, _: &str) -> Result<bool> {
            Ok(false)
        }
        fn is_forgotten(&self, _: IdentityId, _: Option<&ExternalId>) -> Result<bool> {
            Ok(false)
        }
        fn is_forgotten_template(&self, _: TemplateId) -> Result<bool> {
            Ok(false)
        }
        fn last_generation(&self, _: &PublicKey) -> Result<Option<u64>> {
            Ok(None)
        }
        fn models(&self) -> Result<Vec<ModelContract>> {
            Ok(sample(21, 0).header.models)
        }
        fn has_list(&self, _: &ListName) -> Result<bool> {
            Ok(false)
        }
        fn keeps_crops(&self) -> bool {
            false
        }
    }
    assert_eq!(plan(&start(1).0, &Broken, false).expect_err("broken").kind(), Kind::Io);
}
