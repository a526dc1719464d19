//! Events of the daemon itself, of no camera: the gallery changed, health, and events that are no more.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::json_schema::Time;
use super::maker::{EventMaker, to_millis};
use super::schema::{DATA_SCHEMA, Data, Event, EventType, SCHEMA, Who};
use crate::base::clock::Moment;
use crate::types::ids::{IdentityId, ModelId};
use crate::types::matching::IndexKind;

/// Data of `gallery`: what is searched from now on is another gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GalleryData {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// Generation of the gallery that is searched now.
    pub gallery_generation: u64,
    /// Identities that are looked for.
    pub identities: u64,
    /// Their templates.
    pub templates: u64,
    /// SHA-256 that identifies the embedding model, in hexadecimal.
    pub model: String,
    /// The index that answers.
    pub index: IndexKind,
    /// What happened since the last such event of the run, one entry for each kind of change.
    pub changes: Vec<GalleryChange>,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

/// One kind of change, and to whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GalleryChange {
    /// What happened.
    pub what: GalleryAction,
    /// To how many identities.
    pub count: u64,
    /// To which; the first 100 at most, and none whose lists publish nothing.
    pub identities: Vec<Listed>,
}

/// What happened to identities, as a search sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GalleryAction {
    /// They are new: enrolled, split off, imported or restored.
    Added,
    /// They are gone: forgotten, merged into another, or not in what was restored.
    Removed,
    /// They are looked for from now on: their validity began, or they came onto a list.
    Activated,
    /// They are not looked for any more: their validity ended, or they are on no list now.
    Deactivated,
    /// Name, external id, lists, the lists' settings, or templates are others.
    Changed,
    /// Templates of another model are searched, for everybody.
    Model,
}

impl GalleryAction {
    /// All of them.
    pub const ALL: [GalleryAction; 6] = [
        GalleryAction::Added,
        GalleryAction::Removed,
        GalleryAction::Activated,
        GalleryAction::Deactivated,
        GalleryAction::Changed,
        GalleryAction::Model,
    ];

    /// The name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            GalleryAction::Added => "added",
            GalleryAction::Removed => "removed",
            GalleryAction::Activated => "activated",
            GalleryAction::Deactivated => "deactivated",
            GalleryAction::Changed => "changed",
            GalleryAction::Model => "model",
        }
    }
}

/// An identity of a change, without a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// Stable id in the gallery.
    pub id: IdentityId,
    /// Its lists that publish anything, the highest priority first; of `removed`, as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

/// The gallery in use, and what changed about it.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryNews {
    /// Its generation.
    pub generation: u64,
    /// Identities that are looked for.
    pub identities: u64,
    /// Their templates.
    pub templates: u64,
    /// The model of the templates.
    pub model: ModelId,
    /// The index that answers.
    pub index: IndexKind,
    /// What happened.
    pub changes: Vec<GalleryChange>,
}

/// Data of `health`. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthData {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// What happened.
    pub state: HealthState,
    /// Of `degraded` and `recovered`: what, such as `configuration`, `gallery`, `index`, `log`, a sink as `sink:NAME`, or a camera as
    /// `camera:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The same for a person. Without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Version of the program.
    pub version: String,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

/// What happened to the daemon, or to a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// A run began. Tracks of earlier runs are over, whether their end was told or not.
    Started,
    /// Everything is loaded; cameras connect in their own time.
    Ready,
    /// A changed configuration is in force.
    Reloaded,
    /// It was told to end. What was seen is finished, so that other events follow.
    Stopping,
    /// A part does not do all it should.
    Degraded,
    /// It does again.
    Recovered,
}

impl HealthState {
    /// All of them.
    pub const ALL: [HealthState; 6] = [
        HealthState::Started,
        HealthState::Ready,
        HealthState::Reloaded,
        HealthState::Stopping,
        HealthState::Degraded,
        HealthState::Recovered,
    ];

    /// The name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            HealthState::Started => "started",
            HealthState::Ready => "ready",
            HealthState::Reloaded => "reloaded",
            HealthState::Stopping => "stopping",
            HealthState::Degraded => "degraded",
            HealthState::Recovered => "recovered",
        }
    }
}

/// A change of the daemon's health.
#[derive(Debug, Clone, Copy)]
pub struct HealthChange<'a> {
    /// What happened.
    pub state: HealthState,
    /// To which part; of `degraded` and `recovered`.
    pub component: Option<&'a str>,
    /// For a person; as it would stand in the log, without secrets.
    pub message: Option<&'a str>,
}

impl<'a> HealthChange<'a> {
    /// Of the whole daemon.
    pub fn of_all(state: HealthState, message: Option<&'a str>) -> Self {
        Self { state, component: None, message }
    }

    /// Of a part.
    pub fn of_part(state: HealthState, component: &'a str, message: &'a str) -> Self {
        Self { state, component: Some(component), message: Some(message) }
    }
}

/// Data of `lost`: events that are no more. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostData {
    /// Where it belongs.
    #[serde(flatten)]
    pub who: Who,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: LostReason,
    /// The first of them. Absent of events that never had a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The last of them: all from `first` to here are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// The epoch of the log that these numbers are of, where it is another than `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_log: Option<Uuid>,
    /// When the first of them was made, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub since: Option<Timestamp>,
    /// When the last of them was made, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub until: Option<Timestamp>,
    /// When the event was published; the same as the envelope's `time`.
    #[schemars(with = "Time")]
    pub published_at: Timestamp,
}

/// Why events are no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostReason {
    /// The log is as large as it may be, and they were the oldest.
    Budget,
    /// Their rows in the log are not as they were written.
    Damaged,
    /// The log could not take them in time: they never had a place.
    NotAccepted,
    /// The file of the log was damaged, and they could not be read out of it.
    Salvaged,
    /// They were kept as long as they are kept, and the sink had not had them.
    Expired,
}

impl LostReason {
    /// All of them.
    pub const ALL: [LostReason; 5] = [
        LostReason::Budget,
        LostReason::Damaged,
        LostReason::NotAccepted,
        LostReason::Salvaged,
        LostReason::Expired,
    ];

    /// The name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            LostReason::Budget => "budget",
            LostReason::Damaged => "damaged",
            LostReason::NotAccepted => "not_accepted",
            LostReason::Salvaged => "salvaged",
            LostReason::Expired => "expired",
        }
    }
}

/// Events that are no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: LostReason,
    /// The first and the last of them, if they ever had a place.
    pub range: Option<(u64, u64)>,
    /// The epoch that the range is of, where it is not the one that the event gets its place in.
    pub of_log: Option<Uuid>,
    /// When the first of them was made.
    pub since: Option<Timestamp>,
    /// When the last of them was made.
    pub until: Option<Timestamp>,
}

impl Lost {
    /// The events from `first` to `last` of the log that tells of it.
    pub fn range(reason: LostReason, first: u64, last: u64) -> Self {
        let count = last.saturating_sub(first).saturating_add(1);
        Self { count, reason, range: Some((first, last)), of_log: None, since: None, until: None }
    }

    /// Events that never had a place.
    pub fn not_accepted(count: u64) -> Self {
        let reason = LostReason::NotAccepted;
        Self { count, reason, range: None, of_log: None, since: None, until: None }
    }
}

/// The id of the event that tells whoever reads the log of a range that has no events any more: the same for the same range, so that
/// it is dropped when it comes twice.
pub fn id_of_gap(log: Uuid, first: u64, last: u64) -> Uuid {
    Uuid::from_u128(log.as_u128() ^ (u128::from(first) << 64) ^ u128::from(last))
}

impl EventMaker {
    /// The event of a gallery that is searched from now on.
    pub fn gallery(&self, news: &GalleryNews, published: Moment) -> Event {
        let time = to_millis(published.wall);
        let data = GalleryData {
            who: self.who(),
            gallery_generation: news.generation,
            identities: news.identities,
            templates: news.templates,
            model: news.model.hex(),
            index: news.index,
            changes: news.changes.clone(),
            published_at: time,
        };
        self.of_daemon(EventType::Gallery, "gallery", time, Data::Gallery(Box::new(data)))
    }

    /// The event of a change of the daemon's health.
    pub fn health(&self, change: HealthChange<'_>, published: Moment) -> Event {
        let time = to_millis(published.wall);
        let data = HealthData {
            who: self.who(),
            state: change.state,
            component: change.component.map(str::to_owned),
            message: change.message.map(str::to_owned),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            published_at: time,
        };
        self.of_daemon(EventType::Health, "daemon", time, Data::Health(Box::new(data)))
    }

    /// The event that tells of events that are no more.
    pub fn lost(&self, lost: Lost, published: Moment) -> Event {
        let time = to_millis(published.wall);
        let data = lost_data(self.who(), lost, time);
        self.of_daemon(EventType::Lost, "log", time, data)
    }
}

impl Event {
    /// The same without a maker, for the log: provisionally number 0, until [`Event::place`]. `source` is `events.source` of the
    /// configuration, `run` the run that tells of it, `id` a new UUIDv7.
    pub fn lost(source: &str, run: Uuid, lost: Lost, published: Moment, id: Uuid) -> Event {
        let time = to_millis(published.wall);
        let who = Who { schema: SCHEMA, log: run, sequence: 0, run };
        Event {
            specversion: "1.0".to_owned(),
            id,
            source: source_of_daemon(source),
            kind: EventType::Lost,
            time,
            subject: "log".to_owned(),
            datacontenttype: "application/json".to_owned(),
            dataschema: DATA_SCHEMA.to_owned(),
            data: lost_data(who, lost, time),
        }
    }
}

/// `source` of an event of no camera; CloudEvents allows none that is empty.
pub(super) fn source_of_daemon(source: &str) -> String {
    let trimmed = source.trim_end_matches('/');
    if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
}

fn lost_data(who: Who, lost: Lost, published_at: Timestamp) -> Data {
    Data::Lost(Box::new(LostData {
        who,
        count: lost.count,
        reason: lost.reason,
        first: lost.range.map(|(first, _)| first),
        last: lost.range.map(|(_, last)| last),
        of_log: lost.of_log,
        since: lost.since.map(to_millis),
        until: lost.until.map(to_millis),
        published_at,
    }))
}
