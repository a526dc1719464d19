//! The HTTP client: the only place that knows the library.
//!
//! ```text
//!   Client ── one Agent, one connection kept alive ──▶ [ CONNECT proxy ] ──▶ [ TLS, rustls + ring ] ──▶ receiver
//!               ▲ shut down when told to stop: the request in flight ends at once
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crossbeam_channel::{Sender, bounded, select};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, ProxyProtocol, Timeout};
use url::Url;
use zeroize::Zeroizing;

use super::answer::{Reply, retry_after};
use super::config::WebhookConfig;
use crate::bail;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::base::shutdown::Stop;
use crate::err;

/// Most of an answer's body that is read, to keep the connection; nothing of it is looked at.
const MAX_ANSWER: u64 = 64 << 10;

/// A client for one receiver.
pub struct Client {
    agent: Agent,
    address: String,
    headers: HeaderMap,
    /// The receiver in messages: without path and query.
    pub receiver: String,
    timeouts: String,
    tls: bool,
}

/// No answer came.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// The connection was lost after it had been made.
    pub broken: bool,
}

/// One request.
pub struct Post<'a> {
    /// `Content-Type`
    pub content_type: &'static str,
    /// `webhook-id` and `Idempotency-Key`
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds since 1970.
    pub timestamp: i64,
    /// `webhook-signature`
    pub signature: Option<String>,
    /// The body.
    pub body: &'a [u8],
}

impl Client {
    /// Reads the files of certificates; connects to nobody yet.
    ///
    /// # Errors
    /// `Config`, `NoInput`, `Permission`: a value or a file that cannot be right.
    pub fn new(config: &WebhookConfig) -> Result<Self> {
        config.check()?;
        let tls =
            config.url.scheme() == "https" || config.proxy.as_ref().is_some_and(|p| p.scheme() == "https");
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("watchlistd/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .timeout_resolve(Some(config.connect_timeout))
            .timeout_connect(Some(config.connect_timeout))
            .timeout_global(Some(config.timeout))
            // Without this line the environment would choose one.
            .proxy(proxy(config)?);
        let settings = if tls { settings.tls_config(tls_config(config)?) } else { settings };
        let (connect, total) = (config.connect_timeout, config.timeout);
        let mut address = config.url.clone();
        address.set_fragment(None);
        Ok(Self {
            agent: settings.build().into(),
            address: address.into(),
            headers: headers(config)?,
            receiver: config.url.origin().ascii_serialization(),
            timeouts: format!("connect_timeout {connect:?}, timeout {total:?}"),
            tls,
        })
    }

    /// Sends it and waits for the answer. One at a time.
    ///
    /// # Errors
    /// No answer came; whether the request arrived is not known.
    pub fn post(&self, post: &Post<'_>, clock: &dyn Clock) -> std::result::Result<Reply, Failure> {
        let mut request = self.agent.post(&self.address);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request = request
            .header(header::CONTENT_TYPE, post.content_type)
            .header("Idempotency-Key", post.id)
            .header("webhook-id", post.id)
            .header("webhook-timestamp", post.timestamp.to_string());
        if let Some(signature) = &post.signature {
            request = request.header("webhook-signature", signature);
        }
        let answer = request.send(post.body).map_err(|e| self.failure(e))?;
        let text = |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let after = text("retry-after").and_then(|value| retry_after(value, text("date"), clock.now().wall));
        let reply = Reply { status: answer.status().as_u16(), after };
        // A body that is read to its end leaves the connection usable. The status has been said: what goes wrong here changes nothing.
        let mut body = answer.into_body();
        let _ = io::copy(&mut body.with_config().limit(MAX_ANSWER).reader(), &mut io::sink());
        Ok(reply)
    }

    /// Until the guard is dropped, a stop ends the request in flight and every later one.
    pub fn ends_with(&self, stop: &Stop) -> Guard {
        let (guard, dropped) = bounded::<()>(0);
        let (agent, stop) = (self.agent.clone(), stop.clone());
        let watch = move || {
            select! {
                recv(stop.closed()) -> _ => agent.shutdown(),
                recv(dropped) -> _ => {}
            }
        };
        // Without a thread the time limit ends the request.
        let _ = thread::Builder::new().name("webhook-stop".into()).spawn(watch);
        Guard { _dropped: guard }
    }

    fn failure(&self, cause: ureq::Error) -> Failure {
        let receiver = &self.receiver;
        let broken = matches!(&cause, ureq::Error::Io(e) if is_broken(e));
        let error = match cause {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                err!(Temporary, "no connection to {receiver} in time ({})", self.timeouts)
            }
            ureq::Error::Timeout(_) => {
                err!(Temporary, "no answer from {receiver} in time ({})", self.timeouts)
            }
            ureq::Error::HostNotFound => err!(Unavailable, "cannot find the host of {receiver}"),
            ureq::Error::ConnectProxyFailed(said) => {
                err!(Unavailable, "the proxy does not connect to {receiver}: {}", one_line(&said))
            }
            cause if self.tls && is_tls(&cause) => err!(
                Unavailable,
                "no TLS with {receiver}; check ca_file, client_certificate and the clock: {}",
                one_line(&cause.to_string())
            ),
            // With TLS 1.3 a client learns after the handshake that it has the wrong certificate, or never, if it is still writing.
            cause if self.tls && broken => err!(
                Unavailable,
                "{receiver} ended the connection, as one does that wants another client_certificate: {}",
                one_line(&cause.to_string())
            ),
            // Its text would be the whole address. It cannot come: the address has been checked.
            ureq::Error::BadUri(_) => err!(Config, "url: not an address to send to"),
            cause => err!(Unavailable, "cannot send to {receiver}: {}", one_line(&cause.to_string())),
        };
        Failure { error, broken }
    }
}

/// See [`Client::ends_with`].
pub struct Guard {
    _dropped: Sender<()>,
}

fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::BrokenPipe | K::ConnectionReset | K::ConnectionAborted | K::UnexpectedEof)
}

fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(e) => e.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
        _ => false,
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

fn headers(config: &WebhookConfig) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in &config.headers {
        let key: HeaderName =
            name.parse().map_err(|_| err!(Config, "headers.{name}: not a name for a header"))?;
        map.append(key, hidden(value.expose(), &format!("headers.{name}"))?);
    }
    if let Some(token) = &config.token {
        let value = Zeroizing::new(format!("Bearer {}", token.expose()));
        map.insert(header::AUTHORIZATION, hidden(&value, "token")?);
    }
    if let Some(user) = &config.user {
        let password = config.password.as_ref().map_or("", Secret::expose);
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
        map.insert(header::AUTHORIZATION, hidden(&value, "user")?);
    }
    Ok(map)
}

/// A value that the library does not log.
fn hidden(text: &str, key: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| err!(Config, "{key}: expected visible ASCII characters and spaces"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn proxy(config: &WebhookConfig) -> Result<Option<Proxy>> {
    let Some(url) = &config.proxy else { return Ok(None) };
    let protocol = if url.scheme() == "https" { ProxyProtocol::Https } else { ProxyProtocol::Http };
    let mut proxy = Proxy::builder(protocol).host(host(url)).port(url.port_or_known_default().unwrap_or(80));
    if let Some(user) = &config.proxy_user {
        proxy = proxy.username(user);
    }
    if let Some(password) = &config.proxy_password {
        proxy = proxy.password(password.expose());
    }
    // The cause could show the address with its password.
    proxy.build().map(Some).map_err(|_| err!(Config, "proxy: not the address of a proxy"))
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn tls_config(config: &WebhookConfig) -> Result<TlsConfig> {
    let provider = Arc::new(ring::default_provider());
    let client = client_certificate(config, &provider)?;
    let tls = TlsConfig::builder()
        .root_certs(roots(config.ca_file.as_deref())?)
        .client_cert(client)
        .unversioned_rustls_crypto_provider(provider);
    Ok(tls.build())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCerts> {
    let found = match ca_file {
        Some(path) => certificates("ca_file", path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    if found.is_empty() {
        bail!(
            Config,
            "ca_file: the system has no authorities to trust; install ca-certificates or name a file"
        );
    }
    Ok(RootCerts::from(found.iter().map(|der| Certificate::from_der(der).to_owned())))
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(key, path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(|item| item.ok()).collect();
    let mut store = rustls::RootCertStore::empty();
    let (good, _) = store.add_parsable_certificates(found.iter().cloned());
    if good == 0 {
        bail!(Config, "{key}: {} has no certificate; expected PEM", path.display());
    }
    Ok(found)
}

fn client_certificate(config: &WebhookConfig, provider: &CryptoProvider) -> Result<Option<ClientCert>> {
    let (Some(chain_path), Some(key_path)) = (&config.client_certificate, &config.client_key) else {
        return Ok(None);
    };
    let chain = certificates("client_certificate", chain_path)?;
    let pem = read("client_key", key_path)?;
    let no_key =
        || err!(Config, "client_key: {} has no private key in PEM, not encrypted", key_path.display());
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    // The library would panic over a pair that does not fit.
    CertifiedKey::from_der(chain.clone(), der, provider).map_err(|e| {
        err!(Config, "client_key: does not fit client_certificate, or is of no known kind").because(e)
    })?;
    let key = PrivateKey::from_pem(&pem).map_err(|_| no_key())?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}

fn read(key: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let text = std::fs::read(path).map_err(|e| {
        let cause = Error::io("read", path, e);
        Error::new(cause.kind(), format!("{key}: {cause}")).because(cause)
    })?;
    Ok(Zeroizing::new(text))
}

/// True where what is sent can be read on its way by others.
pub fn is_exposed(url: &Url) -> bool {
    let near = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !near
}

/// What a failure means: nothing about the events.
impl From<Failure> for super::answer::Answer {
    fn from(Failure { error, broken }: Failure) -> Self {
        Self::Later { error, after: None, broken }
    }
}
