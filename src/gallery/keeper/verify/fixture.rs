//! A gallery with something in every table, made with one change.

use super::super::change::{ChangeSet, CropChange, IdentityChange, ListChange, NewTemplate, TemplateChange};
use super::super::tests::{Site, actor, record};
use super::super::{Keeper, Opening};
use crate::gallery::audit::{Action, Draft, SealedPart};
use crate::gallery::command::{Source, SourceKind};
use crate::gallery::crypt::Key;
use crate::gallery::list::List;
use crate::gallery::record::{ExternalId, ListName, Record, Standing};
use crate::gallery::store::StoredIdentity;
use crate::types::ids::{IdentityId, TemplateId};
use zeroize::Zeroizing;

/// Who was enrolled.
pub(in crate::gallery) struct People {
    pub(in crate::gallery) ids: Vec<IdentityId>,
}

/// Opens the site's gallery, which keeps crops.
pub(in crate::gallery) fn open(site: &Site) -> Keeper {
    Keeper::open(Opening { keeps_crops: true, ..site.opening() }, Box::new(drop)).expect("a gallery").0
}

/// Enrols `person 0`, `person 1`, ... with `each` templates and a crop of the first of these, every second one with an external
/// id and on a list of its own kind.
pub(in crate::gallery) fn fill(site: &mut Site, keeper: &mut Keeper, people: usize, each: usize) -> People {
    let lists = ["staff", "vip", "banned", "night"].map(|name| ListName::new(name).expect("a list"));
    let mut change = ChangeSet::default();
    for (list, priority) in lists.iter().zip(1..) {
        change.lists.push(ListChange::Put(List {
            priority,
            threshold: Some(0.5),
            ..List::new(list.clone())
        }));
    }
    let now = keeper.clock.now().wall;
    let mut ids = Vec::new();
    for number in 0..people {
        let odd = number % 2 == 1;
        let mut record = Record { notes: Some("a note".to_owned()), ..record(&format!("person {number}")) };
        if odd {
            record.external_id = Some(ExternalId::new(&format!("EXT-{number}")).expect("an id"));
            record.lists.insert(lists[number % lists.len()].clone());
        }
        let identity = StoredIdentity {
            id: IdentityId::generate(),
            record,
            standing: Standing::Active,
            created: now,
            revision: 1,
            key: Key::generate().expect("random"),
            older: Vec::new(),
        };
        ids.push(identity.id);
        for picture in 0..each {
            let sha256 = format!("{:064x}", 1_000_000 + number * each + picture);
            if picture == 0 {
                let tag = keeper.store.read(|tables| Ok(tables.source_tag(&sha256))).expect("a tag");
                let bytes = Zeroizing::new(vec![0xAB; 600]);
                change.crops.push(CropChange::Put { identity: identity.id, tag, bytes });
            }
            let template = NewTemplate {
                id: TemplateId::generate(),
                embedding: site.people.template(number),
                quality: 0.25 + 0.5 * number as f32 / people as f32,
                source: Source { kind: SourceKind::File, name: format!("{number}-{picture}.jpg"), sha256 },
                created: now,
            };
            change.templates.push(TemplateChange::Add { identity: identity.id, template });
        }
        let draft = Draft::new(Action::Enrolled)
            .about(identity.id, SealedPart::of(&identity.record))
            .member(&identity.record.lists, identity.standing);
        change.say_of(&identity, draft);
        change.identities.push(IdentityChange::Add(identity));
    }
    keeper.commit(&actor(), change).expect("stored");
    People { ids }
}
