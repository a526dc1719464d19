//! Bundles for certain readers only: the signed bundle inside an age file (age-encryption.org/v1), for X25519 recipients.

use std::io::{Read, Write as _};

use age::{DecryptError, x25519};
use zeroize::Zeroizing;

use super::MAX_BYTES;
use crate::base::error::{Error, Result};
use crate::gallery::command::SecretText;
use crate::gallery::escrow;
use crate::{bail, err};

const MAGIC: &[u8] = b"age-encryption.org/";
/// The first line of the version that is read.
const VERSION_1: &[u8] = b"age-encryption.org/v1\n";
/// Most recipients. Each takes 98 bytes of the header.
const MAX_RECIPIENTS: usize = 100;
/// Most bytes of a header. age parses it again for each of its lines, so a long one would take long.
const MAX_HEADER: usize = 16 << 10;
/// What age adds to a bundle at most: its header, and 16 bytes for each 64 KiB.
const MAX_ENCRYPTED: usize = MAX_BYTES + MAX_BYTES / 4096 + MAX_HEADER + 64;

/// True if this is an age file.
pub fn is_encrypted(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Encrypts a signed bundle to these recipients (`age1...`).
///
/// # Errors
/// `Usage`: no recipient, too many, or one that is none. `Software`: age failed.
pub fn encrypt(bytes: &[u8], recipients: &[String]) -> Result<Vec<u8>> {
    if recipients.is_empty() || recipients.len() > MAX_RECIPIENTS {
        bail!(Usage, "{} recipients: expected 1 to {MAX_RECIPIENTS}", recipients.len());
    }
    let recipients = escrow::recipients(recipients)?;
    let failed =
        |e: Box<dyn std::error::Error + Send + Sync>| err!(Software, "cannot encrypt the bundle").because(e);
    let encryptor =
        age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
            .map_err(|e| failed(e.into()))?;
    let mut encrypted = Vec::with_capacity(bytes.len() + bytes.len() / 4096 + MAX_HEADER);
    let mut writer = encryptor.wrap_output(&mut encrypted).map_err(|e| failed(e.into()))?;
    writer.write_all(bytes).map_err(|e| failed(e.into()))?;
    writer.finish().map_err(|e| failed(e.into()))?;
    Ok(encrypted)
}

/// Decrypts a bundle with an age identity: a line `AGE-SECRET-KEY-1...`, or the text of an identity file, which has
/// comments and may have several.
///
/// # Errors
/// `Usage`: no identity. `Permission`: it is encrypted to others. `Data`: damaged, or not of age's first version.
pub fn decrypt(bytes: &[u8], identity: &SecretText) -> Result<Zeroizing<Vec<u8>>> {
    let identities = identities(identity)?;
    bounded(bytes)?;
    let decryptor = age::Decryptor::new_buffered(bytes).map_err(refused)?;
    let mut reader = decryptor
        .decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        .map_err(refused)?
        .take(MAX_ENCRYPTED as u64);
    // What is inside is shorter than what is around it: the buffer never moves, and leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader.read_to_end(&mut plain).map_err(|e| damaged().because(e))?;
    Ok(plain)
}

fn identities(text: &SecretText) -> Result<Vec<x25519::Identity>> {
    let lines =
        text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Vec<x25519::Identity> = lines
        .map(|line| {
            line.parse().map_err(|why: &str| {
                err!(Usage, "the identity is none of age's: {why}; expected a line AGE-SECRET-KEY-1..., as `age-keygen` makes it")
            })
        })
        .collect::<Result<_>>()?;
    if identities.is_empty() {
        return Err(identity_missing());
    }
    Ok(identities)
}

/// Bounds the file and its header before age parses it.
fn bounded(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_ENCRYPTED {
        bail!(Data, "the bundle has {} bytes; at most {MAX_BYTES} are read, and what age adds", bytes.len());
    }
    if !bytes.starts_with(VERSION_1) {
        bail!(
            Data,
            "the bundle is encrypted in another version of age's format: decrypt it with `age --decrypt`, then import what \
             comes out"
        );
    }
    let start = bytes.get(..MAX_HEADER).unwrap_or(bytes);
    if !start.windows(5).any(|window| window == b"\n--- ") {
        bail!(
            Data,
            "the age file has no header, or one of more than {MAX_HEADER} bytes; at most {MAX_RECIPIENTS} recipients are read"
        );
    }
    Ok(())
}

fn refused(cause: DecryptError) -> Error {
    match cause {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => err!(
            Permission,
            "the bundle does not open with this identity: it was encrypted to others; have it exported for this \
             identity's recipient (`age-keygen -y` shows it)"
        ),
        cause => damaged().because(cause),
    }
}

fn damaged() -> Error {
    err!(Data, "the encrypted bundle was damaged or changed on its way: fetch it again from the sender")
}

/// The bundle is encrypted, and there is nothing to open it with.
pub(super) fn identity_missing() -> Error {
    err!(
        Usage,
        "the bundle is encrypted: give the age identity it was encrypted to (`--identity FILE`, a line AGE-SECRET-KEY-1...)"
    )
}
