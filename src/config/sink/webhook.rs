//! `type = "webhook"`

use std::time::Duration;

use url::Url;

use super::read::Around;
use super::secret::{self, Named, Vault};
use super::tls::Files;
use super::{Retry, millis};
use crate::base::secret::{Secret, holds_secret};
use crate::config::raw::{Node, Raw, Section, Wrong, expected};
use crate::config::read::{self, Read};
use crate::sinks::webhook::{Mode, WebhookConfig};

/// Most signatures in one request: an old secret and a new one, and one to spare.
const MOST_SECRETS: usize = 3;

/// Reads the keys; `None` if what it cannot do without is missing or wrong.
pub(super) fn read(s: &mut Section<'_>, around: &Around<'_>, retry: &Retry) -> Option<WebhookConfig> {
    let vault = around.vault();
    let url = address(s, &vault);
    let complete = url.is_some();
    // Nobody knows what it is, so everything is allowed, and checked.
    let d = WebhookConfig::new(url.or_else(|| Url::parse("https://unknown/").ok())?);
    let proxy = s.get("proxy", None, read::unless("off", http));
    let encrypted = [Some(&d.url), proxy.as_ref()].into_iter().flatten().any(|url| url.scheme() == "https");
    let files = Files::read(s.table("tls"), around.base, encrypted, "https:// receivers");
    let (token, user, password) = login(s, &vault);
    let signing_secrets = vault.several(s, "secret_files", MOST_SECRETS);
    let config = WebhookConfig {
        mode: mode(s, d.mode, retry),
        signing_secrets: signing_secrets.into_iter().filter_map(Named::known).collect(),
        token,
        user,
        password,
        headers: headers(s, &vault),
        ca_file: files.ca,
        client_certificate: files.certificate,
        client_key: files.key,
        proxy,
        proxy_user: s.read("proxy_user", text),
        proxy_password: vault.one(s, "proxy_password_file").map(Named::secret),
        connect_timeout: s.get("connect_timeout", d.connect_timeout, limit),
        timeout: s.get("timeout", d.timeout, limit),
        url: d.url,
    };
    forbid_secrets(s);
    if s.clean() {
        super::told_by(s, config.check());
    }
    complete.then_some(config)
}

fn forbid_secrets(s: &mut Section<'_>) {
    secret::forbid(s, "password", "password_file");
    secret::forbid(s, "token", "token_file");
    secret::forbid(s, "secret", "secret_files");
    secret::forbid(s, "secrets", "secret_files");
    secret::forbid(s, "proxy_password", "proxy_password_file");
}

/// Where to: an address in the configuration, or one in a file, as its path is often the secret itself.
fn address(s: &mut Section<'_>, vault: &Vault<'_>) -> Option<Url> {
    let (in_place, from_file) = (s.has("url"), s.has("url_file"));
    if !in_place && !from_file {
        s.missing("url", "an address, as \"https://example.org/events\", or url_file");
    }
    let written = s.read("url", http);
    let named = vault.one(s, "url_file").map(|named| match named {
        Named::Known(text) => parsed(text.expose()),
        // Not opened: it is some address.
        Named::Unread => Url::parse("https://unread/").ok(),
    });
    if in_place && from_file {
        s.conflict("url", "and url_file are both set; keep one");
    } else if named == Some(None) {
        s.conflict("url_file", format!("must hold {HTTP}"));
    }
    named.flatten().or(written)
}

const HTTP: &str = "an http or https address without user and password, as \"https://example.org/events\"";

/// An address, which is not shown where it is wrong: its path and its query may be secrets.
fn http(node: &Node) -> Read<Url> {
    let url = match &node.value {
        Raw::Text(text) => parsed(text),
        _ => None,
    };
    url.map_or_else(|| Err(Wrong::Says(format!("expected {HTTP}"))), Ok)
}

fn parsed(text: &str) -> Option<Url> {
    let good = |url: &Url| {
        ["http", "https"].contains(&url.scheme()) && url.username().is_empty() && url.password().is_none()
    };
    Url::parse(text).ok().filter(good)
}

fn mode(s: &mut Section<'_>, d: Mode, retry: &Retry) -> Mode {
    const MODES: [(&str, Mode); 2] = [("single", Mode::Single), ("batch", Mode::BATCH)];
    match s.get("mode", d, read::word(&MODES)) {
        Mode::Single => {
            s.forbid("max_bytes", "is for mode = \"batch\" only");
            Mode::Single
        }
        Mode::Batch { max_events, max_bytes } => Mode::Batch {
            max_events: retry.batch.unwrap_or(max_events),
            max_bytes: s.get("max_bytes", max_bytes as u64, read::bytes(1 << 10..=16 << 20)) as usize,
        },
    }
}

fn login(s: &mut Section<'_>, vault: &Vault<'_>) -> (Option<Secret>, Option<String>, Option<Secret>) {
    let token = vault.one(s, "token_file").map(Named::secret);
    let user = s.read("user", text);
    let password = vault.one(s, "password_file").map(Named::secret);
    (token, user, password)
}

/// `headers`, which anybody may read, and `header_files`, each of which holds a header's value.
fn headers(s: &mut Section<'_>, vault: &Vault<'_>) -> Vec<(String, Secret)> {
    let plain = s.table("headers").each(|name, node| {
        header_name(name)?;
        if holds_secret(&format!("{name}=x")) {
            return Err(Wrong::Says(
                "a header of this name holds a secret, and a secret does not stand here; name a file that holds \
                 it in header_files"
                    .into(),
            ));
        }
        text(node).map(|value| (name.to_owned(), Secret::new(value)))
    });
    let secret = s.table("header_files").each(|name, node| {
        header_name(name)?;
        vault.open(node).map(|named| (name.to_owned(), named.secret()))
    });
    plain.into_iter().chain(secret).collect()
}

/// A token of RFC 9110, 5.6.2.
fn header_name(name: &str) -> Read<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match !name.is_empty() && name.len() <= 128 && name.chars().all(good) {
        true => Ok(()),
        false => Err(Wrong::Says("is no name of a header".into())),
    }
}

fn limit(node: &Node) -> Read<Duration> {
    read::duration(millis(1)..=Duration::from_secs(600))(node)
}

/// Printable ASCII: what a header and a user of basic authentication can hold everywhere.
fn text(node: &Node) -> Read<String> {
    match read::text(node) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => Ok(text.to_owned()),
        _ => expected("a text of printable ASCII characters that is not empty"),
    }
}
