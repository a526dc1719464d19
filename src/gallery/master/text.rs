//! A key file's text: 64 hexadecimal digits on one line, and comments that say what it is.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::gallery::crypt::Key;

const EXPECTED: &str = "expected one line of 64 hexadecimal digits (lines that start with # are comments)";

const MASTER: &str = "\
# The master key of a watchlistd gallery. Without it nothing in that gallery can be read, by anybody.
# A backup of the gallery does not hold it. Keep a copy elsewhere, encrypted:
#     watchlistd gallery key export --out FILE --passphrase
";

/// The text for a master key.
pub(in crate::gallery) fn write(key: &Key) -> Zeroizing<String> {
    write_about(key, MASTER)
}

/// The text for a key, after lines of comment that say what it is.
pub(super) fn write_about(key: &Key, comment: &str) -> Zeroizing<String> {
    // As long as it gets from the start: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(comment.len() + 256));
    text.push_str(comment);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# Key id: {}", key.id());
    for byte in key.expose() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

/// The key in a text.
///
/// # Errors
/// What is wrong, to go on after what the text is of; it never holds anything of the text.
pub(in crate::gallery) fn read(content: &[u8]) -> Result<Key, String> {
    let text = std::str::from_utf8(content).map_err(|_| format!("is no text; {EXPECTED}"))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.count()) {
        (Some(line), 0) => digits(line),
        (None, _) => Err(format!("holds no key; {EXPECTED}")),
        (Some(_), more) => Err(format!("holds {} lines; {EXPECTED}", more + 1)),
    }
}

fn digits(line: &str) -> Result<Key, String> {
    if line.len() != 2 * Key::LENGTH {
        return Err(format!("holds a line of {} characters; {EXPECTED}", line.chars().count()));
    }
    let mut bytes = Zeroizing::new([0; Key::LENGTH]);
    let (pairs, _) = line.as_bytes().as_chunks::<2>();
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let [Some(high), Some(low)] = pair.map(value) else {
            return Err(format!("holds a line with other characters; {EXPECTED}"));
        };
        *byte = high << 4 | low;
    }
    Key::from_bytes(bytes.as_ref()).ok_or_else(|| EXPECTED.to_owned())
}
