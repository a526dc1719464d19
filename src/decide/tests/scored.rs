//! How searches came out, for estimates of thresholds.

use super::*;

#[test]
fn each_track_that_ends_tells_its_best_fused_score_once() {
    let mut scene = Scene::new();
    // A stranger, whose first shot was the best: what a live track would have been recognised by counts.
    scene.see(1, 0.0, 2, THRESHOLD - 0.05);
    scene.see(1, 1.0, 2, 0.1);
    scene.end(1, 2.0);
    // Somebody who is enrolled.
    scene.see(2, 3.0, 1, THRESHOLD + 0.2);
    scene.end(2, 4.0);
    // Nothing was embedded of this one.
    scene.appear(3, 5.0);
    scene.end(3, 6.0);
    let scored = scene.decider.scored();
    let told: Vec<_> = scored.iter().map(|s| (s.recognized, s.last_seen, s.threshold)).collect();
    assert_eq!(told, [(false, at(2.0), THRESHOLD), (true, at(4.0), THRESHOLD)]);
    assert!((scored[0].score - (THRESHOLD - 0.05)).abs() < 1e-5, "{scored:?}");
    assert!((scored[1].score - (THRESHOLD + 0.2)).abs() < 1e-5, "{scored:?}");
    assert_eq!(scene.decider.scored(), [], "once");
}

#[test]
fn who_was_recognised_and_withdrawn_was_an_alert_all_the_same() {
    let mut scene = Scene::new();
    scene.see(1, 0.0, 1, THRESHOLD + 0.01);
    for second in 1..6 {
        scene.shot(1, shot(second * 1000, second as f64, &[(1, 0.05)], 0.9));
    }
    scene.end(1, 7.0);
    let scored = scene.decider.scored();
    assert!(scored.len() == 1 && scored[0].recognized, "{scored:?}");
    assert!(scored[0].score >= THRESHOLD, "{scored:?}");
}
