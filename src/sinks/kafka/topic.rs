//! From an event to its topic, as `watchlistd.{box}.{type}`.
//!
//! Kafka takes `a-z A-Z 0-9 . _ -` in a topic's name, up to 249 of them. What a camera, a list or a type is called is of those already;
//! what there is none of is `_`.

#![cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "without the sink a template is only checked"))]

use crate::bail;
use crate::base::error::Result;
use crate::events::Event;

/// Stands for what there is none of.
const NONE: &str = "_";

/// Most plain text with the box's name: with the longest camera and list it is still a topic.
const MOST: usize = 100;

const FIELDS: [(&str, Field); 4] =
    [("box", Field::Box), ("list", Field::List), ("camera", Field::Camera), ("type", Field::Type)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Box,
    List,
    Camera,
    Type,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A checked template, with the box filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// Reads a template.
    pub(super) fn new(template: &str, box_name: &str) -> Result<Self> {
        let (mut parts, mut rest) = (Vec::new(), template);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                bail!(Config, "topic: {template:?}: a brace is open");
            };
            let Some((_, field)) = FIELDS.into_iter().find(|(known, _)| *known == name) else {
                bail!(
                    Config,
                    "topic: {template:?}: {{{name}}} is none of {{box}}, {{list}}, {{camera}} and {{type}}"
                );
            };
            if parts.contains(&Part::Field(field)) {
                bail!(Config, "topic: {template:?}: expected {{{name}}} once at most");
            }
            parts.extend([Part::Text(before.to_owned()), Part::Field(field)]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if parts.contains(&Part::Field(Field::Box)) && !is_name(box_name) {
            bail!(Config, "box: {box_name:?}: expected a name of a-z A-Z 0-9 . _ - for topics");
        }
        for part in &mut parts {
            if *part == Part::Field(Field::Box) {
                *part = Part::Text(box_name.to_owned());
            }
        }
        check(template, &parts)?;
        Ok(Self(parts))
    }

    /// The topic of an event.
    pub(super) fn of(&self, event: &Event) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(Field::List) => {
                let lists = event.identity().map_or(&[][..], |identity| identity.lists.as_slice());
                lists.first().map_or(NONE, String::as_str).to_owned()
            }
            Part::Field(Field::Camera) => event.camera().unwrap_or(NONE).to_owned(),
            Part::Field(Field::Type) => event.kind.short().to_owned(),
            // Filled in already.
            Part::Field(Field::Box) => NONE.to_owned(),
        };
        self.0.iter().map(text).collect()
    }
}

fn check(template: &str, parts: &[Part]) -> Result<()> {
    let plain: String =
        parts.iter().filter_map(|p| if let Part::Text(t) = p { Some(t.as_str()) } else { None }).collect();
    let alone = parts.iter().all(|part| matches!(part, Part::Text(_)));
    if !plain.chars().all(is_safe) || plain.len() > MOST || (alone && !is_name(&plain)) {
        bail!(
            Config,
            "topic: {template:?}: expected up to {MOST} of a-z A-Z 0-9 . _ - with {{box}}, {{list}}, {{camera}} and {{type}}"
        );
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.chars().all(is_safe)
}

const fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}
