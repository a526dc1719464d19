//! The charts of a verification and of an identification.

use super::{Axis, Chart, Mark};
use crate::eval::claim::RULE_OF_30;
use crate::eval::identify::Identification;
use crate::eval::roc::Roc;
use crate::eval::verify::Verification;

/// True accept rate over the false accept rate, the latter on a logarithmic axis.
pub fn roc(title: &str, result: &Verification) -> Chart {
    let curve = staircase(result.roc());
    let targets = result.at.iter().filter_map(|p| Some((p.far, p.tar?.rate?, p.threshold?)));
    let used = result.in_use.far.rate.zip(result.in_use.tar.rate);
    let used = used.map(|(far, tar)| (far, tar, result.in_use.threshold));
    let least = curve.first().map_or(0.0, |(_, tar)| *tar);
    Chart {
        title: title.to_owned(),
        x: Axis::log("false accept rate", result.roc().non_mated()),
        y: Axis::linear("true accept rate", least),
        marks: marks(targets.collect(), used),
        doubtful: doubtful(result.roc(), "accepts"),
        curve,
    }
}

/// False negative identification rate over the false positive one, both on logarithmic axes.
pub fn det(title: &str, result: &Identification) -> Chart {
    let targets = result.at.iter().filter_map(|p| Some((p.target, p.fnir?.rate?, p.threshold?)));
    let used = result.in_use.fpir.rate.zip(result.in_use.fnir.rate);
    let used = used.map(|(fpir, fnir)| (fpir, fnir, result.in_use.threshold));
    let curve = staircase(result.det()).into_iter().map(|(far, tar)| (far, 1.0 - tar)).collect();
    Chart {
        title: title.to_owned(),
        x: Axis::log("false positive identification rate (FPIR)", result.det().non_mated()),
        y: Axis::log("false negative identification rate (FNIR)", result.det().mated()),
        curve,
        marks: marks(targets.collect(), used),
        doubtful: doubtful(result.det(), "positives"),
    }
}

/// For each number of false accepts, from one on, the highest true accept rate that it allows.
fn staircase(roc: &Roc) -> Vec<(f64, f64)> {
    let groups = roc.points().chunk_by(|a, b| a.non_mated == b.non_mated);
    let last = groups.filter_map(|same| same.last()).filter(|point| point.non_mated > 0);
    last.map(|point| (roc.far(point), roc.tar(point))).collect()
}

/// Of places with their thresholds. One without false accepts has no place on a logarithmic axis.
fn marks(targets: Vec<(f64, f64, f32)>, used: Option<(f64, f64, f32)>) -> Vec<Mark> {
    let target = |(x, y, t)| Mark { at: (x, y), label: format!("T = {t:.3}"), in_use: false };
    let used = used.filter(|(x, ..)| *x > 0.0);
    let used = used.map(|(x, y, t)| Mark { at: (x, y), label: format!("in use: T = {t:.3}"), in_use: true });
    targets.into_iter().map(target).chain(used).collect()
}

/// Where fewer than 30 errors are expected.
fn doubtful(roc: &Roc, errors: &str) -> Option<(f64, String)> {
    let trials = roc.non_mated();
    let until = RULE_OF_30 as f64 / trials as f64;
    (trials > 0).then(|| (until.min(1.0), format!("fewer than 30 false {errors}: no claim")))
}
