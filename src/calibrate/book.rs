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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Around {
    /// The model of the templates.
    pub model: ModelId,
    /// Its own threshold.
    pub threshold: f32,
    /// How mates score with it.
    pub mates: MateShape,
    /// Identities that are searched.
    pub identities: u32,
    /// The highest similarity of two different enrolled people.
    pub between_enrolled: Option<f32>,
}

/// A threshold that is another one from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The camera.
    pub camera: CameraId,
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
    /// The last estimate, and what it was made for.
    #[serde(skip)]
    last: Option<Made>,
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
    pub fn look(&mut self, hour: i64, around: &Around, budgets: &BTreeMap<CameraId, Budget>) -> Vec<Change> {
        self.of_model(around.model);
        for (camera, page) in &mut self.cameras {
            if !budgets.contains_key(camera) {
                (page.estimated, page.last) = (None, None);
            }
        }
        let due: Vec<(CameraId, Budget)> = budgets
            .iter()
            .filter(|(camera, budget)| self.page(camera).is_due(hour, around, budget))
            .map(|(camera, budget)| (camera.clone(), *budget))
            .collect();
        due.into_iter().filter_map(|(camera, budget)| self.make(camera, hour, around, budget)).collect()
    }

    fn make(&mut self, camera: CameraId, hour: i64, around: &Around, budget: Budget) -> Option<Change> {
        let page = self.page(&camera);
        let in_force = page.estimated.unwrap_or(around.threshold);
        let goal = Goal {
            per_day: budget.per_day,
            identities: around.identities,
            floor: budget.floor,
            between_enrolled: around.between_enrolled,
            model: around.threshold,
            in_force,
            mates: around.mates,
        };
        let estimate = estimate(&page.scores, &goal);
        page.last = Some(Made { estimate, hour, budget, identities: around.identities });
        let own = estimate.basis != Basis::TooFew;
        let moved = f64::from((estimate.threshold - in_force).abs()) > 0.5 * WIDTH;
        if !moved && page.estimated.is_some() == own {
            return None;
        }
        page.estimated = own.then_some(estimate.threshold);
        Some(Change { camera, budget, from: in_force, estimate })
    }

    /// Thresholds that were estimated, by camera.
    pub fn thresholds(&self) -> BTreeMap<CameraId, f32> {
        let own = |(camera, page): (&CameraId, &Page)| Some((camera.clone(), page.estimated?));
        self.cameras.iter().filter_map(own).collect()
    }

    /// The last estimate of each camera that has a budget.
    pub fn estimates(&self) -> impl Iterator<Item = (&CameraId, &Estimate, Budget)> {
        self.cameras.iter().filter_map(|(camera, page)| {
            let made = page.last.as_ref()?;
            Some((camera, &made.estimate, made.budget))
        })
    }

    fn page(&mut self, camera: &CameraId) -> &mut Page {
        self.cameras.entry(camera.clone()).or_default()
    }
}

impl Page {
    fn is_due(&self, hour: i64, around: &Around, budget: &Budget) -> bool {
        let Some(made) = &self.last else { return true };
        let size = f64::from(made.identities.max(1));
        let other = (f64::from(around.identities) - size).abs() > OTHER_SIZE * size;
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
    const AROUND: Around = Around {
        model: MODEL,
        threshold: 0.45,
        mates: MateShape { mean: 0.6, deviation: 0.15 },
        identities: 100,
        between_enrolled: None,
    };

    fn door() -> CameraId {
        CameraId::new("door").expect("an id")
    }

    fn budgets(per_day: f64) -> BTreeMap<CameraId, Budget> {
        [(door(), Budget { per_day, floor: 0.35 })].into()
    }

    /// Strangers come by in these hours, 20 an hour, judged by the threshold that the book says.
    fn live(book: &mut Book, hours: std::ops::Range<i64>, per_day: f64) -> Vec<(i64, Change)> {
        let mut changes = Vec::new();
        book.of_model(MODEL);
        for hour in hours {
            let mut random = Random::seeded(hour as u64);
            book.watched(&door(), hour - 1);
            changes
                .extend(book.look(hour, &AROUND, &budgets(per_day)).into_iter().map(|change| (hour, change)));
            let threshold = book.thresholds().get(&door()).copied().unwrap_or(AROUND.threshold);
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
        assert_eq!(book.thresholds()[&door()], last);
        assert_eq!(book.estimates().count(), 1);
    }

    #[test]
    fn another_budget_is_heeded_at_the_next_hour_and_none_ends_the_estimate() {
        let mut book = Book::default();
        live(&mut book, 0..24 * 7, 1.0);
        let before = book.thresholds()[&door()];
        let changes = live(&mut book, 24 * 7..24 * 7 + 2, 0.05);
        assert!(changes.len() == 1 && changes[0].1.estimate.threshold > before, "{changes:?}");
        assert_eq!(book.look(24 * 7 + 2, &AROUND, &BTreeMap::new()), []);
        assert_eq!(book.thresholds(), BTreeMap::new());
    }

    #[test]
    fn what_was_kept_goes_on_and_another_model_starts_over() {
        let mut book = Book::default();
        live(&mut book, 0..24 * 7, 1.0);
        let text = serde_json::to_string(&book).expect("JSON");
        let mut again: Book = serde_json::from_str(&text).expect("a book");
        assert_eq!(again.thresholds(), book.thresholds(), "at once, before anything is estimated");
        let at = |book: &mut Book| book.look(24 * 7, &AROUND, &budgets(1.0));
        assert_eq!(at(&mut again), at(&mut book), "the same scores, the same threshold");
        // A late track of the old model, and the look of the new one.
        again.of_model(ModelId([2; 32]));
        again.ended(&door(), MODEL, Judged { hour: 170, threshold: 0.5, identities: 9 }, Ended::Alert);
        assert!(again.thresholds().is_empty() && again.cameras.is_empty());
    }
}
