//! `mqtt`: events to a broker, MQTT 3.1.1 or 5, QoS 1.
//!
//! ```text
//!   Delivery ─▶ Mapper ─▶ messages ─▶ Session ── PUBLISH id 7 ─▶ broker
//!               topics,   1 .. 4 an    Flight: 7 → message 3
//!               Home      event        ◀── PUBACK id 7 ──────────   an event is taken once all its messages are
//!               Assistant
//!   connection:   Down ─▶ Dialing (a thread of its own: look-up, TCP, TLS, CONNECT, online) ─▶ Up ─▶ Down at any failure
//! ```
//!
//! What is taken is the longest run of events from the start of the batch whose every message has its own PUBACK. After a failure
//! the connection is dropped, so that nothing that arrives late is taken for an answer to something else; the events come again from
//! the log, as new messages with the same event id. The broker keeps no session for us: the log is what remembers.

mod config;
mod flight;
mod home_assistant;
mod message;
mod reasons;
mod session;
mod stream;
mod tls;
mod topics;
mod wire;

#[cfg(test)]
pub(in crate::sinks) mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, never};

pub use config::{HomeAssistant, MAX_BATCH, MqttConfig, Version};
pub use topics::level;

use self::flight::Ack;
use self::message::{Mapper, Plan, Role};
use self::reasons::Fate;
use self::session::{Exchanged, Session};
use self::stream::{Halt, Limit};
use super::sink::{Delivery, Sent, Sink, Trouble};
use crate::base::error::{Error, Kind, Result};
use crate::base::shutdown::Stop;
use crate::err;
use crate::types::ids::IdentityId;

/// While there is nothing to send, a connection is tried again after this long.
const IDLE_RETRY: Duration = Duration::from_secs(15);

/// Longest for a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The sink.
pub struct Mqtt {
    config: Arc<MqttConfig>,
    mapper: Mapper,
    line: Line,
    /// The broker ended a connection over one of several messages in flight: one at a time, to know which.
    narrow: bool,
    /// When to try while there is nothing to send.
    next_try: Instant,
}

/// The connection.
enum Line {
    Down,
    Dialing(Receiver<Result<Session, Halt>>),
    Up(Box<Session>),
}

impl Mqtt {
    /// Checks the configuration, and that the files it names can be used. Connects to nobody yet.
    ///
    /// # Errors
    /// `Config`; the message names the key.
    pub fn new(config: MqttConfig) -> Result<Self> {
        config.check()?;
        if config.tls() {
            tls::client(&config)?;
        }
        let mapper = Mapper::new(&config)?;
        Ok(Self {
            config: Arc::new(config),
            mapper,
            line: Line::Down,
            narrow: false,
            next_try: Instant::now(),
        })
    }

    /// The connection, made if there is none.
    fn session(&mut self, limit: &Limit<'_>) -> Result<&mut Session, Halt> {
        if !matches!(self.line, Line::Up(_)) {
            let dialing = match std::mem::replace(&mut self.line, Line::Down) {
                Line::Dialing(dialing) => dialing,
                Line::Down | Line::Up(_) => self.dial()?,
            };
            let session = self.answered(dialing, limit)?;
            self.up(session);
        }
        match &mut self.line {
            Line::Up(session) => Ok(session),
            Line::Down | Line::Dialing(_) => Err(err!(Software, "a connection was lost track of").into()),
        }
    }

    /// Connects in a thread of its own: the look-up of a name cannot be interrupted. There is one such thread at most.
    fn dial(&self) -> Result<Receiver<Result<Session, Halt>>> {
        let (done, dialing) = bounded(1);
        let (config, hello) = (self.config.clone(), self.mapper.hello());
        let will = self.mapper.availability().map(str::to_owned);
        let connect = move || {
            // Where nobody wants it any more it is dropped, and the broker publishes the last will.
            let _ = done.send(Session::open(&config, will.as_deref(), &hello));
        };
        let thread = std::thread::Builder::new().name("mqtt-connect".into()).spawn(connect);
        thread.map_err(|e| err!(Unavailable, "no thread for a connection").because(e))?;
        Ok(dialing)
    }

    fn answered(
        &mut self,
        dialing: Receiver<Result<Session, Halt>>,
        limit: &Limit<'_>,
    ) -> Result<Session, Halt> {
        let endless = never();
        let stopped = limit.stop.map_or(&endless, Stop::closed);
        crossbeam_channel::select! {
            recv(dialing) -> done => done.unwrap_or_else(|_| Err(err!(Software, "the connection's thread ended early").into())),
            recv(stopped) -> _ => {
                self.line = Line::Dialing(dialing);
                Err(Halt::Stopped)
            }
            default(limit.left()) => {
                self.line = Line::Dialing(dialing);
                Err(err!(Temporary, "no connection to the broker in time").into())
            }
        }
    }

    fn up(&mut self, session: Session) {
        tracing::info!(broker = self.config.broker.host_str(), "connected to the MQTT broker");
        self.mapper.connected();
        self.line = Line::Up(Box::new(session));
    }

    /// Sends what was planned, and says what became of it.
    fn deliver(&mut self, batch: &[Delivery], limit: &Limit<'_>) -> Result<Sent, Halt> {
        let narrow = self.narrow;
        let bounds = self.session(limit)?.bounds();
        let plan = self.mapper.plan(batch, bounds);
        let window = if narrow { 1 } else { bounds.window };
        let (answers, result) = self.session(limit)?.exchange(&plan.messages, window, limit);
        let answered = plan
            .messages
            .iter()
            .zip(&answers)
            .filter_map(|(message, answer)| Some((message, answer.as_ref()?)));
        answered.for_each(|(message, ack)| self.mapper.answered(message, ack));
        self.narrow = self.narrow && result.is_err();
        if let Err(halt) = &result {
            // What is answered later belongs to nobody. After a stop the last will says goodbye.
            self.line = Line::Down;
            self.narrow |= matches!(halt, Halt::Ended { code, .. } if reasons::blames_a_message(*code));
        }
        Ok(verdict(batch.len(), plan, (answers, result), narrow))
    }

    /// Keeps a connection, or makes one, so that subscribers see that we are there.
    fn tend(&mut self) {
        self.line = match std::mem::replace(&mut self.line, Line::Down) {
            Line::Up(mut session) => match session.tend() {
                Ok(()) => Line::Up(session),
                Err(halt) => self.lost(halt),
            },
            Line::Dialing(dialing) => match dialing.try_recv() {
                Ok(Ok(session)) => return self.up(session),
                Ok(Err(halt)) => self.lost(halt),
                Err(crossbeam_channel::TryRecvError::Empty) => Line::Dialing(dialing),
                Err(crossbeam_channel::TryRecvError::Disconnected) => Line::Down,
            },
            Line::Down if self.mapper.availability().is_some() && Instant::now() >= self.next_try => {
                self.next_try = Instant::now() + IDLE_RETRY;
                self.dial().map_or(Line::Down, Line::Dialing)
            }
            Line::Down => Line::Down,
        };
    }

    fn lost(&mut self, halt: Halt) -> Line {
        tracing::info!("no connection to the MQTT broker: {}", words(halt).chain());
        Line::Down
    }
}

impl Sink for Mqtt {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        let limit = Limit::new(self.config.timeout, Some(stop));
        match self.deliver(batch, &limit) {
            Ok(sent) => sent,
            Err(Halt::Stopped) => Sent { taken: 0, trouble: None },
            Err(halt) => Sent::later(0, words(halt)),
        }
    }

    fn idle(&mut self) {
        self.tend();
    }

    /// Removes every retained message about this identity: its discovery and its `person_topic`. The topics follow from the id, so
    /// that this works after a restart, for what an earlier run has left.
    fn forget(&mut self, identity: IdentityId, stop: &Stop) -> Result<(), Trouble> {
        let messages = self.mapper.forget(identity);
        if messages.is_empty() {
            return Ok(());
        }
        let limit = Limit::new(self.config.timeout, Some(stop));
        let later = |error| Trouble::Later { error, after: None };
        let session = self.session(&limit).map_err(|halt| later(words(halt)))?;
        let (answers, result) = session.exchange(&messages, messages.len(), &limit);
        if let Err(halt) = result {
            self.line = Line::Down;
            return Err(later(words(halt)));
        }
        // Also what is refused for good is asked for again: nobody may take this for done.
        let refused = answers.into_iter().flatten().find(|ack| reasons::fate(ack.code) != Fate::Taken);
        refused.map_or(Ok(()), |ack| Err(later(said(Kind::Temporary, "to remove a retained message", &ack))))
    }

    fn close(&mut self) {
        if let Line::Up(session) = std::mem::replace(&mut self.line, Line::Down) {
            session.close(&self.mapper.goodbye(), &Limit::new(GOODBYE, None));
        }
    }
}

/// What became of the batch: the first event that is not wholly taken decides.
fn verdict(events: usize, plan: Plan<'_>, (answers, result): Exchanged, narrow: bool) -> Sent {
    let mut pairs = plan.messages.iter().zip(&answers).peekable();
    let planned = plan.refused.as_ref().map_or(events, |(of, _)| *of);
    for taken in 0..planned {
        while let Some((message, answer)) = pairs.next_if(|(message, _)| message.of == taken) {
            let Some(ack) = answer else { return unanswered(taken, result, narrow) };
            match (message.fate(ack), message.role) {
                (Fate::Taken, _) | (Fate::Refused, Role::Retained) => {}
                (Fate::Refused, Role::Event) => {
                    return Sent::until(
                        taken,
                        Trouble::Refused { error: said(Kind::Data, "the event", ack) },
                    );
                }
                (Fate::Later, _) => {
                    return Sent::later(taken, said(Kind::Temporary, "a message for now", ack));
                }
            }
        }
    }
    Sent { taken: planned, trouble: plan.refused.map(|(_, error)| Trouble::Refused { error }) }
}

/// The first that has no answer. If it was alone on its way and the broker ended the connection over it, it was refused.
fn unanswered(taken: usize, result: Result<(), Halt>, narrow: bool) -> Sent {
    match result {
        Err(Halt::Ended { code, error }) if narrow && reasons::blames_a_message(code) => {
            Sent::until(taken, Trouble::Refused { error })
        }
        Err(Halt::Stopped) => Sent { taken, trouble: None },
        Err(halt) => Sent::later(taken, words(halt)),
        // What came before it was put off, and that has decided already.
        Ok(()) => Sent::later(taken, err!(Software, "a message was not sent")),
    }
}

fn said(kind: Kind, what: &str, ack: &Ack) -> Error {
    Error::new(
        kind,
        format!("the broker refused {what}: {}", reasons::words(ack.code, ack.reason.as_deref())),
    )
}

fn words(halt: Halt) -> Error {
    match halt {
        Halt::Stopped => err!(Temporary, "told to stop"),
        Halt::Ended { error, .. } | Halt::Failed(error) => error,
    }
}
