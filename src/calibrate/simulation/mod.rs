//! Does the budget hold? Simulated boxes, of which the truth is known.
//!
//! ```text
//!  seed ─▶ Plan: strangers' tail, gallery, traffic, mates, verdicts ─▶ World: 28 days, an estimate an evening ─▶ Evening: holds?
//! ```
//!
//! A budget holds if the true expected false alerts a day at the threshold in force are at most the budget. `make sim-budget` runs 1,000 boxes;
//! with `WATCHLISTD_SCORES`, a file of `watchlistd calibrate FOLDER --matrix`, real faces' scores are among them.

mod divided;
mod people;
mod strangers;
mod world;

use std::collections::BTreeMap;
use std::path::Path;

use people::Matrix;
use strangers::{Comparisons, families};
use world::{Evening, Plan, Strangers, Traffic, World};

use super::budget::Basis;
use super::tail::MateShape;
use crate::eval::random::Random;

/// The seed of the figures in the documentation. Another one than those that constants were chosen with.
const SEED: u64 = 23;
/// Evenings with an estimate.
const LOOKS: [usize; 10] = [2, 3, 4, 5, 6, 7, 10, 14, 21, 28];
/// What every box takes mates' scores for; what they are differs.
const ASSUMED: MateShape = MateShape::USUAL;
const TRAFFIC: [Traffic; 4] = [Traffic::Steady, Traffic::Rush, Traffic::Bursts, Traffic::Regulars];

/// A box, and what became of it.
struct Run {
    tail: &'static str,
    traffic: Traffic,
    identities: u32,
    budget: f64,
    judged: f64,
    evenings: Vec<Evening>,
}

fn between(random: &mut Random, low: f64, high: f64) -> f64 {
    (low.ln() + random.unit() * (high / low).ln()).exp()
}

fn one_of<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len() as u64) as usize]
}

/// Box number `number` of a seed.
fn run(number: usize, seed: u64, families: &[Comparisons], real: Option<&Matrix>, looks: &[usize]) -> Run {
    let mut random = Random::seeded(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
    let traffic = TRAFFIC[number % TRAFFIC.len()];
    let kind = number / TRAFFIC.len() % (families.len() + usize::from(real.is_some()));
    let drawn = families.get(kind);
    let (tail, strangers, identities) = match (drawn, real) {
        (None, Some(matrix)) => {
            let enrolled = 8 + random.below(9) as usize;
            ("real people", Strangers::Real(matrix.strangers(enrolled, &mut random)), enrolled as u32)
        }
        _ => {
            let family = drawn.unwrap_or(&families[0]);
            (family.name, Strangers::Drawn(family), between(&mut random, 10.0, 10_000.0).round() as u32)
        }
    };
    let budget = one_of(&mut random, &[0.2, 1.0, 1.0, 5.0]);
    let judged = one_of(&mut random, &[0.0, 0.0, 0.5]);
    let plan = Plan {
        strangers,
        identities,
        traffic,
        per_day: between(&mut random, 50.0, 3_000.0),
        mates: one_of(&mut random, &[0.0, 0.002, 0.01, 0.03]),
        mate_shape: MateShape { mean: 0.5 + 0.2 * random.unit(), deviation: 0.1 + 0.07 * random.unit() },
        weekend: one_of(&mut random, &[0.3, 1.0, 1.6]),
        budget,
        judged,
        seed: random.next_u64(),
    };
    let evenings = World::new(plan).live(looks, ASSUMED);
    Run { tail, traffic, identities, budget, judged, evenings }
}

fn runs(boxes: usize, real: Option<&Matrix>, looks: &[usize]) -> Vec<Run> {
    let mut families = families();
    if let Some(matrix) = real {
        families.push(Comparisons::measured("real pairs", &matrix.non_mated()));
    }
    (0..boxes).map(|number| run(number, SEED, &families, real, looks)).collect()
}

impl Evening {
    fn holds(&self, budget: f64) -> bool {
        self.truth <= budget
    }

    /// True if the threshold is one for the budget, and not the manifest's.
    fn estimated(&self) -> bool {
        self.estimate.basis != Basis::TooFew
    }
}

/// A row: boxes, those with an estimate, shares in which the budget holds, recall lost.
fn row(name: &str, of: &[(&Run, &Evening)]) -> String {
    let holds = |of: &[(&Run, &Evening)]| {
        let count = of.iter().filter(|(run, evening)| evening.holds(run.budget)).count();
        100.0 * count as f64 / of.len().max(1) as f64
    };
    let own: Vec<_> = of.iter().copied().filter(|(_, evening)| evening.estimated()).collect();
    let mut lost: Vec<f64> = own.iter().map(|(_, e)| 100.0 * (e.best_recall - e.recall)).collect();
    lost.sort_by(f64::total_cmp);
    let (median, mean) = (lost.get(lost.len() / 2), lost.iter().sum::<f64>() / lost.len().max(1) as f64);
    let median = median.copied().unwrap_or(0.0);
    format!(
        "{name:26}{:>6}{:>10}{:>9.1}{:>15.1}{median:>12.1}{mean:>10.1}",
        of.len(),
        own.len(),
        holds(of),
        holds(&own)
    )
}

fn report(runs: &[Run]) -> String {
    let mut kinds: BTreeMap<(usize, String), Vec<(&Run, &Evening)>> = BTreeMap::new();
    for run in runs {
        let size = match run.identities {
            0..100 => "10 to 99",
            100..1_000 => "100 to 999",
            _ => "1,000 to 10,000",
        };
        for evening in &run.evenings {
            let names = [
                " all".to_owned(),
                format!("budget {}", run.budget),
                format!("identities {size}"),
                format!("judged {} %", 100.0 * run.judged),
                format!("tail {}", run.tail),
                format!("traffic {:?}", run.traffic),
            ];
            names.into_iter().for_each(|name| {
                kinds.entry((evening.day, name)).or_default().push((run, evening));
            });
        }
    }
    let mut text = format!(
        "{:26}{:>6}{:>10}{:>9}{:>15}{:>12}{:>10}\n",
        "", "boxes", "estimated", "holds, %", "of estimated, %", "lost, median", "lost, mean"
    );
    for ((day, name), of) in &kinds {
        if name == " all" || [7, 28].contains(day) {
            text += &(row(&format!("day {day}: {}", name.trim()), of) + "\n");
        }
    }
    text
}

/// A few boxes of each kind in any run of the tests; `make sim-budget` sets `WATCHLISTD_BOXES` and prints the table.
#[test]
fn the_budget_holds_in_simulated_boxes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let real = std::env::var_os("WATCHLISTD_SCORES").map(|path| Matrix::read(Path::new(&path)));
    let whole = number("WATCHLISTD_BOXES");
    let looks = if whole.is_some() { &LOOKS[..] } else { &[2, 4, 7] };
    let runs = runs(whole.unwrap_or(20), real.as_ref(), looks);
    if whole.is_some() {
        eprintln!("{}", report(&runs));
        real.iter().for_each(|matrix| eprintln!("{}", divided::report(matrix)));
    }
    let last: Vec<_> = runs.iter().filter_map(|run| Some((run, run.evenings.last()?))).collect();
    let held = last.iter().filter(|(run, evening)| evening.holds(run.budget)).count();
    assert!(held * 100 >= runs.len() * 95, "{held} of {}:\n{}", runs.len(), report(&runs));
    // The manifest's threshold alone does not do it: what holds is the estimate's merit.
    let without =
        runs.iter().filter(|run| !run.evenings[0].holds(run.budget) || !run.evenings[0].estimated());
    assert!(without.count() > 0);
}
