use super::*;
use crate::base::error::Kind;

const EMBEDDER: &str = include_str!("../../../config/models/mobilefacenet-512.toml");
const DETECTOR: &str = include_str!("../../../config/models/retinaface-mobilenet025.toml");

fn parse(text: &str) -> Result<Manifest> {
    Manifest::parse(Path::new("test.toml"), text)
}

#[test]
fn the_manifests_that_ship_are_whole() {
    let embedder = parse(EMBEDDER).expect("parses");
    let spec = embedder.embedder().expect("an embedder");
    assert_eq!((spec.dimension, spec.alignment.size()), (512, Size::new(112, 112)));
    let CropScaling::Fixed(normalize) = embedder.input.scaling else { panic!("fixed numbers") };
    assert_eq!((normalize.order, normalize.gray(255)), (ChannelOrder::Bgr, [127.5 / 128.0; 3]));
    assert_eq!(embedder.file, Path::new("mobilefacenet-512.onnx"));
    let detector = parse(DETECTOR).expect("parses");
    assert_eq!(detector.detector().expect("a detector").nms_iou, 0.4);
    assert_eq!(detector.embedder().expect_err("no embedder").kind(), Kind::Config);
    assert!(embedder.detector().is_err());
}

#[test]
fn every_mistake_is_reported_with_its_path() {
    let broken = EMBEDDER
        .replace("dimension = 512", "dimension = 0\ndimensions = 512")
        .replace("order = \"bgr\"", "order = \"grb\"")
        .replace("licence = \"MIT\"", "")
        .replace("file = \"mobilefacenet-512.onnx\"", "file = \"../mobilefacenet-512.onnx\"")
        .replace("\"prelu-to-depthwise\"", "\"make-it-fast\"");
    let message = parse(&broken).expect_err("mistakes").to_string();
    for expected in [
        "output.dimension: 0 is not a whole number",
        "output.dimensions: unknown key",
        "input.order: \"grb\" is not rgb or bgr",
        "source.licence: missing",
        "file: expected the name of a file in the models folder",
        "import.rewrites",
    ] {
        assert!(message.contains(expected), "{expected:?} in {message}");
    }
}

#[test]
fn what_is_no_manifest_is_one_clear_error() {
    for bad in ["", "= 1", "role = \"detector\"", "name = 3\nrole = \"judge\"", "source = 1\ninput = []"] {
        assert_eq!(parse(bad).expect_err("no manifest").kind(), Kind::Config, "{bad}");
    }
    let missing = Manifest::read(Path::new("/nowhere/m.toml")).expect_err("no file");
    assert_eq!(missing.kind(), Kind::NoInput);
}

#[test]
fn a_size_must_agree_with_the_alignment() {
    let other = EMBEDDER.replacen("size = [112, 112]", "size = [96, 112]", 1);
    assert!(parse(&other).expect_err("differs").to_string().contains("differs from input.size"));
    let part = EMBEDDER.replacen("size = [112, 112]", "size = [112.5, 112]", 1);
    assert!(parse(&part).expect_err("half a pixel").to_string().contains("whole pixels"));
}

#[test]
fn the_model_id_follows_what_changes_an_embedding_and_nothing_else() {
    let id = |text: &str| parse(text).expect("parses").model_id().expect("an embedder");
    let base = id(EMBEDDER);
    let same = [
        EMBEDDER.replace("licence = \"MIT\"", "licence = \"none\""),
        EMBEDDER.replace("rewrites = [\"symbolic-batch\", \"prelu-to-depthwise\"]", "rewrites = []"),
        EMBEDDER.replace("normalizes = false", "normalizes = true"),
    ];
    for text in &same {
        assert_ne!(text, EMBEDDER);
        assert_eq!(id(text), base);
    }
    let other = [
        EMBEDDER.replace("order = \"bgr\"", "order = \"rgb\""),
        EMBEDDER.replace("127.5, 127.5, 127.5", "127.5, 127.5, 127.0"),
        EMBEDDER.replace("87aacdfe", "87aacdff"),
        EMBEDDER.replace("38.2946", "38.2947"),
        EMBEDDER.replace("dimension = 512", "dimension = 511"),
    ];
    for text in &other {
        assert_ne!(text, EMBEDDER);
        assert_ne!(id(text), base);
    }
}

/// An embedder whose faces are boxes.
fn boxed(fit: &str) -> String {
    let template = EMBEDDER.lines().find(|line| line.starts_with("template")).expect("five points");
    EMBEDDER.replace("\"five-point\"", "\"box-margin\"").replace(template, &format!("margin = 0.1\n{fit}"))
}

#[test]
fn a_box_is_stretched_unless_the_manifest_says_letterbox_and_that_is_another_model() {
    let alignment = |text: &str| parse(text).expect("parses").embedder().expect("one").alignment.clone();
    let with = |fit| Alignment::BoxMargin { size: Size::new(112, 112), margin: 0.1, fit };
    let (left_out, stretch, letterbox) =
        (boxed(""), boxed("fit = \"stretch\""), boxed("fit = \"letterbox\""));
    assert_eq!(
        [&left_out, &stretch].map(|text| alignment(text)),
        [with(BoxFit::Stretch), with(BoxFit::Stretch)]
    );
    assert_eq!(alignment(&letterbox), with(BoxFit::Letterbox));
    let id = |text: &str| parse(text).expect("parses").model_id().expect("an embedder");
    assert_eq!(id(&left_out), id(&stretch));
    assert_ne!(id(&left_out), id(&letterbox));
    // As it was before there was a choice.
    assert_eq!(id(&left_out).hex(), "b0a728c4d348041386094170c634b38002f043ed06f1d59ce2719406d48abe36");
    let wrong = parse(&boxed("fit = \"squeeze\"")).expect_err("no such fit").to_string();
    assert!(wrong.contains("alignment.fit: \"squeeze\" is not stretch or letterbox"), "{wrong}");
}

#[test]
fn a_missing_or_other_file_is_named_with_both_hashes() {
    let dir = tempfile::tempdir().expect("a folder");
    let manifest = parse(EMBEDDER).expect("parses");
    let missing = manifest.load(dir.path(), &Device::Cpu).expect_err("missing");
    assert_eq!(missing.kind(), Kind::NoInput);
    assert!(
        missing.to_string().contains("test.toml") && missing.to_string().contains("make setup"),
        "{missing}"
    );

    std::fs::write(dir.path().join(&manifest.file), b"something else").expect("written");
    let other = manifest.load(dir.path(), &Device::Cpu).expect_err("another");
    assert_eq!(other.kind(), Kind::Data);
    // sha256sum of "something else"
    let found = "f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8";
    for part in
        [found, &crate::types::ids::ModelId(manifest.sha256).hex(), "mobilefacenet-512.onnx", "test.toml"]
    {
        assert!(other.to_string().contains(part), "{part} in {other}");
    }

    std::fs::remove_file(dir.path().join(&manifest.file)).expect("removed");
    std::fs::create_dir(dir.path().join(&manifest.file)).expect("made");
    assert_eq!(manifest.load(dir.path(), &Device::Cpu).expect_err("a folder").kind(), Kind::Data);
}

#[test]
fn a_file_that_is_no_manifest_is_refused_without_a_word_of_it() {
    let key = "4b45ba4dc1478e454b45ba4dc1478e454b45ba4dc1478e454b45ba4dc1478e45";
    let files = [
        format!("# the master key\n{key}\n"),
        format!("{key} = \n"),
        format!("name = \"x\"\nsource = \"rtsp://user:{key}@camera\"\n"),
        format!("name = {{ password = \"{key}\" }}\n"),
    ];
    for text in files {
        let error = parse(&text).expect_err("no manifest").chain();
        assert!(!error.contains("4b45ba"), "{error}");
    }
    let place = parse("name = \"a\"\nrole =\n").expect_err("no value").to_string();
    assert!(place.contains("line 2, column"), "{place}");
}

#[test]
fn only_a_regular_file_of_a_manifests_size_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_folder = |name: &str| folder.path().join(name);
    let (pipe, large) = (in_folder("pipe.toml"), in_folder("large.toml"));
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    );
    made.expect("a pipe");
    std::fs::write(&large, format!("#{}\n{EMBEDDER}", "x".repeat(1 << 20))).expect("written");
    for path in [Path::new("/dev/zero"), folder.path(), &large, &pipe] {
        let error = Manifest::read(path).expect_err("no manifest");
        assert_eq!(error.kind(), Kind::Config, "{}", error.chain());
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let link = in_folder("link.toml");
    std::fs::write(in_folder("good.toml"), EMBEDDER).expect("written");
    std::os::unix::fs::symlink("good.toml", &link).expect("linked");
    Manifest::read(&link).expect("a link to a manifest is one");
}
