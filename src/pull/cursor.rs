//! Cursors: how far a reader is, as a text that it keeps and gives back.
//!
//! ```text
//!   version │ epoch │ sequence │ tag      base64url without padding (RFC 4648, section 5): 55 characters
//!      1       16        8       16       tag: HMAC-SHA-256 of the others under a key of the log's, the first 16 bytes
//! ```
//!
//! To a reader it is opaque. The tag makes sure that we gave it: a place that was made up, or one of another box, is refused.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::gallery::crypt::{self, Bound, Key};

/// What a cursor of this form begins with.
const VERSION: u8 = 1;

/// Characters of a cursor's text.
const LENGTH: usize = 55;

/// A place in the log: behind the event `sequence` of that epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The log's epoch.
    pub epoch: Uuid,
    /// The last event that the reader has had; 0 for none.
    pub sequence: u64,
}

/// Makes cursors, and knows its own.
#[derive(Clone)]
pub struct Cursors {
    key: Key,
}

impl Cursors {
    /// With the key that signs them.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// The cursor of a place: letters, digits, `-` and `_`.
    pub fn text(&self, place: Place) -> String {
        let mut bytes = Vec::with_capacity(41);
        bytes.push(VERSION);
        bytes.extend_from_slice(place.epoch.as_bytes());
        bytes.extend_from_slice(&place.sequence.to_be_bytes());
        bytes.extend_from_slice(crypt::tag(&self.key, &bound(place)).get(..16).unwrap_or_default());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a cursor; `None`, if we did not make it.
    pub fn place(&self, text: &str) -> Option<Place> {
        if text.len() != LENGTH {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let ([VERSION], rest) = bytes.split_first_chunk()? else { return None };
        let (epoch, rest) = rest.split_first_chunk()?;
        let (sequence, tag) = rest.split_first_chunk()?;
        let place = Place { epoch: Uuid::from_bytes(*epoch), sequence: u64::from_be_bytes(*sequence) };
        let ours = tag.len() == 16 && crypt::tag_begins_with(&self.key, &bound(place), tag);
        ours.then_some(place)
    }
}

fn bound(place: Place) -> Bound {
    Bound::to("watchlistd pull cursor v1").field(place.epoch.as_bytes()).field(place.sequence.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_whoever_made_it_and_by_nobody_else() {
        let cursors = Cursors::new(Key::generate().expect("random"));
        for sequence in [0, 1, 41, u64::MAX] {
            let place = Place { epoch: Uuid::now_v7(), sequence };
            let text = cursors.text(place);
            assert_eq!(text.len(), LENGTH);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
            assert_eq!(cursors.place(&text), Some(place));
            assert_eq!(Cursors::new(Key::generate().expect("random")).place(&text), None, "another key");
        }
    }

    #[test]
    fn no_changed_character_goes_unseen() {
        let cursors = Cursors::new(Key::generate().expect("random"));
        let text = cursors.text(Place { epoch: Uuid::now_v7(), sequence: 7 });
        for at in 0..text.len() {
            for other in [b'A', b'B', b'_', b'=', b' '] {
                let mut bytes = text.clone().into_bytes();
                if bytes[at] == other {
                    continue;
                }
                bytes[at] = other;
                let changed = String::from_utf8(bytes).expect("ASCII");
                assert_eq!(cursors.place(&changed), None, "{changed}");
            }
        }
        for wrong in ["", "oldest", &text[1..], &format!("{text}A"), &text.to_uppercase(), &"ä".repeat(28)] {
            assert_eq!(cursors.place(wrong), None, "{wrong}");
        }
    }
}
