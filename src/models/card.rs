//! The model card: what whoever answers for a model has to know (Mitchell et al. 2019), in Markdown, with what is not known.

use std::fmt::Write as _;

use crate::base::error::Result;
use crate::image::tensor::{ChannelOrder, CropScaling};
use crate::infer::Alignment;
use crate::infer::manifest::{EmbedderSpec, Manifest, Role};
use crate::types::ids::ModelId;

/// The card of a model.
///
/// # Errors
/// As [`Manifest::model_id`].
pub fn text(manifest: &Manifest) -> Result<String> {
    let mut card = format!("# {}\n\n", manifest.name);
    let mut row = |what: &str, value: &str| {
        let _ = writeln!(card, "- {what}: {value}");
    };
    match &manifest.role {
        Role::Detector(_) => row("does", "finds faces, with five landmarks each"),
        Role::Embedder(spec) => {
            row("does", &format!("makes templates of faces, {} numbers each", spec.dimension));
            row("ModelId", &manifest.model_id()?.hex());
        }
    }
    row("family", manifest.family.as_str());
    row("file", &format!("{}, SHA-256 {}", manifest.file.display(), ModelId(manifest.sha256).hex()));
    row("manifest", &manifest.path.display().to_string());
    let source = &manifest.source;
    card += "\n## Where it comes from\n\n";
    let _ = writeln!(card, "{} {}, {}.", source.package, source.version, source.item);
    let _ = writeln!(card, "Licence, as the source declares it: {}.", source.licence);
    if let Some(import) = &manifest.import {
        let how: Vec<&str> = import.rewrites.iter().map(|step| step.as_str()).collect();
        let made = import
            .converter
            .as_deref()
            .map_or(String::new(), |converter| format!(", converted by {converter}"));
        let _ = writeln!(
            card,
            "Made from {} (SHA-256 {}){made}; rewrites: {}.",
            import.original.display(),
            ModelId(import.sha256).hex(),
            if how.is_empty() { "none".to_owned() } else { how.join(", ") }
        );
    }
    let _ = write!(card, "\n## Training data\n\n{}\n", source.training_data);
    let _ = write!(card, "\n## Input\n\n{}\n", input(manifest));
    if let Role::Embedder(spec) = &manifest.role {
        let _ = write!(card, "\n## Threshold\n\n{}\n", threshold(spec));
    }
    card += NOT_KNOWN;
    Ok(card)
}

/// What no file says of any model.
const NOT_KNOWN: &str = "
## What is not known

How error rates differ between groups of people (age, sex, skin): nothing here says it, and training data of the web are not balanced.
Measure on people like those in front of your cameras: `watchlistd eval verify`, `watchlistd eval identify`.
";

fn input(manifest: &Manifest) -> String {
    let input = &manifest.input;
    let size = input.size.map_or("any size".to_owned(), |size| format!("{size}"));
    let batch = input.batch.map_or(String::new(), |batch| format!(", always {batch} at once"));
    let order = |order| if order == ChannelOrder::Rgb { "RGB" } else { "BGR" };
    let numbers = match input.scaling {
        CropScaling::Fixed(n) => format!("{}, (sample - {:?}) x {:?}", order(n.order), n.mean, n.scale),
        CropScaling::Whiten(channels) => {
            format!("{}, each picture made mean 0 and variance 1", order(channels))
        }
    };
    let cut = match &manifest.role {
        Role::Detector(_) => String::new(),
        Role::Embedder(EmbedderSpec { alignment: Alignment::FivePoint { .. }, .. }) => {
            "\nFaces are turned and scaled so that their five landmarks lie where the manifest says."
                .to_owned()
        }
        Role::Embedder(EmbedderSpec { alignment: Alignment::BoxMargin { margin, .. }, .. }) => {
            format!("\nFaces are cut out by their box and {:.0} % more on each side.", margin * 100.0)
        }
    };
    format!("`{}`, {size}{batch}: {numbers}.{cut}", input.name)
}

fn threshold(spec: &EmbedderSpec) -> String {
    let distance = (2.0 - 2.0 * spec.threshold).max(0.0).sqrt();
    format!(
        "Two faces are taken for one person from a similarity score (cosine) of {} on, which is a Euclidean distance of at most {distance:.3}.\n\
         False match rate: {}.\n{}",
        spec.threshold,
        spec.rates.at(spec.threshold),
        spec.threshold_basis
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::testing::manifest;

    #[test]
    fn a_card_says_what_is_known_and_what_is_not() {
        let card = text(&manifest("mobilefacenet-512.toml")).expect("a card");
        for word in [
            "512 numbers",
            "MIT",
            "Not stated by the package",
            "0.45",
            "1.049",
            "symbolic-batch",
            "BGR",
            "not known",
        ] {
            assert!(card.contains(word), "{word}: {card}");
        }
        let card = text(&manifest("retinaface-mobilenet025.toml")).expect("a card");
        assert!(
            card.contains("any size") && !card.contains("## Threshold") && !card.contains("ModelId:"),
            "{card}"
        );
    }
}
