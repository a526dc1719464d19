//! A store of the second version becomes one of the third: everything stays, and is bound as a whole from then on.

use std::cell::RefCell;

use super::*;
use crate::gallery::audit::{Action, Chain, Draft, SealedPart};
use crate::gallery::command::{Actor, AuditFilter};
use crate::gallery::keeper::Keeper;
use crate::gallery::keeper::tests::try_ask;
use crate::gallery::list::List;
use crate::gallery::record::ListName;
use crate::gallery::report::{AuditEntry, BackedUp, Examination, Trust};

/// What the version before left: Ana, a signer, and somebody who was forgotten.
struct Second {
    site: Site,
    gone: IdentityId,
}

impl Second {
    fn new() -> Self {
        let mut site = Site::new();
        let master = Key::generate().expect("random");
        let text: String = master.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        let file = site.folder().join("gallery.key");
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");

        let (place, keys) =
            (super::super::sql::place(&site.path()), Keys::generate(&master).expect("random"));
        let mut connection = Connection::open(site.path()).expect("a database");
        schema::sealed_for_tests(&mut connection, &place, &keys);
        let totals = RefCell::default();
        let tables = Tables { connection: &connection, place: &place, keys: &keys, totals: &totals };
        tables.put_list(&List::new(ListName::default())).expect("stored");
        let (ana, record, key) = (IdentityId::generate(), record("Ana"), Key::generate().expect("random"));
        let new = NewIdentity {
            id: ana,
            record: &record,
            standing: Standing::Active,
            created: now(),
            revision: 1,
            key: &key,
            older: &[],
        };
        identities::insert(&connection, &place, &keys, &new).expect("stored");
        let source = Source { kind: SourceKind::File, name: "a.jpg".to_owned(), sha256: "07".repeat(32) };
        let embedding = site.people.template(1);
        let new = NewTemplate {
            id: TemplateId::generate(),
            embedding: &embedding,
            quality: 0.5,
            source: &source,
            created: now(),
        };
        templates::insert(&connection, &place, &keys, ana, &key, &new).expect("stored");
        let gone = IdentityId::generate();
        let sql = "INSERT INTO forgotten VALUES (?1, NULL, '2026-02-01T00:00:00Z')";
        connection.execute(sql, [gone.0.as_bytes()]).expect("stored");
        let sql = "INSERT INTO signers VALUES (zeroblob(32), 'headquarters', '2026-02-01T00:00:00Z', 41)";
        connection.execute(sql, []).expect("stored");
        let mut chain = Chain::resume(keys.audit.clone(), None);
        let actor = Actor("uid 0".to_owned());
        let made = Draft::new(Action::StoreMade);
        let enrolled = Draft::new(Action::Enrolled)
            .about(ana, SealedPart::of(&record))
            .member(&record.lists, Standing::Active);
        let forgotten = Draft::new(Action::Forgotten).about_id(gone);
        for (draft, key) in [(made, None), (enrolled, Some(&key)), (forgotten, None)] {
            let row = chain.append(now(), &actor, 0, draft, key).expect("an entry");
            tables.insert_audit_row(&row).expect("stored");
        }
        Self { site, gone }
    }

    fn check(&self, keeper: &mut Keeper) {
        let found: Examination = ask(keeper, Command::Verify, &[]);
        let file = format!("identity {} is forgotten in the store, and not so in the file", self.gone);
        assert!(found.problems.iter().all(|problem| problem.starts_with(&file)), "{found:?}");
        let shown: Portrait = ask(keeper, Command::Show { who: who("Ana") }, &[]);
        assert_eq!(shown.stored.len(), 1);
        let trust: Trust = ask(keeper, Command::Trusted, &[]);
        let signers: Vec<_> = trust.signers.iter().map(|s| (s.label.as_str(), s.generation)).collect();
        assert_eq!(signers, [("headquarters", Some(41))]);
    }
}

#[test]
fn a_store_without_totals_gets_them_once_and_keeps_everything() {
    let second = Second::new();
    let mut keeper = second.site.open();
    second.check(&mut keeper);
    let filter = AuditFilter { action: Some("migrated".to_owned()), ..AuditFilter::default() };
    let told = |keeper: &mut Keeper| -> Vec<AuditEntry> {
        ask(keeper, Command::AuditShow { filter: filter.clone() }, &[])
    };
    let entries = told(&mut keeper);
    assert_eq!((entries.len(), &entries[0].detail["schema"]), (1, &VERSION.into()));
    drop(keeper);
    let mut keeper = second.site.open();
    second.check(&mut keeper);
    assert_eq!(told(&mut keeper).len(), 1, "once");
}

/// A backup that the version before made is a store of that version.
#[test]
fn a_backup_of_the_version_before_can_be_restored() {
    let second = Second::new();
    let bytes = fs::read(second.site.path()).expect("a file");
    let new = Site::new();
    fs::copy(second.site.folder().join("gallery.key"), new.folder().join("gallery.key")).expect("copied");
    let mut keeper = new.open();
    let restored: BackedUp = ask(&mut keeper, Command::Restore { key: None }, &bytes);
    assert_eq!((restored.identities, restored.templates), (1, 1));
    let found: Examination = ask(&mut keeper, Command::Verify, &[]);
    assert_eq!(found.problems, [""; 0]);
    let restore = Command::Restore { key: None };
    assert!(try_ask::<BackedUp>(&mut keeper, restore, &bytes[..bytes.len() - 4096]).is_err(), "cut short");
}

#[test]
fn nothing_is_brought_up_with_another_key() {
    let second = Second::new();
    let other = Key::generate().expect("random");
    assert_eq!(error(Store::open(&second.site.path(), &other, PATIENCE)).kind(), Kind::Config);
    let after = Connection::open(second.site.path()).expect("a database");
    let version: i64 =
        after.query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0)).expect("a version");
    assert_eq!(version, 2);
}
