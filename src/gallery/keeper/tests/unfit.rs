//! Templates that do not go with the model in use: refused on the way in, and in nobody's way once they are stored.

use super::*;
use crate::gallery::report::{BackedUp, Examination};
use crate::gallery::store::{Content, NewTemplate};
use crate::types::ids::TemplateId;

/// Half of what the site's model has.
const OTHER: usize = DIMENSION / 2;

fn short(number: usize) -> Embedding {
    Embedding::new(MODEL, (1..=OTHER).map(|i| ((i * number) as f32).sin()).collect()).expect("a vector")
}

fn body(embedding: &Embedding) -> Vec<u8> {
    embedding.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// What an earlier version stored without looking.
fn store_unfit(site: &mut Site, keeper: &mut Keeper, identity: IdentityId) -> TemplateId {
    let (data, ..) = site.picture(1);
    let key = keeper.directory.expect(identity).expect("enrolled").identity.key.clone();
    let (id, embedding) = (TemplateId::generate(), short(3));
    let created = site.clock.now().wall;
    let new = NewTemplate { id, embedding: &embedding, quality: 0.5, source: &data.source, created };
    let stored = keeper
        .store
        .write(|tables, _| Ok((tables.insert_template(identity, &key, &new).map(drop)?, Content::Changed)));
    stored.expect("stored");
    id
}

fn verify(keeper: &mut Keeper) -> Vec<String> {
    ask::<Examination>(keeper, Command::Verify, &[]).problems
}

#[test]
fn an_enrolment_of_another_dimension_is_refused_and_changes_nothing() {
    let mut site = Site::new();
    let mut keeper = site.open();
    site.enrol(&mut keeper, record("Ana"), 1);
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let (data, ..) = site.picture(2);
    let template = TemplateData { dimension: OTHER, ..data };
    let subject = Subject { record: record("Ben") };
    let command = Command::Enrol { subject, template, review: Review::Off };
    let refused = try_ask::<Enrolment>(&mut keeper, command, &body(&short(2))).expect_err("refused");
    assert_eq!(refused.kind(), Kind::Data);
    for part in ["64 numbers", "128"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before);
    drop(keeper);
    let keeper = site.open();
    assert_eq!(best(&keeper, &site.people.template(1)).as_deref(), Some("Ana"));
}

#[test]
fn a_stored_template_of_another_dimension_is_left_out_and_named_and_the_rest_is_searched() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let ana = site.enrol(&mut keeper, record("Ana"), 1);
    site.enrol(&mut keeper, record("Ben"), 2);
    let unfit = store_unfit(&mut site, &mut keeper, ana);
    drop(keeper);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = told.clone();
    let on_swap = move |seen: Seen| {
        tell.lock().expect("no panic").extend(seen.warnings.iter().map(ToString::to_string));
    };
    let (mut keeper, _) = Keeper::open(site.opening(), Box::new(on_swap)).expect("it opens");
    let told = told.lock().expect("no panic").join("\n");
    assert!(told.contains(&unfit.to_string()) && told.contains(&ana.to_string()), "{told}");
    for (person, name) in [(1, "Ana"), (2, "Ben")] {
        assert_eq!(best(&keeper, &site.people.template(person)).as_deref(), Some(name));
    }
    let problems = verify(&mut keeper);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(&unfit.to_string()) && problems[0].contains("64 numbers"), "{problems:?}");
    // It can be moved and merged like any other, and removed.
    let moved = Command::MoveTemplate { template: unfit.to_string(), to: who("Ben") };
    assert_eq!(ask::<Person>(&mut keeper, moved, &[]).templates, 2);
    let merge = Command::Merge { from: who("Ben"), into: who("Ana") };
    assert_eq!(ask::<Person>(&mut keeper, merge, &[]).templates, 3);
    let backup = keeper.execute(&actor(), Command::Backup, &[], &mut |_| {}).expect("a backup").body;
    ask::<Person>(&mut keeper, Command::RemoveTemplate { template: unfit.to_string() }, &[]);
    assert_eq!(verify(&mut keeper), Vec::<String>::new());
    // A backup that holds it gives everything but it.
    let restored: BackedUp = ask(&mut keeper, Command::Restore { key: None }, &backup);
    assert_eq!((restored.identities, restored.templates), (1, 2));
    assert_eq!(verify(&mut keeper), Vec::<String>::new());
    assert_eq!(best(&keeper, &site.people.template(2)).as_deref(), Some("Ana"));
}
