//! Every figure against `tests/eval/reference.py`, which counts in NumPy over every threshold. Both make the same trials from the same
//! whole numbers; `tests/eval/figures.json` is what the script printed.

use serde_json::Value;

use crate::eval::Failures;
use crate::eval::acquire::{Acquisition, Failure, Template};
use crate::eval::identify::{self, Identification};
use crate::eval::looks::Fusing;
use crate::eval::partition::{Division, divide};
use crate::eval::protocol::{Picture, Protocol, Trial};
use crate::eval::quality::Measured;
use crate::eval::random::Random;
use crate::eval::verify::{self, Verification};
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;

const BOTH: [(Failures, &str); 2] = [(Failures::Wrong, "wrong"), (Failures::LeftOut, "left_out")];

fn figures() -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eval/figures.json");
    let text = std::fs::read_to_string(path).expect("the script's figures");
    serde_json::from_str(&text).expect("JSON")
}

/// All that stands in `expected` stands in `got`, numbers to within 1e-6, counts exactly. An interval is a list there, a pair of fields here.
#[track_caller]
fn same(got: &Value, expected: &Value, place: &str) {
    match (got, expected) {
        (Value::Object(interval), Value::Array(pair)) if interval.contains_key("low") => {
            same(&interval["low"], &pair[0], &format!("{place}.low"));
            same(&interval["high"], &pair[1], &format!("{place}.high"));
        }
        (Value::Object(got), Value::Object(expected)) => {
            for (key, expected) in expected {
                same(got.get(key).unwrap_or(&Value::Null), expected, &format!("{place}.{key}"));
            }
        }
        (Value::Array(got), Value::Array(expected)) => {
            assert_eq!(got.len(), expected.len(), "{place}");
            for (n, (got, expected)) in got.iter().zip(expected).enumerate() {
                same(got, expected, &format!("{place}[{n}]"));
            }
        }
        (Value::Number(got), Value::Number(expected)) => {
            let (got, expected) = (got.as_f64().expect("a number"), expected.as_f64().expect("a number"));
            assert!((got - expected).abs() < 1e-6, "{place}: {got}, expected {expected}");
        }
        _ => assert_eq!(got, expected, "{place}"),
    }
}

fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}

// As in the script.
const PEOPLE: u64 = 60;
const FOLDS: u64 = 10;
const TRIALS: u64 = 6_000;

/// Each trial has pictures of its own; person n's are those of the first and the second side.
fn trials() -> (Protocol, Vec<Option<f32>>) {
    let mut random = Random::seeded(2_026);
    let (mut pictures, mut trials, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..TRIALS {
        let mated = n % 3 == 0;
        let a = random.below(PEOPLE);
        let b = if mated { a } else { (a + FOLDS * (1 + random.below(PEOPLE / FOLDS - 1))) % PEOPLE };
        let units = (0..3).map(|_| random.below(256)).sum::<u64>() + if mated { 330 } else { 0 };
        let lost = random.below(100) < 2;
        scores.push((!lost).then(|| units as f32 / 1024.0 - 0.25));
        let first = pictures.len() as u32;
        pictures.extend([a, b].map(|person| Picture { path: "x".into(), person: person as u32 }));
        trials.push(Trial { a: first, b: first + 1, mated, fold: Some((a % FOLDS) as u16) });
    }
    let people = (0..PEOPLE).map(|n| n.to_string()).collect();
    (Protocol { people, pictures, trials, folds: FOLDS as u16, possible_non_mated: None }, scores)
}

#[test]
fn a_verification_gives_numpys_figures() {
    let (protocol, scores) = trials();
    let figures = figures();
    for (failures, name) in BOTH {
        let settings = verify::Settings { failures, threshold: 0.5, repeats: 40, seed: 7 };
        let got = Verification::of(&protocol, &scores, &settings).expect("finite scores");
        let expected = &figures["verification"][name];
        for key in ["not_compared", "auc", "at", "in_use", "accuracy"] {
            same(&json(&got)[key], &expected[key], &format!("{name}.{key}"));
        }
        same(&json(got.eer.expect("an EER").rate), &expected["eer"], &format!("{name}.eer"));
        same(&json(got.auc_interval), &expected["intervals"]["auc"], &format!("{name}: interval of the AUC"));
        same(&json(got.eer_interval), &expected["intervals"]["eer"], &format!("{name}: interval of the EER"));
        // The three targets that have a figure; the others' intervals are not shown.
        for n in 0..3 {
            same(
                &json(got.at[n].tar_interval),
                &expected["intervals"]["tar"][n],
                &format!("{name}: interval {n}"),
            );
        }
        assert!(got.at[3..].iter().all(|point| point.tar_interval.is_none()));
    }
}

const CROWD: usize = 90;
const DIMENSION: usize = 16;

fn pictures_of(person: usize) -> usize {
    1 + person % 6
}

/// By person, then by picture.
fn templates() -> Vec<Vec<Acquisition>> {
    let mut random = Random::seeded(77);
    let mut person = |n: usize| {
        let own: Vec<i64> = (0..DIMENSION).map(|_| random.below(2_001) as i64 - 1_000).collect();
        let mut picture = || {
            let raw: Vec<f32> = own.iter().map(|x| (x + random.below(1_601) as i64 - 800) as f32).collect();
            if random.below(23) == 0 {
                return Acquisition::Failed(Failure::NoFace);
            }
            let embedding = Embedding::new(ModelId([9; 32]), raw).expect("a vector");
            let measured = Measured::from_numbers([0.5; 7]);
            Acquisition::Template(Box::new(Template { embedding, measured, faces: 1 }))
        };
        (0..pictures_of(n)).map(|_| picture()).collect()
    };
    (0..CROWD).map(&mut person).collect()
}

#[test]
fn an_identification_gives_numpys_figures() {
    let (templates, figures) = (templates(), figures());
    let counts: Vec<usize> = (0..CROWD).map(pictures_of).collect();
    let division = Division { enrol_share: 0.5, templates_per_person: 2, seed: 5 };
    let parts = divide(&counts, &division).expect("enough people");
    let of = |(person, picture): (u32, u32)| templates.get(person as usize)?.get(picture as usize);
    for (failures, name) in BOTH {
        for rank in [1, 3] {
            let settings = identify::Settings {
                failures,
                threshold: 0.75,
                shots: 1,
                fusing: Fusing::Quality,
                best_templates: 1,
                rank,
                repeats: 10,
                seed: 1,
            };
            let got = Identification::of(&parts, CROWD, of, &settings).expect("a gallery");
            let name = format!("{name}_{rank}");
            same(&json(&got), &figures["identification"][&name], &name);
        }
    }
}
