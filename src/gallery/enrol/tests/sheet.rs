//! Metadata beside the pictures.

use super::super::fixture::Folder;
use super::*;
use crate::gallery::dates::Edge;
use crate::gallery::record::ListName;

fn folder() -> Folder {
    let folder = Folder::new();
    for path in ["4711/1.jpg", "4711/2.jpg", "Berta/1.jpg", "Jose\u{301}/1.jpg", "stray.jpg"] {
        folder.write(path, "");
    }
    folder
}

fn jobs(folder: &Folder) -> Result<Vec<Job>> {
    let sheet = Sheet::beside(&folder.root())?;
    let base = Details { purpose: Some("everybody's".to_owned()), ..Details::default() };
    plan(&folder.root(), &base, sheet)
}

/// Each job as `file: name (external id) lists purpose`.
fn told(folder: &Folder) -> Vec<String> {
    let job = |job: &Job| {
        let file = job.path.strip_prefix(folder.root()).expect("inside").display().to_string();
        let Some(record) = &job.record else { return format!("{file}: nobody's") };
        let lists: Vec<&str> = record.lists.iter().map(ListName::as_str).collect();
        let id = record.external_id.as_ref().map_or("-", |id| id.as_str());
        format!(
            "{file}: {} ({id}) {} {}",
            record.name,
            lists.join("+"),
            record.purpose.as_deref().unwrap_or("-")
        )
    };
    jobs(folder).expect("a plan").iter().map(job).collect()
}

fn mistakes(folder: &Folder) -> String {
    let error = jobs(folder).expect_err("mistakes");
    assert_eq!(error.kind(), Kind::Data);
    error.to_string().replace(&format!("{}/", folder.root().display()), "")
}

const EXPECTED: [&str; 5] = [
    "4711/1.jpg: Ana Beltrán (hr-4711) staff+visitors at the door, say",
    "4711/2.jpg: Ana Beltrán (hr-4711) staff+visitors at the door, say",
    "Berta/1.jpg: Berta (-) watchlist everybody's",
    "Jose\u{301}/1.jpg: Jos\u{e9} (x-1) watchlist everybody's",
    "stray.jpg: Carla (-) staff everybody's",
];

#[test]
fn csv_says_whose_pictures_they_are() {
    let folder = folder();
    let text = "\u{feff}folder, file ,name,external_id,lists,purpose\r\n\
                4711,,Ana Beltrán,hr-4711,staff; visitors;,\"at the door, say\"\r\n\
                ,,José,x-1,,\r\n\
                \r\n\
                ,stray.jpg,Carla,,staff,\r\n";
    folder.write("metadata.csv", text);
    assert_eq!(told(&folder), EXPECTED);
    let jobs = jobs(&folder).expect("a plan");
    let (one, two) = (jobs[0].record.as_ref().expect("Ana"), jobs[1].record.as_ref().expect("Ana"));
    assert!(std::sync::Arc::ptr_eq(one, two), "one identity, one record");
}

#[test]
fn json_lines_say_the_same() {
    let folder = folder();
    let text =
        r#"{"folder": "4711", "name": "Ana Beltrán", "external_id": "hr-4711", "lists": ["staff", "visitors"],
"#
        .replace('\n', " ")
            + r#""purpose": "at the door, say", "notes": null, "authority": ""}

{"name": "José", "external_id": "x-1"}
{"file": "stray.jpg", "name": "Carla", "lists": "staff"}
"#;
    folder.write("metadata.jsonl", text);
    assert_eq!(told(&folder), EXPECTED);
}

#[test]
fn a_pictures_row_says_more_than_its_folders_and_may_name_somebody_else() {
    let folder = folder();
    folder.write("metadata.csv", "folder,file,name\n4711,,Ana\n4711,2.jpg,Berta\n,Berta/1.jpg,Berta\n");
    let told = told(&folder);
    let starts = [
        "4711/1.jpg: Ana ",
        "4711/2.jpg: Berta ",
        "Berta/1.jpg: Berta ",
        "Jose\u{301}/1.jpg: ",
        "stray.jpg: nobody",
    ];
    assert!(told.iter().zip(starts).all(|(told, start)| told.starts_with(start)), "{told:#?}");
}

#[test]
fn times_are_read_and_an_empty_list_is_no_answer_in_csv() {
    let folder = folder();
    let text = "folder,valid_from,valid_until,review,lists,notes,authority,image_source\n\
                Berta,2027-03-01T00:00:00Z,2027-04-01T12:00:00+02:00,2027-03-15,,n,a,i\n";
    folder.write("metadata.csv", text);
    let jobs = jobs(&folder).expect("a plan");
    let record = jobs[2].record.as_ref().expect("Berta");
    assert_eq!(record.valid_from.map(|t| t.to_string()).as_deref(), Some("2027-03-01T00:00:00Z"));
    assert_eq!(record.valid_until.map(|t| t.to_string()).as_deref(), Some("2027-04-01T10:00:00Z"));
    assert_eq!(record.review, moment("2027-03-15", Edge::Start).ok());
    assert_eq!(record.lists.len(), 1);
    let texts = [&record.notes, &record.authority, &record.image_source].map(|t| t.as_deref());
    assert_eq!(texts, [Some("n"), Some("a"), Some("i")]);
    let off = Folder::new();
    off.write("Berta/1.jpg", "");
    off.write("metadata.jsonl", r#"{"folder": "Berta", "lists": []}"#);
    let jobs = super::sheet::jobs(&off).expect("a plan");
    assert!(jobs[0].record.as_ref().is_some_and(|r| r.lists.is_empty()), "in JSON, no list is an answer");
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let folder = folder();
    let text = "folder,file,name,external_id,lists,valid_from,valid_until\n\
                4711,,Ana,hr 1,Staff!,soon,\n\
                Berta,,,,,2027-03-02,2027-03-01\n\
                Nobody,,,,,,\n\
                ,stray.jpg,,,,,\n\
                4711,,Ana,,,,\n\
                a,b\n\
                ../etc,,x,,,,\n\
                ,,,,,,\n\
                4711,,Ana again,,,,\n";
    folder.write("metadata.csv", text);
    let said = mistakes(&folder);
    let expected = [
        "metadata.csv: 10 mistakes:",
        "line 2: external_id: external id \"hr 1\"",
        "line 2: lists: list \"Staff!\"",
        "line 2: valid_from: \"soon\"",
        "line 3: valid until ",
        "line 4: there is no folder or picture \"Nobody\"",
        "line 5: name: expected one",
        "line 7: 2 values for 7 columns",
        "line 8: folder: \"../etc\": expected a folder's name",
        "line 9: expected a folder, a file or a name",
        "line 10: \"4711\" is in line 6 already",
    ];
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line:?}: {start:?}");
    }
}

#[test]
fn mistakes_in_json_and_in_the_header_are_told_too() {
    let folder = folder();
    let text = "{\"folder\": \"4711\", \"colour\": \"red\", \"notes\": 5}\n[1]\n{\"folder\": \n\
                {\"name\": \"Berta\", \"lists\": [\"a\", 1]}\n{\"folder\": [\"x\"]}\n";
    folder.write("metadata.jsonl", text);
    let said = mistakes(&folder);
    for part in [
        "6 mistakes",
        "line 1: unknown key \"colour\"; there are folder, file, name",
        "line 1: notes: expected a text, there is 5",
        "line 2: expected a JSON object",
        "line 3: expected a JSON object",
        "line 4: lists: expected a list of texts, there is 1",
        "line 5: folder: expected a text",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    std::fs::remove_file(folder.root().join("metadata.jsonl")).expect("removed");
    folder.write("metadata.csv", "folder,colour,folder\n4711,red,4711\n");
    let said = mistakes(&folder);
    assert!(said.contains("line 1: unknown column \"colour\""), "{said}");
    assert!(said.contains("line 1: the column \"folder\" is there twice"), "{said}");
    folder.write("metadata.csv", b"folder,name\n4711,\xff\xfe\nBerta,Berta\n");
    let said = mistakes(&folder);
    assert!(said.contains("1 mistake:") && said.contains("line 2: field 2 is not UTF-8"), "{said}");
}

#[test]
fn one_identity_has_one_record() {
    let folder = folder();
    folder.write(
        "metadata.csv",
        "folder,name,external_id,purpose\n4711,Ana,x,a\nBerta,Ana,x,b\nJosé,Ana,y,b\n",
    );
    let said = mistakes(&folder);
    assert!(said.contains("1 mistake:"), "another external id is another Ana: {said}");
    assert!(said.contains("line 3: x: another record than in line 2"), "{said}");
}

#[test]
fn two_files_of_metadata_are_one_too_many_and_another_place_may_be_named() {
    let folder = folder();
    let csv = folder.write("metadata.csv", "folder,name\n4711,Ana\n");
    folder.write("metadata.jsonl", "");
    assert!(Sheet::beside(&folder.root()).expect_err("two").to_string().contains("--metadata"));
    let jobs = plan(&folder.root(), &Details::default(), Some(Sheet::read(&csv).expect("a sheet")));
    assert_eq!(jobs.expect("a plan")[0].record.as_ref().map(|r| r.name.to_string()).as_deref(), Some("Ana"));
    assert_eq!(Sheet::read(&folder.root().join("none.csv")).expect_err("missing").kind(), Kind::NoInput);
}

#[test]
fn semicolons_tabs_and_spelled_out_columns_are_read_as_spreadsheets_write_them() {
    for between in [";", "\t"] {
        let folder = folder();
        let text = "\u{feff}Folder,File,Name,External ID,Lists,Purpose\r\n\
                    4711,,Ana Beltrán,hr-4711,\"staff; visitors\",\"at the door| say\"\r\n\
                    ,,José,x-1,,\r\n\
                    ,stray.jpg,Carla,,staff,\r\n";
        folder.write("metadata.csv", text.replace(',', between).replace('|', ","));
        assert_eq!(told(&folder), EXPECTED, "{between:?}");
    }
}

#[test]
fn a_row_too_many_is_reported_unless_it_may_be_meant_for_what_has_no_row() {
    let folder = folder();
    let rows = "folder,file,name\n4711,,Ana\nBerta,,\nJosé,,\n,stray.jpg,Carla\n";
    folder.write("metadata.csv", format!("{rows}Nobody,,\n,Nobody/1.jpg,Dora\n"));
    let jobs = jobs(&folder).expect("a plan");
    let missing: Vec<String> = jobs
        .iter()
        .filter_map(|job| match &job.refused {
            Some(Reason::Missing { detail }) => Some(format!("{}: {detail}", job.path.display())),
            _ => None,
        })
        .map(|text| text.replace(&format!("{}/", folder.root().display()), ""))
        .collect();
    assert_eq!(
        missing,
        [
            "Nobody: line 6 of the metadata names it, and it is not there",
            "Nobody/1.jpg: line 7 of the metadata names it, and it is not there"
        ]
    );
    assert_eq!(jobs.len(), 7);
    // The folder's picture is meant, and would be somebody else's.
    folder.write("metadata.csv", format!("{rows},Berta/2.jpg,Dora\n"));
    let said = mistakes(&folder);
    assert!(
        said.contains("\"Berta/2.jpg\" beside it, and \"Berta/1.jpg\" has no row: is it meant?"),
        "{said}"
    );
    folder.write("metadata.csv", format!("{rows},Berta/1.jpg,Berta\n,Berta/2.jpg,Dora\n"));
    assert!(super::sheet::jobs(&folder).is_ok(), "its other picture has a row of its own");
    folder.write("metadata.csv", "folder,name\n4711,Ana\nNobody,\n");
    assert!(mistakes(&folder).contains("\"Nobody\" beside it, and \"Berta\" has no row"));
}

#[test]
fn a_file_without_a_header_or_in_another_encoding_is_told() {
    let folder = folder();
    for (bytes, part) in [
        (&b""[..], "line 1: expected a header line with some of folder, file"),
        (b"\n\n", "line 1: expected a header line"),
        (b"\xFF\xFEf\0o\0", "line 1: the file is in UTF-16: save it as UTF-8"),
        (
            b"folder;name\n4711;Ana;\n",
            "line 2: 3 values for 2 columns; a value that holds a `;` stands in double quotes",
        ),
    ] {
        folder.write("metadata.csv", bytes);
        let said = mistakes(&folder);
        assert!(said.contains(part), "{part}: {said}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_file_holds_is_read_or_told(bytes: Vec<u8>, json: bool) {
        let folder = Folder::new();
        folder.write("Ana/1.jpg", "");
        folder.write(if json { "metadata.jsonl" } else { "metadata.csv" }, bytes);
        let _ = jobs(&folder);
    }
}
