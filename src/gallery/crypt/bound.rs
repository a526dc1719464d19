//! What a sealed value is bound to.

/// Associated data: what the value is, and the columns beside it, in an encoding in which no two lists of fields are the
/// same bytes. Sealed text opens only beside the very fields it was sealed with.
#[derive(Debug, Clone)]
pub struct Bound(Vec<u8>);

impl Bound {
    /// Starts with what the value is: `identity key`, `template`. A purpose is never used for two things.
    pub fn to(purpose: &str) -> Self {
        Self(Vec::new()).field(purpose.as_bytes())
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a field that may be missing, which is not the same as empty.
    #[must_use]
    pub fn optional(self, bytes: Option<impl AsRef<[u8]>>) -> Self {
        match bytes {
            Some(bytes) => self.field([1]).field(bytes),
            None => self.field([0]),
        }
    }

    /// The encoded fields.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
