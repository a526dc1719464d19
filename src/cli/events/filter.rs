//! Which events somebody wants to see.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::gallery::parse;
use crate::events::{Data, Event, EventType};
use crate::gallery::command::Who;
use crate::gallery::record::ListName;
use crate::sinks::shape::{Fields, Shape};
use crate::types::ids::CameraId;

/// Options that choose events. Events `lost` fit whatever is asked for, unless --type leaves them out: they may be about anything.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct FilterArgs {
    /// Only events of this type. May be given several times.
    #[arg(long = "type", value_name = "TYPE", value_parser = types())]
    types: Vec<EventType>,
    /// Only events of this camera. May be given several times.
    #[arg(long, value_name = "NAME", value_parser = camera)]
    camera: Vec<CameraId>,
    /// Only events about somebody who is recognised for this list. May be given several times.
    #[arg(long, value_name = "LIST", value_parser = list)]
    list: Vec<ListName>,
    /// Only events about this identity: its id, or its name or external id where the events have them.
    #[arg(long, value_parser = parse::who)]
    who: Option<Who>,
}

fn types() -> impl TypedValueParser<Value = EventType> {
    PossibleValuesParser::new(EventType::ALL.map(EventType::short))
        .try_map(|name| EventType::named(&name).ok_or("expected a type of event"))
}

fn camera(text: &str) -> Result<CameraId, String> {
    CameraId::new(text).map_err(|e| e.to_string())
}

fn list(text: &str) -> Result<ListName, String> {
    ListName::new(text).map_err(|e| e.to_string())
}

/// Says which events are wanted, and what of them. Types, cameras and lists are looked at as for a sink ([`Shape`]); but what
/// belongs to no camera or to nobody passes a sink's filter, and not this one.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    shape: Shape,
    who: Option<Who>,
}

impl FilterArgs {
    /// The filter.
    pub fn filter(&self) -> Filter {
        let given = |empty: bool| !empty;
        let shape = Shape {
            types: given(self.types.is_empty()).then(|| self.types.clone()),
            cameras: given(self.camera.is_empty()).then(|| self.camera.clone()),
            lists: given(self.list.is_empty()).then(|| self.list.clone()),
            ..Shape::default()
        };
        Filter { shape, who: self.who.clone() }
    }
}

impl Filter {
    /// With so much of a person.
    pub fn with_fields(mut self, fields: Fields) -> Self {
        self.shape.fields = fields;
        self
    }

    /// True if it is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        self.shape.wants(event) && (event.kind == EventType::Lost || self.is_about(event))
    }

    fn is_about(&self, event: &Event) -> bool {
        let at_camera = self.shape.cameras.is_none() || event.camera().is_some();
        let of_list = self.shape.lists.is_none() || event.identity().is_some();
        at_camera && of_list && self.who.as_ref().is_none_or(|who| is_about(event, &who.0))
    }

    /// The event as it is wanted, if it is.
    pub fn shaped(&self, event: Event) -> Option<Event> {
        if self.wants(&event) { self.shape.shaped(event) } else { None }
    }

    /// True if an event is wanted as it is.
    pub fn changes_nothing(&self) -> bool {
        self.shape.fields == Fields::Name
    }
}

fn is_about(event: &Event, who: &str) -> bool {
    let is = |id: &str| id.eq_ignore_ascii_case(who);
    if let Data::Gallery(data) = &event.data {
        return data.changes.iter().flat_map(|change| &change.identities).any(|one| is(&one.id.to_string()));
    }
    event.identity().is_some_and(|identity| {
        let named = identity.name.as_ref().is_some_and(|name| name.to_lowercase() == who.to_lowercase());
        named || is(&identity.id.to_string()) || identity.external_id.as_deref() == Some(who)
    })
}
