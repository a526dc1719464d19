//! Addresses of what is sent to. None holds a secret: each has a key of its own.

use url::Url;

use crate::config::raw::{Node, Raw, Wrong, expected};
use crate::config::read::Read;

/// An address with one of these schemes and a host, without user and password.
pub(super) fn address(
    schemes: &'static [&'static str],
    example: &'static str,
) -> impl Fn(&Node) -> Read<Url> {
    move |node| {
        let url = match &node.value {
            Raw::Text(text) => Url::parse(text).ok(),
            _ => None,
        };
        let good =
            |url: &Url| schemes.contains(&url.scheme()) && url.host_str().is_some_and(|h| !h.is_empty());
        let Some(url) = url.filter(good) else {
            return expected(format!("an address, as {example:?}"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Wrong::Says(
                "holds a user or a password; they do not stand in an address, but have keys of their own"
                    .into(),
            ));
        }
        Ok(url)
    }
}

/// The same of a server: nothing follows the port.
pub(super) fn server(schemes: &'static [&'static str], example: &'static str) -> impl Fn(&Node) -> Read<Url> {
    let address = address(schemes, example);
    move |node| {
        let url = address(node)?;
        match matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none() {
            true => Ok(url),
            false => expected(format!("an address with nothing after the port, as {example:?}")),
        }
    }
}
