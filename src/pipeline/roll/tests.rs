//! What a roll call tells, and of whom.

use std::sync::Arc;

use super::*;
use crate::gallery::snapshot::Model;
use crate::types::embedding::Embedding;
use crate::types::ids::TemplateId;
use crate::types::matching::{IndexKind, ListRule};

const DIMENSION: usize = 4;

#[derive(Clone)]
struct Box7 {
    model: u8,
    generation: u64,
    people: HashMap<IdentityId, Person>,
    templates: Vec<(IdentityId, TemplateId)>,
}

fn rule(name: &str, publish: Publish) -> Arc<ListRule> {
    Arc::new(ListRule { name: name.into(), threshold: None, priority: 0, publish })
}

fn person(name: &str, lists: &[Arc<ListRule>]) -> Person {
    Person { name: name.into(), external_id: None, lists: lists.into(), searched: true }
}

impl Box7 {
    fn new(people: impl IntoIterator<Item = Person>) -> (Self, Vec<IdentityId>) {
        let people: Vec<_> = people.into_iter().map(|person| (IdentityId::generate(), person)).collect();
        let ids: Vec<IdentityId> = people.iter().map(|(id, _)| *id).collect();
        let templates = ids.iter().map(|id| (*id, TemplateId::generate())).collect();
        (Self { model: 1, generation: 1, people: people.into_iter().collect(), templates }, ids)
    }

    fn snapshot(&self) -> GallerySnapshot {
        let id = ModelId([self.model; 32]);
        let vector = || Embedding::new(id, vec![1.0; DIMENSION]).expect("a vector");
        let rows = self.templates.iter().map(|(who, template)| Ok((*who, *template, vector())));
        let model = Model { id, dimension: DIMENSION };
        GallerySnapshot::new(model, IndexKind::Exact, self.generation, self.people.clone(), rows)
            .expect("a gallery")
    }
}

/// What one change is told as, and who is named.
fn told(roll: &mut Roll, now: &Box7) -> Vec<(GalleryAction, u64, Vec<IdentityId>)> {
    let news = roll.call(&now.snapshot());
    let changes = news.map_or_else(Vec::new, |news| news.changes);
    let row = |c: GalleryChange| (c.what, c.count, c.identities.iter().map(|listed| listed.id).collect());
    changes.into_iter().map(row).collect()
}

#[test]
fn each_kind_of_change_is_told_once() {
    use GalleryAction::{Activated, Added, Changed, Deactivated, Model, Removed};
    let vip = rule("vip", Publish::Name);
    let (mut gallery, ids) =
        Box7::new([person("Ada", std::slice::from_ref(&vip)), person("Bob", std::slice::from_ref(&vip))]);
    let [ada, bob] = ids[..] else { panic!("two") };
    let mut roll = Roll::of(&gallery.snapshot());
    assert_eq!(told(&mut roll, &gallery), []);
    gallery.generation += 1;
    assert_eq!(told(&mut roll, &gallery), [], "what nobody can tell is no news");

    gallery.templates.push((ada, TemplateId::generate()));
    assert_eq!(told(&mut roll, &gallery), [(Changed, 1, vec![ada])]);
    gallery.templates.reverse();
    assert_eq!(told(&mut roll, &gallery), [], "the order of rows is nothing");
    gallery.people.insert(bob, Person { searched: false, ..person("Bob", std::slice::from_ref(&vip)) });
    assert_eq!(told(&mut roll, &gallery), [(Deactivated, 1, vec![bob])]);
    gallery.people.insert(bob, person("Bob", std::slice::from_ref(&vip)));
    gallery.people.insert(ada, person("Ada Lovelace", std::slice::from_ref(&vip)));
    assert_eq!(told(&mut roll, &gallery), [(Activated, 1, vec![bob]), (Changed, 1, vec![ada])]);

    let new = IdentityId::generate();
    gallery.people.insert(new, person("Cy", &[vip]));
    gallery.people.remove(&ada);
    assert_eq!(told(&mut roll, &gallery), [(Added, 1, vec![new]), (Removed, 1, vec![ada])]);

    gallery.model = 2;
    for (_, template) in &mut gallery.templates {
        *template = TemplateId::generate();
    }
    assert_eq!(told(&mut roll, &gallery), [(Model, 2, vec![])]);
}

#[test]
fn the_figures_are_of_the_gallery_in_use() {
    let (mut gallery, _) = Box7::new([person("Ada", &[])]);
    let mut roll = Roll::of(&gallery.snapshot());
    let (more, _) = Box7::new((0..4).map(|n| Person { searched: n > 0, ..person("x", &[]) }));
    (gallery.people, gallery.templates, gallery.generation) = (more.people, more.templates, 9);
    let news = roll.call(&gallery.snapshot()).expect("news");
    assert_eq!((news.generation, news.identities, news.templates), (9, 3, 3));
}

#[test]
fn whose_lists_publish_nothing_is_counted_and_not_named() {
    let (staff, vip) = (rule("staff", Publish::Nothing), rule("vip", Publish::Pseudonym));
    let (empty, _) = Box7::new([]);
    let (gallery, ids) = Box7::new([
        person("Ada", &[staff.clone(), vip.clone()]),
        person("Bob", std::slice::from_ref(&staff)),
        person("Cy", &[]),
    ]);
    let [ada, bob, cy] = ids[..] else { panic!("three") };
    let news = Roll::of(&empty.snapshot()).call(&gallery.snapshot()).expect("news");
    let [added] = &news.changes[..] else { panic!("one kind: {news:?}") };
    assert_eq!(added.count, 3);
    let named: HashMap<_, _> = added.identities.iter().map(|who| (who.id, who.lists.clone())).collect();
    assert_eq!(named, HashMap::from([(ada, vec!["vip".to_owned()]), (cy, vec![])]), "no list that is silent");

    // Who comes under a silent list is not named, nor who leaves from one; who comes off it is.
    let mut later = gallery.clone();
    let mut roll = Roll::of(&gallery.snapshot());
    later.people.insert(ada, person("Ada", std::slice::from_ref(&staff)));
    later.people.insert(bob, person("Bob", &[vip]));
    assert_eq!(told(&mut roll, &later), [(GalleryAction::Changed, 2, vec![bob])]);
    later.people.remove(&ada);
    assert_eq!(told(&mut roll, &later), [(GalleryAction::Removed, 1, vec![])]);
    let text = format!("{roll:?}");
    assert!(
        !text.contains("Bob") && !text.contains("staff"),
        "neither names nor silent lists are kept: {text}"
    );
}

#[test]
fn a_hundred_are_named_and_all_are_counted() {
    let (empty, _) = Box7::new([]);
    let (many, mut ids) = Box7::new((0..250).map(|n| person(&n.to_string(), &[])));
    let news = Roll::of(&empty.snapshot()).call(&many.snapshot()).expect("news");
    ids.sort_unstable();
    assert_eq!(news.changes[0].count, 250);
    assert!(news.changes[0].identities.iter().map(|who| who.id).eq(ids.into_iter().take(100)));
}
