//! Which packet id belongs to which message, and which messages the broker has.
//!
//! ```text
//!   messages  0  1  2 │ 3  4  5 │ 6  7        window 3
//!             ✔  ✔  ✔ │ ▲  ✔  ▲ │             waiting: id → 3, id → 5
//!                     └ in flight             the first three are there; 4 is, and counts once 3 does
//! ```
//!
//! An id goes to one message and counts for that message only. Ids are given out in turn, so that one comes back only after all
//! 65,535 others: a PUBACK that comes twice, or late, belongs to nobody and is dropped. No message is sent twice: one that is not
//! answered is sent again by whoever asks again, on another connection, as a new message.

use std::collections::BTreeMap;

/// The broker's answer about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The reason code of its PUBACK.
    pub code: u8,
    /// The broker's words.
    pub reason: Option<String>,
}

/// Messages on their way.
#[derive(Debug)]
pub struct Flight {
    window: usize,
    next: usize,
    last_id: u16,
    waiting: BTreeMap<u16, usize>,
    answers: Vec<Option<Ack>>,
    halted: bool,
}

impl Flight {
    /// So many messages, at most `window` of them at a time. `last_id` is the last packet id that was used on the connection.
    pub fn new(messages: usize, window: usize, last_id: u16) -> Self {
        let answers = vec![None; messages];
        Self { window: window.max(1), next: 0, last_id, waiting: BTreeMap::new(), answers, halted: false }
    }

    /// The next message to send, and its packet id.
    pub fn start(&mut self) -> Option<(u16, usize)> {
        if self.halted || self.next >= self.answers.len() || self.waiting.len() >= self.window {
            return None;
        }
        // 0 is no packet id (MQTT 5.0, 2.2.1).
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.waiting.insert(self.last_id, self.next);
        self.next += 1;
        Some((self.last_id, self.next - 1))
    }

    /// A PUBACK came. The message that it is about; `None` if it is about none of these.
    pub fn acknowledge(&mut self, id: u16, ack: Ack) -> Option<usize> {
        let index = self.waiting.remove(&id)?;
        if let Some(answer) = self.answers.get_mut(index) {
            *answer = Some(ack);
        }
        Some(index)
    }

    /// Nothing more is started.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Nothing is on its way, and nothing is to be started.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && (self.halted || self.next >= self.answers.len())
    }

    /// The last packet id used.
    pub fn last_id(&self) -> u16 {
        self.last_id
    }

    /// What the broker said about each message, in their order.
    pub fn into_answers(self) -> Vec<Option<Ack>> {
        self.answers
    }
}
