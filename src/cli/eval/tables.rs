//! Figures for people.

use crate::eval::acquire::Tally;
use crate::eval::claim::Claim;
use crate::eval::interval::{Interval, Share};

/// What stands for a figure that there is none of.
pub const NONE: &str = "-";

/// `98.25 %`
pub fn percent(rate: f64) -> String {
    format!("{:.2} %", rate * 100.0)
}

/// `97.10 to 98.95`
pub fn range(interval: Option<Interval>) -> String {
    interval.map_or_else(|| NONE.to_owned(), |i| format!("{:.2} to {:.2}", i.low * 100.0, i.high * 100.0))
}

/// `12 of 228: 5.26 % (3.04 to 8.97)`
pub fn share(share: &Share) -> String {
    match share.rate {
        Some(rate) => {
            format!("{} of {}: {} ({})", share.count, share.trials, percent(rate), range(share.interval))
        }
        None => format!("{} of {}", share.count, share.trials),
    }
}

/// Score at which something is accepted.
pub fn threshold(threshold: Option<f32>) -> String {
    threshold.map_or_else(|| NONE.to_owned(), |threshold| format!("{threshold:.4}"))
}

/// A measure of quality: three digits say enough.
pub fn measure(value: f32) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// What the number of trials says of a figure; empty, where it may be claimed.
pub fn claim(claim: Claim, needed: u64) -> String {
    match claim {
        Claim::NotEnoughTrials => format!("not enough trials: {needed} needed"),
        Claim::Indicative => "fewer than 30 errors: no claim".to_owned(),
        Claim::Supported => String::new(),
    }
}

/// What became of the pictures.
pub fn pictures(tally: &Tally) -> String {
    let Tally { pictures, templates, several_faces, .. } = tally;
    let mut text = format!("{pictures}, {templates} with a template");
    if *several_faces > 0 {
        text += &format!(", {several_faces} of them with several faces");
    }
    text
}

/// Failures to acquire, with their reasons.
pub fn failures(tally: &Tally) -> String {
    let failed = Share::of(tally.pictures - tally.templates, tally.pictures);
    let reasons = [
        (tally.no_face, "without a face"),
        (tally.no_crop, "with landmarks that make no face"),
        (tally.no_vector, "without a vector"),
        (tally.unreadable, "unreadable"),
    ];
    let told: Vec<String> =
        reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    let because = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
    share(&failed) + &because
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(share(&Share::of(12, 228)), "12 of 228: 5.26 % (3.04 to 8.97)");
        assert_eq!(share(&Share::of(0, 0)), "0 of 0");
        assert_eq!([threshold(Some(0.45)), threshold(None)], ["0.4500", "-"]);
        assert_eq!([measure(0.4567), measure(117.87)], ["0.46", "118"]);
        let tally = Tally {
            pictures: 10,
            templates: 8,
            several_faces: 3,
            no_face: 1,
            unreadable: 1,
            ..Tally::default()
        };
        assert_eq!(pictures(&tally), "10, 8 with a template, 3 of them with several faces");
        assert_eq!(failures(&tally), "2 of 10: 20.00 % (5.67 to 50.98): 1 without a face, 1 unreadable");
        assert_eq!(claim(Claim::NotEnoughTrials, 3_000), "not enough trials: 3000 needed");
        assert_eq!(claim(Claim::Supported, 3_000), "");
    }
}
