//! A connection to a broker that has let us in.
//!
//! ```text
//!   open: TCP ─▶ TLS ─▶ CONNECT ─▶ CONNACK (limits) ─▶ online, the box's discovery ─▶ ready
//!   exchange: PUBLISH … PUBLISH   at most the window in flight; each PUBACK goes to its own message
//!   tend: PINGREQ, and what comes by itself      close: offline ─▶ DISCONNECT
//!   dropped in any other way: the broker publishes the last will, which says offline
//! ```

use std::time::{Duration, Instant};

use super::flight::{Ack, Flight};
use super::message::{Message, Role};
use super::reasons::{self, Fate};
use super::stream::{Halt, Limit, Stream};
use super::wire::{self, Answer, Connack, Frames, PINGREQ, Publish};
use super::{MqttConfig, Version};
use crate::base::error::Result;
use crate::err;

/// What a last will, and a good end, say of us.
pub const OFFLINE: &str = "offline";
/// What a connection begins with.
pub const ONLINE: &str = "online";

/// A broker's bounds, and our own where they are tighter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most messages in flight.
    pub window: usize,
    /// Largest packet in bytes.
    pub packet: usize,
}

/// What became of messages: an answer for each that has one, and why no more.
pub type Exchanged = (Vec<Option<Ack>>, Result<(), Halt>);

/// An open connection.
pub struct Session {
    stream: Stream,
    frames: Frames,
    version: Version,
    bounds: Bounds,
    keep_alive: Duration,
    last_id: u16,
    last_sent: Instant,
    /// Since when a PINGRESP is due.
    pinged: Option<Instant>,
}

impl Session {
    /// Connects, says that we are there, and waits until the broker has it.
    ///
    /// # Errors
    /// Nobody there, no TLS, refused, or not in time.
    pub fn open(config: &MqttConfig, will: Option<&str>, hello: &[Message<'_>]) -> Result<Self, Halt> {
        let limit = Limit::new(config.connect_timeout, None);
        let mut stream = Stream::open(config, &limit)?;
        let seconds = u16::try_from(config.keep_alive.as_secs()).unwrap_or(u16::MAX);
        let connect = wire::Connect {
            client_id: &config.client_id,
            keep_alive: seconds,
            will: will.map(|topic| (topic, OFFLINE)),
            user: config.user.as_deref(),
            password: config.password.as_ref(),
        };
        stream.write(&connect.encode(config.version), &limit)?;
        let mut session = Self {
            stream,
            frames: Frames::default(),
            version: config.version,
            bounds: Bounds { window: config.batch, packet: config.max_packet },
            keep_alive: config.keep_alive,
            last_id: 0,
            last_sent: Instant::now(),
            pinged: None,
        };
        session.admitted(config, &limit)?;
        let (answers, result) = session.exchange(hello, config.batch, &limit);
        result?;
        hello.iter().zip(answers.iter().flatten()).for_each(|(message, ack)| message.warn_if_refused(ack));
        Ok(session)
    }

    /// Waits for the CONNACK and takes over its limits.
    fn admitted(&mut self, config: &MqttConfig, limit: &Limit<'_>) -> Result<(), Halt> {
        let connack: Connack = match self.receive(limit)? {
            Answer::Connack(connack) => connack,
            Answer::Disconnect { code, reason } => {
                return Err(reasons::disconnect(code, reason.as_deref()).into());
            }
            Answer::Puback { .. } | Answer::Pingresp => {
                return Err(err!(Unavailable, "the broker broke the protocol: no CONNACK came first").into());
            }
        };
        if connack.code != 0 {
            return Err(reasons::connack(self.version, connack.code, connack.reason.as_deref()).into());
        }
        if connack.maximum_qos == 0 {
            return Err(reasons::connack(self.version, 0x9B, None).into());
        }
        let retains = config.availability_topic.is_some()
            || config.camera_topic.is_some()
            || config.person_topic.is_some();
        if retains && !connack.retain {
            return Err(reasons::connack(self.version, 0x9A, None).into());
        }
        self.bounds.window = self.bounds.window.min(connack.receive_maximum.into());
        let packet = connack.maximum_packet.and_then(|n| usize::try_from(n).ok());
        self.bounds.packet = packet.map_or(self.bounds.packet, |n| n.min(self.bounds.packet));
        self.keep_alive = connack.keep_alive.map_or(self.keep_alive, |s| Duration::from_secs(s.into()));
        Ok(())
    }

    /// What it allows.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Sends the messages in order, `window` at a time, and waits for their PUBACKs. After an error the session is of no use.
    pub fn exchange(&mut self, messages: &[Message<'_>], window: usize, limit: &Limit<'_>) -> Exchanged {
        let mut flight = Flight::new(messages.len(), window.min(self.bounds.window), self.last_id);
        let result = self.drive(messages, &mut flight, limit);
        self.last_id = flight.last_id();
        (flight.into_answers(), result)
    }

    fn drive(
        &mut self,
        messages: &[Message<'_>],
        flight: &mut Flight,
        limit: &Limit<'_>,
    ) -> Result<(), Halt> {
        let mut out = Vec::new();
        loop {
            while let Some((id, index)) = flight.start() {
                if let Some(message) = messages.get(index) {
                    message.packet(id).encode(self.version, &mut out);
                }
            }
            if !out.is_empty() {
                self.send(&out, limit)?;
                out.clear();
            }
            if flight.is_done() {
                return Ok(());
            }
            match self.receive(limit)? {
                Answer::Puback { id, code, reason } => settle(messages, flight, id, Ack { code, reason }),
                answer => self.aside(answer)?,
            }
        }
    }

    fn send(&mut self, bytes: &[u8], limit: &Limit<'_>) -> Result<(), Halt> {
        self.last_sent = Instant::now();
        self.stream.write(bytes, limit)
    }

    /// The next packet. Sends a PINGREQ if it takes that long.
    fn receive(&mut self, limit: &Limit<'_>) -> Result<Answer, Halt> {
        let mut buffer = [0; 4096];
        loop {
            let next = self.frames.next(self.version);
            if let Some(answer) = next.map_err(|e| err!(Unavailable, "{e}"))? {
                return Ok(answer);
            }
            self.ping(limit)?;
            let n = self.stream.wait(&mut buffer, limit)?;
            self.frames.extend(buffer.get(..n).unwrap_or_default());
        }
    }

    fn ping(&mut self, limit: &Limit<'_>) -> Result<(), Halt> {
        // Zero: the broker wants none.
        if !self.keep_alive.is_zero()
            && self.pinged.is_none()
            && self.last_sent.elapsed() >= self.keep_alive / 2
        {
            self.pinged = Some(Instant::now());
            self.send(&PINGREQ, limit)?;
        }
        Ok(())
    }

    /// What is no answer to a message of ours.
    fn aside(&mut self, answer: Answer) -> Result<(), Halt> {
        match answer {
            // Of no message of ours: a session with one that is not answered is dropped.
            Answer::Puback { .. } => Ok(()),
            Answer::Pingresp => {
                self.pinged = None;
                Ok(())
            }
            Answer::Disconnect { code, reason } => {
                Err(Halt::Ended { code, error: reasons::disconnect(code, reason.as_deref()) })
            }
            Answer::Connack(_) => {
                Err(err!(Unavailable, "the broker broke the protocol: a second CONNACK").into())
            }
        }
    }

    /// Keeps the connection alive, and looks whether it still is. Does not wait.
    ///
    /// # Errors
    /// It is not.
    pub fn tend(&mut self) -> Result<(), Halt> {
        let limit = Limit::new(Duration::from_secs(1), None);
        let mut buffer = [0; 4096];
        while self.stream.is_ready() {
            let Some(n) = self.stream.read(&mut buffer)? else { break };
            self.frames.extend(buffer.get(..n).unwrap_or_default());
        }
        while let Some(answer) = self.frames.next(self.version).map_err(|e| err!(Unavailable, "{e}"))? {
            self.aside(answer)?;
        }
        if self.pinged.is_some_and(|since| since.elapsed() >= self.keep_alive) {
            return Err(err!(Temporary, "the broker did not answer in time").into());
        }
        self.ping(&limit)
    }

    /// Says goodbye. If that cannot be done in order, the connection is dropped, and the last will says the same.
    pub fn close(mut self, goodbye: &[Message<'_>], limit: &Limit<'_>) {
        let (answers, result) = self.exchange(goodbye, 1, limit);
        let said = answers
            .iter()
            .all(|answer| answer.as_ref().is_some_and(|ack| reasons::fate(ack.code) == Fate::Taken));
        if said && result.is_ok() && self.send(&wire::DISCONNECT, limit).is_ok() {
            self.stream.close();
        }
    }
}

/// A PUBACK goes to its message. Nothing more is sent once an event cannot be taken now: what follows it would overtake it.
fn settle(messages: &[Message<'_>], flight: &mut Flight, id: u16, ack: Ack) {
    let Some(index) = flight.acknowledge(id, ack.clone()) else {
        tracing::debug!(
            id,
            "the broker acknowledged a message that is not on its way; nothing is counted for it"
        );
        return;
    };
    let fate = messages.get(index).map(|message| (message.fate(&ack), message.role));
    if matches!(fate, Some((Fate::Later, _) | (Fate::Refused, Role::Event))) {
        flight.halt();
    }
}

impl Message<'_> {
    fn packet(&self, id: u16) -> Publish<'_> {
        Publish {
            id,
            topic: &self.topic,
            payload: &self.payload,
            content_type: self.content_type,
            retain: self.retain,
        }
    }

    /// Bytes of its packet; `None` if there can be none.
    pub fn size(&self, version: Version) -> Option<usize> {
        self.packet(1).size(version)
    }

    /// What becomes of it. What is only retained beside an event holds no event up because it may not be written.
    pub fn fate(&self, ack: &Ack) -> Fate {
        match (self.role, ack.code) {
            (Role::Retained, reasons::NOT_AUTHORIZED) => Fate::Refused,
            (_, code) => reasons::fate(code),
        }
    }

    /// Logs that it was refused.
    pub fn warn_if_refused(&self, ack: &Ack) {
        if self.fate(ack) != Fate::Taken {
            let said = reasons::words(ack.code, ack.reason.as_deref());
            tracing::warn!(topic = self.topic, "the broker refused a retained message: {said}");
        }
    }
}
