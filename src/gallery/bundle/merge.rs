//! One record out of two.

use crate::gallery::record::Record;

/// The record of an identity that is here, after a bundle that has it too was imported.
///
/// - A field that the bundle sets is as the bundle has it: its sender is the authority for what it sends.
/// - A field that the bundle leaves open stays as it is here.
/// - The lists are those of both. Nobody falls off a list because another box does not know that list.
/// - Start and end are fields like the others, unless no time would be left between them: then both are the bundle's.
pub(super) fn merged(here: &Record, theirs: &Record) -> Record {
    let mut record = Record {
        name: theirs.name.clone(),
        external_id: theirs.external_id.clone().or_else(|| here.external_id.clone()),
        lists: &here.lists | &theirs.lists,
        purpose: either(&theirs.purpose, &here.purpose),
        authority: either(&theirs.authority, &here.authority),
        image_source: either(&theirs.image_source, &here.image_source),
        valid_from: theirs.valid_from.or(here.valid_from),
        valid_until: theirs.valid_until.or(here.valid_until),
        review: theirs.review.or(here.review),
        notes: either(&theirs.notes, &here.notes),
    };
    if matches!((record.valid_from, record.valid_until), (Some(from), Some(until)) if until <= from) {
        (record.valid_from, record.valid_until) = (theirs.valid_from, theirs.valid_until);
    }
    record
}

fn either(theirs: &Option<String>, here: &Option<String>) -> Option<String> {
    theirs.as_ref().or(here.as_ref()).cloned()
}
