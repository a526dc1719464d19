//! The verdict on a gallery after a kill, a power cut or a full disk: the old state or the new, never half.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use watchlistd::gallery::Keeper;

use super::access::{audit_problems, look, members, open, problems};
use super::model::{Held, Person, State};
use super::models::{id_of, model_of_faces, template};

/// Everything that may lie in a gallery's folder; `acks` is the driver's.
const FILES: [&str; 9] = [
    "gallery.db",
    "gallery.db-wal",
    "gallery.db-shm",
    "gallery.db.lock",
    "gallery.key",
    // Of a rotation that did not come to its end; the next one takes its place.
    "gallery.key.next",
    "gallery.head",
    "gallery.forgotten",
    "acks",
];

/// Which of the `possible` states the gallery in `folder` is in. The folder is opened as a program would that starts again.
///
/// # Errors
/// What is wrong, in words: it is none of them, or its parts do not agree.
pub fn judge(folder: &Path, possible: &[&State]) -> Result<usize, String> {
    head_is_not_ahead(folder)?;
    let mut keeper = open(folder).map_err(|error| format!("does not open: {}", error.chain()))?;
    let held = look(&mut keeper).map_err(|error| format!("cannot be read: {}", error.chain()))?;
    let Some(at) = possible.iter().position(|state| state.held == held) else {
        return Err(difference(&held, possible));
    };
    agrees(&mut keeper, possible[at])?;
    drop(keeper);
    rows_agree(folder, possible[at])?;
    // What the first start wrote to make things good has to be readable too.
    drop(open(folder).map_err(|error| format!("does not open a second time: {}", error.chain()))?);
    nothing_piles_up(folder)?;
    Ok(at)
}

/// The open gallery is in that state in all its parts: searches, audit log, stored rows.
///
/// # Errors
/// What is wrong, in words.
pub fn agrees(keeper: &mut Keeper, state: &State) -> Result<(), String> {
    let told = |error: watchlistd::base::error::Error| error.chain();
    let wrong = audit_problems(keeper).map_err(told)?;
    if !wrong.is_empty() {
        return Err(format!("the audit log: {wrong:?}"));
    }
    // The list of the forgotten is owed while the disk does not take it; what it holds after the next start is looked at there.
    let owed = "is forgotten in the store, and not so in the file beside it";
    let wrong: Vec<String> =
        problems(keeper).map_err(told)?.into_iter().filter(|p| !p.ends_with(owed)).collect();
    if !wrong.is_empty() {
        return Err(format!("gallery verify: {wrong:?}"));
    }
    let on_lists = state.held.people.iter().filter(|(_, person)| !person.lists.is_empty());
    let expected: BTreeSet<_> = on_lists
        .map(|(name, person)| (name.clone(), person.lists.iter().cloned().collect::<Vec<_>>(), person.active))
        .collect();
    let found = members(keeper).map_err(told)?;
    if model_of_faces() != state.held.model {
        let (faces, searched) = (model_of_faces(), state.held.model);
        return Err(format!("faces are embedded by model {faces}, and model {searched} is searched"));
    }
    if found != expected {
        return Err(format!("by the audit log these are on lists: {found:?}, and should be: {expected:?}"));
    }
    searches_agree(keeper, state)
}

fn searches_agree(keeper: &Keeper, state: &State) -> Result<(), String> {
    let snapshot = keeper.shared().current();
    let model = state.held.model;
    let nearest = |picture: u64| snapshot.search(&template((picture, model)), 16).candidates;
    for (name, person) in &state.held.people {
        let searched = person.active && !person.lists.is_empty();
        for picture in person.pictures(model) {
            let found = nearest(picture).into_iter().find(|candidate| *candidate.name == **name);
            if found.as_ref().is_some_and(|candidate| candidate.score > 0.999) != searched {
                return Err(format!(
                    "picture {picture} of {name}, who is searched: {searched}, finds {found:?}"
                ));
            }
        }
    }
    // Two may have the same picture, after a template of one model was moved and one of another was not.
    let has = |name: &str, picture| {
        state.held.people.get(name).is_some_and(|person| person.templates.contains(&(picture, model)))
    };
    for (name, pictures) in &state.forgotten {
        for &picture in pictures {
            let back = nearest(picture)
                .into_iter()
                .find(|found| *found.name == **name || (found.score > 0.9 && !has(&found.name, picture)));
            if let Some(found) = back {
                return Err(format!("{name} was forgotten, and picture {picture} finds {found:?}"));
            }
        }
    }
    Ok(())
}

fn difference(held: &Held, possible: &[&State]) -> String {
    let people = |held: &Held| held.people.iter().map(|p| format!("{p:?}")).collect::<BTreeSet<_>>();
    let found = people(held);
    let mut text = "the state is none that can be:".to_owned();
    for state in possible {
        let expected = people(&state.held);
        text += &format!(
            "\n  not this one: too much {:?}; missing {:?}; lists {:?} for {:?}; model {} for {}; log of {} ({:?}) for {} ({:?})",
            found.difference(&expected).collect::<Vec<_>>(),
            expected.difference(&found).collect::<Vec<_>>(),
            held.lists,
            state.held.lists,
            held.model,
            state.held.model,
            held.log.len(),
            held.log.last(),
            state.held.log.len(),
            state.held.log.last(),
        );
    }
    text
}

/// The head file never says more than the log holds: it is written after the commit. Read with SQL and JSON of the test's own,
/// from a copy, so that the gallery is still as the crash left it when it is opened.
fn head_is_not_ahead(folder: &Path) -> Result<(), String> {
    let Ok(text) = std::fs::read(folder.join("gallery.head")) else { return Ok(()) };
    let head: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| format!("gallery.head is torn: {e}"))?;
    let count = head["count"].as_i64().ok_or("gallery.head has no count")?;
    let copy = super::super::faults::quick_folder();
    for name in ["gallery.db", "gallery.db-wal", "gallery.db-journal"] {
        if folder.join(name).exists() {
            std::fs::copy(folder.join(name), copy.path().join(name)).map_err(|e| format!("{name}: {e}"))?;
        }
    }
    let mac = mac_in(&copy.path().join("gallery.db"), count).map_err(|e| format!("SQLite: {e}"))?;
    let mac = mac.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    // The start of an empty log has a MAC that is in no row.
    if count > 0 && mac.as_deref() != head["mac"].as_str() {
        return Err(format!("gallery.head is ahead: it says {count}, and the log has there {mac:?}"));
    }
    Ok(())
}

fn mac_in(store: &Path, sequence: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    let connection = Connection::open(store)?;
    connection.query_row("SELECT mac FROM audit WHERE sequence = ?1", [sequence], |row| row.get(0)).optional()
}

/// The rows themselves, with SQL of the test's own: nothing of anybody who is gone.
fn rows_agree(folder: &Path, state: &State) -> Result<(), String> {
    let connection = Connection::open(folder.join("gallery.db")).map_err(|e| format!("SQLite: {e}"))?;
    let counted = count_rows(&connection).map_err(|e| format!("SQLite: {e}"))?;
    let count = |of: fn(&Person) -> usize| state.held.people.values().map(of).sum::<usize>() as i64;
    let templates = count(|person| person.templates.len());
    let crops = count(|person| person.crops.len());
    let expected = [state.held.people.len() as i64, templates, crops, state.tombstones as i64];
    if counted != expected {
        return Err(format!(
            "rows of identities, templates, crops, forgotten: {counted:?}, not {expected:?}"
        ));
    }
    let listed = std::fs::read_to_string(folder.join("gallery.forgotten")).unwrap_or_default();
    let listed: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    if listed.len() != state.tombstones {
        return Err(format!("gallery.forgotten has {} people, not {}", listed.len(), state.tombstones));
    }
    model_agrees(&connection, state)
}

fn count_rows(connection: &Connection) -> rusqlite::Result<[i64; 4]> {
    let integrity: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(integrity, "ok");
    let count =
        |table: &str| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
    Ok([count("identities")?, count("templates")?, count("crops")?, count("forgotten")?])
}

/// The model and the switch that led to it are remembered together, or neither is.
fn model_agrees(connection: &Connection, state: &State) -> Result<(), String> {
    let setting = |key: &str| {
        let sql = "SELECT value FROM settings WHERE key = ?1";
        connection.query_row(sql, [key], |row| row.get::<_, String>(0)).optional()
    };
    let found = (setting("model.id"), setting("model.switch"));
    let (Ok(model), Ok(switch)) = found else { return Err(format!("SQLite: {found:?}")) };
    let switch = switch.map(|text| serde_json::from_str::<serde_json::Value>(&text).expect("JSON"));
    let switch = switch.map(|json| ["from", "to"].map(|end| json[end].as_str().map(str::to_owned)));
    let hex = |number: u8| Some(id_of(number).hex());
    let expected = (hex(state.held.model), state.switch.map(|(from, to)| [hex(from), hex(to)]));
    // A gallery that was killed while it was made knows of no model yet.
    let fine =
        (&model, &switch) == (&expected.0, &expected.1) || (model.is_none() && state.held.log.is_empty());
    if fine { Ok(()) } else { Err(format!("model and switch {:?}, not {expected:?}", (model, switch))) }
}

fn nothing_piles_up(folder: &Path) -> Result<(), String> {
    let names = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let left: Vec<String> = names
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .filter(|name| !FILES.contains(&name.as_str()))
        .collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}
