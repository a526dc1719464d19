//! The master key, encrypted, to be kept elsewhere: in the format of the `age` program (age-encryption.org/v1), as text
//! that can be printed. What is inside is the text of a key file, so `age -d` gives one back without this program.

use std::io::{Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, x25519};
use zeroize::Zeroizing;

use super::command::SecretText;
use super::crypt::Key;
use super::master::text;
use crate::base::error::{Error, Result};
use crate::{bail, err};

/// For whom a key is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Whoever has the identity of one of these: age's X25519 recipients, `age1...`.
    Recipients(Vec<String>),
    /// Whoever knows this.
    Passphrase(SecretText),
}

/// What an exported key is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// The text of an age identity file, or one identity: `AGE-SECRET-KEY-1...`.
    Identity(SecretText),
    /// The passphrase.
    Passphrase(SecretText),
}

/// Fewest characters of a passphrase that a key is exported with. Any opens one that was exported before.
pub const LEAST_CHARS: usize = 12;
/// Work of trying one passphrase: scrypt with N = 2^18, r = 8, as the `age` program has it. A second on a small box, 256 MiB.
const WORK: u8 = 18;
/// Most work that is done to open one, 1 GiB: whoever wrote the file chose it.
const MAX_WORK: u8 = 20;
/// Largest exported key that is looked at; ours have a kilobyte.
const MAX_BYTES: usize = 64 << 10;

/// The key as an armored age file.
///
/// # Errors
/// `Usage` when there is no recipient, one is none, or the passphrase has fewer than [`LEAST_CHARS`] characters; `Unavailable` when there is no randomness.
pub fn export(key: &Key, to: &To) -> Result<Vec<u8>> {
    export_with_work(key, to, WORK)
}

fn export_with_work(key: &Key, to: &To, work: u8) -> Result<Vec<u8>> {
    let plain = text::write(key);
    match to {
        To::Recipients(texts) => {
            let recipients = recipients(texts)?;
            encrypt(recipients.iter().map(|recipient| recipient as &dyn Recipient), plain.as_bytes())
        }
        To::Passphrase(passphrase) if passphrase.expose().chars().count() < LEAST_CHARS => {
            bail!(
                Usage,
                "the passphrase has fewer than {LEAST_CHARS} characters: whoever has the file could guess it and have the key; take \
                 five words or more that nobody would put together"
            )
        }
        To::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(work);
            encrypt(std::iter::once(&recipient as &dyn Recipient), plain.as_bytes())
        }
    }
}

/// The key in what [`export`] wrote, armored or not; also in an age file that somebody made of a key file.
///
/// # Errors
/// `Permission` when the passphrase or the identity is not the one; `Usage` when it cannot be one for this file; `Data` when
/// the file is no age file, is damaged, or holds something else.
pub fn recover(bytes: &[u8], with: &With) -> Result<Key> {
    let plain = match with {
        With::Identity(identity) => {
            let identities = identities(identity)?;
            decrypt(bytes, with, &mut identities.iter().map(|identity| identity as &dyn Identity))?
        }
        With::Passphrase(passphrase) => {
            let mut identity = scrypt::Identity::new(secret(passphrase));
            identity.set_max_work_factor(MAX_WORK);
            decrypt(bytes, with, &mut std::iter::once(&identity as &dyn Identity))?
        }
    };
    text::read(&plain).map_err(|wrong| err!(Data, "the age file opens, but what is in it {wrong}"))
}

/// age's X25519 recipients.
///
/// # Errors
/// `Usage`, naming the one that is none.
pub(super) fn recipients(texts: &[String]) -> Result<Vec<x25519::Recipient>> {
    if texts.is_empty() {
        bail!(Usage, "no recipient: expected one or more of age1..., as age-keygen prints them");
    }
    texts.iter().enumerate().map(|(i, text)| recipient(i + 1, text.trim())).collect()
}

fn recipient(number: usize, text: &str) -> Result<x25519::Recipient> {
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        bail!(
            Usage,
            "recipient {number} is a secret key; expected the public one, age1..., that age-keygen -y prints for it"
        );
    }
    if !text.starts_with("age1") {
        // It may be anything, a passphrase too: it is not shown.
        bail!(
            Usage,
            "recipient {number} does not start with age1; expected age1..., as age-keygen prints it"
        );
    }
    text.parse().map_err(|why| {
        err!(Usage, "recipient {number}, {text:?}, is no X25519 recipient of age ({why}); expected age1... and 58 characters more")
    })
}

/// The identities in an identity file's text.
fn identities(text: &SecretText) -> Result<Vec<x25519::Identity>> {
    let lines =
        text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Result<Vec<_>, _> = lines.map(str::parse).collect();
    match identities {
        Ok(identities) if !identities.is_empty() => Ok(identities),
        _ => bail!(
            Usage,
            "the identity is none of age's: expected a line AGE-SECRET-KEY-1..., as age-keygen writes it"
        ),
    }
}

fn secret(text: &SecretText) -> SecretString {
    SecretString::from(text.expose().to_owned())
}

fn encrypt<'a>(recipients: impl Iterator<Item = &'a dyn Recipient>, plain: &[u8]) -> Result<Vec<u8>> {
    let failed = |cause: std::io::Error| err!(Software, "the key cannot be encrypted").because(cause);
    let encryptor = Encryptor::with_recipients(recipients)
        .map_err(|cause| err!(Software, "the key cannot be encrypted").because(cause))?;
    let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).map_err(failed)?;
    let mut writer = encryptor.wrap_output(armored).map_err(failed)?;
    writer.write_all(plain).map_err(failed)?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(failed)
}

fn decrypt(
    bytes: &[u8],
    with: &With,
    identities: &mut dyn Iterator<Item = &dyn Identity>,
) -> Result<Zeroizing<Vec<u8>>> {
    if bytes.len() > MAX_BYTES {
        bail!(Data, "{} bytes are no exported key: expected at most {} KiB", bytes.len(), MAX_BYTES >> 10);
    }
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(bytes)).map_err(no_age_file)?;
    match (decryptor.is_scrypt(), with) {
        (true, With::Identity(_)) => {
            bail!(Usage, "the key was exported with a passphrase, not to a recipient: give that")
        }
        (false, With::Passphrase(_)) => {
            bail!(Usage, "the key was exported to a recipient, not with a passphrase: give the identity")
        }
        _ => {}
    }
    let reader = decryptor.decrypt(identities).map_err(|cause| refused(with, &cause))?;
    let mut plain = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    reader.take(MAX_BYTES as u64).read_to_end(&mut plain).map_err(|_| damaged())?;
    Ok(plain)
}

fn no_age_file(_: DecryptError) -> Error {
    err!(Data, "this is no age file: expected what `watchlistd gallery key export` wrote")
}

fn damaged() -> Error {
    err!(Data, "the exported key is damaged: it was cut short or changed")
}

fn refused(with: &With, cause: &DecryptError) -> Error {
    match (cause, with) {
        (DecryptError::ExcessiveWork { required, .. }, _) => err!(
            Data,
            "the passphrase was made to cost more work (2^{required}) than is done here (2^{MAX_WORK}); use age -d"
        ),
        (DecryptError::InvalidHeader | DecryptError::InvalidMac, _) => damaged(),
        (_, With::Passphrase(_)) => err!(Permission, "the passphrase is wrong"),
        (_, With::Identity(_)) => err!(Permission, "the key was not exported to this identity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    /// The least work there is: quick, and as good for a test.
    const QUICK: u8 = 1;
    const HEADER: &str = "age-encryption.org/v1\n";

    fn key() -> Key {
        Key::from_bytes(&std::array::from_fn::<u8, 32, _>(|i| 0xa0 + i as u8)).expect("32 bytes")
    }

    fn passphrase(text: &str) -> SecretText {
        SecretText::new(text)
    }

    fn exported_with(text: &str) -> Vec<u8> {
        export_with_work(&key(), &To::Passphrase(passphrase(text)), QUICK).expect("exported")
    }

    fn identity() -> (SecretText, String) {
        use age::secrecy::ExposeSecret as _;
        let identity = x25519::Identity::generate();
        (SecretText::new(identity.to_string().expose_secret()), identity.to_public().to_string())
    }

    fn kind(result: Result<Key>) -> Kind {
        result.expect_err("refused").kind()
    }

    /// Without its armor.
    fn binary(armored: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        ArmoredReader::new(armored).read_to_end(&mut bytes).expect("armor");
        bytes
    }

    #[test]
    fn a_key_comes_back_with_the_passphrase_and_with_no_other() {
        let file = exported_with("tulip 7 bicycle");
        assert!(
            recover(&file, &With::Passphrase(passphrase("tulip 7 bicycle"))).expect("recovered") == key()
        );
        assert!(
            recover(&binary(&file), &With::Passphrase(passphrase("tulip 7 bicycle"))).expect("binary")
                == key()
        );
        for wrong in ["tulip 7 bicycl", "Tulip 7 bicycle", "tulip 7 bicycle ", ""] {
            assert_eq!(
                kind(recover(&file, &With::Passphrase(passphrase(wrong)))),
                Kind::Permission,
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_key_comes_back_with_either_recipient_s_identity_and_with_no_other() {
        let ((first, one), (second, two), (stranger, _)) = (identity(), identity(), identity());
        let file = export(&key(), &To::Recipients(vec![one, format!(" {two}\n")])).expect("exported");
        for good in [first, second] {
            assert!(recover(&file, &With::Identity(good.clone())).expect("recovered") == key());
            let in_a_file =
                SecretText::new(format!("# created: today\n# public key: age1...\n{}\n", good.expose()));
            assert!(recover(&file, &With::Identity(in_a_file)).expect("recovered") == key());
        }
        assert_eq!(kind(recover(&file, &With::Identity(stranger))), Kind::Permission);
    }

    #[test]
    fn it_is_an_age_file_that_can_be_printed_and_holds_the_text_of_a_key_file() {
        let (identity, recipient) = identity();
        let file = export(&key(), &To::Recipients(vec![recipient])).expect("exported");
        let printed = String::from_utf8(file.clone()).expect("text");
        assert!(printed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"), "{printed}");
        assert!(printed.ends_with("-----END AGE ENCRYPTED FILE-----\n"), "{printed}");
        let bytes = binary(&file);
        assert!(bytes.starts_with(format!("{HEADER}-> X25519 ").as_bytes()));
        assert!(
            binary(&exported_with("tulip and rose")).starts_with(format!("{HEADER}-> scrypt ").as_bytes())
        );

        let with_age_alone: x25519::Identity = identity.expose().parse().expect("an identity");
        let plain = age::decrypt(&with_age_alone, &bytes).expect("opened");
        assert_eq!(plain, text::write(&key()).as_bytes());
        let digits: String = key().expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(String::from_utf8(plain).expect("text").contains(&digits));
        assert!(!printed.contains(&digits) && !bytes.windows(16).any(|w| w == &key().expose()[..16]));
    }

    /// The program itself, where it is installed.
    #[test]
    fn the_age_program_opens_it_and_makes_what_is_recovered() {
        use std::process::{Command, Output, Stdio};
        if Command::new("age").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: age is not installed");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let (identity, recipient) = identity();
        std::fs::write(path("identity"), identity.expose()).expect("written");
        let ran = |output: Output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };

        let file = export(&key(), &To::Recipients(vec![recipient.clone()])).expect("exported");
        std::fs::write(path("key.age"), file).expect("written");
        let age = |arguments: &[&str], file: &str| {
            ran(Command::new("age").args(arguments).arg(path(file)).output().expect("it runs"))
        };
        let plain = age(&["-d", "-i", path("identity").to_str().expect("UTF-8")], "key.age");
        assert_eq!(plain, text::write(&key()).as_bytes());

        std::fs::write(path("gallery.key"), plain).expect("written");
        let theirs = age(&["-r", &recipient], "gallery.key");
        assert!(recover(&theirs, &With::Identity(identity)).expect("recovered") == key());
    }

    /// The work that a guess of the passphrase costs is written in the file.
    #[test]
    fn a_passphrase_costs_as_much_work_as_the_age_program_asks_for() {
        let file = binary(&export(&key(), &To::Passphrase(passphrase("tulip and rose"))).expect("exported"));
        let header = String::from_utf8_lossy(&file);
        let stanza = header.lines().nth(1).expect("a recipient");
        assert!(stanza.starts_with("-> scrypt ") && stanza.ends_with(" 18"), "{stanza}");
    }

    #[test]
    fn what_asks_for_too_much_work_is_not_worked_on() {
        let file = binary(&exported_with("tulip and rose"));
        let at = file.windows(3).position(|w| w == b" 1\n").expect("the work");
        let dear = [&file[..at], b" 40\n", &file[at + 3..]].concat();
        let error = recover(&dear, &With::Passphrase(passphrase("tulip and rose"))).expect_err("too dear");
        assert!(error.kind() == Kind::Data && error.to_string().contains("2^40"), "{error}");
    }

    #[test]
    fn what_cannot_open_it_is_told_apart_from_what_does_not() {
        let (identity, recipient) = identity();
        let to_recipient = export(&key(), &To::Recipients(vec![recipient])).expect("exported");
        assert_eq!(kind(recover(&to_recipient, &With::Passphrase(passphrase("x")))), Kind::Usage);
        assert_eq!(kind(recover(&exported_with("tulip and rose"), &With::Identity(identity))), Kind::Usage);
        for text in ["", "age1xyz", "AGE-SECRET-KEY-1TULIP", "# only a comment"] {
            let error = recover(&to_recipient, &With::Identity(SecretText::new(text))).expect_err("none");
            assert!(error.kind() == Kind::Usage && !error.chain().contains("TULIP"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_none_or_is_damaged_is_refused() {
        let with = With::Passphrase(passphrase("tulip and rose"));
        for bytes in [&b""[..], b"hello", b"age-encryption.org/v1", &[0; 100], &[b'a'; MAX_BYTES + 1]] {
            assert_eq!(kind(recover(bytes, &with)), Kind::Data);
        }
        let file = binary(&exported_with("tulip and rose"));
        for bytes in [&file[..file.len() - 1], &file[..file.len() - 40], &[&file[..], b"x"].concat()] {
            assert_eq!(kind(recover(bytes, &with)), Kind::Data);
        }
        let (identity, recipient) = identity();
        let (with, file) =
            (With::Identity(identity), export(&key(), &To::Recipients(vec![recipient])).expect("exported"));
        let file = binary(&file);
        for at in 0..file.len() {
            let mut broken = file.clone();
            broken[at] ^= 1;
            assert!(recover(&broken, &with).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_age_file_of_something_else_is_no_key_and_is_not_shown() {
        let (identity, recipient) = identity();
        let recipients = recipients(&[recipient]).expect("one");
        let other = encrypt(recipients.iter().map(|r| r as &dyn Recipient), b"c4n4ry").expect("encrypted");
        let error = recover(&other, &With::Identity(identity)).expect_err("no key");
        assert!(error.kind() == Kind::Data && !error.chain().contains("c4n4ry"), "{}", error.chain());
    }

    #[test]
    fn a_bad_recipient_is_named_and_what_may_be_a_secret_is_not() {
        let (secret, good) = identity();
        let refused = |bad: &str| {
            let error = export(&key(), &To::Recipients(vec![good.clone(), bad.to_owned()])).expect_err("bad");
            assert_eq!(error.kind(), Kind::Usage);
            error.chain()
        };
        let told = refused("age1qqqqqqqq");
        assert!(told.contains("recipient 2") && told.contains("age1qqqqqqqq"), "{told}");
        assert!(refused(&good.replace(&good[10..12], "bb")).contains("recipient 2"));
        for hidden in
            [secret.expose().to_owned(), secret.expose().to_lowercase(), "tulip 7 bicycle".to_owned()]
        {
            let told = refused(&hidden);
            assert!(told.contains("recipient 2") && !told.contains(&hidden[hidden.len() - 7..]), "{told}");
        }
        assert_eq!(export(&key(), &To::Recipients(vec![])).expect_err("nobody").kind(), Kind::Usage);
        for short in ["", "a", "elevenchars"] {
            let refused = export(&key(), &To::Passphrase(passphrase(short))).expect_err("too short");
            assert!(
                refused.kind() == Kind::Usage && refused.to_string().contains("12 characters"),
                "{refused}"
            );
        }
    }

    #[test]
    fn nothing_of_it_prints_its_secret() {
        let to = To::Passphrase(passphrase("tulip and rose"));
        let with =
            [With::Passphrase(passphrase("tulip and rose")), With::Identity(passphrase("tulip and rose"))];
        assert!(!format!("{to:?} {with:?}").contains("tulip"));
    }
}
