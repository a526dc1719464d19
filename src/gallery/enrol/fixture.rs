//! What the tests of enrolment share: models that read what they see from the picture's bytes, a gallery in memory, and a folder.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::base::error::Result;
use crate::config::QualityLimits;
use crate::err;
use crate::gallery::command::{Command, Desk, MOST_OFFERS, Offer, Progress, Reply, Subject, TemplateData};
use crate::gallery::name::Name;
use crate::gallery::record::Record;
use crate::gallery::report::{Description, Enrolment};
use crate::types::embedding::Embedding;
use crate::types::face::{Detection, FaceCrop, Quality, Refusal};
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::{Point, Rect, Size};
use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// The model of [`Fake`].
pub(super) const MODEL: ModelId = ModelId([3; 32]);
/// The threshold of [`Memory`].
pub(super) const THRESHOLD: f32 = 0.45;

/// The limits of [`Fake`].
pub(super) const LIMITS: QualityLimits = QualityLimits {
    min_face: 48.0,
    min_sharpness: 40.0,
    max_yaw: 35.0,
    max_pitch: 30.0,
    max_roll: 45.0,
    min_brightness: 40.0,
    max_brightness: 220.0,
};

/// A "picture" is text, one word a face: `x,size,score,degrees[,refusal]`; the embedding points there on a circle, by whole
/// degrees up to 254.
#[derive(Default)]
pub(super) struct Fake {
    words: std::cell::RefCell<Vec<String>>,
    pub(super) calls: usize,
    pub(super) broken: bool,
}

impl Fake {
    /// Its embedder fails.
    pub(super) fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    fn field<T: std::str::FromStr>(&self, face: usize, field: usize) -> Option<T> {
        self.words.borrow().get(face)?.split(',').nth(field)?.parse().ok()
    }
}

impl FaceFinder for Fake {
    fn model(&self) -> ModelId {
        MODEL
    }

    fn limits(&self) -> &QualityLimits {
        &LIMITS
    }

    fn decode(&self, bytes: &[u8], _name: &str) -> Result<RgbImage> {
        let text = std::str::from_utf8(bytes).map_err(|e| err!(Data, "not a picture").because(e))?;
        assert!(text != "panic", "asked for");
        *self.words.borrow_mut() = text.split_whitespace().map(str::to_owned).collect();
        RgbImage::new(Size::new(400, 300), vec![0; 400 * 300 * 3])
    }

    fn detect(&mut self, picture: &RgbImage) -> Result<Vec<Detection>> {
        self.calls += 1;
        let count = self.words.borrow().len();
        let face = |n| {
            let (x, size, score) = (self.field(n, 0)?, self.field::<f32>(n, 1)?, self.field(n, 2)?);
            let bbox = Rect::new(x, 10.0, x + size, 10.0 + size);
            Detection::new(bbox, [Point { x: n as f32, y: 0.0 }; 5], score, picture.size())
        };
        Ok((0..count).filter_map(face).collect())
    }

    fn crop(&self, _picture: &RgbImage, face: &Detection) -> Result<FaceCrop, Refusal> {
        let n = face.landmarks[0].x as usize;
        let wanted: Option<String> = self.field(n, 4);
        let refusal = Refusal::ALL.into_iter().find(|r| Some(r.as_str()) == wanted.as_deref());
        let quality = Quality {
            face_pixels: face.face_pixels(),
            sharpness: 12.0,
            yaw: -61.0,
            pitch: 5.0,
            roll: 50.0,
            brightness: 20.0,
            score: 0.8,
            refusal,
        };
        // The direction travels in the first pixel.
        let mut pixels = vec![0; 3];
        pixels[0] = self.field(n, 3).unwrap_or(0);
        if wanted.as_deref() == Some("no_crop") {
            return Err(Refusal::BadLandmarks);
        }
        let image = RgbImage::new(Size::new(1, 1), pixels).expect("a pixel");
        Ok(FaceCrop::from_aligner(image, quality))
    }

    fn embed(&mut self, crop: &FaceCrop) -> Result<Result<Embedding>> {
        if self.broken {
            return Err(err!(Unavailable, "the device is gone"));
        }
        let angle = f32::from(crop.image().data()[0]).to_radians();
        let vector =
            if crop.image().data()[0] == 255 { vec![f32::NAN; 2] } else { vec![angle.cos(), angle.sin()] };
        Ok(Embedding::new(MODEL, vector))
    }
}

/// A gallery in memory, as the keeper is: finds the identity, looks at the neighbours, stores or refuses.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) people: Vec<Person>,
    pub(super) keeps_crops: bool,
    /// Questions of one kind: `known` and `enrol`, with how many pictures.
    pub(super) asked: Vec<(&'static str, usize)>,
    /// From this many enrolments on, the disk is full.
    pub(super) room: Option<usize>,
    /// A name that several have.
    pub(super) ambiguous: Option<&'static str>,
}

pub(super) struct Person {
    pub(super) id: IdentityId,
    pub(super) record: Record,
    pub(super) templates: Vec<Stored>,
}

pub(super) struct Stored {
    pub(super) id: TemplateId,
    pub(super) data: TemplateData,
    pub(super) embedding: Embedding,
    pub(super) chip: Option<Chip>,
}

impl Memory {
    fn find(&self, subject: &Subject) -> Option<usize> {
        let record = &subject.record;
        let by = |fits: &dyn Fn(&Record) -> bool| self.people.iter().position(|p| fits(&p.record));
        match &record.external_id {
            Some(id) => by(&|r| r.external_id.as_ref() == Some(id)),
            None => by(&|r| r.name == record.name),
        }
    }

    fn holds(&self, subject: &Subject, model: ModelId, sha256: &str) -> Option<(IdentityId, TemplateId)> {
        let person = self.people.get(self.find(subject)?)?;
        let fits = |t: &&Stored| t.data.model == model && t.data.source.sha256 == sha256;
        person.templates.iter().find(fits).map(|t| (person.id, t.id))
    }

    fn neighbours(&self, own: Option<usize>, embedding: &Embedding) -> gate::Neighbours {
        let mut neighbours = gate::Neighbours::default();
        for (n, person) in self.people.iter().enumerate() {
            let scores =
                person.templates.iter().filter_map(|t| Some((t.id, t.embedding.similarity(embedding)?)));
            if Some(n) == own {
                neighbours.own = scores.collect();
            } else if let Some(best) = scores.map(|(_, score)| score).max_by(f32::total_cmp) {
                neighbours.others.push((person.id, person.record.name.to_string(), best));
            }
        }
        neighbours
    }

    fn enrol(
        &mut self,
        subject: Subject,
        data: TemplateData,
        review: Review,
        body: &[u8],
    ) -> Result<Enrolment> {
        let (embedding, chip) = unpack(&data, body)?;
        assert_eq!(chip.is_some(), self.keeps_crops, "a chip if and only if chips are kept");
        if let Some((identity, template)) = self.holds(&subject, data.model, &data.source.sha256) {
            return Ok(Enrolment::AlreadyThere { identity, template });
        }
        if self.room == Some(self.templates()) {
            return Err(err!(Io, "the disk is full"));
        }
        let own = self.find(&subject);
        let verdict = gate::judge(&self.neighbours(own, &embedding), &gate::Limits::of(THRESHOLD), review);
        if verdict.refused {
            return Ok(Enrolment::Refused { doubts: verdict.doubts });
        }
        let at = own.unwrap_or(self.people.len());
        if own.is_none() {
            let (id, record) = (IdentityId::generate(), subject.record);
            self.people.push(Person { id, record, templates: Vec::new() });
        }
        let template = TemplateId::generate();
        let person = &mut self.people[at];
        person.templates.push(Stored { id: template, data, embedding, chip });
        Ok(Enrolment::Stored {
            identity: person.id,
            new_identity: own.is_none(),
            template,
            doubts: verdict.doubts,
            generation: 0,
        })
    }

    /// All that are not refused, or none.
    fn enrol_many(&mut self, offers: Vec<Offer>, review: Review, mut body: &[u8]) -> Result<Vec<Enrolment>> {
        assert!((1..=MOST_OFFERS).contains(&offers.len()), "{} at a time", offers.len());
        if self.room.is_some_and(|room| self.templates() + offers.len() > room) {
            return Err(err!(Io, "the disk is full"));
        }
        let mut answers = Vec::new();
        for Offer { subject, template, body: length } in offers {
            let (own, rest) = body.split_at(length);
            body = rest;
            answers.push(self.enrol(subject, template, review, own)?);
        }
        assert!(body.is_empty(), "{} bytes too many", body.len());
        Ok(answers)
    }

    pub(super) fn templates(&self) -> usize {
        self.people.iter().map(|p| p.templates.len()).sum()
    }

    /// Who has which pictures, in the order of enrolment.
    pub(super) fn contents(&self) -> Vec<(String, Vec<String>)> {
        let sources = |p: &Person| p.templates.iter().map(|t| t.data.source.name.clone()).collect();
        self.people.iter().map(|p| (p.record.name.to_string(), sources(p))).collect()
    }
}

impl Desk for Memory {
    fn ask(&mut self, command: Command, body: Vec<u8>, _: &mut dyn FnMut(Progress)) -> Result<Reply> {
        let value = match command {
            Command::Describe => serde_json::to_value(Description {
                generation: 0,
                model: Some(MODEL),
                templates: [].into(),
                standings: [].into(),
                reviews_due: 0,
                keeps_crops: self.keeps_crops,
                master_key: String::new(),
                audit: 0,
            }),
            Command::Known { subject, model, sources } => {
                self.asked.push(("known", sources.len()));
                if self.ambiguous == Some(subject.record.name.as_str()) {
                    return Err(err!(Usage, "say which {} is meant", subject.record.name.as_str()));
                }
                let known = sources.iter().map(|s| self.holds(&subject, model, s).is_some());
                serde_json::to_value(known.collect::<Vec<bool>>())
            }
            Command::Enrol { subject, template, review } => {
                self.asked.push(("enrol", 1));
                serde_json::to_value(self.enrol(subject, template, review, &body)?)
            }
            Command::EnrolMany { offers, review } => {
                self.asked.push(("enrol", offers.len()));
                serde_json::to_value(self.enrol_many(offers, review, &body)?)
            }
            other => panic!("enrolment does not ask for {other:?}"),
        };
        Ok(Reply { value: value.expect("JSON"), body: Vec::new() })
    }
}

/// A folder with pictures.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn root(&self) -> PathBuf {
        self.0.path().join("in")
    }

    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, content).expect("written");
        path
    }

    /// A path below the folder, as a report shows it.
    pub(super) fn short(&self, report: &Report) -> String {
        report.to_string().replace(&format!("{}/", self.root().display()), "")
    }
}

/// The only face, and a review that refuses nothing.
pub(super) fn options() -> Options {
    Options { min_score: 0.8, choice: Choice::Only, chips: false, review: Review::Off }
}

/// A record of that name.
pub(super) fn record(name: &str) -> Record {
    Record { lists: BTreeSet::new(), ..Record::new(Name::new(name).expect("a name")) }
}
