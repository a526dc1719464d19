//! What an operator has to know when a key was made.

use std::fmt;
use std::path::Path;

use super::CREDENTIAL;
use crate::gallery::crypt::Key;

/// Several sentences for the log and the terminal, on several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice(String);

impl Notice {
    /// Of a key that was made and written to `path`.
    pub(super) fn of_made(path: &Path, key: &Key) -> Self {
        let (path, id) = (path.display(), key.id());
        Self(format!(
            "A master key was made for the gallery: {path} (key id {id}).\n\
             Everything in the gallery is encrypted under it. Without it nothing there can be read, by anybody.\n\
             It lies on the same disk as the gallery, so whoever has the disk has both. To keep them apart, encrypt the key to \
             this machine, let systemd hand it to the daemon, and remove the file:\n    \
             systemd-creds encrypt --name={CREDENTIAL} {path} /etc/credstore.encrypted/{CREDENTIAL}\n    \
             systemctl edit watchlistd    # [Service] LoadCredentialEncrypted={CREDENTIAL}:/etc/credstore.encrypted/{CREDENTIAL}\n    \
             systemctl restart watchlistd && shred -u {path}\n\
             A backup of the gallery never holds the key. Keep a copy of it elsewhere, encrypted:\n    \
             watchlistd gallery key export --out FILE --passphrase"
        ))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
