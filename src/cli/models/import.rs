//! `watchlistd models import`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use sha2::{Digest, Sha256};

use crate::base::durable;
use crate::base::error::Result;
use crate::cli::output;
use crate::infer::import::{Architecture, draft, to_onnx};
use crate::infer::torch::{StateDictionary, read_file};
use crate::types::ids::ModelId;
use crate::{bail, err};

/// Anybody may read a model.
const MODE: u32 = 0o644;

/// Arguments of `models import`.
#[derive(Debug, Args)]
#[command(after_help = "Example: watchlistd models import --family facenet-mobilenet facenet_mobilenet.pth")]
pub(in crate::cli) struct ImportArgs {
    /// The network that the weights belong to.
    #[arg(long, value_name = "FAMILY", value_parser = families())]
    family: Architecture,
    /// The weights: .pth (both formats of `torch.save`) or .safetensors.
    #[arg(value_name = "WEIGHTS")]
    weights: PathBuf,
    /// Where the ONNX file goes; the manifest's draft goes beside it, as .toml. [default: WEIGHTS as .onnx]
    #[arg(long, value_name = "FILE.onnx")]
    output: Option<PathBuf>,
    /// Write over files that are there.
    #[arg(long)]
    force: bool,
}

fn families() -> impl TypedValueParser<Value = Architecture> {
    let names = PossibleValuesParser::new(Architecture::ALL.map(Architecture::as_str));
    names.try_map(|name| Architecture::from_name(&name).ok_or("no family that can be imported"))
}

/// The two files that are made.
struct Targets {
    onnx: PathBuf,
    manifest: PathBuf,
}

pub(super) fn import(args: &ImportArgs) -> Result<ExitCode> {
    output::print(&import_to(args)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What is said of it.
pub(super) fn import_to(args: &ImportArgs) -> Result<String> {
    let targets = Targets::of(args)?;
    let without_extension = targets.onnx.with_extension("");
    let (name, file, source) =
        (name_of(&without_extension)?, name_of(&targets.onnx)?, name_of(&args.weights)?);
    let weights = read_file(&args.weights)?;
    let onnx = StateDictionary::parse(&weights)
        .and_then(|weights| to_onnx(args.family, &weights))
        .map_err(|e| err!(Data, "{} cannot be imported", args.weights.display()).because(e))?;
    let [sha256, weights_sha256] = [&onnx, &weights].map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)));
    let manifest = draft(args.family, name, (file, &sha256), (source, &weights_sha256));
    targets.write(&onnx, &manifest, args.force)?;
    Ok(format!(
        "{onnx}: {family}, {size:.1} MB, SHA-256 {hash}\n\
         {manifest}: the draft of its manifest; licence, training data and threshold are yours to fill in\n\
         next: watchlistd models add {onnx} --manifest {manifest}\n",
        onnx = targets.onnx.display(),
        manifest = targets.manifest.display(),
        family = args.family.as_str(),
        size = onnx.len() as f64 / 1e6,
        hash = ModelId(sha256).hex(),
    ))
}

impl Targets {
    /// What is wrong with them is said before any work is done.
    fn of(args: &ImportArgs) -> Result<Self> {
        let onnx = args.output.clone().unwrap_or_else(|| args.weights.with_extension("onnx"));
        if onnx.extension().is_none_or(|extension| extension != "onnx") {
            bail!(Usage, "--output: {} does not end in .onnx", onnx.display());
        }
        let targets = Self { manifest: onnx.with_extension("toml"), onnx };
        for path in [&targets.onnx, &targets.manifest] {
            if *path == args.weights {
                bail!(Usage, "{} is the file of weights; name another with --output", path.display());
            }
            if !args.force && path.symlink_metadata().is_ok() {
                bail!(CannotCreate, "{} is there already; --force writes over it", path.display());
            }
        }
        Ok(targets)
    }

    fn write(&self, onnx: &[u8], manifest: &str, force: bool) -> Result<()> {
        let write = if force { durable::write } else { durable::create };
        write(&self.onnx, onnx, MODE)?;
        write(&self.manifest, manifest.as_bytes(), MODE).inspect_err(|_| {
            // Alone it would keep the next run from writing both.
            if !force {
                let _ = std::fs::remove_file(&self.onnx);
            }
        })
    }
}

fn name_of(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| err!(Usage, "{}: its name is no text, and goes into a manifest", path.display()))
}
