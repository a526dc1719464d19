//! Several templates in one command.

use super::*;
use crate::gallery::command::{AuditFilter, MOST_OFFERS, Offer};
use crate::gallery::enrol::Chip;
use crate::gallery::report::{AuditEntry, Doubt};
use crate::image::testing::noise;
use crate::types::face::Detection;
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::TemplateId;

/// Offers of one command, with their body.
#[derive(Clone, Default)]
struct Batch {
    offers: Vec<Offer>,
    body: Vec<u8>,
}

impl Batch {
    fn add(&mut self, record: Record, template: TemplateData, body: &[u8]) {
        self.offers.push(Offer { subject: Subject { record }, template, body: body.len() });
        self.body.extend_from_slice(body);
    }

    fn send(&self, keeper: &mut Keeper, review: Review) -> Result<Vec<Enrolment>> {
        try_ask(keeper, Command::EnrolMany { offers: self.offers.clone(), review }, &self.body)
    }
}

fn batch(offers: &[(Record, TemplateData, Vec<u8>)]) -> Batch {
    let mut batch = Batch::default();
    offers.iter().for_each(|(record, template, body)| batch.add(record.clone(), template.clone(), body));
    batch
}

/// Names, external ids and pictures as they come in a folder somebody has made a mess of: the same picture again, in another
/// folder, the same person under two names, two people with one name.
fn mess(site: &mut Site, rng: &mut fastrand::Rng, count: usize) -> Vec<(Record, TemplateData, Vec<u8>)> {
    let mut offers: Vec<(Record, TemplateData, Vec<u8>)> = Vec::new();
    while offers.len() < count {
        let person = rng.usize(..12);
        let mut record = record(&format!("Person {}", person / 2 * 2));
        if person.is_multiple_of(3) {
            record.external_id = Some(ExternalId::new(&format!("E{person}")).expect("an id"));
        }
        let (template, body, _) = site.picture(if rng.u8(..8) == 0 { rng.usize(..12) } else { person });
        let again = (rng.u8(..6) == 0).then(|| rng.choice(&offers).cloned()).flatten();
        let (template, body) = again.map_or((template, body), |(_, template, body)| (template, body));
        offers.push((record, template, body));
    }
    offers
}

/// What was answered, without the ids, which are random.
fn said(answer: &Enrolment) -> String {
    let kinds = |doubts: &[Doubt]| -> Vec<String> {
        let kind = |doubt: &Doubt| match doubt {
            Doubt::Duplicate { score, .. } => format!("duplicate {score:.3}"),
            Doubt::NearerToAnother { name, score, .. } => format!("nearer {name} {score:.3}"),
            Doubt::Outlier { own, .. } => format!("outlier {own:.3}"),
        };
        // Of equal scores any may come first.
        let mut kinds: Vec<String> = doubts.iter().map(kind).collect();
        kinds.sort();
        kinds
    };
    match answer {
        Enrolment::Stored { new_identity, doubts, .. } => {
            format!("stored, new {new_identity} {:?}", kinds(doubts))
        }
        Enrolment::AlreadyThere { .. } => "already there".to_owned(),
        Enrolment::Refused { doubts } => format!("refused {:?}", kinds(doubts)),
    }
}

/// Everybody with their pictures, and what the audit log says of whom.
fn content(keeper: &mut Keeper) -> (Vec<String>, Vec<String>) {
    let mut people: Vec<Person> = ask(keeper, Command::List { list: None, standing: None, text: None }, &[]);
    people.sort_by_key(|person| (person.record.name.to_string(), person.record.external_id.clone()));
    let portrait = |keeper: &mut Keeper, person: &Person| {
        let shown: Portrait = ask(keeper, Command::Show { who: Who(person.id.to_string()) }, &[]);
        let mut sources: Vec<String> = shown.stored.iter().map(|t| t.source.name.clone()).collect();
        sources.sort();
        format!("{} {:?} {sources:?}", person.record.name, person.record.external_id)
    };
    let people = people.iter().map(|person| portrait(keeper, person)).collect();
    let entries: Vec<AuditEntry> = ask(keeper, Command::AuditShow { filter: AuditFilter::default() }, &[]);
    (people, entries.iter().map(|entry| format!("{} {:?}", entry.action, entry.name)).collect())
}

#[test]
fn many_at_a_time_are_judged_stored_and_on_record_as_one_after_the_other() {
    let mut rng = fastrand::Rng::with_seed(7);
    for (round, review) in [Review::Off, Review::Standard, Review::Strict].into_iter().enumerate() {
        let mut site = Site::new();
        let offers = mess(&mut site, &mut rng, 150);
        let (mut one, elsewhere) = (site.open(), Site::new());
        let mut many = elsewhere.open();
        let mut rest = offers.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rng.usize(1..=MOST_OFFERS).min(rest.len()));
            rest = later;
            // Whoever cannot be told from somebody else is refused by an error, in both.
            let (mut accepted, mut expected) = (Vec::new(), Vec::new());
            for offer in now {
                let alone = batch(std::slice::from_ref(offer));
                match alone.send(&mut one, review) {
                    Ok(answers) => {
                        expected.extend(answers.iter().map(said));
                        accepted.push(offer.clone());
                    }
                    Err(error) => assert_eq!(error.kind(), Kind::Usage),
                }
            }
            if accepted.len() < now.len() {
                assert_eq!(batch(now).send(&mut many, review).expect_err("ambiguous").kind(), Kind::Usage);
            }
            let answers = batch(&accepted).send(&mut many, review).expect("stored");
            assert_eq!(answers.iter().map(said).collect::<Vec<_>>(), expected, "round {round}");
        }
        let (expected, mut again) = (content(&mut one), content(&mut many));
        assert_eq!(again, expected);
        drop(many);
        again = content(&mut elsewhere.open());
        assert_eq!(again, expected, "and so it is on the disk");
    }
}

#[test]
fn many_are_one_change_with_an_entry_for_each() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let (mut all, mut probes) = (Batch::default(), Vec::new());
    for person in 0..MOST_OFFERS {
        let (template, body, embedding) = site.picture(person);
        all.add(record(&format!("P{person}")), template, &body);
        probes.push(embedding);
    }
    let answers = all.send(&mut keeper, Review::Off).expect("stored");
    let generations: BTreeSet<u64> = answers
        .iter()
        .map(|answer| match answer {
            Enrolment::Stored { generation, .. } => *generation,
            other => panic!("{other:?}"),
        })
        .collect();
    let after: Description = ask(&mut keeper, Command::Describe, &[]);
    assert_eq!(generations, BTreeSet::from([before.generation + 1]));
    assert_eq!((after.generation, after.audit), (before.generation + 1, before.audit + MOST_OFFERS as u64));
    for (person, probe) in probes.iter().enumerate() {
        assert_eq!(best(&keeper, probe).as_deref(), Some(format!("P{person}").as_str()));
    }
    assert!(ask::<AuditReport>(&mut keeper, Command::AuditVerify { head: None }, &[]).problems.is_empty());
}

#[test]
fn one_that_is_wrong_takes_all_of_its_command_with_it() {
    let mut site = Site::new();
    let mut keeper = site.open();
    let before: Description = ask(&mut keeper, Command::Describe, &[]);
    let good: Vec<_> = (0..5)
        .map(|person| {
            let (template, body, _) = site.picture(person);
            (record(&format!("P{person}")), template, body)
        })
        .collect();
    let mut refused = |what: &str, change: &dyn Fn(&mut Batch), kind: Kind| {
        let mut batch = batch(&good);
        change(&mut batch);
        assert_eq!(batch.send(&mut keeper, Review::Off).expect_err(what).kind(), kind, "{what}");
        assert_eq!(ask::<Description>(&mut keeper, Command::Describe, &[]), before, "{what}");
    };
    let staff = ListName::new("staff").expect("a list");
    refused("no such list", &|b| b.offers[3].subject.record.lists.extend([staff.clone()]), Kind::NoInput);
    refused("another model", &|b| b.offers[3].template.model = ModelId([9; 32]), Kind::Data);
    refused("no unit vector", &|b| b.body[3 * 4 * DIMENSION..][..4].copy_from_slice(&[0xFF; 4]), Kind::Data);
    refused("too little", &|b| b.body.truncate(b.body.len() - 1), Kind::Data);
    refused("too much", &|b| b.body.push(0), Kind::Data);
    refused("a length from nowhere", &|b| b.offers[4].body = usize::MAX, Kind::Data);
    let again = |b: &mut Batch| {
        for _ in 0..4 {
            b.offers.extend_from_within(..4);
            b.body.extend_from_within(..4 * 4 * DIMENSION);
        }
    };
    refused("too many", &again, Kind::Data);
}

/// With the crop, or what is to pass for one, behind each vector.
fn with_crops(site: &mut Site, crops: &[Vec<u8>]) -> Batch {
    let mut batch = Batch::default();
    for (person, crop) in crops.iter().enumerate() {
        let (template, mut body, _) = site.picture(person);
        body.extend_from_slice(crop);
        batch.add(record(&format!("P{person}")), template, &body);
    }
    batch
}

#[test]
fn crops_are_kept_and_damaged_ones_are_refused_whoever_sends_them() {
    let mut site = Site::new();
    let opening = Opening { keeps_crops: true, ..site.opening() };
    let mut keeper = Keeper::open(opening, Box::new(drop)).expect("a gallery").0;
    let landmarks = [(90.0, 90.0), (130.0, 90.0), (110.0, 110.0), (95.0, 130.0), (125.0, 130.0)];
    let face = Detection {
        bbox: Rect::new(70.0, 60.0, 150.0, 150.0),
        landmarks: landmarks.map(|(x, y)| Point { x, y }),
        score: 0.9,
    };
    let crop = |seed| {
        let chip = Chip::cut(&noise(Size::new(240, 200), seed), &face).expect("a chip");
        chip.to_bytes().expect("bytes").to_vec()
    };
    let good: Vec<Vec<u8>> = (0..3).map(crop).collect();
    let line = good[1].iter().position(|&b| b == b'\n').expect("a header") + 1;
    let scan = good[1].windows(2).position(|two| two == [0xFF, 0xDA]).expect("a scan");
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let damages: [(&str, Damage<'_>); 6] = [
        ("cut short", &|crop| crop.truncate(crop.len() / 2)),
        ("without its end", &|crop| crop.truncate(crop.len() - 2)),
        ("no picture", &|crop| crop.splice(line.., [7; 500]).for_each(drop)),
        ("another size", &|crop| {
            let at = crop.windows(2).position(|two| two == [0xFF, 0xC0]).expect("a frame") + 5;
            crop[at..at + 4].copy_from_slice(&[0xFF; 4]);
        }),
        ("no codes", &|crop| crop[scan + 14..].iter_mut().step_by(2).for_each(|byte| *byte = 0xFF)),
        ("too large", &|crop| crop.resize(1 << 20, 0)),
    ];
    for (what, damage) in damages {
        let mut crops = good.clone();
        damage(&mut crops[1]);
        let refused = with_crops(&mut site, &crops).send(&mut keeper, Review::Off).expect_err(what);
        assert_eq!(refused.kind(), Kind::Data, "{what}: {}", refused.chain());
        assert!(content(&mut keeper).0.is_empty(), "{what}");
    }
    let answers = with_crops(&mut site, &good).send(&mut keeper, Review::Off).expect("stored");
    let templates: BTreeSet<Option<TemplateId>> = answers
        .iter()
        .map(|answer| match answer {
            Enrolment::Stored { template, .. } => Some(*template),
            _ => None,
        })
        .collect();
    assert_eq!((templates.len(), templates.contains(&None)), (3, false));
    for person in 0..3 {
        let shown: Portrait = ask(&mut keeper, Command::Show { who: who(&format!("P{person}")) }, &[]);
        assert!(shown.stored.iter().all(|template| template.crop));
    }
}
