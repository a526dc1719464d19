//! Who is compared with whom: a pairs file, or all people of a folder.
//!
//! ```text
//!  pairs.txt ─▶ Pairs ──┐
//!                       ├─▶ Protocol { pictures, trials, folds }       a trial: two pictures, mated or not, its fold
//!  folder ────▶ People ─┘
//! ```

pub mod pairs;
pub mod people;
pub mod sample;

use std::path::PathBuf;

pub use pairs::Pairs;
pub use people::{People, Person};

use super::bootstrap::PeopleTrial;

/// A picture of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub path: PathBuf,
    /// Whose it is: the position in [`Protocol::people`].
    pub person: u32,
}

/// Two pictures that are compared: positions in [`Protocol::pictures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// One picture.
    pub a: u32,
    /// The other one.
    pub b: u32,
    /// True if both are of one person.
    pub mated: bool,
    /// From 0; `None` for two people of different folds.
    pub fold: Option<u16>,
}

/// What a verification compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// Names of the people.
    pub people: Vec<String>,
    /// Pictures that are compared, each once.
    pub pictures: Vec<Picture>,
    /// The comparisons.
    pub trials: Vec<Trial>,
    /// How many folds there are.
    pub folds: u16,
    /// Non-mated pairs that the pictures allow, of which the trials may be a sample; `None` for a pairs file.
    pub possible_non_mated: Option<u64>,
}

impl Protocol {
    /// A trial with its score, by whose pictures it compares: as the bootstrap over people takes it.
    pub fn of_people(&self, trial: &Trial, score: Option<f32>) -> PeopleTrial {
        let person = |picture: u32| self.pictures.get(picture as usize).map_or(0, |picture| picture.person);
        PeopleTrial { score, a: person(trial.a), b: person(trial.b), mated: trial.mated }
    }
}

/// True for the names of pictures: `.jpg`, `.jpeg`, `.png`, in any case.
fn is_picture(path: &std::path::Path) -> bool {
    let extension = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// In the order in which they are looked for.
const EXTENSIONS: [&str; 3] = ["jpg", "png", "jpeg"];
