//! Damaged files, and files made to do harm.

use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{CHECKPOINT, LEGACY, ZIP, refused};
use crate::infer::torch::StateDictionary;

/// An archive with these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).expect("started");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("finished").into_inner()
}

/// A pickle of protocol 2 of these opcodes.
fn pickle(opcodes: &[&[u8]]) -> Vec<u8> {
    [&b"\x80\x02"[..], &opcodes.concat(), b"."].concat()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(number: i32) -> Vec<u8> {
    [b"J", &number.to_le_bytes()[..]].concat()
}

/// `{"t": tensor}`, of a storage that says it has `count` floats.
fn tensor_pickle(count: i32, offset: i32, shape: [i32; 2], stride: [i32; 2]) -> Vec<u8> {
    let pair = |[a, b]: [i32; 2]| [int(a), int(b), b"\x86".to_vec()].concat();
    pickle(&[
        b"}",
        &text("t"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        &int(count),
        b"tQ",
        &int(offset),
        &pair(shape),
        &pair(stride),
        b"\x89NtRs",
    ])
}

/// The archive of that pickle, with six floats in the storage.
fn with_tensor(pickle: &[u8]) -> Vec<u8> {
    let floats: Vec<u8> = (0..6).flat_map(|x: u8| f32::from(x).to_le_bytes()).collect();
    archive(&[("a/data.pkl", pickle), ("a/data/0", &floats)])
}

#[test]
fn views_are_read_with_their_strides_and_never_beyond_the_storage() {
    let whole = with_tensor(&tensor_pickle(6, 1, [2, 2], [1, 3]));
    let read = StateDictionary::parse(&whole).expect("reads");
    assert_eq!(read.get("t").expect("there").values(), [1.0, 4.0, 2.0, 5.0]);
    for (count, offset, shape, stride) in [
        (6, 2, [2, 2], [1, 3]),
        (5, 1, [2, 2], [1, 3]),
        (6, 6, [1, 1], [1, 1]),
        (i32::MAX, 0, [2, 2], [1, i32::MAX]),
        (i32::MAX, 6, [1, 1], [1, 1]),
    ] {
        let error = refused(&with_tensor(&tensor_pickle(count, offset, shape, stride)));
        assert!(error.contains("reaches beyond its storage"), "{error}");
    }
    for (offset, shape, stride) in [(-1, [1, 1], [1, 1]), (0, [-1, 1], [1, 1]), (0, [1, 1], [-1, 1])] {
        assert!(refused(&with_tensor(&tensor_pickle(6, offset, shape, stride))).contains("odd arguments"));
    }
    let empty = with_tensor(&tensor_pickle(6, 0, [0, i32::MAX], [i32::MAX, i32::MAX]));
    assert!(StateDictionary::parse(&empty).expect("reads").get("t").expect("there").values().is_empty());
}

#[test]
fn one_float_repeated_a_billion_times_is_refused_before_it_is_read() {
    let error = refused(&with_tensor(&tensor_pickle(6, 0, [1 << 20, 1 << 20], [0, 0])));
    assert!(error.contains("more elements than the file has bytes"), "{error}");
}

#[test]
fn whatever_asks_for_something_else_to_be_run_is_refused_by_name() {
    let system = [&b"cposix\nsystem\n"[..], &text("true"), b"\x85R"].concat();
    let stacked = [text("builtins"), text("eval"), b"\x93".to_vec()].concat();
    let storage = b"ctorch\nFloatStorage\n)R".to_vec();
    for (opcodes, expected) in [
        (system, "it asks to run \"posix.system\": refused"),
        (stacked, "it asks to run \"builtins.eval\": refused"),
        (storage, "called with 0 odd arguments"),
        (b"N)R".to_vec(), "calls something that is no name: refused"),
        (b"](N}b".to_vec(), "sets attributes of something that is no dictionary: refused"),
        (b"\x92".to_vec(), "opcode 0x92"),
        (format!("c{}\nx\n", "m".repeat(5000)).into_bytes(), "asks to run \"mmm"),
    ] {
        let error = refused(&archive(&[("a/data.pkl", &pickle(&[&opcodes]))]));
        assert!(error.contains(expected) && error.len() < 500, "{error}");
    }
    // In the legacy format too: in place of its object.
    let at = LEGACY.windows(3).position(|window| window == b"}q\0").expect("a dictionary");
    let bad = [&LEGACY[..at], b"cposix\nsystem\n"].concat();
    assert!(refused(&bad).contains("it asks to run \"posix.system\": refused"));
}

#[test]
fn what_is_no_state_dictionary_says_what_was_expected() {
    for root in [&b"N"[..], b"]", b"}", b"K\x05", b"})\x86"] {
        let error = refused(&archive(&[("a/data.pkl", &pickle(&[root]))]));
        assert!(error.contains("it holds no state dictionary"), "{error}");
    }
    assert!(refused(&archive(&[("a/model.json", b"{}")])).contains("without data.pkl"));
    let tensor = tensor_pickle(6, 0, [2, 3], [3, 1]);
    assert!(refused(&archive(&[("a/data.pkl", &tensor)])).contains("\"a/data/0\" is missing"));
    let big = archive(&[("a/data.pkl", &tensor), ("a/byteorder", b"big"), ("a/data/0", &[0; 24])]);
    assert!(refused(&big).contains("big endian"));
    let little = archive(&[("a/data.pkl", &tensor), ("a/byteorder", b"little"), ("a/data/0", &[0; 24])]);
    StateDictionary::parse(&little).expect("reads");
    let mut legacy = LEGACY.to_vec();
    let name = legacy.windows(13).position(|window| window == b"little_endian").expect("about the machine");
    let yes = name + legacy[name..].iter().position(|byte| *byte == 0x88).expect("true");
    legacy[yes] = 0x89;
    assert!(refused(&legacy).contains("big endian"));
}

#[test]
fn archives_of_another_writer_are_read_and_no_number_in_them_is_believed() {
    let tensor = tensor_pickle(6, 0, [2, 3], [3, 1]);
    let wide = SimpleFileOptions::default().large_file(true);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("a/data.pkl", &tensor[..]), ("a/data/0", &[0; 24])] {
        zip.start_file(name, wide).expect("started");
        zip.write_all(bytes).expect("written");
    }
    zip.set_comment("a comment").expect("short");
    let whole = zip.finish().expect("finished").into_inner();
    assert_eq!(StateDictionary::parse(&whole).expect("reads").get("t").expect("there").shape(), [2, 3]);

    let plain = with_tensor(&tensor);
    let end = plain.len() - 22;
    let central = plain.windows(4).position(|window| window == b"PK\x01\x02").expect("a directory");
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = plain.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&changed)
    };
    for (at, bytes, expected) in [
        // Number of entries, where they start, size, place and method of the first.
        (end + 10, &[0xff; 2][..], "damaged or cut off"),
        (end + 16, &[0xff; 4], "damaged or cut off"),
        (central + 24, &[0xff, 0xff, 0xff, 0x7f], "\"a/data.pkl\" is cut off"),
        (central + 42, &[0xff, 0xff, 0xff, 0x7f], "\"a/data.pkl\" is cut off"),
        (central + 10, &[8, 0], "\"a/data.pkl\" is compressed"),
        (central + 16, &[1, 2, 3, 4], "another CRC-32"),
    ] {
        let error = changed(at, bytes);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nesting_costs_no_stack_and_endless_pickles_end() {
    // Half a million tuples, each in the next, in a list that holds itself.
    let deep = pickle(&[b"]q\0h\0a)", &b"\x85".repeat(1 << 19), b"a"]);
    assert!(refused(&archive(&[("a/data.pkl", &deep)])).contains("holds no state dictionary"));
    let endless = pickle(&[&b"N0".repeat(1 << 20)]);
    assert!(refused(&archive(&[("a/data.pkl", &endless)])).contains("more than"));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    for whole in [ZIP, LEGACY, CHECKPOINT] {
        for length in 0..whole.len() {
            refused(&whole[..length]);
        }
    }
}

proptest! {
    #[test]
    fn damage_of_any_kind_is_an_error_or_other_numbers_and_never_a_panic(
        file in 0..3usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = [ZIP, LEGACY, CHECKPOINT][file].to_vec();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = StateDictionary::parse(&bytes);
    }

    #[test]
    fn any_pickle_ends(opcodes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = StateDictionary::parse(&archive(&[("a/data.pkl", &pickle(&[&opcodes]))]));
        let start = LEGACY.windows(3).position(|window| window == b"}q\0").expect("a dictionary");
        let _ = StateDictionary::parse(&[&LEGACY[..start], &opcodes].concat());
    }

    #[test]
    fn any_opcodes_a_state_dictionary_is_made_of_end(
        steps in proptest::collection::vec(prop::sample::select(vec![
            &b"N"[..], b"(", b"0", b")", b"\x85", b"\x86", b"t", b"]", b"}", b"a", b"e", b"s", b"u", b"q\0", b"h\0",
            b"R", b"b", b"Q", b"K\x02", b"\x88", b"X\x01\0\0\0a", b"ccollections\nOrderedDict\n",
            b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
        ]), 0..60),
    ) {
        let _ = StateDictionary::parse(&archive(&[("a/data.pkl", &pickle(&steps))]));
    }
}
