//! Where the ONNX Runtime library is looked for.
//!
//! ```text
//!  models.runtime ──┐ said in so many words: taken, or an error
//!  ORT_DYLIB_PATH ──┘
//!  next to the program ─▶ ../lib/watchlistd, ../lib ─▶ /usr/local/lib/watchlistd, /usr/lib/watchlistd, /usr/local/lib
//!      ─▶ var/lib of a checkout that is the working directory ─▶ the system's loader
//! ```
//!
//! The binding panics, or waits for ever, when it has to find a missing library by itself. So the library is
//! found and looked at here first, and what was tried is said.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::bail;
use crate::base::error::{Error, Kind, Result};
use crate::config::place::is_checkout;

/// Keeps the runtime from reporting home. Builds since 1.29 do so by default: they make a lasting device id and a store in
/// `~/.cache`, and upload what was run. Its own switch in the API comes too late, after the first report; only this
/// variable, read when it is loaded, turns all of it off.
///
/// Call it first thing in `main`, before any thread starts.
#[allow(unsafe_code, reason = "no safe way exists to set a variable that a C library reads")]
pub fn refuse_telemetry() {
    // SAFETY: nothing else reads or writes the environment meanwhile, as the caller has started no thread.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") }
}

/// The library's name for the system's loader, and without a version in a folder.
pub const LIBRARY: &str = "libonnxruntime.so";
/// The variable that names the library when the configuration does not.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// What the search depends on, taken from the process once.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `models.runtime` of the configuration: a library, or the folder that holds it.
    pub configured: Option<PathBuf>,
    /// [`VARIABLE`], if set and not empty.
    pub variable: Option<PathBuf>,
    /// Folder of the running program.
    pub program: Option<PathBuf>,
    /// Folders that may hold it, after the program's own.
    pub folders: Vec<PathBuf>,
}

impl Surroundings {
    /// This process's.
    pub fn of_process(configured: Option<&Path>) -> Self {
        let program = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
        let variable = std::env::var_os(VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folders = folders(Path::new(""));
        Self { configured: configured.map(Path::to_path_buf), variable, program, folders }
    }

    /// Every folder, in order.
    fn places(&self) -> impl Iterator<Item = PathBuf> {
        let beside =
            self.program.iter().flat_map(|p| [p.clone(), p.join("../lib/watchlistd"), p.join("../lib")]);
        beside.chain(self.folders.iter().cloned())
    }

    /// The libraries to try, in order; the last is [`LIBRARY`] itself for the system's loader. A library that was
    /// named by the configuration or the variable is the only one.
    ///
    /// # Errors
    /// `Unavailable`, when a library was named and is not there.
    pub fn candidates(&self) -> Result<Vec<PathBuf>> {
        if let Some(path) = &self.configured {
            return named("models.runtime", path);
        }
        if let Some(path) = &self.variable {
            return named(VARIABLE, path);
        }
        let mut found: Vec<PathBuf> = self.places().filter_map(|folder| in_folder(&folder)).collect();
        found.push(PathBuf::from(LIBRARY));
        Ok(found)
    }

    /// The error when none of the candidates will do: every place, and what was wrong with what lay there.
    pub fn not_found(&self, tried: &[(PathBuf, String)]) -> Error {
        let places: Vec<String> = self.places().map(|p| p.display().to_string()).collect();
        let wrong: Vec<String> =
            tried.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
        Error::new(
            Kind::Unavailable,
            format!(
                "no ONNX Runtime: run `make setup`, or set models.runtime or {VARIABLE} to {LIBRARY}. Looked in {} \
                 and asked the system's loader ({})",
                places.join(", "),
                wrong.join("; ")
            ),
        )
    }
}

/// The folders after the program's own. `var/lib` only in a checkout: a daemon must not load a library from whatever folder
/// it was started in.
fn folders(working: &Path) -> Vec<PathBuf> {
    let mut folders =
        ["/usr/local/lib/watchlistd", "/usr/lib/watchlistd", "/usr/local/lib"].map(PathBuf::from).to_vec();
    if is_checkout(working) {
        folders.push(working.join("var/lib"));
    }
    folders
}

fn named(by: &str, path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_dir() {
        return match in_folder(path) {
            Some(library) => Ok(vec![library]),
            None => bail!(Unavailable, "{by}: no {LIBRARY} in {}", path.display()),
        };
    }
    if !path.is_file() {
        bail!(Unavailable, "{by}: {} is not there; run `make setup`, or name {LIBRARY}", path.display());
    }
    Ok(vec![path.to_path_buf()])
}

/// The library in a folder: without a version, else the highest version (`libonnxruntime.so.1.22.0`).
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(LIBRARY);
    if plain.is_file() {
        return Some(plain);
    }
    let version = |path: &PathBuf| -> Option<Vec<u32>> {
        let rest = path.file_name()?.to_str()?.strip_prefix(LIBRARY)?.strip_prefix('.')?;
        rest.split('.').map(|part| part.parse().ok()).collect()
    };
    let entries = std::fs::read_dir(folder).ok()?;
    let versions =
        entries.flatten().map(|entry| entry.path()).filter_map(|path| Some((version(&path)?, path)));
    versions.max().map(|(_, path)| path)
}

/// Looks at the file before the loader maps it: a library that was cut short would kill the process with SIGBUS.
/// Other formats than 64-bit little-endian ELF are left to the loader.
///
/// # Errors
/// `Unavailable`, when the file is no library or shorter than its own header says.
pub fn check_library(path: &Path) -> Result<()> {
    let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let length = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut header = [0u8; 64];
    let whole = file.read_exact(&mut header).is_ok();
    if !whole || !header.starts_with(b"\x7fELF") {
        bail!(Unavailable, "{} is not a shared library; run `make setup`", path.display());
    }
    if header.get(4..6) == Some(&[2, 1]) {
        let number = |at: usize, bytes: usize| -> u64 {
            header.iter().skip(at).take(bytes).rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        // e_shoff + e_shentsize * e_shnum: the table of sections ends the file.
        let end = number(0x28, 8).saturating_add(number(0x3a, 2) * number(0x3c, 2));
        if length < end {
            bail!(
                Unavailable,
                "{} is cut short ({length} bytes of at least {end}); run `make setup` again",
                path.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, b"x").expect("written");
    }

    #[test]
    fn a_named_library_is_the_only_one_and_must_be_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let missing = Surroundings { configured: Some(dir.path().join("gone.so")), ..Default::default() };
        let error = missing.candidates().expect_err("missing");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(
            error.to_string().contains("models.runtime") && error.to_string().contains("gone.so"),
            "{error}"
        );

        touch(&dir.path().join(LIBRARY));
        let folder = Surroundings {
            variable: Some(dir.path().into()),
            folders: vec!["/elsewhere".into()],
            ..Default::default()
        };
        assert_eq!(folder.candidates().expect("there"), [dir.path().join(LIBRARY)]);
    }

    #[test]
    fn folders_are_tried_in_order_and_the_highest_version_wins() {
        let dir = tempfile::tempdir().expect("a folder");
        let (bin, var) = (dir.path().join("bin"), dir.path().join("var/lib"));
        for name in ["libonnxruntime.so.1.9.1", "libonnxruntime.so.1.22.0", "libonnxruntime.so.txt"] {
            touch(&dir.path().join("lib").join(name));
        }
        touch(&var.join(LIBRARY));
        touch(&bin.join("watchlistd"));
        let here =
            Surroundings { program: Some(bin.clone()), folders: vec![var.clone()], ..Default::default() };
        let expected =
            [bin.join("../lib/libonnxruntime.so.1.22.0"), var.join(LIBRARY), PathBuf::from(LIBRARY)];
        assert_eq!(here.candidates().expect("some"), expected);
        let message = here.not_found(&[(LIBRARY.into(), "no such file".into())]).to_string();
        assert!(message.contains("make setup") && message.contains("var/lib"), "{message}");
    }

    #[test]
    fn an_installation_s_library_lies_beside_its_program() {
        let dir = tempfile::tempdir().expect("a folder");
        let bin = dir.path().join("bin");
        touch(&bin.join("watchlistd"));
        touch(&dir.path().join("lib/watchlistd").join(LIBRARY));
        touch(&dir.path().join("lib").join(LIBRARY));
        let installed = Surroundings { program: Some(bin.clone()), ..Default::default() };
        let found = installed.candidates().expect("some");
        assert_eq!(
            found[..2],
            [bin.join("../lib/watchlistd").join(LIBRARY), bin.join("../lib").join(LIBRARY)]
        );
    }

    #[test]
    fn a_working_directory_counts_only_if_it_is_a_checkout() {
        let dir = tempfile::tempdir().expect("a folder");
        let library = dir.path().join("var/lib");
        touch(&library.join(LIBRARY));
        assert!(!folders(dir.path()).contains(&library), "somebody's var/lib");
        touch(&dir.path().join("config/models/a.toml"));
        touch(&dir.path().join("Cargo.toml"));
        assert_eq!(folders(dir.path()).last(), Some(&library), "last");
    }

    #[test]
    fn what_is_no_library_or_cut_short_never_reaches_the_loader() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(LIBRARY);
        for bad in [&b""[..], b"not a library, but long enough to hold a header of sixty-four bytes......"] {
            std::fs::write(&path, bad).expect("written");
            assert_eq!(check_library(&path).expect_err("no library").kind(), Kind::Unavailable);
        }
        let program = std::env::current_exe().expect("a program");
        check_library(&program).expect("whole");
        let whole = std::fs::read(&program).expect("read");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
        let error = check_library(&path).expect_err("cut short").to_string();
        assert!(error.contains("cut short"), "{error}");
    }
}
