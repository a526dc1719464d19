//! What `watchlistd calibrate` measured of an embedder: a file beside its manifest, which is read with it.
//!
//! ```text
//!  mobilefacenet-512.toml          the manifest: what everybody knows of the model
//!  mobilefacenet-512.calibration   of pictures like those in front of these cameras; goes before the manifest's rates
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::fields::{Fields, Mistakes};
use super::{Rates, text_of};
use crate::base::error::Result;
use crate::err;
use crate::types::ids::ModelId;

/// Measured rates of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The model. Of another one, or of the same with other input, it says nothing.
    pub model: ModelId,
    /// When it was measured (RFC 3339).
    pub made_at: String,
    /// People, and pairs of one and of two of them.
    pub people: u32,
    /// See `people`; 0 where nobody was labelled.
    pub mated: u32,
    /// See `people`.
    pub non_mated: u32,
    /// Mean and standard deviation of mated scores; `None` where they were not measured.
    pub mates: Option<[f32; 2]>,
    /// Thresholds and the rates they keep.
    pub rates: Rates,
    /// Of each rate's threshold, the 95 % interval by people.
    pub intervals: Vec<[f32; 2]>,
}

impl Calibration {
    /// Where a manifest's is.
    pub fn path_of(manifest: &Path) -> PathBuf {
        manifest.with_extension("calibration")
    }

    /// The one beside a manifest; `None`, where nobody has calibrated.
    ///
    /// # Errors
    /// `Config`, when it is none, with every mistake in it, or of another model than `model`.
    pub fn beside(manifest: &Path, model: ModelId) -> Result<Option<Self>> {
        let path = Self::path_of(manifest);
        if !path.exists() {
            return Ok(None);
        }
        let found = Self::parse(&path, &text_of(&path)?)?;
        if found.model != model {
            return Err(err!(
                Config,
                "{}: is of the model {}, and {} describes {model}; delete the file, and calibrate anew \
                 (watchlistd calibrate FOLDER --write)",
                path.display(),
                found.model,
                manifest.display()
            ));
        }
        Ok(Some(found))
    }

    /// Parses one; `path` is for messages.
    ///
    /// # Errors
    /// `Config`, with every mistake in it.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let none = |_| err!(Config, "calibration {} is not TOML", path.display());
        let table: toml::Table = text.parse().map_err(none)?;
        let mistakes = Mistakes::default();
        let root = Fields::root(&table, &mistakes);
        let model = root.choice("model", "64 hexadecimal digits", ModelId::from_hex);
        let rates = Rates::new(root.rows::<2>("rates")).unwrap_or_else(|| {
            root.mistake(
                "rates",
                "expected [similarity, false match rate] with similarities that rise and rates that fall",
            );
            Rates::default()
        });
        let found = Self {
            model: model.unwrap_or(ModelId([0; 32])),
            made_at: root.text("made_at"),
            people: root.count("people", u32::MAX),
            mated: if root.has("mated") { root.count("mated", u32::MAX) } else { 0 },
            non_mated: root.count("non_mated", u32::MAX),
            mates: root.has("mates").then(|| root.numbers::<2>("mates")),
            rates,
            intervals: root.rows::<2>("intervals"),
        };
        if root.has("intervals") && found.intervals.len() != found.rates.points().len() {
            root.mistake("intervals", "expected one for each rate");
        }
        if found.mates.is_some_and(|[_, deviation]| deviation <= 0.0) {
            root.mistake("mates", "expected [mean, standard deviation], the latter above 0");
        }
        root.finish();
        let mistakes = mistakes.into_inner();
        if mistakes.is_empty() {
            Ok(found)
        } else {
            Err(err!(Config, "calibration {}: {}", path.display(), mistakes.join("; ")))
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let pairs = |rows: &[[f32; 2]]| {
            let shown: Vec<String> = rows.iter().map(|[a, b]| format!("[{a}, {b}]")).collect();
            format!("[{}]", shown.join(", "))
        };
        let mut text =
            "# Made by `watchlistd calibrate`; goes before the rates of the manifest beside it.\n".to_owned();
        // Writing to a string cannot fail.
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "{key} = {value}");
        };
        line("model", format!("\"{}\"", self.model.hex()));
        line("made_at", format!("\"{}\"", self.made_at));
        line("people", self.people.to_string());
        if self.mated > 0 {
            line("mated", self.mated.to_string());
        }
        line("non_mated", self.non_mated.to_string());
        if let Some([mean, deviation]) = self.mates {
            line("mates", format!("[{mean}, {deviation}]"));
        }
        line("rates", pairs(self.rates.points()));
        line("intervals", pairs(&self.intervals));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Calibration {
        Calibration {
            model: ModelId([7; 32]),
            made_at: "2026-03-01T12:00:00Z".to_owned(),
            people: 24,
            mated: 1_002,
            non_mated: 24_876,
            mates: Some([0.557, 0.164]),
            rates: Rates::new(vec![[0.134, 0.1], [0.36, 1e-3]]).expect("rates"),
            intervals: vec![[0.12, 0.15], [0.31, 0.4]],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let path = Path::new("x.calibration");
        assert_eq!(Calibration::parse(path, &one().to_text()).expect("its own text"), one());
        let unlabelled = Calibration { mates: None, mated: 0, ..one() };
        assert_eq!(Calibration::parse(path, &unlabelled.to_text()).expect("its own text"), unlabelled);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = one().to_text().replace("0.164", "0").replace("24876", "-1").replace("[0.31, 0.4]", "3");
        let told = Calibration::parse(Path::new("x.calibration"), &(text + "what = 1\n"))
            .expect_err("wrong")
            .to_string();
        for part in ["mates: ", "non_mated: ", "intervals: ", "what: unknown key"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn one_of_another_model_is_refused_and_none_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = folder.path().join("m.toml");
        assert_eq!(Calibration::beside(&manifest, one().model).expect("nothing there"), None);
        std::fs::write(Calibration::path_of(&manifest), one().to_text()).expect("written");
        assert_eq!(Calibration::beside(&manifest, one().model).expect("there"), Some(one()));
        let told = Calibration::beside(&manifest, ModelId([8; 32])).expect_err("another").to_string();
        assert!(told.contains("calibrate anew") && told.contains("m.calibration"), "{told}");
    }
}
