//! The head of the log: how long it is, and the MAC of its last entry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::err;
use crate::gallery::crypt::{self, Bound, Key};

/// Count and MAC of the last entry. Whoever keeps one can tell later that all up to it is still as it was then. It is no
/// secret. Written as `count:hex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Head {
    /// Entries in the log; also the sequence of the last.
    pub count: u64,
    /// MAC of the last; of an empty log: of nothing, with the same key.
    pub mac: [u8; 32],
}

impl Head {
    /// The head of a log without entries.
    pub fn start(key: &Key) -> Self {
        Self { count: 0, mac: crypt::tag(key, &Bound::to("watchlistd audit start v1")) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.count, hex(&self.mac))
    }
}

impl FromStr for Head {
    type Err = Error;

    /// # Errors
    /// `Usage`, saying what is expected.
    fn from_str(text: &str) -> Result<Self> {
        let (count, mac) = text.trim().split_once(':').unwrap_or_default();
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        match (count.parse(), unhex(mac)) {
            (Ok(count), Some(mac)) if digits => Ok(Self { count, mac }),
            _ => Err(err!(
                Usage,
                "{text:?} is not a head of the audit log: expected what `watchlistd audit head` prints, a count, a colon and 64 \
                 hexadecimal digits"
            )),
        }
    }
}

impl TryFrom<String> for Head {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_text_and_json_and_nothing_else_is_one() {
        let head = Head { count: 1207, mac: std::array::from_fn(|i| i as u8 * 7) };
        assert_eq!(head.to_string().parse::<Head>().expect("a head"), head);
        assert_eq!(format!(" {head}\n").to_uppercase().parse::<Head>().expect("pasted"), head);
        let json = serde_json::to_string(&head).expect("JSON");
        assert_eq!(serde_json::from_str::<Head>(&json).expect("a head"), head);
        let hex = hex(&head.mac);
        let bad = [
            "",
            ":",
            "7",
            &hex,
            &format!(":{hex}"),
            &format!("-1:{hex}"),
            &format!("+1:{hex}"),
            &format!("7:{hex}0"),
        ];
        for text in bad {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
        assert!(format!("7:{}", hex.replace("07", "+7")).parse::<Head>().is_err(), "a sign is no digit");
    }

    #[test]
    fn an_empty_log_has_a_head_of_its_key() {
        let (key, other) = (Key::from_bytes(&[1; 32]).expect("32"), Key::from_bytes(&[2; 32]).expect("32"));
        assert_eq!(Head::start(&key), Head::start(&key));
        assert_ne!(Head::start(&key).mac, Head::start(&other).mac);
    }
}
