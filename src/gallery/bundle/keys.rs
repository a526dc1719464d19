//! Keys that sign bundles: Ed25519 (RFC 8032). No other module names the crate.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};
use crate::gallery::crypt::Key;
use crate::{bail, err};

/// What a signature is made over begins with this, so that a signature made for anything else is none for a bundle.
const DOMAIN: &[u8; 31] = b"watchlistd bundle signature v1\n";

/// Bytes of a signature.
pub(super) const SIGNATURE: usize = 64;

/// A box's signing key. It prints as its public key and is wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key pair of this seed.
    pub fn from_seed(seed: &Key) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// The key that others trust.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a bundle's bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE] {
        self.0.sign(&signed_message(bytes)).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(***, public {})", self.public())
    }
}

/// A signer's public key. In text it is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PublicKey::LENGTH]);

impl PublicKey {
    /// Bytes of a public key.
    pub const LENGTH: usize = 32;

    /// Takes the bytes for a key, without asking whether there can be one: a bundle may name anything, and its signature decides.
    pub(in crate::gallery) const fn claimed(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// For comparing by eye or by telephone: the first 128 bits of the key's SHA-256, in groups of four hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.0);
        let groups: Vec<String> = hash.chunks_exact(2).take(8).map(hex).collect();
        groups.join("-")
    }

    /// True if the signature was made over these bytes with this key, by RFC 8032's strict rules: no second encoding of a
    /// signature, no key or signature of small order.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| {
            key.verify_strict(&signed_message(bytes), &Signature::from_bytes(signature)).is_ok()
        })
    }
}

/// The domain and the SHA-256 of the bytes. The hash is taken first because Ed25519 reads its message twice.
fn signed_message(bytes: &[u8]) -> [u8; DOMAIN.len() + 32] {
    let mut message = [0; DOMAIN.len() + 32];
    let (domain, hash) = message.split_at_mut(DOMAIN.len());
    domain.copy_from_slice(DOMAIN);
    hash.copy_from_slice(&Sha256::digest(bytes));
    message
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Parses 64 hexadecimal digits.
    ///
    /// # Errors
    /// `Data`, when it is something else, no point of the curve, or a key of small order (which anybody can sign for).
    fn from_str(text: &str) -> Result<Self> {
        let key = text.trim();
        let refusal = || {
            err!(
                Data,
                "{text:?} is no public key: expected 64 hexadecimal digits, as the sender's `watchlistd gallery trust` shows its own"
            )
        };
        if key.len() != 2 * Self::LENGTH || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refusal());
        }
        let mut bytes = [0; Self::LENGTH];
        for (byte, digits) in bytes.iter_mut().zip(key.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refusal())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refusal())?;
        }
        if VerifyingKey::from_bytes(&bytes).map_or(true, |key| key.is_weak()) {
            bail!(Data, "{key} is no usable Ed25519 public key: ask the sender for it again");
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for PublicKey {
    /// All 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
