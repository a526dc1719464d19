//! ONNX Runtime: the only file that names the `ort` crate.
//!
//! ```text
//!  Runtime::get ─▶ library found, looked at, loaded once ─▶ environment (one a process, never torn down)
//!                                                             │
//!  verified bytes of a model + SessionOptions ───────────▶ Session: one owner, one thread, one input
//! ```
//!
//! A device that was asked for and cannot be had is an error: providers are registered with `error_on_failure`,
//! and where the nodes landed is read from the runtime's own log, for it falls back to the CPU node by node.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{TensorElementType, TensorRef, ValueType};

use super::denormals::DenormalsAreZero;
use super::placement::Placement;
use super::runtime::{Surroundings, check_library};
use crate::base::error::{Error, Kind, Result};
use crate::config::Device;
use crate::{bail, err};

/// The loaded library. There is one for the life of the process.
#[derive(Debug)]
pub struct Runtime {
    environment: ort::environment::Environment,
    library: PathBuf,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// The runtime; loads it the first time. `configured` is the configuration's `models.runtime`.
    ///
    /// # Errors
    /// `Unavailable`, when there is no library, it does not load or is too old, and where it was looked for;
    /// `Config`, when another library than the one loaded is asked for.
    pub fn get(configured: Option<&Path>) -> Result<&'static Self> {
        let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = RUNTIME.get() {
            return loaded.is_what_was_asked_for(configured);
        }
        let loaded = Self::load(&Surroundings::of_process(configured))?;
        tracing::info!(library = %loaded.library.display(), build = loaded.build(), "ONNX Runtime loaded");
        Ok(RUNTIME.get_or_init(|| loaded))
    }

    fn is_what_was_asked_for(&'static self, configured: Option<&Path>) -> Result<&'static Self> {
        let Some(path) = configured else { return Ok(self) };
        let asked = Surroundings::of_process(Some(path)).candidates()?;
        let same = |path: &PathBuf| path.canonicalize().ok() == self.library.canonicalize().ok();
        if !asked.iter().any(same) {
            bail!(
                Config,
                "models.runtime: {} cannot be loaded beside {}; restart to change it",
                path.display(),
                self.library.display()
            );
        }
        Ok(self)
    }

    fn load(surroundings: &Surroundings) -> Result<Self> {
        let mut tried = Vec::new();
        for library in surroundings.candidates()? {
            match Self::load_from(&library) {
                Ok(runtime) => return Ok(runtime),
                Err(e) => tried.push((library, e.chain())),
            }
        }
        Err(surroundings.not_found(&tried))
    }

    fn load_from(library: &Path) -> Result<Self> {
        if library.components().count() > 1 {
            check_library(library)?;
        }
        let builder =
            ort::init_from(library).map_err(|e| err!(Unavailable, "it does not load").because(e))?;
        let environment = builder
            .with_name("watchlistd")
            .with_telemetry(false)
            .with_logger(Arc::new(|level, _, _, _, message| log(level, message)))
            .build()
            .map_err(|e| err!(Unavailable, "it does not start").because(e))?;
        environment.set_log_level(LogLevel::Warning);
        Ok(Self { environment, library: library.to_path_buf() })
    }

    /// The library's file.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// What the library says of its build: branch, commit, flags.
    pub fn build(&self) -> &'static str {
        ort::info()
    }

    /// The execution providers, among those this program can use, that the library was built with.
    pub fn providers(&self) -> Vec<&'static str> {
        fn has<P: ExecutionProvider>() -> Option<&'static str> {
            P::is_available().unwrap_or(false).then_some(P::NAME)
        }
        [has::<ep::CPU>(), has::<ep::CUDA>(), has::<ep::TensorRT>(), has::<ep::OpenVINO>()]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// What fails in the runtime is reported by whoever called it; the runtime's own words are for those who look.
fn log(level: LogLevel, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::warn!(target: "onnxruntime", "{message}"),
        LogLevel::Warning => tracing::debug!(target: "onnxruntime", "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(target: "onnxruntime", "{message}"),
    }
}

/// The smallest, usual and largest input, for engines that are built ahead (TensorRT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Name of the input.
    pub input: String,
    /// Smallest.
    pub min: [usize; 4],
    /// What it is tuned for.
    pub opt: [usize; 4],
    /// Largest.
    pub max: [usize; 4],
}

/// How a model is run.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Where.
    pub device: Device,
    /// Threads inside one operator. One a session and a session a core is fastest on a CPU.
    pub threads: usize,
    /// True if the input's shape changes from call to call: memory is then not planned ahead.
    pub varying_shapes: bool,
    /// Shapes an engine is built for, if the device builds one.
    pub profile: Option<Profile>,
    /// Folder where built engines are kept.
    pub cache: Option<PathBuf>,
    /// Look where the nodes landed.
    pub check_placement: bool,
}

impl SessionOptions {
    /// One thread; placement is looked at on everything but the CPU.
    pub fn new(device: Device) -> Self {
        let check_placement = device != Device::Cpu;
        Self { device, threads: 1, varying_shapes: false, profile: None, cache: None, check_placement }
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// Dimensions; `None` where the model leaves one open.
    pub shape: Vec<Option<usize>>,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<String> =
            self.shape.iter().map(|d| d.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
        write!(f, "{} [{}]", self.name, dims.join(", "))
    }
}

/// A model that is ready to run, with one 4-dimensional f32 input and f32 outputs.
#[derive(Debug)]
pub struct Session {
    inner: ort::session::Session,
    name: String,
    device: Device,
    input: Port,
    outputs: Vec<Port>,
    placement: Option<Placement>,
}

impl Session {
    /// Makes a session of a model's bytes; `name` is the model's in messages.
    ///
    /// # Errors
    /// `Data`, when the bytes are no model, or one with other inputs or outputs than one f32 image in and f32
    /// tensors out; `Unavailable`, when the device cannot be had, with its name and what is missing.
    pub fn open(runtime: &Runtime, name: &str, model: &[u8], options: &SessionOptions) -> Result<Self> {
        let placement = options.check_placement.then(|| Arc::new(Mutex::new(Placement::default())));
        let mut builder = configure(runtime, options, placement.clone()).map_err(device_error(options))?;
        for (provider, dispatch) in providers(runtime, options)? {
            builder = builder.with_execution_providers([dispatch.error_on_failure()]).map_err(|e| {
                err!(Unavailable, "inference.device {}: {provider} cannot be had", options.device)
                    .because(e.to_string())
            })?;
        }
        // The runtime sets the mode of the thread that makes the first session, for good: this sets it back.
        let flush = DenormalsAreZero::set();
        let committed = builder.commit_from_memory(model);
        drop(flush);
        let inner = committed.map_err(|e| open_error(name, options, e))?;
        let placement = placement.map(|p| p.lock().unwrap_or_else(PoisonError::into_inner).clone());
        if let (Some(placement), true) = (&placement, options.device != Device::Cpu) {
            placement.check(name, &options.device)?;
        }
        let (input, outputs) = ports(name, &inner)?;
        Ok(Self { inner, name: name.to_owned(), device: options.device.clone(), input, outputs, placement })
    }

    /// The model's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The input.
    pub fn input(&self) -> &Port {
        &self.input
    }

    /// The outputs.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Where the nodes landed, if that was looked at.
    pub fn placement(&self) -> Option<&Placement> {
        self.placement.as_ref()
    }

    /// Runs the model on one tensor.
    ///
    /// # Errors
    /// `Software`, when the tensor does not fit the model; `Unavailable`, when the device fails.
    pub fn run(&mut self, tensor: &[f32], shape: [usize; 4]) -> Result<Outputs<'_>> {
        let failed = |e: ort::Error| {
            let kind = if is_device_failure(&e) { Kind::Unavailable } else { Kind::Software };
            Error::new(kind, format!("{} failed on {} with an input of {shape:?}", self.name, self.device))
                .because(e)
        };
        let input = TensorRef::from_array_view((shape, tensor)).map_err(failed)?;
        let flush = DenormalsAreZero::set();
        let answer = self.inner.run(ort::inputs![input]);
        drop(flush);
        match answer {
            Ok(values) => Ok(Outputs { values, name: &self.name }),
            Err(e) => Err(failed(e)),
        }
    }
}

/// What a model answered. Borrows the session's memory.
#[derive(Debug)]
pub struct Outputs<'s> {
    values: ort::session::SessionOutputs<'s>,
    name: &'s str,
}

impl Outputs<'_> {
    /// The shape and values of one output.
    ///
    /// # Errors
    /// `Data`, when there is no such output or it holds no f32.
    pub fn tensor(&self, output: &str) -> Result<(&[i64], &[f32])> {
        let missing = || err!(Data, "{} has no output {output:?}", self.name);
        let value = if output.is_empty() { None } else { self.values.get(output) }.ok_or_else(missing)?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|e| err!(Data, "output {output:?} of {} is not read", self.name).because(e))?;
        Ok((shape, data))
    }
}

fn configure(
    runtime: &Runtime,
    options: &SessionOptions,
    placement: Option<Arc<Mutex<Placement>>>,
) -> ort::Result<SessionBuilder> {
    let builder = ort::session::Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(options.threads)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        // A thread that spins burns a core that another camera could use.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_flush_to_zero()?
        .with_deterministic_compute(true)?
        .with_memory_pattern(!options.varying_shapes)?;
    let Some(placement) = placement else {
        return Ok(builder.with_log_level(LogLevel::Warning)?);
    };
    let logger = move |level: LogLevel, _: &str, _: &str, _: &str, message: &str| {
        placement.lock().unwrap_or_else(PoisonError::into_inner).read(message);
        log(level, message);
    };
    // The runtime says where nodes land at its most talkative level only.
    Ok(builder.with_logger(Arc::new(logger))?.with_log_level(LogLevel::Verbose)?)
}

type Provider = (&'static str, ExecutionProviderDispatch);

/// The providers of a device, the preferred one first. None for the CPU, which is always there.
fn providers(runtime: &Runtime, options: &SessionOptions) -> Result<Vec<Provider>> {
    let built_with = |provider: &'static str, how: &str| -> Result<()> {
        if runtime.providers().contains(&provider) {
            return Ok(());
        }
        bail!(
            Unavailable,
            "inference.device {}: the ONNX Runtime at {} was built without {provider} (it has {}); {how}",
            options.device,
            runtime.library.display(),
            runtime.providers().join(", ")
        )
    };
    const GPU: &str = "run `make setup GPU=1`, or set inference.device to \"cpu\"";
    Ok(match options.device {
        Device::Cpu => Vec::new(),
        Device::Cuda(n) => {
            built_with(ep::CUDA::NAME, GPU)?;
            vec![(ep::CUDA::NAME, cuda(n))]
        }
        Device::TensorRt(n) => {
            built_with(ep::TensorRT::NAME, GPU)?;
            // Nodes TensorRT has no kernel for run on the same GPU, not on the CPU.
            vec![(ep::TensorRT::NAME, tensorrt(n, options)), (ep::CUDA::NAME, cuda(n))]
        }
        Device::OpenVino => {
            built_with(ep::OpenVINO::NAME, "install one that has it, or set inference.device to \"cpu\"")?;
            vec![(ep::OpenVINO::NAME, openvino(options))]
        }
    })
}

fn cuda(device: u32) -> ExecutionProviderDispatch {
    ep::CUDA::default()
        .with_device_id(i32::try_from(device).unwrap_or(i32::MAX))
        // An exhaustive search would run again for each new shape.
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        // 10-bit products would move scores away from those of templates enrolled on a CPU.
        .with_tf32(false)
        .build()
}

fn tensorrt(device: u32, options: &SessionOptions) -> ExecutionProviderDispatch {
    let mut provider =
        ep::TensorRT::default().with_device_id(i32::try_from(device).unwrap_or(i32::MAX)).with_fp16(false);
    if let Some(cache) = &options.cache {
        let cache = cache.display();
        provider = provider
            .with_engine_cache(true)
            .with_engine_cache_path(&cache)
            .with_timing_cache(true)
            .with_timing_cache_path(&cache);
    }
    if let Some(profile) = &options.profile {
        let shape = |[n, c, h, w]: [usize; 4]| format!("{}:{n}x{c}x{h}x{w}", profile.input);
        provider = provider
            .with_profile_min_shapes(shape(profile.min))
            .with_profile_opt_shapes(shape(profile.opt))
            .with_profile_max_shapes(shape(profile.max));
    }
    provider.build()
}

fn openvino(options: &SessionOptions) -> ExecutionProviderDispatch {
    let mut provider = ep::OpenVINO::default().with_num_threads(options.threads);
    if let Some(cache) = &options.cache {
        provider = provider.with_cache_dir(cache.display());
    }
    provider.build()
}

fn device_error(options: &SessionOptions) -> impl Fn(ort::Error) -> Error + '_ {
    |e| err!(Unavailable, "inference.device {}: no session can be made", options.device).because(e)
}

fn is_device_failure<R>(e: &ort::Error<R>) -> bool {
    use ort::ErrorCode as C;
    matches!(e.code(), C::ExecutionProviderFailure | C::EngineError | C::DeviceReset)
}

fn open_error(name: &str, options: &SessionOptions, e: ort::Error) -> Error {
    use ort::ErrorCode as C;
    let bad_file = matches!(e.code(), C::InvalidProtobuf | C::InvalidGraph | C::NoModel | C::InvalidArgument);
    if is_device_failure(&e) || (options.device != Device::Cpu && !bad_file) {
        return err!(Unavailable, "inference.device {}: {name} cannot be loaded on it", options.device)
            .because(e);
    }
    err!(Data, "{name} is not an ONNX model this ONNX Runtime can load").because(e)
}

fn ports(name: &str, session: &ort::session::Session) -> Result<(Port, Vec<Port>)> {
    let port = |outlet: &ort::value::Outlet| -> Result<Port> {
        let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = outlet.dtype() else {
            bail!(Data, "{name}: {} is {}, expected an f32 tensor", outlet.name(), outlet.dtype());
        };
        let shape = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
        Ok(Port { name: outlet.name().to_owned(), shape })
    };
    let [input] = session.inputs() else {
        bail!(Data, "{name} has {} inputs, expected one", session.inputs().len());
    };
    let input = port(input)?;
    if input.shape.len() != 4 {
        bail!(
            Data,
            "{name}: its input is {input}, expected four dimensions (batch, channels, height, width)"
        );
    }
    let outputs = session.outputs().iter().map(port).collect::<Result<_>>()?;
    Ok((input, outputs))
}
