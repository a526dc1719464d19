//! The sink: batches, and what is counted as taken.

use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::answer;
use super::config::KafkaConfig;
use super::producer::{Producer, TICK};
use super::topic::Template;
use crate::base::error::{Error, Result};
use crate::base::shutdown::Stop;
use crate::err;
use crate::sinks::sink::{Delivery, Sent, Sink, Trouble};

/// A sink that produces to a topic.
pub struct Kafka {
    config: KafkaConfig,
    template: Template,
    producer: Option<Producer>,
}

impl Kafka {
    /// Checks what can be checked without a broker. Connects at the first event.
    ///
    /// # Errors
    /// `Config`, with the key.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        config.check()?;
        let template = Template::new(&config.topic, &config.box_name)?;
        Ok(Self { config, template, producer: None })
    }

    /// A producer of which nothing bad was heard.
    fn producer(&mut self) -> Result<&Producer> {
        if let Some(producer) = &self.producer {
            // What was heard while there was nothing to send.
            producer.reports(std::time::Duration::ZERO);
        }
        let producer = match self.producer.take().filter(|producer| producer.ended().is_none()) {
            Some(producer) => producer,
            None => Producer::open(&self.config)?,
        };
        Ok(self.producer.insert(producer))
    }

    fn produce(&mut self, batch: &[Delivery], stop: &Stop) -> Result<Sent> {
        let topics: Vec<String> = batch.iter().map(|delivery| self.template.of(&delivery.event)).collect();
        let mut round = Round { batch, topics: &topics, answers: vec![Answer::Open; batch.len()] };
        let limit = self.config.timeout;
        let why = round.run(self.producer()?, 0..batch.len(), limit, stop);
        let first = round.taken();
        if why.is_some() || first < batch.len() {
            self.producer = None;
        }
        // One record that is too large fails all that it was batched with: which one it is shows when each goes alone.
        if round.is_refused(first) && batch.len() > 1 && !stop.is_set() {
            return self.one_by_one(round, stop);
        }
        Ok(round.sent(why, batch.len() == 1))
    }

    fn one_by_one(&mut self, mut round: Round<'_>, stop: &Stop) -> Result<Sent> {
        let begun = Instant::now();
        loop {
            let next = round.taken();
            if next == round.batch.len() {
                break;
            }
            let left = self.config.timeout.saturating_sub(begun.elapsed());
            let why = round.run(self.producer()?, next..next + 1, left, stop);
            if why.is_some() || round.taken() == next {
                self.producer = None;
                return Ok(round.sent(why, true));
            }
        }
        Ok(round.sent(None, true))
    }
}

impl Sink for Kafka {
    fn batch(&self) -> usize {
        self.config.batch
    }

    fn send(&mut self, batch: &[Delivery], stop: &Stop) -> Sent {
        self.produce(batch, stop).unwrap_or_else(|error| Sent::later(0, error))
    }

    fn idle(&mut self) {
        self.producer.iter().for_each(|producer| drop(producer.reports(std::time::Duration::ZERO)));
    }

    fn close(&mut self) {
        self.producer = None;
    }
}

/// What is known of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing: not sent, or without a report.
    Open,
    Delivered,
    Failed(Code),
}

/// One batch on its way.
struct Round<'a> {
    batch: &'a [Delivery],
    topics: &'a [String],
    answers: Vec<Answer>,
}

impl Round<'_> {
    /// Sends what of the range has not been delivered, and waits for the reports. Why no more were waited for, if so.
    fn run(
        &mut self,
        producer: &Producer,
        range: std::ops::Range<usize>,
        limit: std::time::Duration,
        stop: &Stop,
    ) -> Option<Error> {
        let begun = Instant::now();
        let mut open = self.enqueue(producer, range);
        while open > 0 {
            open = open.saturating_sub(self.note(producer.reports(TICK)));
            let why = match producer.ended() {
                _ if open == 0 => break,
                _ if stop.is_set() => Some(err!(Temporary, "stopped while producing to Kafka")),
                Some(why) => Some(err!(Unavailable, "Kafka: {why}")),
                None if begun.elapsed() >= limit => Some(self.slow(producer, limit)),
                None => None,
            };
            if let Some(why) = why {
                self.note(producer.purge(open));
                return Some(why);
            }
        }
        None
    }

    /// Hands over until one is not taken. How many reports are to come.
    fn enqueue(&mut self, producer: &Producer, range: std::ops::Range<usize>) -> usize {
        let mut open = 0;
        for index in range {
            let (Some(delivery), Some(topic), Some(answer)) =
                (self.batch.get(index), self.topics.get(index), self.answers.get_mut(index))
            else {
                break;
            };
            if *answer == Answer::Delivered {
                continue;
            }
            *answer = Answer::Open;
            match producer.enqueue(topic, delivery, index) {
                Ok(()) => open += 1,
                Err(code) => {
                    // Nothing behind it goes first.
                    *answer = Answer::Failed(code);
                    break;
                }
            }
        }
        open
    }

    /// Notes reports, and says how many.
    fn note(&mut self, reports: Vec<super::producer::Report>) -> usize {
        for (index, code) in &reports {
            if let Some(answer) = self.answers.get_mut(*index) {
                *answer = match code {
                    None => Answer::Delivered,
                    // Taken back by us: nothing is known of it.
                    Some(Code::PurgeQueue | Code::PurgeInflight) => Answer::Open,
                    Some(code) => Answer::Failed(*code),
                };
            }
        }
        reports.len()
    }

    /// The longest run from the start.
    fn taken(&self) -> usize {
        self.answers.iter().take_while(|answer| **answer == Answer::Delivered).count()
    }

    fn is_refused(&self, index: usize) -> bool {
        matches!(self.answers.get(index), Some(Answer::Failed(code)) if answer::is_refusal(*code))
    }

    /// `alone`: the first that was not taken went without others, so that a refusal is its own.
    fn sent(&self, why: Option<Error>, alone: bool) -> Sent {
        let taken = self.taken();
        let topic = self.topics.get(taken).map_or("", String::as_str);
        let trouble = match (self.answers.get(taken), why) {
            (None, _) => None,
            (Some(Answer::Failed(code)), _) if alone && answer::is_refusal(*code) => {
                let bytes = self.batch.get(taken).map_or(0, |delivery| delivery.json.len());
                Some(Trouble::Refused { error: answer::refused(*code, topic, bytes) })
            }
            (Some(Answer::Failed(code)), None) => later(answer::later(*code, topic)),
            (Some(_), Some(why)) => later(why),
            (Some(_), None) => later(err!(Temporary, "{topic}: no report of an event came")),
        };
        Sent { taken, trouble }
    }

    fn slow(&self, producer: &Producer, limit: std::time::Duration) -> Error {
        let events = self.batch.len();
        let failed = self.answers.iter().zip(self.topics).find_map(|(answer, topic)| match answer {
            Answer::Failed(code) => Some(answer::later(*code, topic)),
            _ => None,
        });
        match (failed, producer.trouble()) {
            (Some(failed), _) => failed,
            (None, Some(trouble)) => {
                err!(Temporary, "Kafka did not take {events} events within {limit:?}: {trouble}")
            }
            (None, None) => err!(Temporary, "Kafka did not take {events} events within {limit:?}"),
        }
    }
}

fn later(error: Error) -> Option<Trouble> {
    Some(Trouble::Later { error, after: None })
}
