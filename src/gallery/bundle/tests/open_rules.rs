//! Rules for what a trusted signer signs. Each is broken once.

use serde_json::json;

use super::*;

/// Breaks the sample in one way, signs it, and gives the refusal.
fn refusal(edit: impl FnOnce(&mut Raw)) -> String {
    let mut raw = Raw::of(&written(&sample(5, 3)));
    edit(&mut raw);
    opened(&raw.signed()).expect_err("a broken rule").chain()
}

#[track_caller]
fn refused(expected: &str, edit: impl FnOnce(&mut Raw)) {
    let message = refusal(edit);
    assert!(message.contains(expected), "expected {expected:?} in: {message}");
    assert!(message.contains("signed by \"headquarters\""), "{message}");
}

#[test]
fn unbroken_it_opens() {
    assert!(opened(&Raw::of(&written(&sample(5, 3))).signed()).is_ok());
}

#[test]
fn counts_have_to_be_those_of_the_sections() {
    for (what, count) in
        [("lists", 3), ("identities", 4), ("identities", 2), ("templates", 5), ("templates", 7), ("crops", 3)]
    {
        refused("header", |raw| raw.edit_header(|header| header["counts"][what] = json!(count)));
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let limits = [
        ("lists", MAX_LISTS),
        ("identities", MAX_IDENTITIES),
        ("templates", MAX_TEMPLATES),
        ("crops", MAX_TEMPLATES),
    ];
    for (what, most) in limits {
        refused("a bundle holds at most", |raw| {
            raw.edit_header(|header| header["counts"][what] = json!(most + 1))
        });
        refused("not as the format has it", |raw| {
            raw.edit_header(|header| header["counts"][what] = json!(-1))
        });
    }
    refused("at most 64", |raw| {
        raw.edit_header(|header| header["models"] = vec![header["models"][0].clone(); 65].into());
    });
    refused("dimension 1000000000", |raw| {
        raw.edit_header(|header| header["models"][0]["dimension"] = json!(1_000_000_000));
    });
}

#[test]
fn the_header_names_signer_origin_and_models() {
    refused("as signer", |raw| raw.edit_header(|header| header["signer"] = json!(key(2).public())));
    refused("not as the format has it", |raw| raw.edit_header(|header| header["signer"] = json!("nobody")));
    refused("origin", |raw| raw.edit_header(|header| header["origin"] = json!("")));
    refused("origin", |raw| raw.edit_header(|header| header["origin"] = json!("a\nb")));
    refused("a model's name", |raw| {
        raw.edit_header(|header| header["models"][0]["name"] = json!("x".repeat(129)))
    });
    refused("dimension 0", |raw| raw.edit_header(|header| header["models"][0]["dimension"] = json!(0)));
    refused("threshold 1.5", |raw| raw.edit_header(|header| header["models"][0]["threshold"] = json!(1.5)));
    refused("is there twice", |raw| {
        raw.edit_header(|header| header["models"][1]["id"] = header["models"][0]["id"].clone())
    });
    refused("missing field `generation`", |raw| {
        raw.edit_header(|header| drop(header.as_object_mut().expect("an object").remove("generation")));
    });
}

#[test]
fn vectors_are_unit_vectors_of_their_models() {
    let number = |at: usize, value: f32| {
        move |raw: &mut Raw| raw.vectors[4 * at..][..4].copy_from_slice(&value.to_le_bytes())
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.5] {
        refused("no unit vector", number(3, value));
    }
    refused("no unit vector", |raw| raw.vectors[..2048].fill(0));
    let scaled = |factor: f32| {
        move |raw: &mut Raw| {
            for chunk in raw.vectors[..2048].chunks_exact_mut(4) {
                let number = f32::from_le_bytes(chunk.try_into().expect("4 bytes")) * factor;
                chunk.copy_from_slice(&number.to_le_bytes());
            }
        }
    };
    refused("no unit vector", scaled(1.002));
    refused("no unit vector", scaled(0.998));
    let mut nearly = Raw::of(&written(&sample(5, 3)));
    scaled(1.0005)(&mut nearly);
    assert!(opened(&nearly.signed()).is_ok(), "within a thousandth is rounding");

    refused("bytes of vectors", |raw| raw.vectors.truncate(raw.vectors.len() - 1));
    refused("bytes of vectors", |raw| raw.vectors.extend([0; 4]));
    refused("bytes of vectors", |raw| {
        raw.edit_header(|header| header["models"][0]["dimension"] = json!(513))
    });
    refused("is not among the bundle's", |raw| {
        raw.edit_identity(0, |line| line["templates"][0]["model"] = json!(ModelId([9; 32])));
    });
}

#[test]
fn ids_are_there_once() {
    let first = |raw: &Raw, pointer: &str| {
        let line = raw.identities.split(|&b| b == b'\n').next().expect("a line");
        serde_json::from_slice::<Value>(line).expect("JSON").pointer(pointer).expect("a value").clone()
    };
    for pointer in ["/id", "/record/external_id", "/templates/0/id"] {
        refused("is there twice", |raw| {
            let value = first(raw, pointer);
            raw.edit_identity(2, |line| *line.pointer_mut(pointer).expect("a value") = value);
        });
    }
    refused("is there twice", |raw| {
        edit_json(&mut raw.lists, |lists| lists[1]["name"] = lists[0]["name"].clone())
    });
    refused("is there twice", |raw| {
        raw.edit_identity(0, |line| line["crops"][1]["source"] = line["crops"][0]["source"].clone())
    });
}

#[test]
fn records_and_lists_keep_their_own_rules() {
    for (pointer, value, expected) in [
        ("/record/name", json!("a\u{202e}b"), "control characters"),
        ("/record/name", json!(" "), "expected 1 to 200"),
        ("/record/external_id", json!("a b"), "external id"),
        ("/record/lists", json!(["No List"]), "list \"No List\""),
        ("/record/lists", json!(["unheard-of"]), "whose settings are not in the bundle"),
        ("/record/purpose", json!("a\u{7}"), "purpose"),
        ("/record/purpose", json!("x".repeat(5000)), "purpose"),
        ("/record/valid_until", json!("2001-01-01T00:00:00Z"), "is not after"),
        ("/record/valid_until", json!("soon"), "not as the format has it"),
        ("/standing", json!("retired"), "not as the format has it"),
        ("/id", json!("nobody"), "not as the format has it"),
        ("/templates/0/quality", json!(1.01), "quality 1.01"),
        ("/templates/0/quality", json!(null), "not as the format has it"),
        ("/templates/0/source/sha256", json!("ab"), "SHA-256"),
        ("/templates/0/source/sha256", json!("A".repeat(64)), "SHA-256"),
        ("/templates/0/source/name", json!("x".repeat(5000)), "source's name"),
        ("/templates/0/source/kind", json!("rumour"), "not as the format has it"),
    ] {
        refused(expected, |raw| {
            raw.edit_identity(0, |line| *line.pointer_mut(pointer).expect(pointer) = value);
        });
    }
    refused("threshold 2", |raw| edit_json(&mut raw.lists, |lists| lists[1]["threshold"] = json!(2)));
    refused("priority 1001", |raw| edit_json(&mut raw.lists, |lists| lists[1]["priority"] = json!(1001)));
    refused("purpose", |raw| edit_json(&mut raw.lists, |lists| lists[1]["purpose"] = json!("\u{1b}[2J")));
}

#[test]
fn crops_are_pictures_of_a_templates_source() {
    refused("from which no template is", |raw| {
        raw.edit_identity(0, |line| line["crops"][0]["source"] = json!("0".repeat(64)));
    });
    refused("is no image/jpeg", |raw| {
        raw.edit_identity(0, |line| line["crops"][0]["media_type"] = json!("image/jpeg"))
    });
    refused("not as the format has it", |raw| {
        raw.edit_identity(0, |line| line["crops"][0]["media_type"] = json!("image/gif"))
    });
    refused("is no image/png", |raw| raw.crops[0] = 0);
    refused("bytes, and", |raw| raw.crops.truncate(raw.crops.len() - 1));
    refused("behind the last crop", |raw| raw.crops.push(0));
    refused("bytes, and", |raw| raw.edit_identity(0, |line| line["crops"][0]["length"] = json!(u32::MAX)));
    refused("expected at most 4194304", |raw| {
        let length = MAX_CROP + 1;
        raw.edit_identity(0, |line| line["crops"][0]["length"] = json!(length));
        raw.crops.splice(8..108, vec![0; length - 8]);
    });
}

#[test]
fn lines_and_sections_are_whole() {
    refused("has no end", |raw| raw.identities.truncate(raw.identities.len() - 1));
    refused("line 4 of the identities", |raw| raw.identities.push(b'\n'));
    refused("line 4 of the identities", |raw| raw.identities.extend(b"{}\n"));
    refused("lists: not as", |raw| raw.lists.extend(b"[]"));
    refused("line 1 of the identities", |raw| raw.identities.insert(0, 0xff));

    let mut bytes = Raw::of(&written(&sample(5, 3))).signed();
    bytes.truncate(bytes.len() - 64);
    bytes.push(0);
    write::sign(&mut bytes, &key(1));
    assert!(opened(&bytes).expect_err("more").chain().contains("behind the last section"));
}

/// Fields that a later version 1 may add do no harm to a reader of today.
#[test]
fn unknown_fields_are_passed_over() {
    let mut raw = Raw::of(&written(&sample(5, 3)));
    raw.edit_header(|header| header["mood"] = json!("good"));
    raw.edit_identity(1, |line| line["templates"][0]["mood"] = json!("good"));
    assert_eq!(opened(&raw.signed()).expect("opens").content, sample(5, 3));
}

/// The writer keeps the reader's rules.
#[test]
fn what_could_not_be_read_is_not_written() {
    let refused = |expected: &str, edit: &dyn Fn(&mut Content)| {
        let mut content = sample(5, 3);
        edit(&mut content);
        let message = write(&content, &key(1)).expect_err(expected).chain();
        assert!(message.contains(expected), "{message}");
    };
    refused("whose settings are not", &|content| content.lists.clear());
    refused("is not among the bundle's", &|content| drop(content.header.models.pop()));
    refused("is there twice", &|content| content.identities.push(content.identities[0].clone()));
    refused("quality", &|content| content.identities[0].templates[0].quality = f32::NAN);
    refused("threshold", &|content| content.lists[1].threshold = Some(f32::NAN));
    refused("numbers; model", &|content| content.header.models[0].dimension = 3);
    refused("at most 100000", &|content| {
        content.identities[1].templates.clear();
        content.identities = vec![content.identities[1].clone(); MAX_IDENTITIES + 1];
    });
}
