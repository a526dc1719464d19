//! One connection: a client, its runtime, and what was heard of its end.
//!
//! ```text
//!   open ─▶ connect, log in, look at the stream ─▶ publish .. publish ─▶ trouble, or the other side has gone ─▶ dropped
//!           \_________ within the timeout ______/
//! ```
//!
//! The library would connect again by itself and send what waits in its queue on the new connection, while what was under way on the
//! old one is lost: an order that nobody asked for. So a link never connects twice: once connected, the wait before another attempt is
//! without end, and a link with a failure is thrown away with its runtime, whatever still waits in it.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::config::{Login, NatsConfig, TlsConfig};
use super::stream;
use super::subject::Template;
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::{bail, err};

/// How often a wait looks whether it should end.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Longer than any link lives.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// A live connection whose stream has been looked at.
pub(super) struct Link {
    /// Set until dropped.
    runtime: Option<Runtime>,
    context: jetstream::Context,
    ended: watch::Receiver<Option<String>>,
}

impl Link {
    /// Connects and looks at the stream.
    pub(super) fn open(config: &NatsConfig, template: &Template, stop: &Stop) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| err!(Temporary, "cannot start the runtime of a NATS connection").because(e))?;
        let (tell, ended) = watch::channel(None);
        let opening = open(config, template, tell);
        let context = match runtime.block_on(within(config.timeout, stop, opening)) {
            Ok(context) => context,
            Err(error) => {
                // A name may still be looked up on another thread.
                runtime.shutdown_background();
                return Err(because_it_ended(error, &ended));
            }
        };
        Ok(Self { runtime: Some(runtime), context, ended })
    }

    /// Runs the work on the link's runtime.
    pub(super) fn run<F: Future>(&self, work: F) -> Result<F::Output> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.block_on(work)),
            None => bail!(Software, "the runtime of the NATS connection has gone"),
        }
    }

    /// Lets the connection breathe: answers the server's pings and notices its end.
    pub(super) fn breathe(&self) {
        // Without a runtime there is nothing to breathe.
        let _ = self.run(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            // What was read in that time goes from task to task.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Why it is of no use any more, if it is.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// For publishing.
    pub(super) fn context(&self) -> &jetstream::Context {
        &self.context
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn open(
    config: &NatsConfig,
    template: &Template,
    tell: watch::Sender<Option<String>>,
) -> Result<jetstream::Context> {
    let connected = Arc::new(AtomicBool::new(false));
    let options = options(config, connected.clone(), tell)?;
    let servers: Vec<ServerAddr> = config.servers.iter().map(address).collect::<Result<_>>()?;
    let client = options.connect(servers).await.map_err(|e| refused(config, &e))?;
    // Nothing was awaited since: the connection's task has not run yet.
    connected.store(true, Ordering::Release);
    let context = match &config.domain {
        Some(domain) => ContextBuilder::new().domain(domain).timeout(config.timeout).build(client),
        None => ContextBuilder::new().timeout(config.timeout).build(client),
    };
    if config.stream.check {
        stream::ensure(&context, config, template).await?;
    }
    Ok(context)
}

fn address(url: &url::Url) -> Result<ServerAddr> {
    ServerAddr::from_url(url.clone()).map_err(|e| err!(Config, "servers: {}", servers_of([url])).because(e))
}

fn options(
    config: &NatsConfig,
    connected: Arc<AtomicBool>,
    tell: watch::Sender<Option<String>>,
) -> Result<ConnectOptions> {
    let options = ConnectOptions::new()
        .name(format!("watchlistd {}", config.box_name))
        .connection_timeout(config.timeout)
        .request_timeout(Some(config.timeout))
        .custom_inbox_prefix(&config.inbox)
        .no_echo()
        .retain_servers_order()
        .ignore_discovered_servers()
        .reconnect_delay_callback(
            move |_| {
                if connected.load(Ordering::Acquire) { NEVER } else { Duration::ZERO }
            },
        )
        .event_callback(move |event| {
            if let Some(why) = end(&event) {
                tell.send_if_modified(|known| known.is_none() && known.replace(why).is_none());
            }
            std::future::ready(())
        });
    with_login(with_tls(options, &config.tls)?, &config.login)
}

/// Why this is the end, if it is. The first that is heard counts.
fn end(event: &Event) -> Option<String> {
    match event {
        Event::ServerError(error) => Some(format!("the server says {error}")),
        Event::Disconnected | Event::Closed => Some("the connection ended".to_owned()),
        _ => None,
    }
}

fn with_tls(mut options: ConnectOptions, tls: &TlsConfig) -> Result<ConnectOptions> {
    // The library names no file in its errors.
    for (key, file) in [("tls.ca", &tls.ca), ("tls.certificate", &tls.certificate), ("tls.key", &tls.key)] {
        if let Some(file) = file {
            std::fs::File::open(file).map_err(|e| Error::io(&format!("read {key} ="), file, e))?;
        }
    }
    if let Some(ca) = &tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if tls.first {
        options = options.tls_first();
    }
    let files = tls.ca.is_some() || tls.certificate.is_some();
    Ok(options.require_tls(tls.required || tls.first || files))
}

fn with_login(options: ConnectOptions, login: &Login) -> Result<ConnectOptions> {
    Ok(match login {
        Login::None => options,
        Login::User { user, password } => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        Login::Token(token) => options.token(token.expose().to_owned()),
        Login::Nkey(seed) => options.nkey(seed.expose().to_owned()),
        Login::Credentials(file) => options.credentials(&read(file)?).map_err(|_| {
            // Without the cause: nothing of the file's content belongs into a message.
            err!(Config, "credentials = {}: expected a .creds file with a JWT and a seed", file.display())
        })?,
    })
}

fn read(file: &Path) -> Result<Zeroizing<String>> {
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| Error::io("read credentials =", file, e))
}

fn refused(config: &NatsConfig, error: &async_nats::ConnectError) -> Error {
    let servers = servers_of(&config.servers);
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            err!(
                Permission,
                "NATS at {servers} refuses the login: check user and password, token, nkey or credentials"
            )
        }
        ConnectErrorKind::Authentication => {
            err!(Config, "nkey: expected the seed of a user's key, which begins with SU")
        }
        _ => err!(Unavailable, "cannot connect to NATS at {servers}: {error}"),
    }
}

/// The servers for a message, without what may be secret.
pub(super) fn servers_of<'a>(servers: impl IntoIterator<Item = &'a url::Url>) -> String {
    servers.into_iter().map(crate::base::secret::redact).collect::<Vec<_>>().join(", ")
}

fn because_it_ended(error: Error, ended: &watch::Receiver<Option<String>>) -> Error {
    match ended.borrow().as_ref() {
        Some(why) => Error::new(error.kind(), format!("{} ({why})", error.chain())),
        None => error,
    }
}

/// The work's result, unless it takes longer than `limit` or stop is set.
async fn within<T>(limit: Duration, stop: &Stop, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = Box::pin(work);
    let start = Instant::now();
    loop {
        if let Ok(done) = tokio::time::timeout(TICK, &mut work).await {
            return done;
        }
        if stop.is_set() {
            bail!(Temporary, "stopped while connecting to NATS");
        }
        if start.elapsed() >= limit {
            bail!(Unavailable, "no NATS server answers within {limit:?}");
        }
    }
}
