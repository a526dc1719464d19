//! Keys of other things than a gallery, in files that are written, guarded and read as the master key's is.

use std::path::Path;

use super::guarded::{self, Guard};
use super::{is_missing, text};
use crate::base::durable;
use crate::base::error::{Kind, Result};
use crate::err;
use crate::gallery::crypt::Key;

/// What a key file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFile {
    /// What messages call it: `the key of ...`.
    pub what: &'static str,
    /// The file's comment: lines that start with `#`, each with its end.
    pub comment: &'static str,
}

/// The key in the file, made (mode 0600) if there is none. True if it was made.
///
/// # Errors
/// `Permission` when somebody else may read or change it or we may not; `Data` when it holds something else than a key; what
/// [`durable::create`] gives. None says anything of its content.
pub fn load_or_make(path: &Path, of: &KeyFile) -> Result<(Key, bool)> {
    match guarded::read(path, Guard::Mode, of.what) {
        Ok(content) => {
            let key = text::read(&content).map_err(|wrong| err!(Data, "{} {wrong}", path.display()))?;
            Ok((key, false))
        }
        Err(error) if error.kind() == Kind::NoInput && is_missing(path) => {
            let key = Key::generate()?;
            durable::create(path, text::write_about(&key, of.comment).as_bytes(), 0o600)?;
            durable::hand_over(path)?;
            Ok((key, true))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const OF: KeyFile = KeyFile { what: "the key of a test", comment: "# The key of a test.\n" };

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.key");
        let (key, made) = load_or_make(&path, &OF).expect("made");
        assert!(made);
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("# The key of a test.\n# Key id: ") && !text.contains("gallery"), "{text}");
        let (again, made) = load_or_make(&path, &OF).expect("read");
        assert!(again == key && !made);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        let error = load_or_make(&path, &OF).expect_err("others may read it");
        assert_eq!(error.kind(), Kind::Permission);
        assert!(error.to_string().starts_with("the key of a test"), "{error}");
        let nowhere = load_or_make(&folder.path().join("none/test.key"), &OF).expect_err("no folder");
        assert_eq!(nowhere.kind(), Kind::CannotCreate);
    }
}
