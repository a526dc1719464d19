//! What the commands read: bundles and backups, of a bounded size, and secrets, from files that nobody else may read.
//! Secrets never stand on the command line or in the environment, where other programs see them.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::bail;
use crate::base::error::{Error, Result};
use crate::gallery::command::SecretText;

/// Largest bundle or backup that is read, in bytes: 1 GiB.
pub const MAX_FILE: u64 = 1 << 30;
/// Largest file with a secret, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// A bundle or a backup.
///
/// # Errors
/// `NoInput` and its kin; `Data`, when it is empty or larger than [`MAX_FILE`].
pub fn file(path: &Path) -> Result<Vec<u8>> {
    bounded(path, MAX_FILE)
}

fn bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits, whatever its metadata says.
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::io("read", path, e))?;
    if bytes.len() as u64 > most {
        bail!(Data, "{}: larger than {most} bytes, which is the most that is read", path.display());
    }
    if bytes.is_empty() {
        bail!(Data, "{} is empty (0 bytes)", path.display());
    }
    Ok(bytes)
}

/// A passphrase: the first line of a file that only its owner may read, or of a descriptor as `/dev/fd/3`.
///
/// # Errors
/// `NoInput` and its kin; `Permission`, when others may read it; `Data`, when its first line is empty.
pub fn passphrase(option: &str, path: &Path) -> Result<SecretText> {
    let text = secret(option, path)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretText::new(line)),
        _ => bail!(Data, "{option} {}: its first line is empty; expected the passphrase", path.display()),
    }
}

/// A master key: a line of 64 hexadecimal digits in a file that only its owner may read; lines that start with `#` are
/// comments.
///
/// # Errors
/// `NoInput` and its kin; `Permission`, when others may read it; `Data`, when it holds something else.
pub fn master_key(option: &str, path: &Path) -> Result<SecretText> {
    let text = secret(option, path)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(key), None) if is_hex(key, 64) => Ok(SecretText::new(key)),
        _ => bail!(Data, "{option} {}: expected one line of 64 hexadecimal digits", path.display()),
    }
}

/// An age identity, from a file as `age-keygen` writes it and only its owner may read.
///
/// # Errors
/// `NoInput` and its kin; `Permission`, when others may read it; `Data`, when it holds none, or more than one.
pub fn age_identity(option: &str, path: &Path) -> Result<SecretText> {
    let text = secret(option, path)?;
    let mut keys = text.lines().map(str::trim).filter(|line| line.starts_with("AGE-SECRET-KEY-"));
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(SecretText::new(key)),
        (None, _) => {
            bail!(
                Data,
                "{option} {}: no age identity in it; expected a line AGE-SECRET-KEY-...",
                path.display()
            )
        }
        (Some(_), Some(_)) => {
            bail!(
                Data,
                "{option} {}: several age identities in it; expected one, in a file of its own",
                path.display()
            )
        }
    }
}

/// The text of a file that nobody but its owner may read. The open file is looked at, not its name.
fn secret(option: &str, path: &Path) -> Result<Zeroizing<String>> {
    let failed = |e| Error::io("read", path, e);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        bail!(
            Permission,
            "{option} {0}: others may read or write it (mode {mode:04o}); run chmod 600 {0}",
            path.display()
        );
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize + 1));
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(failed)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if bytes.len() as u64 <= MAX_SECRET => Ok(Zeroizing::new(text.to_owned())),
        Ok(_) => bail!(Data, "{option} {}: larger than {MAX_SECRET} bytes", path.display()),
        Err(_) => bail!(Data, "{option} {}: expected text", path.display()),
    }
}

/// True for so many hexadecimal digits.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::base::error::Kind;

    fn written(dir: &tempfile::TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("ours");
        path
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_and_never_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        for mode in [0o644, 0o640, 0o604, 0o620, 0o606] {
            let path = written(&dir, &format!("secret-{mode:o}"), "hunter2\n", mode);
            for read in [passphrase, master_key, age_identity] {
                let error = read("--file", &path).expect_err("it can be read by others");
                assert_eq!(error.kind(), Kind::Permission);
                let said = error.chain();
                assert!(said.contains(&format!("{mode:04o}")) && said.contains("chmod 600"), "{said}");
                assert!(!said.contains("hunter2"), "{said}");
            }
        }
        for mode in [0o600, 0o400] {
            let path = written(&dir, &format!("secret-{mode:o}"), "hunter2\n", mode);
            assert_eq!(passphrase("--file", &path).expect("ours").expose(), "hunter2");
        }
    }

    #[test]
    fn each_kind_of_secret_is_told_from_something_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| written(&dir, name, text, 0o600);
        let refused = |read: Result<SecretText>| {
            let error = read.expect_err("not what was expected");
            assert_eq!(error.kind(), Kind::Data, "{error}");
            assert!(!error.chain().contains("tulip"), "{error}");
        };
        let spaces = file("spaces", " two words \nanother line");
        assert_eq!(passphrase("-", &spaces).expect("a line").expose(), " two words ");
        refused(passphrase("-", &file("empty", "")));
        refused(passphrase("-", &file("blank", "\ntulip")));

        let key = "0123456789abcdefABCDEF0123456789".repeat(2);
        for text in [format!("{key}\n"), format!("# of the gate\n\n  {key}")] {
            assert_eq!(master_key("-", &file("key", &text)).expect("a key").expose(), key);
        }
        refused(master_key("-", &file("twice", &format!("{key}\n{key}\n"))));
        refused(master_key("-", &file("short", &key[1..])));
        refused(master_key("-", &file("no-key", "tulip")));

        let keygen = "# created: 2026-01-01\n# public key: age1abc\nAGE-SECRET-KEY-1ABC\n";
        let identity = age_identity("-", &file("age", keygen)).expect("an identity");
        assert_eq!(identity.expose(), "AGE-SECRET-KEY-1ABC");
        refused(age_identity("-", &file("none", "# tulip\n")));
        refused(age_identity("-", &file("two", &keygen.repeat(2))));
        refused(age_identity("-", &file("large", &"tulip\n".repeat(20_000))));
    }

    #[test]
    fn what_is_read_is_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = written(&dir, "data", "12345", 0o644);
        assert_eq!(bounded(&path, 5).expect("it fits"), b"12345");
        let error = bounded(&path, 4).expect_err("too large");
        assert_eq!((error.kind(), error.to_string().contains("4 bytes")), (Kind::Data, true));
        assert_eq!(file(&written(&dir, "empty", "", 0o600)).expect_err("empty").kind(), Kind::Data);
        assert_eq!(file(dir.path()).expect_err("a folder").kind(), Kind::NoInput);
        assert_eq!(file(&dir.path().join("missing")).expect_err("nothing").kind(), Kind::NoInput);
    }
}
