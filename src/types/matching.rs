//! What a search of the gallery answers.

use std::sync::Arc;

use super::ids::{IdentityId, ModelId};

/// Which index answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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

/// One identity near the probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Who.
    pub identity: IdentityId,
    /// Display name, as enrolled.
    pub name: Arc<str>,
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
