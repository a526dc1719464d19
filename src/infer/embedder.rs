//! Crops in, unit vectors out.

use super::Embedder;
use super::manifest::Manifest;
use super::ort::Session;
use super::plan::PoolPlan;
use crate::base::error::Result;
use crate::image::tensor::CropScaling;
use crate::types::embedding::Embedding;
use crate::types::face::FaceCrop;
use crate::types::frame::{Pixels, RgbImage};
use crate::types::geometry::Size;
use crate::types::ids::ModelId;
use crate::{bail, err};

/// An embedder that runs an ONNX model. One worker owns one.
pub struct OnnxEmbedder {
    session: Session,
    model: ModelId,
    output: String,
    dimension: usize,
    normalizes: bool,
    scaling: CropScaling,
    size: Size,
    plan: PoolPlan,
    // Reused: the tensor of one run.
    tensor: Vec<f32>,
}

impl OnnxEmbedder {
    /// Takes over a session of the manifest's model, and checks that its input and output are as described.
    ///
    /// # Errors
    /// `Config`, when the manifest is a detector's; `Data`, when the model has other names or shapes, with both.
    pub fn new(manifest: &Manifest, session: Session, plan: PoolPlan) -> Result<Self> {
        let spec = manifest.embedder()?;
        let size = spec.alignment.size();
        check_ports(manifest, &session, size)?;
        check_batch(manifest, &session, &plan)?;
        Ok(Self {
            session,
            model: manifest.model_id()?,
            output: spec.output.clone(),
            dimension: spec.dimension,
            normalizes: spec.normalizes,
            scaling: manifest.input.scaling,
            size,
            plan,
            tensor: Vec::new(),
        })
    }

    /// Runs every batch size once, so that the first faces do not wait for kernels to be chosen or engines built.
    ///
    /// # Errors
    /// As [`Embedder::embed`]; `Data`, when the answer's shape is not the manifest's.
    pub fn warm_up(&mut self) -> Result<()> {
        for step in self.plan.ladder.clone() {
            self.tensor.clear();
            self.tensor.resize(step * self.sample(), 0.0);
            self.run(step, step, |_| ())?;
        }
        Ok(())
    }

    /// Takes other numbers for a pixel from now on than its manifest says: to find out which it wants. What it makes then are
    /// vectors of another model, and nobody's templates.
    pub(crate) fn set_scaling(&mut self, scaling: CropScaling) {
        self.scaling = scaling;
    }

    /// True if the model itself makes vectors of length 1 of these.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub(crate) fn are_unit(&mut self, crops: &[&RgbImage]) -> Result<bool> {
        let mut unit = true;
        for crop in crops {
            let step = self.plan.step(1);
            self.fill(&[crop], step)?;
            let squares = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>();
            unit &= self.run(step, 1, squares)?.iter().all(|square| (square - 1.0).abs() < 1e-3);
        }
        Ok(unit)
    }

    /// Embeds aligned pictures that no aligner graded: for set-up and measurements.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn embed_images(&mut self, crops: &[&RgbImage]) -> Result<Vec<Result<Embedding>>> {
        let mut embeddings = Vec::with_capacity(crops.len());
        for part in crops.chunks(self.plan.step(crops.len())) {
            let step = self.plan.step(part.len());
            self.fill(part, step)?;
            let model = self.model;
            let unit = self.normalizes;
            let batch = self.run(step, part.len(), |vector| to_embedding(model, vector, unit))?;
            embeddings.extend(batch);
        }
        Ok(embeddings)
    }

    /// Numbers in one crop's tensor.
    fn sample(&self) -> usize {
        3 * self.size.area() as usize
    }

    /// Writes the crops to the tensor, one after the other; the rest of the step stays zero.
    fn fill(&mut self, crops: &[&RgbImage], step: usize) -> Result<()> {
        let sample = self.sample();
        self.tensor.clear();
        self.tensor.resize(step * sample, 0.0);
        for (crop, slot) in crops.iter().zip(self.tensor.chunks_exact_mut(sample)) {
            if crop.size() != self.size {
                bail!(Software, "a crop of {} for a model that takes {}", crop.size(), self.size);
            }
            self.scaling.write(crop, slot);
        }
        Ok(())
    }

    /// Runs the tensor, `step` samples long, and takes the first `wanted` vectors.
    fn run<T>(&mut self, step: usize, wanted: usize, take: impl Fn(&[f32]) -> T) -> Result<Vec<T>> {
        let shape = [step, 3, self.size.height as usize, self.size.width as usize];
        let outputs = self.session.run(&self.tensor, shape)?;
        let (shape, vectors) = outputs.tensor(&self.output)?;
        if vectors.len() != step * self.dimension {
            bail!(
                Data,
                "output {:?} has the shape {shape:?} for {step} crops, expected [{step}, {}]",
                self.output,
                self.dimension
            );
        }
        Ok(vectors.chunks_exact(self.dimension).take(wanted).map(take).collect())
    }
}

impl Embedder for OnnxEmbedder {
    fn model(&self) -> ModelId {
        self.model
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn max_batch(&self) -> usize {
        self.plan.max_batch
    }

    fn embed(&mut self, crops: &[FaceCrop]) -> Result<Vec<Result<Embedding>>> {
        let images: Vec<&RgbImage> = crops.iter().map(FaceCrop::image).collect();
        self.embed_images(&images)
    }
}

/// A vector that should have length 1 and has not came from a model its manifest does not describe.
fn to_embedding(model: ModelId, vector: &[f32], unit: bool) -> Result<Embedding> {
    let squared: f32 = vector.iter().map(|x| x * x).sum();
    if unit && (squared - 1.0).abs() > 0.01 {
        bail!(Data, "output.normalizes is true in the manifest, but the model's vectors are not of length 1");
    }
    Embedding::new(model, vector.to_vec())
}

/// A file that takes no other batch than one that the plan has a step for.
fn check_batch(manifest: &Manifest, session: &Session, plan: &PoolPlan) -> Result<()> {
    match session.input().shape.first() {
        Some(Some(batch)) if plan.ladder.iter().any(|step| step != batch) => bail!(
            Data,
            "{}: the model takes {batch} crops at once and no other number; say so with input.batch = {batch}",
            manifest.path.display()
        ),
        _ => Ok(()),
    }
}

fn check_ports(manifest: &Manifest, session: &Session, size: Size) -> Result<()> {
    let spec = manifest.embedder()?;
    let input = session.input();
    let wanted = [None, Some(3), Some(size.height as usize), Some(size.width as usize)];
    let fits = input.shape.iter().zip(wanted).skip(1).all(|(has, wants)| has.is_none() || *has == wants);
    if input.name != manifest.input.name || !fits {
        bail!(
            Data,
            "{}: the model's input is {input}, expected {} [batch, 3, {}, {}]",
            manifest.path.display(),
            manifest.input.name,
            size.height,
            size.width
        );
    }
    let output = session.outputs().iter().find(|port| port.name == spec.output).ok_or_else(|| {
        let has: Vec<String> = session.outputs().iter().map(ToString::to_string).collect();
        err!(
            Data,
            "{}: the model has no output {:?}, only {}",
            manifest.path.display(),
            spec.output,
            has.join(", ")
        )
    })?;
    // The product, so that [b, 512, 1, 1] will do as well as [b, 512].
    let width = output.shape.iter().skip(1).copied().product::<Option<usize>>();
    if width.is_some_and(|width| width != spec.dimension) {
        bail!(
            Data,
            "{}: the model's output is {output}, expected [batch, {}]",
            manifest.path.display(),
            spec.dimension
        );
    }
    Ok(())
}
