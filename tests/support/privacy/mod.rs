//! Looks for templates and for pictures of faces in anything that was written, however they are encoded.
//!
//! ```text
//!  bytes ─┬─▶ numbers    f64 f32 f16 bf16, both byte orders, every offset: a row that looks like a vector, or is like somebody's
//!         │              int8, uint8, every offset: like somebody's
//!         ├─▶ pictures   files by their structure, raw pixels by their smoothness
//!         ├─▶ text       hexadecimal ─▶ bytes ─▶ both     base64 ─▶ bytes ─▶ both     rows of decimal numbers
//!         └─▶ Findings   what, in which encoding, where
//! ```
//!
//! A vector that floats hold is found whoever it is of; one byte a number says too little for that, so these are compared with
//! the faces of those who were there. Another crop of the same face is enough: likeness is what templates are for.
#![allow(dead_code, reason = "each test uses its part")]

pub mod census;
pub mod events;
pub mod numbers;
pub mod people;
pub mod pictures;
pub mod places;
pub mod plant;
pub mod residue;
pub mod snapshots;
pub mod sown;
pub mod text;
pub mod trial;

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;

pub use numbers::Face;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A row of numbers that looks like a vector; of whom, with the similarity, if it is like somebody.
    Vector { numbers: usize, of: Option<(String, f32)> },
    /// A picture file of this format.
    Picture(&'static str),
    /// Pixels without a file around them.
    Pixels,
}

/// Something that should not be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What.
    pub what: What,
    /// How it is encoded, from the outside in: `base64, f32 LE`.
    pub encoding: String,
    /// Where, in bytes of what was searched.
    pub at: Range<usize>,
}

impl fmt::Display for Finding {
    /// Says no number of what it found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Vector { numbers, of: Some((who, score)) } => {
                write!(f, "a vector like that of {who} ({score:.2}, {numbers} numbers)")?;
            }
            What::Vector { numbers, of: None } => write!(f, "a row of {numbers} numbers like a vector")?,
            What::Picture(format) => write!(f, "a {format} picture")?,
            What::Pixels => write!(f, "pixels")?,
        }
        write!(f, ", {}, at {:?}", self.encoding, self.at)
    }
}

/// Searches for these people.
pub struct Searcher {
    faces: Vec<Face>,
}

type Found = Vec<(What, &'static str, Range<usize>)>;

impl Searcher {
    /// For vectors of one length.
    pub fn new(faces: Vec<Face>) -> Self {
        Self { faces }
    }

    /// Everything in these bytes that looks like a template or a face.
    pub fn look(&self, bytes: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |outer: &str, found: Found, place: &dyn Fn(Range<usize>) -> Range<usize>| {
            findings.extend(found.into_iter().map(|(what, encoding, at)| {
                let encoding =
                    if outer.is_empty() { encoding.to_owned() } else { format!("{outer}, {encoding}") };
                Finding { what, encoding, at: place(at) }
            }));
        };
        add("", self.in_binary(bytes), &|at| at);
        for run in text::hexadecimal(bytes) {
            add("hexadecimal", self.in_binary(&run.bytes), &|_| run.at.clone());
        }
        for run in text::base64(bytes) {
            add("base64", self.in_binary(&run.bytes), &|_| run.at.clone());
        }
        add("", self.in_decimals(bytes), &|at| at);
        findings
    }

    /// Several things at once, on all cores: findings with the place of their thing.
    pub fn look_through<'a, T: Sync>(
        &self,
        things: &'a [T],
        bytes: impl Fn(&T) -> &[u8] + Sync,
    ) -> Vec<(&'a T, Finding)> {
        let (next, all) = (Mutex::new(things.iter()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    loop {
                        let thing = next.lock().expect("no panic").next();
                        let Some(thing) = thing else { break };
                        let found = self.look(bytes(thing));
                        all.lock().expect("no panic").extend(found.into_iter().map(|found| (thing, found)));
                    }
                });
            }
        });
        all.into_inner().expect("no panic")
    }

    fn in_binary(&self, bytes: &[u8]) -> Found {
        let mut found = numbers::floats(bytes, &self.faces);
        found.extend(numbers::bytes(bytes, &self.faces));
        found.extend(pictures::files(bytes));
        found.extend(pictures::pixels(bytes));
        found
    }

    /// A long row of numbers is suspicious by itself: nothing else that is written has one.
    fn in_decimals(&self, bytes: &[u8]) -> Found {
        let rows = text::decimals(bytes);
        rows.into_iter()
            .map(|(values, at)| {
                let of = numbers::likest(&values, &self.faces);
                (What::Vector { numbers: values.len(), of }, "decimal", at)
            })
            .collect()
    }
}
