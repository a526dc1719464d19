//! `nats`: each event a message in a JetStream stream, taken when the stream has acknowledged it.
//!
//! ```text
//!   send(batch) ─▶ Link (connected, stream looked at; made when needed, dropped at a failure)
//!      │              one publish of each camera in flight:
//!      │                door 1 ──▶ │        │ ──▶ ack 1 ─▶ door 2 ──▶ ..
//!      │                yard 1 ──▶ │ stream │ ──▶ ack 1 ─▶ yard 2 ──▶ ..
//!      ▼
//!   Sent: the longest prefix that is acknowledged; the first failure behind it
//! ```
//!
//! `Nats-Msg-Id` is the event's id: what comes again within the stream's duplicate window is dropped by the server, which says so and
//! counts as taken. Beyond the window it is stored twice; a consumer drops it by the same id.

mod answer;
mod config;
mod lanes;
mod link;
mod message;
mod stream;
mod subject;
#[cfg(test)]
pub(in crate::sinks) mod tests;

use std::time::Instant;

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::publish::PublishAck;
use tokio::task::JoinSet;

pub use config::{Discard, Login, NatsConfig, SUBJECT, Storage, StreamConfig, TlsConfig};
use lanes::Lanes;
use link::{Link, TICK};
use subject::Template;

use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::{bail, err};

/// The answer to the publish of the event at that index of the batch.
type Answer = (usize, Result<PublishAck, PublishError>);

/// A sink that publishes to a JetStream stream.
pub struct Nats {
    config: NatsConfig,
    template: Template,
    link: Option<Link>,
}

impl Nats {
    /// Checks what can be checked without a server. Connects at the first event.
    ///
    /// # Errors
    /// `Config`, with the key.
    pub fn new(config: NatsConfig) -> Result<Self> {
        let template = Template::new(&config.subject, &config.box_name)?;
        check(&config)?;
        Ok(Self { config, template, link: None })
    }

    /// Publishes over a link that lives: the one from before, or a new one.
    fn publish(&mut self, batch: &[Delivery], stop: &Stop) -> Result<Sent> {
        self.drop_if_ended();
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.config, &self.template, stop)?,
        };
        let link = &*self.link.insert(link);
        let subjects: Vec<String> = batch.iter().map(|delivery| self.template.of(&delivery.event)).collect();
        let round =
            Round { link, config: &self.config, batch, subjects: &subjects, stop, begun: Instant::now() };
        link.run(round.run())
    }

    /// Lets the connection breathe, and notices that it has ended before it is used.
    fn drop_if_ended(&mut self) {
        let Some(link) = &self.link else { return };
        link.breathe();
        if let Some(why) = link.ended() {
            tracing::debug!(%why, "the NATS connection ended while nothing was sent");
            self.link = None;
        }
    }
}

impl Sink for Nats {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        let sent = self.publish(batch, stop).unwrap_or_else(|error| Sent::later(0, error));
        if matches!(sent.trouble, Some(Trouble::Later { .. } | Trouble::Gone { .. })) {
            self.link = None;
        }
        sent
    }

    fn idle(&mut self) {
        self.drop_if_ended();
    }

    fn close(&mut self) {
        self.link = None;
    }
}

/// One call of `send`.
struct Round<'a> {
    link: &'a Link,
    config: &'a NatsConfig,
    batch: &'a [Delivery],
    subjects: &'a [String],
    stop: &'a Stop,
    begun: Instant,
}

impl Round<'_> {
    async fn run(self) -> Sent {
        let mut lanes = Lanes::new(self.batch.iter().map(|delivery| delivery.event.camera()));
        let mut flying: JoinSet<Answer> = JoinSet::new();
        let mut trouble = None;
        lanes.heads().iter().for_each(|&index| self.publish(&mut flying, index));
        while !lanes.done() {
            let why = self.over();
            // When it is over, what has arrived by now still counts.
            match tokio::time::timeout(TICK, flying.join_next()).await {
                Ok(Some(Ok((index, answer)))) => match self.judge(index, answer) {
                    Ok(()) => {
                        let next = lanes.taken(index).filter(|_| why.is_none() && !self.late());
                        next.into_iter().for_each(|index| self.publish(&mut flying, index));
                    }
                    Err(found) if lanes.failed(index) => trouble = Some(found),
                    Err(_) => {}
                },
                Ok(None | Some(Err(_))) => {
                    return Sent::later(lanes.prefix(), why.unwrap_or_else(|| self.slow()));
                }
                Err(_) => {
                    if let Some(why) = why {
                        return Sent::later(lanes.prefix(), why);
                    }
                }
            }
        }
        Sent { taken: lanes.prefix(), trouble }
    }

    /// Begins to publish. The answer is waited for as long as the context's timeout.
    fn publish(&self, flying: &mut JoinSet<Answer>, index: usize) {
        let (Some(delivery), Some(subject)) = (self.batch.get(index), self.subjects.get(index)) else {
            return;
        };
        let (context, subject) = (self.link.context().clone(), subject.clone());
        let message = message::message(delivery, &self.config.stream.name);
        flying.spawn(async move {
            match context.send_publish(subject, message).await {
                Ok(answer) => (index, answer.await),
                Err(error) => (index, Err(error)),
            }
        });
    }

    fn judge(&self, index: usize, answer: Result<PublishAck, PublishError>) -> Result<(), Trouble> {
        let subject = self.subjects.get(index).map_or("", String::as_str);
        answer::judge(answer, &self.config.stream.name, subject)
    }

    /// Why no more answers are waited for.
    fn over(&self) -> Option<Error> {
        if self.stop.is_set() {
            return Some(err!(Temporary, "stopped while publishing to NATS"));
        }
        let why = self.link.ended()?;
        Some(err!(Unavailable, "NATS at {}: {why}", link::servers_of(&self.config.servers)))
    }

    /// Nothing new is begun any more: the call has to end.
    fn late(&self) -> bool {
        self.begun.elapsed() >= self.config.timeout
    }

    fn slow(&self) -> Error {
        let (events, limit) = (self.batch.len(), self.config.timeout);
        err!(
            Temporary,
            "the stream {} did not take {events} events within {limit:?}",
            self.config.stream.name
        )
    }
}

fn check(config: &NatsConfig) -> Result<()> {
    if config.servers.is_empty() {
        bail!(Config, "servers: expected at least one address, as in nats://127.0.0.1:4222");
    }
    for url in &config.servers {
        let shown = link::servers_of([url]);
        if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
            bail!(Config, "servers: {shown}: expected nats://HOST:PORT or tls://HOST:PORT");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!(Config, "servers: {shown} holds a login: it belongs into user and password, or token");
        }
    }
    let name = &config.stream.name;
    let odd = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if name.is_empty() || name.contains(odd) {
        bail!(Config, "stream.name = {name:?}: expected a name without white space and . * > / \\");
    }
    if config.stream.create && !config.stream.check {
        bail!(Config, "stream.create needs stream.check");
    }
    if config.tls.certificate.is_some() != config.tls.key.is_some() {
        bail!(Config, "tls.certificate and tls.key: expected both or neither");
    }
    if config.batch == 0 || config.timeout.is_zero() {
        bail!(Config, "batch and timeout: expected more than 0");
    }
    check_inbox(&config.inbox)
}

fn check_inbox(inbox: &str) -> Result<()> {
    let safe =
        |token: &str| !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || "*>".contains(c));
    if !inbox.split('.').all(safe) {
        bail!(
            Config,
            "inbox = {inbox:?}: expected tokens with dots between them, without white space and wildcards"
        );
    }
    Ok(())
}
