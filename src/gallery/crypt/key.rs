//! Keys of 256 bits.

use std::fmt;
use std::str::FromStr;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::error::{Error, Result};
use crate::err;

/// A key. It prints as `***` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; Key::LENGTH]>);

/// Tells keys apart without saying anything about them: 8 bytes derived from the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

impl Key {
    /// Bytes of a key.
    pub const LENGTH: usize = 32;

    /// A new one, from the system's generator.
    ///
    /// # Errors
    /// `Unavailable`, when the system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; Self::LENGTH]);
        random(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// These bytes as a key.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The key for one purpose: HKDF-SHA-256 with `purpose` as its info.
    pub fn derive(&self, purpose: &str) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LENGTH]);
        expand(self, purpose, bytes.as_mut());
        Self(bytes)
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        let mut bytes = [0; 8];
        expand(self, "watchlistd key id", &mut bytes);
        KeyId(bytes)
    }
}

fn expand(key: &Key, purpose: &str, into: &mut [u8]) {
    let expanded = Hkdf::<Sha256>::new(None, key.expose()).expand(purpose.as_bytes(), into);
    debug_assert!(expanded.is_ok(), "HKDF gives 8160 bytes; nobody asks for more than 32");
}

/// Fills the buffer with randomness of the system's.
///
/// # Errors
/// `Unavailable`, when there is none.
pub(super) fn random(into: &mut [u8]) -> Result<()> {
    getrandom::fill(into).map_err(|e| err!(Unavailable, "the system gives no randomness: {e}"))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number
            .map(|number| Self(number.to_be_bytes()))
            .ok_or_else(|| err!(Data, "{text:?} is no key's id: expected 16 hexadecimal digits"))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
