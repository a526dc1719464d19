//! How long it takes: `cargo test --all-features --lib gallery::keeper::tests::figures -- --ignored --nocapture`. The figures stand
//! in docs/performance.md.

use std::time::Instant;

use uuid::Uuid;

use super::exchange::take_in;
use super::*;
use crate::gallery::bundle::{
    self, BundledIdentity, BundledTemplate, Content, Header, ModelContract, SigningKey,
};
use crate::gallery::crypt::Key;
use crate::gallery::keeper::gather;
use crate::gallery::report::{BackedUp, Examination, Rotated, Trust};
use crate::gallery::store::Tables;
use crate::types::ids::TemplateId;

const PEOPLE: usize = 10_000;
const EACH: usize = 2;
const NUMBERS: usize = 512;

fn content(people: usize, each: usize) -> Content {
    let mut crowd = Population::new(MODEL, NUMBERS, 7);
    let mut pictures = 0;
    let created = "2026-01-01T00:00:00Z".parse().expect("a time");
    let identities = (0..people).map(|person| {
        let templates = (0..each).map(|_| {
            pictures += 1;
            let source = Source {
                kind: SourceKind::File,
                name: format!("{pictures}.jpg"),
                sha256: format!("{pictures:064x}"),
            };
            let id = TemplateId(Uuid::from_u128(pictures));
            BundledTemplate { id, quality: 0.8, source, created, embedding: crowd.template(person) }
        });
        let templates = templates.collect();
        let external_id = Some(ExternalId::new(&format!("E{person}")).expect("an id"));
        BundledIdentity {
            id: IdentityId(Uuid::from_u128(1 + person as u128)),
            record: Record { external_id, ..record(&format!("Person {person}")) },
            created,
            revision: 1,
            standing: Standing::Active,
            templates,
            crops: Vec::new(),
        }
    });
    let identities = identities.collect();
    let model = ModelContract { id: MODEL, name: "test".to_owned(), dimension: NUMBERS, threshold: 0.5 };
    let header = Header { origin: "figures".to_owned(), generation: 1, created, models: vec![model] };
    Content { header, lists: vec![List::new(ListName::default())], identities }
}

fn timed<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let value = act();
    eprintln!("{what}: {:.2} s", begun.elapsed().as_secs_f64());
    value
}

#[test]
#[ignore = "measures; takes a minute"]
fn ten_thousand_identities_with_two_templates_each() {
    let site = Site::new();
    let model = Model { id: MODEL, dimension: NUMBERS, name: "test".to_owned(), threshold: 0.5 };
    let open = |site: &Site| {
        Keeper::open(Opening { model: Some(model.clone()), ..site.opening() }, Box::new(drop))
            .expect("a gallery")
            .0
    };
    let mut keeper = open(&site);
    let signer = SigningKey::from_seed(&Key::generate().expect("random"));
    let trust = Command::Trust { key: signer.public().to_string(), label: "figures".to_owned() };
    ask::<Trust>(&mut keeper, trust, &[]);
    let content = content(PEOPLE, EACH);
    let bytes = timed("write the bundle", || bundle::write(&content, &signer).expect("a bundle"));
    drop(content);
    eprintln!("the bundle has {} bytes", bytes.len());
    let dry = Command::Import { dry_run: true, force: false, identity: None };
    timed("import --dry-run", || ask::<report::Imported>(&mut keeper, dry, &bytes));
    assert_eq!(timed("import", || take_in(&mut keeper, &bytes)).added, PEOPLE as u64);
    timed("import again", || take_in(&mut keeper, &bytes));
    let out = timed("export", || super::exchange::export(&mut keeper));
    eprintln!("the bundle has {} bytes", out.len());
    let execute = |keeper: &mut Keeper, command, body: &[u8]| {
        keeper.execute(&actor(), command, body, &mut |_| {}).expect("carried out")
    };
    let backup = timed("backup", || execute(&mut keeper, Command::Backup, &[])).body;
    eprintln!("the backup has {} bytes", backup.len());
    let restore = Command::Restore { key: None };
    timed("restore, nothing changed", || execute(&mut keeper, restore.clone(), &backup));
    timed("1,000 changes, one by one", || {
        for person in 0..1000 {
            let change = Change { notes: Some(Some("changed".to_owned())), ..Change::default() };
            let who = who(&format!("E{person}"));
            execute(&mut keeper, Command::Change { who, change: Box::new(change) }, &[]);
        }
    });
    timed("restore, 1,000 changed", || execute(&mut keeper, restore.clone(), &backup));
    let looked = timed("verify", || ask::<Examination>(&mut keeper, Command::Verify, &[]));
    assert_eq!((looked.problems, looked.looked_at["templates"]), (Vec::new(), (PEOPLE * EACH) as u64));
    timed("audit verify", || ask::<AuditReport>(&mut keeper, Command::AuditVerify { head: None }, &[]));
    drop(keeper);
    let keeper = timed("open", || open(&site));
    timed("the tables' totals", || keeper.store.read(|tables| tables.look_at_totals()).expect("read"));
    drop(keeper);
    let fresh = Site::new();
    std::fs::copy(site.folder().join("gallery.key"), fresh.folder().join("gallery.key")).expect("copied");
    let mut keeper = open(&fresh);
    let reply = timed("restore into an empty gallery", || execute(&mut keeper, restore, &backup));
    let report: BackedUp = serde_json::from_value(reply.value).expect("a report");
    assert_eq!(report.templates, (PEOPLE * EACH) as u64);
    let rotate = |deep| Command::KeyRotate { key: None, deep };
    timed("key rotate", || ask::<Rotated>(&mut keeper, rotate(false), &[]));
    timed("key rotate --deep", || ask::<Rotated>(&mut keeper, rotate(true), &[]));
    let gone: Receipt =
        timed("forget one", || ask(&mut keeper, Command::Forget { who: who("E7"), reason: None }, &[]));
    assert_eq!(gone.templates, EACH as u64);
    drop(keeper);
    timed("open", || drop(open(&fresh)));
}

/// What a model switch does under the keeper's lock, and what beside it.
#[test]
#[ignore = "measures; takes minutes"]
fn an_index_is_built_beside_the_lock() {
    for (people, each) in [(5_000, 2), (20_000, 5)] {
        let site = Site::new();
        let model = Model { id: MODEL, dimension: NUMBERS, name: "test".to_owned(), threshold: 0.5 };
        let opening = Opening { model: Some(model.clone()), ..site.opening() };
        let mut keeper = Keeper::open(opening, Box::new(drop)).expect("a gallery").0;
        let signer = SigningKey::from_seed(&Key::generate().expect("random"));
        let trust = Command::Trust { key: signer.public().to_string(), label: "figures".to_owned() };
        ask::<Trust>(&mut keeper, trust, &[]);
        take_in(&mut keeper, &bundle::write(&content(people, each), &signer).expect("a bundle"));
        eprintln!("{} templates of {NUMBERS}:", people * each);
        let gathered = timed("  read under the lock", || {
            let read =
                |tables: &Tables<'_>| gather(tables, &keeper.directory, &model, IndexKind::Hnsw.into(), None);
            keeper.store.read(read).expect("readable")
        });
        timed("  built beside it", || gathered.build().expect("a snapshot"));
        timed("  the tables' totals", || keeper.store.read(|tables| tables.look_at_totals()).expect("read"));
    }
}
