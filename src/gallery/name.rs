//! Names of identities.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::bail;
use crate::base::error::{Error, Result};

/// Most characters in a name.
pub const MAX_CHARS: usize = 200;

/// An identity's name: 1 to 200 characters of any script, without white space around it, control characters,
/// or the marks that turn the direction of the text after them (a name is shown in logs and tables). Composed (Unicode
/// normalisation form C), so that the same letters are the same name however they were typed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// Trims and checks.
    ///
    /// # Errors
    /// `Data`, when it is empty, too long, or holds a character that is refused.
    pub fn new(text: &str) -> Result<Self> {
        let name: String = text.trim().nfc().collect();
        let count = name.chars().count();
        if count == 0 || count > MAX_CHARS {
            bail!(Data, "a name of {count} characters: expected 1 to {MAX_CHARS}");
        }
        if let Some(bad) = name.chars().find(|&c| c.is_control() || misleads(c)) {
            bail!(
                Data,
                "name {name:?} holds {:?}: control characters and marks of direction are refused",
                bad.escape_unicode().to_string()
            );
        }
        if !name.chars().any(is_seen) {
            bail!(Data, "name {name:?}: nothing of it can be seen; expected a letter, a digit or a sign");
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl TryFrom<String> for Name {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.to_string()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Line and paragraph separators, and the marks, overrides, embeddings and isolates of Unicode's annex 9. Joiners stay:
/// Persian and Hindi names need them.
pub(super) fn misleads(c: char) -> bool {
    matches!(
        c,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

/// False for what takes no ink: white space, fillers, and what Unicode calls default ignorable (annex 44), as far as it is assigned.
pub(super) fn is_seen(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(
            c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_typed_in_two_ways_are_one_name() {
        let (composed, decomposed) = ("Jos\u{e9}", "Jose\u{301}");
        assert_ne!(composed, decomposed);
        assert_eq!(Name::new(composed).expect("a name"), Name::new(decomposed).expect("a name"));
    }

    #[test]
    fn any_script_is_a_name_and_control_characters_are_not() {
        for good in ["Ana", "  José-María ", "王小明", "علی‌رضا", "Ἑλένη", "O'Neill, J.", &"ж".repeat(200)]
        {
            assert_eq!(Name::new(good).expect(good).as_str(), good.trim());
        }
        for unseen in [
            "\u{200b}",
            "\u{200d}\u{2060}",
            "\u{3164}",
            "\u{ad} \u{feff}",
            "\u{2800}",
            "a\u{200e}b",
            "\u{61c}a",
        ] {
            assert!(Name::new(unseen).is_err(), "{unseen:?}");
        }
        for bad in ["", "  \t ", "a\nb", "a\u{0}b", "a\u{1b}[31m", "a\u{202E}b", &"ж".repeat(201)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }
}
