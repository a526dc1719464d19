//! Galleries on the disk, as a tool opens them, with templates of invented people.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchlistd::base::clock::SystemClock;
use watchlistd::base::error::Result;
use watchlistd::gallery::command::{
    Actor, Command, Desk, Offer, Review, Source, SourceKind, Subject, TemplateData,
};
use watchlistd::gallery::enrol::pack;
use watchlistd::gallery::keeper::{Model, Opening, Own};
use watchlistd::gallery::lock::Holder;
use watchlistd::gallery::master::KeySource;
use watchlistd::gallery::record::Record;
use watchlistd::gallery::{Keeper, Name};
use watchlistd::types::embedding::Embedding;
use watchlistd::types::ids::ModelId;
use watchlistd::types::matching::IndexKind;

/// Templates of one person.
pub const EACH: usize = 5;

/// Encrypted, with its audit log, `synchronous=FULL`; made if there is none.
pub fn open(folder: &Path, (id, dimension): (ModelId, usize), keeps_crops: bool) -> Result<Keeper> {
    let opening = Opening {
        path: folder.join("gallery.db"),
        key: KeySource::File(folder.join("gallery.key")),
        given_key: None,
        model: Some(Model { id, dimension, name: "bench".to_owned(), threshold: 0.45 }),
        index: IndexKind::Exact.into(),
        keeps_crops,
        holder: Holder::this("bench", None),
        patience: Duration::ZERO,
        clock: Arc::new(SystemClock::new()),
    };
    Ok(Keeper::open(opening, Box::new(drop))?.0)
}

/// Who changes it.
pub fn desk(keeper: Keeper) -> Own {
    Own::new(keeper, Actor("bench".to_owned()))
}

/// Enrols numbered templates in one command; five numbers are one person.
pub fn enrol(desk: &mut Own, templates: impl Iterator<Item = (usize, Embedding)>) -> Result<()> {
    let (mut offers, mut body) = (Vec::new(), Vec::new());
    for (number, embedding) in templates {
        let own = pack(&embedding, None)?;
        let record = Record::new(Name::new(&format!("Somebody {}", number / EACH))?);
        let (name, sha256) = ("a.jpg".to_owned(), format!("{number:064x}"));
        let source = Source { kind: SourceKind::File, name, sha256 };
        let (model, dimension) = (embedding.model(), embedding.dimension());
        let template = TemplateData { model, dimension, quality: 0.5, source };
        offers.push(Offer { subject: Subject { record }, template, body: own.len() });
        body.extend_from_slice(&own);
    }
    desk.ask(Command::EnrolMany { offers, review: Review::Off }, body, &mut |_| {}).map(drop)
}
