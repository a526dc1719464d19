//! What can be configured, and what of it cannot be right.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::Url;
use zeroize::Zeroizing;

use crate::bail;
use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::err;

/// Shortest key of a signature in bytes: 128 bits.
pub const MIN_KEY: usize = 16;

/// Headers that the sink writes itself, in small letters; `authorization` only where `token` or `user` is set.
const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// A receiver of events over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// `url`: where to POST to, `http` or `https`. Its path and query may hold a secret, so that no message shows them.
    pub url: Url,
    /// `mode`, with `max_events` and `max_bytes`. Default: single.
    pub mode: Mode,
    /// `signing_secrets`: each makes a signature, the first is the newest. `whsec_` and base64, or any text of at least
    /// [`MIN_KEY`] bytes. Default: none, no signature.
    pub signing_secrets: Vec<Secret>,
    /// `token`: sent as `Authorization: Bearer`. Default: none.
    pub token: Option<Secret>,
    /// `user`, for basic authentication; not together with `token`. Default: none.
    pub user: Option<String>,
    /// `password` of `user`. Default: none.
    pub password: Option<Secret>,
    /// `headers`: more headers, name and value, in every request. Default: none.
    pub headers: Vec<(String, Secret)>,
    /// `ca_file`: PEM file of the authorities that may have signed the receiver's certificate, in place of the system's. Default:
    /// none, the system's.
    pub ca_file: Option<PathBuf>,
    /// `client_certificate`: PEM file of our certificate and what stands between it and the authority. Default: none.
    pub client_certificate: Option<PathBuf>,
    /// `client_key`: PEM file of its key, not encrypted. Needed with `client_certificate`, and only then.
    pub client_key: Option<PathBuf>,
    /// `proxy`: `http` or `https` address of a proxy that understands CONNECT. Default: none; the environment is not asked.
    pub proxy: Option<Url>,
    /// `proxy_user`. Default: none.
    pub proxy_user: Option<String>,
    /// `proxy_password`. Default: none.
    pub proxy_password: Option<Secret>,
    /// `connect_timeout`: for the name, the connection, the proxy and TLS together. Above zero; default 10 s.
    pub connect_timeout: Duration,
    /// `timeout`: for one request, from the name to the end of the answer. At least `connect_timeout`; default 30 s.
    pub timeout: Duration,
}

/// How many events one request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `single`: one, `application/cloudevents+json`.
    Single,
    /// `batch`: several, `application/cloudevents-batch+json`.
    Batch {
        /// `max_events`, 1 to 1000; default 100.
        max_events: usize,
        /// `max_bytes` of the body, 1 KiB to 16 MiB; default 512 KiB. A larger event goes alone.
        max_bytes: usize,
    },
}

impl Mode {
    /// A batch with the defaults.
    pub const BATCH: Self = Self::Batch { max_events: 100, max_bytes: 512 << 10 };
}

impl WebhookConfig {
    /// With all defaults.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            mode: Mode::Single,
            signing_secrets: Vec::new(),
            token: None,
            user: None,
            password: None,
            headers: Vec::new(),
            ca_file: None,
            client_certificate: None,
            client_key: None,
            proxy: None,
            proxy_user: None,
            proxy_password: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
        }
    }

    /// Looks for what cannot be right, without opening a file or a connection.
    ///
    /// # Errors
    /// `Config`; the message begins with the key.
    pub fn check(&self) -> Result<()> {
        check_address("url", &self.url)?;
        self.check_mode()?;
        for at in 0..self.signing_secrets.len() {
            self.key(at)?;
        }
        self.check_access()?;
        self.check_headers()?;
        if self.client_certificate.is_some() != self.client_key.is_some() {
            bail!(Config, "client_certificate and client_key: expected both or neither");
        }
        self.check_proxy()?;
        if self.connect_timeout.is_zero() || self.timeout < self.connect_timeout {
            bail!(Config, "timeout: expected at least connect_timeout, and that above zero");
        }
        Ok(())
    }

    fn check_mode(&self) -> Result<()> {
        if let Mode::Batch { max_events, max_bytes } = self.mode {
            if !(1..=1000).contains(&max_events) {
                bail!(Config, "max_events: expected 1 to 1000, found {max_events}");
            }
            if !(1 << 10..=16 << 20).contains(&max_bytes) {
                bail!(Config, "max_bytes: expected 1 KiB to 16 MiB, found {max_bytes} bytes");
            }
        }
        Ok(())
    }

    fn check_access(&self) -> Result<()> {
        if self.token.is_some() && self.user.is_some() {
            bail!(Config, "token and user: expected one of the two, both are the header Authorization");
        }
        if self.password.is_some() && self.user.is_none() {
            bail!(Config, "password: expected with user");
        }
        if self.user.as_ref().is_some_and(|user| user.contains(':')) {
            bail!(Config, "user: basic authentication has no way to send a colon in it");
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<()> {
        let taken = self.token.is_some() || self.user.is_some();
        for (name, _) in &self.headers {
            let small = name.to_ascii_lowercase();
            if OWN_HEADERS.contains(&small.as_str()) || (taken && small == "authorization") {
                bail!(Config, "headers.{name}: the sink writes this header itself");
            }
        }
        Ok(())
    }

    fn check_proxy(&self) -> Result<()> {
        let Some(proxy) = &self.proxy else {
            if self.proxy_user.is_some() || self.proxy_password.is_some() {
                bail!(Config, "proxy_user and proxy_password: expected with proxy");
            }
            return Ok(());
        };
        check_address("proxy", proxy)?;
        if self.proxy_password.is_some() && self.proxy_user.is_none() {
            bail!(Config, "proxy_password: expected with proxy_user");
        }
        if self.proxy_user.as_ref().is_some_and(|user| user.contains(':')) {
            bail!(Config, "proxy_user: basic authentication has no way to send a colon in it");
        }
        Ok(())
    }

    /// The bytes of the signing secret at this place.
    ///
    /// # Errors
    /// `Config`, when it is too short, or `whsec_` is not followed by base64.
    pub(super) fn key(&self, at: usize) -> Result<Zeroizing<Vec<u8>>> {
        let secret = self.signing_secrets.get(at).map_or("", Secret::expose);
        let key = match secret.strip_prefix("whsec_") {
            None => secret.as_bytes().to_vec(),
            Some(text) => decoder()
                .decode(text)
                .map_err(|_| err!(Config, "signing_secrets[{at}]: expected base64 after whsec_"))?,
        };
        let key = Zeroizing::new(key);
        if key.len() < MIN_KEY {
            let found = key.len();
            bail!(Config, "signing_secrets[{at}]: expected at least {MIN_KEY} bytes, found {found}");
        }
        Ok(key)
    }
}

/// Base64 with or without the padding.
fn decoder() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config)
}

fn check_address(key: &str, url: &Url) -> Result<()> {
    if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
        bail!(Config, "{key}: expected an http or https address with a host, found {}:", url.scheme());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let (user, password) =
            if key == "url" { ("user", "password") } else { ("proxy_user", "proxy_password") };
        bail!(Config, "{key}: expected no password in the address; the keys are {user} and {password}");
    }
    Ok(())
}

impl fmt::Debug for WebhookConfig {
    /// Without the address's path and query, which are often the secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("url", &self.url.origin().ascii_serialization())
            .field("mode", &self.mode)
            .field("signing_secrets", &self.signing_secrets)
            .field("token", &self.token)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("headers", &self.headers)
            .field("ca_file", &self.ca_file)
            .field("client_certificate", &self.client_certificate)
            .field("client_key", &self.client_key)
            .field("proxy", &self.proxy.as_ref().map(|url| url.origin().ascii_serialization()))
            .field("proxy_user", &self.proxy_user)
            .field("proxy_password", &self.proxy_password)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .finish()
    }
}
