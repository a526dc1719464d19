//! What a record holds, in the clear: always as many bytes, little-endian.
//!
//! ```text
//!  0        32       33      37            65              65 + 4 x dimension
//!  │ digest │ status │ faces │ 7 measures  │ vector, or zeros │
//! ```

use zeroize::Zeroizing;

use super::{Digest, Space};
use crate::eval::acquire::{Acquisition, Failure, Template};
use crate::eval::quality::{Measure, Measured};
use crate::gallery::crypt::OVERHEAD;
use crate::types::embedding::Embedding;
use crate::types::ids::ModelId;

const MEASURES: usize = Measure::ALL.len();
const VECTOR: usize = 32 + 1 + 4 + 4 * MEASURES;

/// The status of a template; others are failures.
const TEMPLATE: u8 = 0;
const FAILURES: [(u8, Failure); 3] = [(1, Failure::NoFace), (2, Failure::NoCrop), (3, Failure::NoVector)];

/// How long records are, and of which model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    model: ModelId,
    dimension: usize,
}

impl Layout {
    pub(super) fn of(space: &Space) -> Self {
        Self { model: space.model(), dimension: space.dimension() }
    }

    /// Bytes of a sealed record.
    pub(super) fn sealed(self) -> usize {
        VECTOR + 4 * self.dimension + OVERHEAD
    }

    /// `None`, for what is not kept.
    pub(super) fn pack(self, digest: &Digest, acquisition: &Acquisition) -> Option<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(VECTOR + 4 * self.dimension));
        plain.extend_from_slice(digest);
        match acquisition {
            Acquisition::Template(template) => {
                let vector = template.embedding.as_slice();
                if template.embedding.model() != self.model || vector.len() != self.dimension {
                    return None;
                }
                plain.push(TEMPLATE);
                plain.extend_from_slice(&template.faces.to_le_bytes());
                let numbers = template.measured.to_numbers();
                numbers.iter().chain(vector).for_each(|x| plain.extend_from_slice(&x.to_le_bytes()));
            }
            Acquisition::Failed(failure) => {
                plain.push(FAILURES.iter().find(|(_, known)| known == failure)?.0);
                plain.resize(VECTOR + 4 * self.dimension, 0);
            }
        }
        Some(plain)
    }

    /// `None`, for what no [`Layout::pack`] made.
    pub(super) fn unpack(self, plain: &[u8]) -> Option<(Digest, Acquisition)> {
        let (digest, rest) = plain.split_first_chunk::<32>()?;
        let (status, rest) = rest.split_first()?;
        let (faces, rest) = rest.split_first_chunk::<4>()?;
        if *status != TEMPLATE {
            let failure = FAILURES.into_iter().find(|(known, _)| known == status)?.1;
            return Some((*digest, Acquisition::Failed(failure)));
        }
        let (numbers, _) = rest.as_chunks::<4>();
        let (measures, vector) = numbers.split_first_chunk::<MEASURES>()?;
        if vector.len() != self.dimension {
            return None;
        }
        let vector = vector.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let template = Template {
            embedding: Embedding::from_unit(self.model, vector).ok()?,
            measured: Measured::from_numbers(measures.map(f32::from_le_bytes)),
            faces: u32::from_le_bytes(*faces),
        };
        Some((*digest, Acquisition::Template(Box::new(template))))
    }
}
