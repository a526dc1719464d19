//! What of the log a sink gets: which events, and what of them.
//!
//! ```text
//!   event ─▶ types? ─▶ cameras? ─▶ lists? ─▶ min_score? ─▶ fields: name | pseudonym | count ─▶ omit ─▶ the sink
//!              no ──────── no ──────── no ──────── no ─▶ not for this sink
//! ```
//!
//! | filter | looks at | passes whatever it says |
//! | --- | --- | --- |
//! | `types` | every event | |
//! | `cameras` | events of a camera | events of none: `gallery`, `health`, `lost` |
//! | `lists` | events about people; so no `appeared` and no `unknown` | `camera`, `health`, `lost`, `threshold`; `gallery` without identities of other lists |
//! | `min_score` | recognitions that are said or said again | all else, withdrawals above all: whoever heard of a recognition has to hear that it no longer holds |
//!
//! A withdrawal names every list that its track's recognitions named, so `lists` lets it through to whoever heard one of them.
//! A sink whose `min_score` kept a recognition from it may hear of its withdrawal all the same, as of a visit it does not know.

use crate::events::{Counted, Data, Event, EventType, Listed};
use crate::gallery::record::ListName;
use crate::types::decision::Stage;
use crate::types::ids::CameraId;

/// Which events a sink gets, and what of them. The default is everything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape {
    /// Only events of these types; `None`: of all.
    pub types: Option<Vec<EventType>>,
    /// Of events about people only those about somebody who is recognised for one of these lists; `None`: all.
    pub lists: Option<Vec<ListName>>,
    /// Of events of a camera only those of one of these; `None`: all.
    pub cameras: Option<Vec<CameraId>>,
    /// Least score of a recognition, 0 to 1; `None`: any.
    pub min_score: Option<f64>,
    /// How much of a person is told.
    pub fields: Fields,
    /// What is left out besides.
    pub omit: Vec<Omit>,
}

/// How much of a person is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fields {
    /// Everything that the event holds. What the lists do not publish is not in it.
    #[default]
    Name,
    /// Neither name nor external id nor snapshot: the identity's id, which stays the same, and its lists.
    Pseudonym,
    /// Nothing that tells people apart: an event about people becomes a [`Counted`] one.
    Count,
}

impl Fields {
    /// All of them.
    pub const ALL: [Fields; 3] = [Fields::Name, Fields::Pseudonym, Fields::Count];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fields::Name => "name",
            Fields::Pseudonym => "pseudonym",
            Fields::Count => "count",
        }
    }
}

/// A field of an event's data that a sink can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Omit {
    /// `identity.external_id`
    ExternalId,
    /// `score`
    Score,
    /// `margin`
    Margin,
    /// `quality`
    Quality,
    /// `frames`, and `frame` of `appeared`.
    Frames,
    /// `bbox`
    Bbox,
    /// `message`: of `camera` and `health`, what is said to a person.
    Message,
    /// `snapshot`
    Snapshot,
}

impl Omit {
    /// All of them.
    pub const ALL: [Omit; 8] = [
        Omit::ExternalId,
        Omit::Score,
        Omit::Margin,
        Omit::Quality,
        Omit::Frames,
        Omit::Bbox,
        Omit::Message,
        Omit::Snapshot,
    ];

    /// The field's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Omit::ExternalId => "external_id",
            Omit::Score => "score",
            Omit::Margin => "margin",
            Omit::Quality => "quality",
            Omit::Frames => "frames",
            Omit::Bbox => "bbox",
            Omit::Message => "message",
            Omit::Snapshot => "snapshot",
        }
    }
}

impl Shape {
    /// The event as this sink gets it; `None` if it does not get it. The event has its place in the log already, and keeps it.
    #[must_use]
    pub fn shaped(&self, mut event: Event) -> Option<Event> {
        if !self.wants(&event) {
            return None;
        }
        if let Some(wanted) = &self.lists {
            keep_listed(&mut event, |one| on_one(&one.lists, wanted));
        }
        match self.fields {
            Fields::Name => {}
            Fields::Pseudonym => without_name(&mut event),
            Fields::Count => event = counted(event),
        }
        self.omit.iter().for_each(|field| omit(&mut event, *field));
        Some(event)
    }

    /// True if this sink gets the event.
    pub fn wants(&self, event: &Event) -> bool {
        let of_type = self.types.as_ref().is_none_or(|types| types.contains(&event.kind));
        of_type && self.wants_camera(event) && self.wants_lists(event) && self.wants_score(event)
    }

    fn wants_camera(&self, event: &Event) -> bool {
        match (&self.cameras, event.camera()) {
            (Some(wanted), Some(camera)) => wanted.iter().any(|id| id.as_str() == camera),
            _ => true,
        }
    }

    fn wants_lists(&self, event: &Event) -> bool {
        let Some(wanted) = &self.lists else { return true };
        match &event.data {
            Data::Sighting(_) | Data::Appeared(_) | Data::Left(_) => {
                event.identity().is_some_and(|identity| on_one(&identity.lists, wanted))
            }
            // Nobody is in it any more: whose it was cannot be told.
            Data::Counted(_) => false,
            Data::Camera(_) | Data::Gallery(_) | Data::Health(_) | Data::Lost(_) | Data::Threshold(_) => true,
        }
    }

    fn wants_score(&self, event: &Event) -> bool {
        match (self.min_score, &event.data) {
            (Some(least), Data::Sighting(data)) => {
                let said = data.stage.is_some_and(|stage| stage != Stage::Withdrawn);
                !said || data.score.is_none_or(|score| score >= least)
            }
            _ => true,
        }
    }
}

fn on_one(lists: &[String], wanted: &[ListName]) -> bool {
    lists.iter().any(|on| wanted.iter().any(|list| list.as_str() == on))
}

/// A picture says who it is as well as a name does.
fn without_name(event: &mut Event) {
    if let Some(identity) = event.identity_mut() {
        (identity.name, identity.external_id) = (None, None);
    }
    omit(event, Omit::Snapshot);
}

/// Of a change of the gallery only identities that `keep` says; how many there were stays.
fn keep_listed(event: &mut Event, keep: impl Fn(&Listed) -> bool) {
    if let Data::Gallery(data) = &mut event.data {
        data.changes.iter_mut().for_each(|change| change.identities.retain(&keep));
    }
}

/// The event without anything that tells people apart. Of an event about somebody only what is named here goes on: a field that is
/// added to it later is left out. The envelope's `id` stays, as duplicates are dropped by it.
fn counted(mut event: Event) -> Event {
    let (at, decision, stage, published_at) = match &event.data {
        Data::Sighting(data) => (&data.at, Some(data.decision), data.stage, data.published_at),
        Data::Appeared(data) => (&data.at, None, None, data.published_at),
        Data::Left(data) => (&data.at, data.decision, data.stage, data.published_at),
        Data::Gallery(_) => {
            keep_listed(&mut event, |_| false);
            return event;
        }
        Data::Counted(_) | Data::Camera(_) | Data::Health(_) | Data::Lost(_) | Data::Threshold(_) => {
            return event;
        }
    };
    let data = Counted { who: at.who.clone(), camera: at.camera.clone(), decision, stage, published_at };
    Event { subject: Counted::SUBJECT.to_owned(), data: Data::Counted(Box::new(data)), ..event }
}

fn omit(event: &mut Event, field: Omit) {
    if let (Omit::ExternalId, Some(identity)) = (field, event.identity_mut()) {
        identity.external_id = None;
    }
    match (&mut event.data, field) {
        (Data::Sighting(data), Omit::Score) => data.score = None,
        (Data::Sighting(data), Omit::Margin) => data.margin = None,
        (Data::Sighting(data), Omit::Quality) => data.quality = None,
        (Data::Sighting(data), Omit::Frames) => data.frames.clear(),
        (Data::Appeared(data), Omit::Frames) => data.frame = None,
        (Data::Sighting(data), Omit::Bbox) => data.bbox = None,
        (Data::Sighting(data), Omit::Snapshot) => data.snapshot = None,
        (Data::Appeared(data), Omit::Bbox) => data.bbox = None,
        (Data::Camera(data), Omit::Message) => data.message = None,
        (Data::Health(data), Omit::Message) => data.message = None,
        _ => {}
    }
}

#[cfg(test)]
mod tests;
