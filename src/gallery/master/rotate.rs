//! Another key in place of the one there is. The picture is at the top of the module above.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{CREDENTIAL, KeySource, is_missing, load, load_file, text};
use crate::base::durable;
use crate::base::error::Result;
use crate::gallery::crypt::{Key, KeyId};
use crate::{bail, err};

/// The key with the id that the store asks for: the one of the source, or the one a rotation left pending that the store is
/// wrapped by already; that one is promoted.
///
/// # Errors
/// `Config`, naming the ids, when neither is it; as [`load`].
pub fn load_for(source: &KeySource, wanted: KeyId) -> Result<Key> {
    let current = load(source);
    if let Ok(key) = &current
        && key.id() == wanted
    {
        return current;
    }
    if let Some(key) = load_pending(source)?.filter(|key| key.id() == wanted) {
        finish(source, &key);
        return Ok(key);
    }
    let found = current?.id();
    bail!(
        Config,
        "the gallery was encrypted under the master key with the id {wanted}, and {source} holds the one with the id \
         {found}: put that one back, from what `watchlistd gallery key export` wrote or from where it is kept, or say where \
         it is (--key-file, gallery.key_file)"
    )
}

/// The gallery opens without it, so a file system that is read-only just now is no reason not to.
fn finish(source: &KeySource, key: &Key) {
    match promote(source, key) {
        Ok(()) if matches!(source, KeySource::Credential(_)) => {
            tracing::warn!(
                "the gallery's key is {}: make it {source} before that one is taken away",
                pending(source).display()
            );
        }
        Ok(()) => tracing::info!("a rotation of the gallery's key that was cut short is finished: {source}"),
        Err(e) => tracing::warn!("the gallery's new key stays pending beside {source}: {}", e.chain()),
    }
}

/// The key that lies beside the source's as `NAME.next`, if there is one. A credential's is one that the operator gives for a
/// rotation (`gallery-key.next`).
///
/// # Errors
/// As [`load`].
pub fn load_pending(source: &KeySource) -> Result<Option<Key>> {
    let path = pending(source);
    if is_missing(&path) { Ok(None) } else { load_file(source, &path).map(Some) }
}

/// The first step of a rotation: `new` lies beside `current`, and survives a power cut. The store may be wrapped by `new`
/// after this returned, and [`promote`] is to be called after that.
///
/// # Errors
/// `Usage` for a credential, which only the operator can replace, unless `new` is given as a pending one already;
/// `Unavailable` when the source holds another key than `current`; as [`load`] and [`durable::write`].
pub fn replace(source: &KeySource, current: &Key, new: &Key) -> Result<()> {
    if let KeySource::Credential(path) = source {
        return replace_credential(source, path, new);
    }
    settle(source, current)?;
    let path = pending(source);
    durable::write(&path, text::write(new).as_bytes(), 0o600)?;
    durable::hand_over(&path)
}

/// The last step of a rotation, after the store is wrapped by `new`: it takes the place of the key that was there, whose
/// bytes are overwritten, as far as the file system does that in place. Nothing, if that was done already, and for a
/// credential, which the operator replaces.
///
/// # Errors
/// `Unavailable` when neither file holds `new`; as [`load`] and [`durable::rename`].
pub fn promote(source: &KeySource, new: &Key) -> Result<()> {
    let KeySource::File(path) = source else { return Ok(()) };
    if load_pending(source)?.as_ref() == Some(new) {
        let path = resolved(path);
        let old = OpenOptions::new().write(true).open(&path);
        durable::rename(&pending(source), &path)?;
        // Best effort: the key that counts is in place.
        let _ = old.and_then(wipe);
        return Ok(());
    }
    if load(source).is_ok_and(|key| key == *new) {
        return Ok(());
    }
    bail!(
        Unavailable,
        "neither {source} nor {} holds the key with the id {}; nothing was changed",
        pending(source).display(),
        new.id()
    )
}

/// Takes away what a process that was killed while it wrote a key left beside the source's file. The caller holds the
/// gallery's lock.
pub fn clean_up(source: &KeySource) {
    if let KeySource::File(path) = source {
        durable::clean_up(path);
        durable::clean_up(&pending(source));
    }
}

/// A rotation before this one may have ended after the store was wrapped by the pending key: then that one is `current`, and
/// must be in place before another is written over it.
fn settle(source: &KeySource, current: &Key) -> Result<()> {
    if load(source).is_ok_and(|key| key == *current) {
        return Ok(());
    }
    promote(source, current)
}

fn replace_credential(source: &KeySource, path: &Path, new: &Key) -> Result<()> {
    if load_pending(source)?.as_ref() == Some(new) {
        return Ok(());
    }
    let name = path.file_name().map_or(CREDENTIAL.into(), |name| name.to_string_lossy());
    Err(err!(
        Usage,
        "the gallery's key comes from {source}, which only you can replace: give the daemon the new key as the credential \
         {name}.next beside it (LoadCredentialEncrypted={name}.next:...), restart it, rotate to that key, and then make it \
         the credential {name}"
    ))
}

/// `gallery.key.next`, beside the file that a symbolic link leads to.
fn pending(source: &KeySource) -> PathBuf {
    let mut name = OsString::from(resolved(source.path()));
    name.push(".next");
    name.into()
}

fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Overwrites a file that has no name any more. One that has another name is somebody's copy.
fn wipe(mut file: File) -> io::Result<()> {
    let found = file.metadata()?;
    if found.nlink() == 0 {
        io::copy(&mut io::Read::take(io::repeat(0), found.len()), &mut file)?;
        file.flush()?;
        file.sync_all()?;
    }
    Ok(())
}
