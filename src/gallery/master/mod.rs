//! Where the master key comes from, and how another one takes its place.
//!
//! ```text
//!  gallery.key_file = "auto" ─┬ $CREDENTIALS_DIRECTORY/gallery-key is there ─▶ Credential
//!                             └ else gallery.key, beside gallery.db ─────────▶ File ─┬ there ─────────────▶ load
//!  gallery.key_file = "PATH" ── systemd has a copy of that name? ─▶ Credential,      ├ no, a new store ───▶ load_or_make
//!                               else ────────────────────────────▶ File              └ no, a store there ─▶ an error
//! ```
//!
//! Rotation writes the new key beside the old one before the store is wrapped by it, and renames it after. A kill or a
//! power cut at any moment leaves a gallery that opens, with one of the two:
//!
//! ```text
//!  step                       gallery.key   gallery.key.next   store wrapped by   load_for gives
//!  -                               A               -                  A           A
//!  replace(A, B)                   A               B                  A           A; the next rotation replaces B
//!  the store's transaction         A               B                  B           B, and promotes it
//!  promote(B)                      B               -                  B           B
//! ```
//!
//! No message holds any part of a key file.

mod guarded;
mod notice;
mod other;
mod rotate;
pub(super) mod text;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use self::notice::Notice;
pub use self::other::{KeyFile, load_or_make as load_or_make_other};
pub use self::rotate::{clean_up, load_for, load_pending, promote, replace};
use super::command::SecretText;
use super::crypt::Key;
use crate::base::durable;
use crate::base::error::{Kind, Result};
use crate::config::{self, IN_CREDENTIALS};
use crate::{bail, err};

/// The systemd credential that holds the master key if the configuration names no other.
pub const CREDENTIAL: &str = "gallery-key";

/// What messages call the master key.
const GALLERY: &str = "the gallery's key";

/// Where the master key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A credential that systemd hands over and guards.
    Credential(PathBuf),
    /// A file that only its owner may read (mode 0600 or stricter).
    File(PathBuf),
}

impl KeySource {
    /// What the configuration says, for a process whose folder of systemd credentials is `credentials`. A plain path is the
    /// copy of that name that systemd hands over, where there is one, as with `credentials.file`.
    pub fn of(config: &config::Gallery, credentials: Option<&Path>) -> Self {
        let handed_over =
            |name: &Path| credentials.map(|folder| folder.join(name)).filter(|copy| copy.is_file());
        let Some(path) = &config.key_file else {
            return handed_over(Path::new(CREDENTIAL))
                .map_or_else(|| Self::File(beside(&config.path)), Self::Credential);
        };
        match (path.strip_prefix(IN_CREDENTIALS), credentials) {
            (Ok(name), Some(folder)) => Self::Credential(folder.join(name)),
            // There is no such folder; loading says so.
            (Ok(_), None) => Self::Credential(path.clone()),
            (Err(_), Some(folder)) if path.starts_with(folder) => Self::Credential(path.clone()),
            (Err(_), _) => {
                let copy = path.file_name().and_then(|name| handed_over(Path::new(name)));
                copy.map_or_else(|| Self::File(path.clone()), Self::Credential)
            }
        }
    }

    /// [`KeySource::of`] for this process.
    pub fn of_process(config: &config::Gallery) -> Self {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
        Self::of(config, folder.as_deref().map(Path::new))
    }

    /// The file or the credential.
    pub fn path(&self) -> &Path {
        let (Self::Credential(path) | Self::File(path)) = self;
        path
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(path) => write!(f, "the credential {}", path.display()),
            Self::File(path) => write!(f, "the key file {}", path.display()),
        }
    }
}

/// `gallery.key` for the store `gallery.db`.
fn beside(store: &Path) -> PathBuf {
    let path = store.with_extension("key");
    if path == store { store.with_added_extension("key") } else { path }
}

/// The key, which has to be there: for a store that has sealed something with it.
///
/// # Errors
/// `NoInput` when it is missing, saying where it may be had from; `Permission` when somebody else may read or change it or we
/// may not; `Data` when it holds something else than a key. None says anything of its content.
pub fn load(source: &KeySource) -> Result<Key> {
    load_file(source, source.path())
}

/// The key for a new store, made if no file holds one yet. Never call it for a store that has sealed something: that is
/// lost without the very key it was sealed with, and a new one would only hide that.
///
/// # Errors
/// As [`load`]; `NoInput` also for a credential that is missing, as only the operator can make one. And what
/// [`durable::create`] gives.
pub fn load_or_make(source: &KeySource) -> Result<(Key, Option<Notice>)> {
    match (load(source), source) {
        (Err(e), KeySource::File(path)) if e.kind() == Kind::NoInput && is_missing(path) => make(path),
        (loaded, _) => Ok((loaded?, None)),
    }
}

/// A key as somebody gives it: 64 hexadecimal digits, or the whole text of a key file.
///
/// # Errors
/// `Data`, saying what is wrong with it and nothing of what it is.
pub fn parse(text: &SecretText) -> Result<Key> {
    text::read(text.expose().as_bytes()).map_err(|wrong| err!(Data, "the master key given {wrong}"))
}

/// Writes the key into a new key file (mode 0600).
///
/// # Errors
/// As [`durable::create`]; a file that is there is never replaced.
pub fn write_new(path: &Path, key: &Key) -> Result<()> {
    durable::create(path, text::write(key).as_bytes(), 0o600)?;
    durable::hand_over(path)
}

fn make(path: &Path) -> Result<(Key, Option<Notice>)> {
    let key = Key::generate()?;
    // Never over a key that somebody else made meanwhile.
    write_new(path, &key)?;
    let notice = Notice::of_made(path, &key);
    Ok((key, Some(notice)))
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// The key in a file that is guarded as `source` is.
fn load_file(source: &KeySource, path: &Path) -> Result<Key> {
    let guard = match source {
        KeySource::Credential(_) => guarded::Guard::Systemd,
        KeySource::File(_) => guarded::Guard::Mode,
    };
    if path.starts_with(IN_CREDENTIALS) {
        bail!(
            NoInput,
            "the gallery's key is in {}, and $CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with \
             LoadCredential= or LoadCredentialEncrypted=. Ask the daemon while it runs, or name a file with --key-file",
            path.display()
        );
    }
    let content = guarded::read(path, guard, GALLERY)
        .map_err(|e| if is_missing(path) { missing(source) } else { e })?;
    match (guard, Key::from_bytes(&content)) {
        (guarded::Guard::Systemd, Some(key)) => Ok(key),
        _ => text::read(&content).map_err(|wrong| err!(Data, "{} {wrong}", path.display())),
    }
}

fn missing(source: &KeySource) -> crate::base::error::Error {
    err!(
        NoInput,
        "the gallery's key is missing: there is no {}. Without it nothing in the gallery can be read. If systemd gives \
         it to the daemon (LoadCredentialEncrypted={CREDENTIAL}:...), ask the daemon while it runs; else put the key file \
         back from what `watchlistd gallery key export` wrote, or say where it is (--key-file, gallery.key_file)",
        source.path().display()
    )
}

#[cfg(test)]
mod tests;
