//! The scores of all cameras, and the thresholds that follow from them.
//!
//! ```text
//!  a camera's page:   waiting ──2 days, 200 scores──▶ estimated ──a day──▶ estimated again ...
//!                        ▲  the model's threshold        │  its own
//!                        └──────── another model ◀───────┘
//! ```
//!
//! A page is for one model: scores of another one say nothing. An estimate holds for a day; where there is none yet, or the gallery or the
//! budget is another, it is made anew at the next full hour. A threshold changes by whole bins only, so that noise announces nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::budget::{Basis, Estimate, Goal, estimate};
use super::scores::{Ended, Judged, Scores, WIDTH};
use super::tail::MateShape;
use crate::types::ids::{CameraId, ModelId};
use crate::types::scope::Scope;

/// Hours for which an estimate holds.
const HOLDS: i64 = 24;
/// A gallery that has grown or shrunk by this part is another one.
const OTHER_SIZE: f64 = 0.1;

/// What a camera is to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Most false alerts a day.
    pub per_day: f64,
    /// The threshold is never below that.
    pub floor: f32,
}

/// What is the same for all cameras.
#[derive(Debug, Clone, PartialEq)]
pub struct Around {
    /// The model of the templates.
    pub model: ModelId,
    /// Its own threshold.
    pub threshold: f32,
    /// How mates score with it.
    pub mates: MateShape,
    /// Identities that are searched.
    pub identities: u32,
    /// Of these, those on each list.
    pub on_list: BTreeMap<String, u32>,
    /// The highest similarity of two different enrolled people.
    pub between_enrolled: Option<f32>,
}

/// A threshold that is another one from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Whose it is.
    pub scope: Scope,
    /// The budget it is for.
    pub budget: Budget,
    /// The threshold before.
    pub from: f32,
    /// The new one, and why.
    pub estimate: Estimate,
}

/// A camera's scores, and what came of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Page {
    scores: Scores,
    /// The threshold that was estimated; `None`: the model's.
    estimated: Option<f32>,
    /// Those that were estimated for lists.
    #[serde(default)]
    lists: BTreeMap<String, f32>,
    /// The last estimates, and what they were made for.
    #[serde(skip)]
    last: BTreeMap<Option<String>, Made>,
}

#[derive(Debug, Clone, Copy)]
struct Made {
    estimate: Estimate,
    hour: i64,
    budget: Budget,
    identities: u32,
}

/// The pages of all cameras.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Book {
    model: Option<ModelId>,
    cameras: BTreeMap<CameraId, Page>,
}

impl Book {
    /// From now on templates are of this model. Of another one nothing is left.
    pub fn of_model(&mut self, model: ModelId) {
        if self.model != Some(model) {
            self.cameras.clear();
            self.model = Some(model);
        }
    }

    /// A track ended, and was compared with templates of `model`.
    pub fn ended(&mut self, camera: &CameraId, model: ModelId, judged: Judged, how: Ended) {
        if self.model == Some(model) {
            self.page(camera).scores.ended(judged, how);
        }
    }

    /// An operator says of an alert whether it was right: of one that was judged so, with this score.
    pub fn reviewed(&mut self, camera: &CameraId, judged: Judged, score: f32, right: bool) {
        let scores = &mut self.page(camera).scores;
        if right { scores.confirmed(judged) } else { scores.rejected(judged, score) }
    }

    /// The camera was looked at in this hour, which is over.
    pub fn watched(&mut self, camera: &CameraId, hour: i64) {
        self.page(camera).scores.watched(hour);
    }

    /// Makes the estimates that are due in this hour. Cameras without a budget keep their scores, and have no estimate.
    pub fn look(&mut self, hour: i64, around: &Around, budgets: &BTreeMap<Scope, Budget>) -> Vec<Change> {
        self.of_model(around.model);
        for (camera, page) in &mut self.cameras {
            page.keep(|list| budgets.contains_key(&Scope { camera: camera.clone(), list: list.cloned() }));
        }
        let due: Vec<(Scope, Budget)> = budgets
            .iter()
            .filter(|(scope, budget)| self.page(&scope.camera).is_due(&scope.list, hour, around, budget))
            .map(|(scope, budget)| (scope.clone(), *budget))
            .collect();
        due.into_iter().filter_map(|(scope, budget)| self.make(scope, hour, around, budget)).collect()
    }

    fn make(&mut self, scope: Scope, hour: i64, around: &Around, budget: Budget) -> Option<Change> {
        let page = self.page(&scope.camera);
        let before = page.of(&scope.list);
        let in_force = before.or(page.estimated).unwrap_or(around.threshold);
        let identities = around.searched(&scope.list);
        let goal = Goal {
            per_day: budget.per_day,
            identities,
            floor: budget.floor,
            between_enrolled: around.between_enrolled,
            model: around.threshold,
            in_force,
            mates: around.mates,
        };
        let estimate = estimate(&page.scores, &goal);
        page.last.insert(scope.list.clone(), Made { estimate, hour, budget, identities });
        let own = estimate.basis != Basis::TooFew;
        let moved = f64::from((estimate.threshold - in_force).abs()) > 0.5 * WIDTH;
        if (!moved && before.is_some() == own) || (before.is_none() && !own) {
            return None;
        }
        page.set(scope.list.as_ref(), own.then_some(estimate.threshold));
        Some(Change { scope, budget, from: in_force, estimate })
    }

    /// The model whose scores they are.
    pub fn model(&self) -> Option<ModelId> {
        self.model
    }

    /// The scores of each camera.
    pub fn scores(&self) -> impl Iterator<Item = (&CameraId, &Scores)> {
        self.cameras.iter().map(|(camera, page)| (camera, &page.scores))
    }

    /// Thresholds that were estimated.
    pub fn thresholds(&self) -> BTreeMap<Scope, f32> {
        let of_page = |(camera, page): (&CameraId, &Page)| {
            let scope = |list| Scope { camera: camera.clone(), list };
            let lists = page.lists.iter().map(|(list, value)| (scope(Some(list.clone())), *value));
            lists.chain(page.estimated.map(|value| (scope(None), value))).collect::<Vec<_>>()
        };
        self.cameras.iter().flat_map(of_page).collect()
    }

    /// The last estimate of whoever has a budget.
    pub fn estimates(&self) -> impl Iterator<Item = (Scope, &Estimate, Budget)> {
        self.cameras.iter().flat_map(|(camera, page)| {
            page.last.iter().map(|(list, made)| {
                (Scope { camera: camera.clone(), list: list.clone() }, &made.estimate, made.budget)
            })
        })
    }

    fn page(&mut self, camera: &CameraId) -> &mut Page {
        self.cameras.entry(camera.clone()).or_default()
    }
}

impl Around {
    /// Whom a search for this list finds, or for the camera.
    fn searched(&self, list: &Option<String>) -> u32 {
        list.as_ref().map_or(self.identities, |list| self.on_list.get(list).copied().unwrap_or(0))
    }
}

impl Page {
    /// The threshold that was estimated.
    fn of(&self, list: &Option<String>) -> Option<f32> {
        list.as_ref().map_or(self.estimated, |list| self.lists.get(list).copied())
    }

    fn set(&mut self, list: Option<&String>, threshold: Option<f32>) {
        match (list, threshold) {
            (None, threshold) => self.estimated = threshold,
            (Some(list), Some(threshold)) => drop(self.lists.insert(list.clone(), threshold)),
            (Some(list), None) => drop(self.lists.remove(list)),
        }
    }

    /// Forgets estimates of what has no budget.
    fn keep(&mut self, has_budget: impl Fn(Option<&String>) -> bool) {
        if !has_budget(None) {
            self.estimated = None;
        }
        self.lists.retain(|list, _| has_budget(Some(list)));
        self.last.retain(|list, _| has_budget(list.as_ref()));
    }

    fn is_due(&self, list: &Option<String>, hour: i64, around: &Around, budget: &Budget) -> bool {
        let Some(made) = self.last.get(list) else { return true };
        let size = f64::from(made.identities.max(1));
        let other = (f64::from(around.searched(list)) - size).abs() > OTHER_SIZE * size;
        let waiting = made.estimate.basis == Basis::TooFew;
        made.hour != hour && (waiting || other || made.budget != *budget || hour - made.hour >= HOLDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::normal;
    use crate::eval::random::Random;

    const MODEL: ModelId = ModelId([1; 32]);
    const MODELS_OWN: f32 = 0.45;

    /// Of the hundred who are enrolled, ten are on a list.
    fn around() -> Around {
        Around {
            model: MODEL,
            threshold: MODELS_OWN,
            mates: MateShape { mean: 0.6, deviation: 0.15 },
            identities: 100,
            on_list: [("few".to_owned(), 10)].into(),
            between_enrolled: None,
        }
    }

    fn door() -> CameraId {
        CameraId::new("door").expect("an id")
    }

    fn scope(list: Option<&str>) -> Scope {
        Scope { camera: door(), list: list.map(str::to_owned) }
    }

    fn budgets(per_day: f64) -> BTreeMap<Scope, Budget> {
        [(scope(None), Budget { per_day, floor: 0.2 })].into()
    }

    /// Strangers come by in these hours, 20 an hour, judged by the threshold that the book says.
    fn live(book: &mut Book, hours: std::ops::Range<i64>, per_day: f64) -> Vec<(i64, Change)> {
        let mut changes = Vec::new();
        book.of_model(MODEL);
        for hour in hours {
            let mut random = Random::seeded(hour as u64);
            book.watched(&door(), hour - 1);
            changes.extend(
                book.look(hour, &around(), &budgets(per_day)).into_iter().map(|change| (hour, change)),
            );
            let threshold = book.thresholds().get(&scope(None)).copied().unwrap_or(MODELS_OWN);
            for _ in 0..20 {
                let one = -(random.unit().ln() / 100.0).exp_m1();
                let score = (0.01 - 0.098 * normal::quantile(one)) as f32;
                let judged = Judged { hour, threshold, identities: 100 };
                let how = if score < threshold { Ended::NonMatch(score) } else { Ended::Alert };
                book.ended(&door(), MODEL, judged, how);
            }
        }
        changes
    }

    #[test]
    fn the_models_threshold_holds_until_the_first_estimate_and_each_change_is_told_once() {
        let mut book = Book::default();
        // The hour before the first one was watched, too.
        assert_eq!(live(&mut book, 0..47, 1.0), [], "two days have to be whole");
        assert_eq!(book.thresholds(), BTreeMap::new());
        let changes = live(&mut book, 47..24 * 20, 1.0);
        let (first, change) = &changes[0];
        assert_eq!((*first, change.from, change.estimate.basis), (47, 0.45, Basis::Scores));
        // Each begins where the last one ended, and none says what holds already.
        for pair in changes.windows(2) {
            assert_eq!(pair[1].1.from, pair[0].1.estimate.threshold);
            assert!(pair[1].0 - pair[0].0 >= 24, "{pair:?}");
        }
        let last = changes.last().expect("one").1.estimate.threshold;
        assert!(changes.iter().all(|(_, c)| c.estimate.threshold != c.from || c.from == 0.45));
        assert_eq!(book.thresholds()[&scope(None)], last);
        assert_eq!(book.estimates().count(), 1);
    }

    #[test]
    fn another_budget_is_heeded_at_the_next_hour_and_none_ends_the_estimate() {
        let mut book = Book::default();
        live(&mut book, 0..24 * 7, 1.0);
        let before = book.thresholds()[&scope(None)];
        let changes = live(&mut book, 24 * 7..24 * 7 + 2, 0.05);
        assert!(changes.len() == 1 && changes[0].1.estimate.threshold > before, "{changes:?}");
        assert_eq!(book.look(24 * 7 + 2, &around(), &BTreeMap::new()), []);
        assert_eq!(book.thresholds(), BTreeMap::new());
    }

    #[test]
    fn what_was_kept_goes_on_and_another_model_starts_over() {
        let mut book = Book::default();
        live(&mut book, 0..24 * 7, 1.0);
        let text = serde_json::to_string(&book).expect("JSON");
        let mut again: Book = serde_json::from_str(&text).expect("a book");
        assert_eq!(again.thresholds(), book.thresholds(), "at once, before anything is estimated");
        let at = |book: &mut Book| book.look(24 * 7, &around(), &budgets(1.0));
        assert_eq!(at(&mut again), at(&mut book), "the same scores, the same threshold");
        // A late track of the old model, and the look of the new one.
        again.of_model(ModelId([2; 32]));
        again.ended(&door(), MODEL, Judged { hour: 170, threshold: 0.5, identities: 9 }, Ended::Alert);
        assert!(again.thresholds().is_empty() && again.cameras.is_empty());
    }

    #[test]
    fn a_list_of_few_keeps_the_same_budget_with_a_lower_threshold_than_everybody() {
        let mut book = Book::default();
        live(&mut book, 0..24 * 7, 1.0);
        let both: BTreeMap<Scope, Budget> =
            [None, Some("few")].map(|list| (scope(list), Budget { per_day: 1.0, floor: 0.2 })).into();
        let changes = book.look(24 * 7, &around(), &both);
        assert_eq!(changes.iter().map(|change| &change.scope).collect::<Vec<_>>(), [&scope(Some("few"))]);
        let thresholds = book.thresholds();
        let (all, few) = (thresholds[&scope(None)], thresholds[&scope(Some("few"))]);
        assert!(few < all - 0.02, "{few} of the list, {all} of everybody");
        assert_eq!(changes[0].from, all, "until then the camera's");
        // Nothing is said again, and what has no budget any more has no threshold.
        assert_eq!(book.look(24 * 7 + 1, &around(), &both), []);
        let text = serde_json::to_string(&book).expect("JSON");
        assert_eq!(serde_json::from_str::<Book>(&text).expect("a book").thresholds(), thresholds);
        book.look(24 * 7 + 2, &around(), &budgets(1.0));
        assert_eq!(book.thresholds().keys().collect::<Vec<_>>(), [&scope(None)]);
    }
}
