//! The frame of a bundle: magic line, signer, sections, signature.
//!
//! ```text
//!  "watchlistd-bundle 1\n" │ public key (32) │ tag (4) length (8, LE) bytes │ ... │ signature (64)
//!  └──────────────────────────── what the signature is over ──────────────────────┘
//! ```

use std::fmt;

use super::keys::{PublicKey, SIGNATURE};
use super::{MAX_BYTES, age_file};
use crate::base::error::{Error, Result};
use crate::{bail, err};

/// The first line up to the version.
const NAME: &[u8] = b"watchlistd-bundle ";
/// The first line.
pub(super) const MAGIC: &[u8] = b"watchlistd-bundle 1\n";
/// The version that is written and read.
const VERSION: u32 = 1;

/// A section's name. All of them are there, once each and in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(&'static [u8; 4]);

/// JSON: what the bundle is.
pub(super) const HEADER: Tag = Tag(b"HEAD");
/// JSON: settings of lists.
pub(super) const LISTS: Tag = Tag(b"LIST");
/// JSON Lines: one identity each, with what is known of its templates and crops.
pub(super) const IDENTITIES: Tag = Tag(b"IDEN");
/// Vectors, little-endian f32, in the order of the templates.
pub(super) const VECTORS: Tag = Tag(b"VECT");
/// Files, in the order of the crops.
pub(super) const CROPS: Tag = Tag(b"CROP");

/// Bytes of a section's tag and length.
pub(super) const SECTION_HEAD: usize = 4 + 8;
/// Bytes of a bundle besides its sections.
pub(super) const FRAME: usize = MAGIC.len() + PublicKey::LENGTH + SIGNATURE;

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

/// A bundle taken apart into what has to be known before anything in it may be believed.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Who is said to have signed it.
    pub(super) signer: PublicKey,
    /// The sections.
    pub(super) sections: &'a [u8],
    /// What was signed.
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE],
}

impl<'a> Frame<'a> {
    /// Looks at size, magic line and version.
    ///
    /// # Errors
    /// `Data`: too large, no bundle, of a newer format, cut short. `Usage`: encrypted.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            bail!(Data, "the bundle has {} bytes; at most {MAX_BYTES} are read", bytes.len());
        }
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(no_bundle(bytes)) };
        let cut =
            || err!(Data, "the bundle is cut short: it ends after {} bytes; fetch it again", bytes.len());
        let (signer, rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let (sections, signature) = rest.split_last_chunk().ok_or_else(cut)?;
        let (signed, _) = bytes.split_last_chunk::<SIGNATURE>().ok_or_else(cut)?;
        Ok(Self { signer: PublicKey::claimed(*signer), sections, signed, signature })
    }

    /// True if the signer named in it signed it, and no bit has changed since.
    pub(super) fn holds(&self) -> bool {
        self.signer.verifies(self.signed, self.signature)
    }
}

/// Says as well as the first bytes allow what this is instead.
fn no_bundle(bytes: &[u8]) -> Error {
    if age_file::is_encrypted(bytes) {
        return age_file::identity_missing();
    }
    if bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return err!(
            Data,
            "this is an armoured age file: decrypt it with `age --decrypt`, then import what comes out"
        );
    }
    if let Some(version) = bytes.strip_prefix(NAME).and_then(version)
        && version > VERSION
    {
        return err!(
            Data,
            "the bundle has format {version}; this version of watchlistd reads format {VERSION}: upgrade it, then import again"
        );
    }
    err!(
        Data,
        "this is no bundle: one begins with the line \"watchlistd-bundle {VERSION}\", or is an age file"
    )
}

fn version(rest: &[u8]) -> Option<u32> {
    let end = rest.iter().take(11).position(|&byte| byte == b'\n')?;
    let digits = std::str::from_utf8(rest.get(..end)?).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Reads sections, one after the other.
pub(super) struct Sections<'a>(pub(super) &'a [u8]);

impl<'a> Sections<'a> {
    /// The next section, which has to be this one.
    ///
    /// # Errors
    /// `Data`, when it is another, or longer than the bundle.
    pub(super) fn take(&mut self, tag: Tag) -> Result<&'a [u8]> {
        let missing = || err!(Data, "section {tag} is missing or cut short");
        let rest = self.0.strip_prefix(tag.0).ok_or_else(missing)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(missing)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| missing())?;
        let (section, rest) = rest.split_at_checked(length).ok_or_else(missing)?;
        self.0 = rest;
        Ok(section)
    }

    /// Nothing may come behind the last section.
    ///
    /// # Errors
    /// `Data`, when something does.
    pub(super) fn end(self) -> Result<()> {
        if !self.0.is_empty() {
            bail!(Data, "{} bytes behind the last section", self.0.len());
        }
        Ok(())
    }
}

/// Starts a section.
pub(super) fn begin(into: &mut Vec<u8>, tag: Tag, length: usize) {
    into.extend_from_slice(tag.0);
    into.extend_from_slice(&(length as u64).to_le_bytes());
}
