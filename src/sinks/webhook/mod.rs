//! Events to an HTTP receiver: one POST for each, or for each batch. docs/sinks/webhook.md is what a receiver has to know.
//!
//! ```text
//!   batch ─▶ part that fits ─▶ id, time, signatures ─▶ POST ─┬─ 2xx ──────────────▶ taken, the next part
//!              ▲   ▲                                         ├─ 400, 422 ─┬─ one ──▶ Refused
//!              │   └──────── half as many ───────────────────┼────────────┘ several: which one?
//!              └──────────── half as many bytes ─────────────┼─ 413
//!                                                            └─ all else, no answer ▶ Later
//! ```
//!
//! One request at a time, so that events stay in order. A batch that is refused is halved until the event at fault stands alone.

mod answer;
mod client;
mod config;
mod sign;

#[cfg(test)]
pub(in crate::sinks) mod tests;

use std::sync::Arc;

use answer::Answer;
use client::{Client, Post};
pub use config::{MIN_KEY, Mode, WebhookConfig};
use sign::{Signer, request_id};

use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::shutdown::Stop;

/// Single requests in one call of `send`: so many may come twice after a crash, and so many share one write of the cursor.
const SINGLES: usize = 16;

/// The sink.
pub struct Webhook {
    config: WebhookConfig,
    clock: Arc<dyn Clock>,
    client: Client,
    /// A stop has ended the client's connections for good.
    ended: bool,
    signer: Signer,
    /// Most events of the next request: halved when the connection broke, doubled when events were taken. Some receivers cut the
    /// connection where they should answer 413.
    most: usize,
    /// Most bytes of the next request: halved at each 413, until the sink is opened again.
    room: usize,
}

impl Webhook {
    /// Reads the files of certificates; connects at the first event.
    ///
    /// # Errors
    /// `Config`, `NoInput`, `Permission`; the message begins with the key.
    pub fn open(config: WebhookConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let (client, signer) = (Client::new(&config)?, Signer::new(&config)?);
        if client::is_exposed(&config.url) {
            tracing::warn!(
                receiver = client.receiver,
                "http: others on the way can read and change the events"
            );
        }
        let (most, room) = limits(config.mode);
        Ok(Self { config, clock, client, ended: false, signer, most, room })
    }

    fn batched(&self) -> bool {
        self.config.mode != Mode::Single
    }

    /// The next request's events: at least one.
    fn part<'a>(&self, rest: &'a [Delivery], most: usize) -> &'a [Delivery] {
        if !self.batched() {
            return rest.get(..1).unwrap_or(rest);
        }
        let mut bytes = 2;
        let fits = |delivery: &&Delivery| {
            bytes += delivery.json.len() + 1;
            bytes <= self.room
        };
        let fitting = rest.iter().take(most).take_while(fits).count();
        rest.get(..fitting.max(1)).unwrap_or(rest)
    }

    fn post(&self, part: &[Delivery]) -> Answer {
        let (content_type, body) = encode(part, self.batched());
        let id = request_id(part, self.batched());
        let timestamp = self.clock.now().wall.as_second();
        let signature = self.signer.sign(&id, timestamp, body.as_bytes());
        let post = Post { content_type, id: &id, timestamp, signature, body: body.as_bytes() };
        match self.client.post(&post, &*self.clock) {
            Ok(reply) => reply.judge(&self.client.receiver),
            Err(failure) => failure.into(),
        }
    }

    fn send_all(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        let (mut taken, mut suspects) = (0, usize::MAX);
        while let Some(rest) = batch.get(taken..).filter(|rest| !rest.is_empty() && !stop.is_set()) {
            let part = self.part(rest, self.most.min(suspects));
            match self.post(part) {
                Answer::Taken => {
                    taken += part.len();
                    self.most = self.most.saturating_mul(2).min(limits(self.config.mode).0);
                }
                Answer::Refused(_) if part.len() > 1 => suspects = part.len() / 2,
                Answer::TooLarge(_) if part.len() > 1 => self.room = encode(part, true).1.len() / 2,
                Answer::Refused(error) | Answer::TooLarge(error) => {
                    return Sent::until(taken, Trouble::Refused { error });
                }
                // The stop broke it off.
                Answer::Later { .. } if stop.is_set() => break,
                Answer::Later { error, after, broken } => {
                    if broken {
                        self.most = (part.len() / 2).max(1);
                    }
                    return Sent::until(taken, Trouble::Later { error, after });
                }
            }
        }
        Sent { taken, trouble: None }
    }
}

impl Sink for Webhook {
    fn batch(&self) -> usize {
        limits(self.config.mode).0
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        if self.ended {
            match Client::new(&self.config) {
                Ok(client) => (self.client, self.ended) = (client, false),
                Err(error) => return Sent::later(0, error),
            }
        }
        let guard = self.client.ends_with(stop);
        let sent = self.send_all(batch, stop);
        drop(guard);
        self.ended = stop.is_set();
        sent
    }

    fn reopen(&mut self) -> Result<()> {
        self.client = Client::new(&self.config)?;
        self.ended = false;
        (self.most, self.room) = limits(self.config.mode);
        Ok(())
    }
}

/// Most events in a call of `send`, and most bytes in a request.
fn limits(mode: Mode) -> (usize, usize) {
    match mode {
        Mode::Single => (SINGLES, usize::MAX),
        Mode::Batch { max_events, max_bytes } => (max_events, max_bytes),
    }
}

/// The body with its type: CloudEvents 1.0, HTTP protocol binding 3.2 (structured) and 3.3 (batched).
fn encode(part: &[Delivery], batched: bool) -> (&'static str, String) {
    match part {
        [delivery] if !batched => ("application/cloudevents+json", delivery.json.clone()),
        _ => {
            let events: Vec<&str> = part.iter().map(|delivery| delivery.json.as_str()).collect();
            ("application/cloudevents-batch+json", format!("[{}]", events.join(",")))
        }
    }
}
