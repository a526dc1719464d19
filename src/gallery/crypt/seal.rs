//! Sealing and opening.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::bound::Bound;
use super::key::{self, Key};
use crate::base::error::Result;
use crate::err;

const NONCE: usize = 24;
const TAG: usize = 16;

/// Bytes that sealing adds: the nonce before and the tag behind.
pub const OVERHEAD: usize = NONCE + TAG;

/// Nonce, ciphertext and tag of `plain`.
///
/// # Errors
/// `Unavailable`, when the system gives no randomness.
pub fn seal(key: &Key, bound: &Bound, plain: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    key::random(&mut nonce)?;
    let payload = Payload { msg: plain, aad: bound.as_bytes() };
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| err!(Software, "a value of {} bytes is too long to be sealed", plain.len()))?;
    Ok([&nonce[..], &sealed].concat())
}

/// The plain text, if it was sealed with this key and beside these fields, and no bit has changed since.
pub fn open(key: &Key, bound: &Bound, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let payload = Payload { msg: rest, aad: bound.as_bytes() };
    cipher(key).decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
}

/// Wraps a key.
///
/// # Errors
/// As [`seal`].
pub fn seal_key(wrapping: &Key, bound: &Bound, key: &Key) -> Result<Vec<u8>> {
    seal(wrapping, bound, key.expose())
}

/// Unwraps a key.
pub fn open_key(wrapping: &Key, bound: &Bound, wrapped: &[u8]) -> Option<Key> {
    Key::from_bytes(&open(wrapping, bound, wrapped)?)
}

/// HMAC-SHA-256 of the fields: the same for the same key and fields, and of no use without the key.
pub fn tag(key: &Key, bound: &Bound) -> [u8; 32] {
    mac(key, bound).finalize().into_bytes().into()
}

/// True if the [`tag`] of the fields begins with these bytes, of which there is one at least. Takes the same time whatever they are:
/// for what comes from somebody who may be guessing.
pub fn tag_begins_with(key: &Key, bound: &Bound, bytes: &[u8]) -> bool {
    mac(key, bound).verify_truncated_left(bytes).is_ok()
}

fn mac(key: &Key, bound: &Bound) -> Hmac<Sha256> {
    // HMAC pads a short key with zeros to a block; done here, there is no length that could be wrong.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key.expose()).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into());
    mac.update(bound.as_bytes());
    mac
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose().into())
}
