//! Values on the command line, parsed once into types that hold nothing wrong.

use std::convert::Infallible;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::input::is_hex;
use crate::gallery::Name;
use crate::gallery::command::Who;
use crate::gallery::list::Publish;
use crate::gallery::record::Standing;

/// A value, or `none` to take away what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrNone<T> {
    /// This one.
    Value(T),
    /// None any more.
    None,
}

impl<T> OrNone<T> {
    /// As a change has it.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::None => None,
        }
    }
}

impl<T: std::str::FromStr> std::str::FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        Ok(if text == "none" { Self::None } else { Self::Value(text.parse()?) })
    }
}

/// Words, or `none`; an empty text is more likely a variable that was not set.
pub fn words_or_none(text: &str) -> Result<OrNone<String>, String> {
    if text.trim().is_empty() {
        return Err("expected a text, or `none` to take it away".to_owned());
    }
    text.parse().map_err(|e: Infallible| e.to_string())
}

/// An identity's id, external id or name. The desk finds out which.
pub fn who(text: &str) -> Result<Who, String> {
    match text.trim() {
        "" => Err("expected an id, an external id or a name".to_owned()),
        who => Ok(Who(who.to_owned())),
    }
}

/// An identity's name.
pub fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|e| e.to_string())
}

/// A number from 0 to 1, or `none`.
pub fn share_or_none(text: &str) -> Result<OrNone<f32>, String> {
    match text {
        "none" => Ok(OrNone::None),
        text => crate::cli::faces::parse_share(text).map(OrNone::Value),
    }
}

/// An age recipient.
pub fn recipient(text: &str) -> Result<String, String> {
    match text.trim() {
        key if key.starts_with("age1") && key.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Ok(key.to_owned())
        }
        _ => Err("expected an age recipient: age1... as `age-keygen -y` prints it".to_owned()),
    }
}

/// An Ed25519 public key.
pub fn public_key(text: &str) -> Result<String, String> {
    match text.trim() {
        key if is_hex(key, 64) => Ok(key.to_ascii_lowercase()),
        _ => {
            Err("expected 64 hexadecimal digits, as `watchlistd gallery trust` prints them on the other box"
                .to_owned())
        }
    }
}

/// A head of the audit log.
pub fn head(text: &str) -> Result<String, String> {
    let well = |(count, mac): &(&str, &str)| count.parse::<u64>().is_ok() && is_hex(mac, 64);
    match text.trim().split_once(':').filter(well) {
        Some(_) => Ok(text.trim().to_ascii_lowercase()),
        None => Err("expected COUNT:HEX, as `watchlistd audit head` prints it".to_owned()),
    }
}

/// Where an identity is in its life.
pub fn standing() -> impl TypedValueParser<Value = Standing> {
    PossibleValuesParser::new(["pending", "active", "expired"]).map(|text| match text.as_str() {
        "pending" => Standing::Pending,
        "active" => Standing::Active,
        _ => Standing::Expired,
    })
}

/// What events may say.
pub fn publish() -> impl TypedValueParser<Value = Publish> {
    PossibleValuesParser::new(["name", "pseudonym", "nothing"]).map(|text| match text.as_str() {
        "name" => Publish::Name,
        "pseudonym" => Publish::Pseudonym,
        _ => Publish::Nothing,
    })
}
