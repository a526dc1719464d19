//! Reports as a keeper gives them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::gallery::Name;
use crate::gallery::command::{Source, SourceKind};
use crate::gallery::list::{List, Publish};
use crate::gallery::record::{ExternalId, ListName, Record, Standing};
use crate::gallery::report::*;
use crate::types::ids::{IdentityId, ModelId, TemplateId};

pub fn value(report: impl Serialize) -> Value {
    serde_json::to_value(report).expect("JSON")
}

/// An id that reads `0190b5c6-0000-7000-8000-0000000000NN`.
pub fn id(n: u8) -> IdentityId {
    format!("0190b5c6-0000-7000-8000-0000000000{n:02x}").parse().expect("an id")
}

pub fn time(text: &str) -> jiff::Timestamp {
    text.parse().expect("a time")
}

pub fn model(n: u8) -> ModelId {
    ModelId([n; 32])
}

pub fn person(n: u8, name: &str) -> Person {
    Person {
        id: id(n),
        record: Record::new(Name::new(name).expect("a name")),
        standing: Standing::Active,
        created: time("2026-01-02T03:04:05Z"),
        revision: 1,
        templates: 3,
    }
}

pub fn people() -> Vec<Person> {
    let mut wide = person(2, "王小明");
    wide.record.external_id = Some(ExternalId::new("E-7").expect("an id"));
    wide.record.lists = ["staff", "vip"].map(|list| ListName::new(list).expect("a list")).into();
    wide.record.valid_until = Some(time("2027-03-01T23:00:00Z"));
    let mut gone = person(3, "علی‌رضا");
    (gone.standing, gone.templates) = (Standing::Expired, 12);
    gone.record.lists.clear();
    vec![person(1, "Ada Lovelace"), wide, gone]
}

pub fn portrait() -> Portrait {
    let mut person = people().remove(1);
    person.record.purpose = Some("opens the door".to_owned());
    person.record.notes = Some("first line\nsecond \u{202e}line".to_owned());
    let template = |n: u8, name: &str, nearest_own| StoredTemplate {
        id: TemplateId(id(n).0),
        model: model(0xab),
        quality: 0.925,
        source: Source { kind: SourceKind::File, name: name.to_owned(), sha256: "00".repeat(32) },
        created: time("2026-01-02T03:04:05Z"),
        crop: n == 0x11,
        nearest_own,
    };
    let stored = vec![template(0x11, "a.jpg", Some(0.8125)), template(0x12, "\u{1b}[31mb\n.jpg", None)];
    Portrait { person, stored }
}

pub fn lists() -> Vec<ListUse> {
    let list = |name: &str| List::new(ListName::new(name).expect("a list"));
    let staff = List {
        threshold: Some(0.42),
        priority: -5,
        publish: Publish::Nothing,
        purpose: Some("opens the door".to_owned()),
        ..list("staff")
    };
    vec![ListUse { list: staff, identities: 12 }, ListUse { list: list("watchlist"), identities: 3 }]
}

pub fn receipt() -> Receipt {
    Receipt {
        identity: id(1),
        at: time("2026-10-01T11:00:00Z"),
        templates: 3,
        crops: 1,
        snapshots: 0,
        wiped: true,
        probes: 3,
        returned: 0,
        generation: 12,
        audit: 55,
        dissolved: Vec::new(),
        beyond: vec!["backups made before".to_owned(), "events delivered before".to_owned()],
        again: false,
    }
}

pub fn pairs() -> Vec<Pair> {
    let pair = |score, above_threshold| Pair {
        score,
        identities: [(id(1), "Ada Lovelace".to_owned()), (id(2), "王小明".to_owned())],
        above_threshold,
    };
    vec![pair(0.61, true), pair(0.2, false)]
}

pub fn examination(problems: &[&str]) -> Examination {
    Examination {
        looked_at: BTreeMap::from([("identities".to_owned(), 3), ("templates".to_owned(), 18)]),
        problems: problems.iter().map(|&p| p.to_owned()).collect(),
        warnings: Vec::new(),
        head: head(),
    }
}

pub fn head() -> String {
    format!("57:{}", "0f".repeat(32))
}

pub fn audit_report(problems: &[&str]) -> AuditReport {
    let problems = problems.iter().map(|&p| p.to_owned()).collect();
    AuditReport { entries: 57, head: head(), problems }
}

pub fn entries() -> Vec<AuditEntry> {
    let entry = |sequence, action: &str, name: Option<&str>, detail: Value| AuditEntry {
        sequence,
        at: time("2026-10-01T11:00:00Z"),
        actor: "uid 0".to_owned(),
        action: action.to_owned(),
        identity: name.map(|_| id(1)),
        name: name.map(str::to_owned),
        generation: sequence,
        detail: detail.as_object().cloned().unwrap_or_default(),
    };
    vec![
        entry(9, "enrolled", Some("forgotten"), json!({"lists": ["staff"], "standing": "active"})),
        entry(10, "exported", None, json!({})),
    ]
}

pub fn members() -> Vec<Member> {
    let member = |n, name: &str, lists: &[&str]| Member {
        identity: id(n),
        name: name.to_owned(),
        lists: lists.iter().map(|&l| l.to_owned()).collect(),
        standing: Standing::Active,
    };
    vec![member(1, "forgotten", &["staff", "vip"]), member(2, "王小明", &["watchlist"])]
}

pub fn description() -> Description {
    Description {
        generation: 12,
        model: Some(model(0xab)),
        templates: BTreeMap::from([(model(0xab), 18), (model(0xcd), 4)]),
        standings: BTreeMap::from([(Standing::Active, 2), (Standing::Expired, 1)]),
        reviews_due: 1,
        keeps_crops: false,
        master_key: "0011223344556677".to_owned(),
        audit: 57,
    }
}

pub fn exported(encrypted: bool) -> Exported {
    Exported {
        identities: 3,
        templates: 18,
        generation: 12,
        signer: "0a".repeat(32),
        fingerprint: "e18b-0d4a".to_owned(),
        encrypted,
    }
}

pub fn imported(dry_run: bool) -> Imported {
    let change = |name: &str, external_id: Option<&str>, what: &str, templates| ImportChange {
        name: name.to_owned(),
        external_id: external_id.map(str::to_owned),
        what: what.to_owned(),
        templates,
    };
    Imported {
        dry_run,
        signer: "gate \u{1b}north".to_owned(),
        generation: 7,
        added: 1,
        merged: 1,
        unchanged: 0,
        templates: 5,
        forgotten: 1,
        lists: if dry_run { vec!["staff".to_owned(), "vip".to_owned()] } else { vec![] },
        changes: vec![
            change("王小明", Some("E-7"), "merged", 2),
            change("Ada Lovelace", None, "added", 3),
            change("Bob", None, "forgotten", 0),
        ],
    }
}

pub fn trust(signers: bool) -> Trust {
    let signer = Signer {
        key: "0b".repeat(32),
        label: "gate north".to_owned(),
        added: time("2026-01-02T03:04:05Z"),
        generation: Some(7),
    };
    Trust {
        own: "0a".repeat(32),
        fingerprint: "e18b-0d4a".to_owned(),
        signers: if signers { vec![signer] } else { vec![] },
    }
}

pub fn backed_up() -> BackedUp {
    BackedUp {
        whole: false,
        generation: 12,
        now: 15,
        identities: 3,
        templates: 18,
        forgotten: 1,
        master_key: "0011223344556677".to_owned(),
        gone: Vec::new(),
    }
}

pub fn moved(left: Option<u64>) -> Moved {
    Moved { person: person(1, "Ana"), from: id(2), moved: 2, repeated: 1, left }
}

pub fn rotated() -> Rotated {
    Rotated {
        from: "0011223344556677".to_owned(),
        to: "8899aabbccddeeff".to_owned(),
        rewrapped: 6,
        reencrypted: 0,
        kept_in: "the key file /var/lib/watchlistd/gallery.key".to_owned(),
    }
}

pub fn switched(switched: bool) -> Switched {
    let scores = |n, confusable| ModelScores {
        model: model(n),
        threshold: 0.4,
        mated: Some(0.712),
        non_mated: None,
        confusable,
    };
    Switched {
        switched,
        from: model(0xab),
        to: model(0xcd),
        ready: 2,
        lost: vec![(id(3), "Bob \u{1b}[1m".to_owned())],
        embedded: 14,
        scores: vec![scores(0xab, pairs()), scores(0xcd, vec![])],
    }
}
