//! What a new user gets wrong with a folder: each mistake is told in words that say what to do, the others go on where that is
//! safe, and the exit status says what it was.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::album::Album;
use super::support::{Site, errors, json_lines, var};
use super::{enroll, last_word};

/// An enrolment folder beside a gallery that is not there yet.
struct Place {
    site: Site,
    folder: PathBuf,
    album: Album,
}

impl Place {
    /// Two people, Ana and Ben, with two pictures each.
    fn new() -> Option<Self> {
        let var = var()?;
        let (site, album) = (Site::new(&var, ""), Album::new(&var, 2, 2));
        let folder = site.folder.path().join("in");
        let place = Self { site, folder, album };
        for (person, name) in [("Person 000", "Ana"), ("Person 001", "Ben")] {
            for picture in ["0000.jpg", "0001.jpg"] {
                let bytes = std::fs::read(place.album.root.join(person).join(picture)).expect("there");
                place.write(&format!("{name}/{picture}"), bytes);
            }
        }
        Some(place)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    fn enroll(&self, more: &[&str]) -> Output {
        enroll(&self.site, self.folder.to_str().expect("UTF-8")).args(more).output().expect("it runs")
    }

    /// It ends with that status, says all of that, and has made no gallery.
    #[track_caller]
    fn refused(&self, output: &Output, status: i32, words: &[&str]) {
        let said = errors(output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is missing in: {said}"));
        assert!(!self.site.folder.path().join("gallery.db").exists(), "a gallery was made: {said}");
    }

    #[track_caller]
    fn metadata(&self, text: impl AsRef<[u8]>, words: &[&str]) {
        self.write("metadata.csv", text);
        let output = self.enroll(&[]);
        self.refused(&output, 65, words);
        assert!(output.stdout.is_empty(), "nothing is begun");
    }
}

#[test]
fn a_folder_without_anything_to_enrol_makes_no_gallery() {
    let Some(place) = Place::new() else { return };
    let run = |folder: &str| enroll(&place.site, folder).output().expect("it runs");
    let path = |name: &str| place.site.path(name);
    place.refused(&run(&path("nowhere")), 66, &["nowhere", "No such file"]);
    std::fs::create_dir(path("empty")).expect("made");
    place.refused(&run(&path("empty")), 66, &["empty", "<name>/<picture>.jpg"]);
    place.refused(&run(&place.site.path("in/Ana/0000.jpg")), 66, &["0000.jpg is no folder"]);
    // Pictures, but nobody's; folders, but nobody in them.
    std::fs::create_dir_all(path("flat/Nobody")).expect("made");
    std::fs::write(path("flat/somebody.jpg"), place.album.any()).expect("written");
    let flat = run(&path("flat"));
    place.refused(&flat, 65, &["refused: 2 misplaced", "0 enrolled, 0 already there, 2 refused"]);
    let said = String::from_utf8_lossy(&flat.stdout).into_owned();
    assert!(
        said.contains("the folder holds no picture") && said.contains("<folder>/<name>/<picture>"),
        "{said}"
    );
}

#[test]
fn metadata_that_is_wrong_stops_before_anything_is_enrolled() {
    let Some(place) = Place::new() else { return };
    place.metadata("folder,colour\nAna,red\n", &["line 1", "\"colour\"", "external_id"]);
    place.metadata("folder,name\nAna,Ana\nAna,Anna\n", &["line 3: \"Ana\" is in line 2 already"]);
    place.metadata(
        "folder,lists\nAna,Staff!\nBen,,\n",
        &["2 mistakes", "line 2: lists", "line 3: 3 values for 2"],
    );
    place.metadata(
        "folder;lists\nAna;a;b\n",
        &["line 2: 3 values for 2 columns", "`;` stands in double quotes"],
    );
    place.metadata("", &["line 1: expected a header line with some of folder, file, name"]);
    place.metadata(b"folder,name\nAna,Jos\xE9\n", &["line 2: field 2 is not UTF-8: save the file as UTF-8"]);
    place.metadata(b"\xFF\xFEf\0o\0", &["UTF-16"]);
    // Is Bne meant for Ben? Ben without what the row says may be somebody without an end.
    place.metadata(
        "folder,valid_until\nAna,2030-01-01\nBne,2030-01-01\n",
        &["line 3: there is no folder or picture \"Bne\"", "\"Ben\" has no row"],
    );
    let nowhere = place.enroll(&["--metadata", "nowhere.csv"]);
    place.refused(&nowhere, 66, &["nowhere.csv"]);
}

#[test]
fn a_list_that_is_not_there_is_told_before_anybody_is_enrolled() {
    let Some(place) = Place::new() else { return };
    place.write("metadata.csv", "folder,lists\nAna,watchlist\nBen,staff;vip\n");
    let output = place.enroll(&[]);
    assert_eq!(output.status.code(), Some(66), "{}", errors(&output));
    for word in ["staff, vip", "there are: watchlist", "gallery set-list staff"] {
        assert!(errors(&output).contains(word), "{word}: {}", errors(&output));
    }
    assert!(output.stdout.is_empty(), "nobody is enrolled");
    for list in ["staff", "vip"] {
        let made = place.site.run("gallery", &["set-list", list]);
        assert!(made.status.success(), "{}", errors(&made));
    }
    let output = place.enroll(&[]);
    assert_eq!(
        (output.status.code(), last_word(&output).as_str()),
        (Some(0), "4 enrolled, 0 already there, 0 refused")
    );
}

#[test]
fn broken_pictures_and_rows_too_many_do_not_keep_the_others_waiting() {
    let Some(place) = Place::new() else { return };
    let whole = place.album.any();
    place.write("Ana/00005.jpg", &whole[..whole.len() / 2]);
    place.write("Ana/notes.txt", "hello");
    place.write("Ben/empty.png", "");
    place.write("Ben/0.jpg", "no picture");
    // As a spreadsheet in many countries saves it, with somebody of whom there is no picture.
    place.write(
        "metadata.csv",
        "\u{feff}Folder;Name;External ID;Lists\r\nAna;Ana Beltrán;x-1;\"watchlist\"\r\nBen;;x-2;\r\nDora;;x-3;\r\n",
    );
    let output = place.enroll(&["--json"]);
    assert_eq!(output.status.code(), Some(65), "{}", errors(&output));
    assert_eq!(last_word(&output), "4 enrolled, 0 already there, 5 refused");
    assert!(
        errors(&output).contains("refused: 3 unreadable, 1 misplaced, 1 not there"),
        "{}",
        errors(&output)
    );
    let told: Vec<String> = json_lines(&output)
        .iter()
        .map(|report| {
            let path = PathBuf::from(report["path"].as_str().expect("a path"));
            let path = path.strip_prefix(&place.folder).expect("inside").display().to_string();
            let text = |key: &str| report[key].as_str().unwrap_or("-").to_owned();
            format!("{path} {} {} {}", text("name"), text("outcome"), text("reason"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "Ana/0000.jpg Ana Beltrán enrolled -",
            "Ana/00005.jpg Ana Beltrán refused unreadable",
            "Ana/0001.jpg Ana Beltrán enrolled -",
            "Ana/notes.txt Ana Beltrán refused misplaced",
            "Ben/0.jpg Ben refused unreadable",
            "Ben/0000.jpg Ben enrolled -",
            "Ben/0001.jpg Ben enrolled -",
            "Ben/empty.png Ben refused unreadable",
            "Dora - refused missing",
        ]
    );
    let listed = json_lines(&place.site.run("gallery", &["list", "--json"]));
    let ids: Vec<&Value> = listed.iter().map(|person| &person["external_id"]).collect();
    assert_eq!(ids, ["x-1", "x-2"], "{listed:?}");
}

#[test]
fn who_cannot_be_told_from_somebody_else_is_refused_and_the_others_go_on() {
    let Some(place) = Place::new() else { return };
    let picture = place.folder.join("Ana/0000.jpg");
    for id in ["x-1", "x-2"] {
        let mut command = place.site.command("enroll");
        command.args(["Ana", "--any-quality", "--review", "off", "--external-id", id]).arg(&picture);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", errors(&output));
    }
    let output = place.enroll(&[]);
    assert_eq!(output.status.code(), Some(65), "{}", errors(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.matches("2 identities are named \"Ana\"").count(), 2, "{said}");
    assert!(said.contains("x-1") && said.contains("x-2"), "{said}");
    assert_eq!(last_word(&output), "2 enrolled, 0 already there, 2 refused");
}
