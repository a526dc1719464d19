//! What a search of the gallery answers.

use std::cmp::Reverse;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{IdentityId, ModelId};

/// Which index answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IndexKind {
    /// Every template was compared.
    Exact,
    /// A graph of near neighbours (hnsw_rs).
    Hnsw,
}

impl IndexKind {
    /// The name in configuration, metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            IndexKind::Exact => "exact",
            IndexKind::Hnsw => "hnsw",
        }
    }
}

/// Which index a gallery is to be searched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexChoice {
    /// Whichever answers sooner at the gallery's size.
    Auto,
    /// This one.
    Always(IndexKind),
}

impl From<IndexKind> for IndexChoice {
    fn from(kind: IndexKind) -> Self {
        Self::Always(kind)
    }
}

/// What events may say of somebody on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publish {
    /// Nothing: such a person is recognised, and no event is made (staff, say).
    Nothing,
    /// The identity's id, and no name.
    Pseudonym,
    /// Id, external id and name.
    #[default]
    Name,
}

/// What a list asks of a recognition, and what is said of one.
#[derive(Debug, Clone, PartialEq)]
pub struct ListRule {
    /// The list's name.
    pub name: Arc<str>,
    /// Least similarity score of a recognition for this list, 0 to 1; `None`: the camera's, else the configuration's, else the
    /// model's.
    pub threshold: Option<f32>,
    /// Of the lists somebody is on, the one with the highest comes first.
    pub priority: i32,
    /// What events may say.
    pub publish: Publish,
}

impl ListRule {
    /// The rules of one identity in the order of [`Candidate::lists`]: by priority, the highest first, then by name.
    pub fn in_order(mut rules: Vec<Arc<ListRule>>) -> Arc<[Arc<ListRule>]> {
        rules.sort_by(|a, b| (Reverse(a.priority), &a.name).cmp(&(Reverse(b.priority), &b.name)));
        rules.into()
    }
}

/// One identity near the probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Who.
    pub identity: IdentityId,
    /// Display name, as enrolled.
    pub name: Arc<str>,
    /// The id another system knows the person by.
    pub external_id: Option<Arc<str>>,
    /// The lists it is on, as [`ListRule::in_order`] gives them. Without any, the camera's threshold holds and its name may be said:
    /// so it is in a gallery without lists. Where there are lists, whoever is on none is not searched for.
    pub lists: Arc<[Arc<ListRule>]>,
    /// Cosine similarity of the identity's best template, -1 to 1.
    pub score: f32,
}

/// The nearest identities, best first, each once.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Best first.
    pub candidates: Vec<Candidate>,
    /// The model whose templates were searched.
    pub model: ModelId,
    /// Generation of the gallery snapshot that was searched.
    pub generation: u64,
    /// Which index answered.
    pub index: IndexKind,
}

impl Match {
    /// The nearest identity.
    pub fn best(&self) -> Option<&Candidate> {
        self.candidates.first()
    }

    /// How much nearer the best identity is than the second; to -1 if there is no second.
    pub fn margin(&self) -> f32 {
        match self.candidates.as_slice() {
            [] => 0.0,
            [only] => only.score + 1.0,
            [best, second, ..] => best.score - second.score,
        }
    }
}
