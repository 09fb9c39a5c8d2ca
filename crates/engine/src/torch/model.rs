//! A loaded model: the embedding, the layers on their devices, the last norm and the head.
//!
//! Refuses to know files and sampling.

use ai_energy_backends_pytorch::TorchDtype;
use tch::{Device, Kind, Tensor};

use super::batch::Batch;
use super::cache::Cache;
use super::layer::Layer;
use super::linear::Linear;
use super::load::Loader;
use super::native::Inference;
use super::native::decode::{At, NormParts, Plan};
use super::native::product::MOST_ROWS;
use super::native::room::Room;
use super::norm::Norm;
use super::rope::Angles;
use super::step::Step;
use super::{LoadOptions, ModelFacts, device, places};
use crate::EngineError;
use crate::model::Spec;
use crate::weights::{Stored, Weights};

/// A model whose weights are on their devices, ready to compute. `Send`, not `Sync`: one thread computes with it.
#[derive(Debug)]
pub struct Model {
    pub(super) spec: Spec,
    pub(super) kind: Kind,
    /// The devices in use; everything below says where it is by place in this list.
    pub(super) devices: Vec<Device>,
    pub(super) embedding: Embedding,
    pub(super) layers: Vec<(usize, Layer)>,
    head: Head,
    /// A step over one position a row in one call, where the processor computes all layers.
    plan: Option<Plan>,
    facts: ModelFacts,
}

/// How tokens become vectors.
#[derive(Debug)]
pub(super) struct Embedding {
    pub(super) place: usize,
    tokens: Tensor,
    scale: f64,
    positions: Option<(Tensor, i64)>,
}

/// How vectors become logits.
#[derive(Debug)]
struct Head {
    place: usize,
    norm: Option<Norm>,
    linear: Linear,
    /// Its matrix is the embedding itself.
    shared: bool,
    scale: f64,
    soft_cap: Option<f64>,
}

impl Model {
    /// Puts the weights onto their devices, layer by layer; `progress` is told the bytes done and the bytes in all.
    ///
    /// # Errors
    /// A device that is not there, weights that are missing or of another shape, or not enough memory.
    pub fn load(
        spec: &Spec,
        weights: &dyn Weights,
        options: &LoadOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, EngineError> {
        let devices = device::chosen(&options.device, &options.device_ids)?;
        let threads = device::set_threads(options.threads);
        let kind = kind(options.dtype, weights.main_format());
        let _inference = Inference::enter();
        let (devices, placement) = places::place(spec, kind, devices, options)?;
        let mut values = spec.parameters();
        if spec.head.tied {
            values += spec.head.linear.parameters();
        }
        let mut loader = Loader::new(weights, kind, values, progress);
        let embedding = Embedding::load(spec, &mut loader, placement.embedding, &devices)?;
        let mut layers = Vec::with_capacity(spec.layers.len());
        for (layer, &place) in spec.layers.iter().zip(&placement.layers) {
            let layer = Layer::load(layer, &spec.ropes, &mut loader, devices[place], options.quantization)?;
            layers.push((place, layer));
        }
        let head = Head::load(spec, &mut loader, placement.head, &devices, &embedding)?;
        let plan = plan(&devices, &layers, &head)?;
        let facts = ModelFacts::default();
        let mut model = Self { spec: spec.clone(), kind, devices, embedding, layers, head, plan, facts };
        model.facts = model.gather_facts(options, threads);
        Ok(model)
    }

    /// What is worth knowing about it.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// Computes prompts together (padded on the left) and keeps room for `capacity` positions a row, prompt and output
    /// together.
    ///
    /// # Errors
    /// No prompt, an empty one, a token that the model does not know, a capacity beyond the context or below a prompt, or
    /// libtorch fails.
    pub fn begin(&self, prompts: &[&[u32]], capacity: usize) -> Result<Batch<'_>, EngineError> {
        Batch::begin(self, prompts, capacity)
    }

    /// Room for keys and values of all layers.
    pub(super) fn caches(&self, rows: i64, capacity: i64) -> Result<Vec<Cache>, EngineError> {
        let mut room = Room::new();
        let cache = |(place, layer): &(usize, Layer)| {
            Cache::new(layer.cache_shape(rows, capacity), self.kind, self.devices[*place], &mut room)
        };
        self.layers.iter().map(cache).collect()
    }

    /// The logits of each row's last position, `[rows, vocab_size]` in single precision. `tokens` and `positions` are
    /// `[rows, count]`; there is a step a device.
    pub(super) fn forward(
        &self,
        tokens: &Tensor,
        positions: Option<&Tensor>,
        caches: &[Cache],
        steps: &[Step],
    ) -> Result<Tensor, EngineError> {
        let mut x = self.embedding.apply(tokens, positions)?;
        if let (Some(plan), [step]) = (&self.plan, steps)
            && step.count == 1
            && step.rows <= MOST_ROWS
        {
            return self.by_plan(plan, &x, caches, step);
        }
        let mut at = self.embedding.place;
        for ((place, layer), cache) in self.layers.iter().zip(caches) {
            if *place != at {
                x = x.f_to_device(self.devices[*place])?;
                at = *place;
            }
            x = layer.apply(&x, cache, &steps[*place])?;
        }
        if let Some(step) = steps.get(at).filter(|step| step.count > 1) {
            x = x.f_view([step.rows, step.count, -1])?.f_select(1, step.count - 1)?;
        }
        self.head.apply(&x.f_to_device(self.devices[self.head.place])?)
    }

    /// One position a row in one call.
    fn by_plan(&self, plan: &Plan, x: &Tensor, caches: &[Cache], step: &Step) -> Result<Tensor, EngineError> {
        let caches: Vec<_> = caches.iter().map(Cache::whole).collect();
        let angles: Vec<_> = step.angles.iter().map(Angles::both).collect();
        let at = At { mask: step.padding.as_deref(), place: step.start };
        self.head.finished(plan.run(x, &caches, &angles, at)?)
    }

    /// How matrices are multiplied, for reports.
    fn kernels(&self) -> String {
        let mut names: Vec<&str> = self.layers.iter().map(|(_, layer)| layer.kernel()).collect();
        names.push(self.head.linear.kernel());
        names.dedup();
        let names = names.join(", then ");
        if self.plan.is_some() { format!("{names}, a step in one call") } else { names }
    }

    fn gather_facts(&self, options: &LoadOptions, threads: usize) -> ModelFacts {
        let name = |place: usize| device::name(self.devices[place]);
        let (mut held, mut read) = (0, 0);
        for (_, layer) in &self.layers {
            let bytes = layer.bytes();
            (held, read) = (held + bytes.0, read + bytes.1);
        }
        let head = self.head.linear.bytes() + self.head.norm.as_ref().map_or(0, Norm::bytes);
        let twice = if self.head.shared { super::bytes(&self.embedding.tokens) } else { 0 };
        let positions = self.embedding.positions.as_ref().map_or(0, |(table, _)| super::bytes(table));
        let row = super::bytes(&self.embedding.tokens) / self.spec.vocab_size.max(1) as u64;
        let mut devices: Vec<String> = self.layers.iter().map(|(place, _)| name(*place)).collect();
        let layer_devices = devices.clone();
        devices.dedup();
        ModelFacts {
            family: self.spec.family.to_owned(),
            parameters: self.spec.parameters(),
            weight_bytes: held + head + positions + super::bytes(&self.embedding.tokens) - twice,
            weight_bytes_per_token: read + head + row,
            dtype: dtype_name(self.kind).to_owned(),
            quantization: options.quantization.name().to_owned(),
            device: devices.join(", "),
            layer_devices,
            kernels: self.kernels(),
            threads,
            max_context: self.spec.max_context,
            vocab_size: self.spec.vocab_size,
            remarks: Vec::new(),
        }
    }
}

/// A step in one call, where one processor computes all layers and each is of a kind that is known there. Its threads are
/// OpenMP's, which only the build for Linux has.
fn plan(devices: &[Device], layers: &[(usize, Layer)], head: &Head) -> Result<Option<Plan>, EngineError> {
    let parts: Option<Vec<_>> = layers.iter().map(|(_, layer)| layer.parts()).collect();
    match (devices, parts, head.linear.parts()) {
        ([Device::Cpu], Some(parts), Some(linear)) if cfg!(target_os = "linux") => {
            let last = head.norm.as_ref().map_or(NormParts::NONE, Norm::parts);
            Plan::new(&parts, last, linear).map(Some)
        }
        _ => Ok(None),
    }
}

impl Embedding {
    fn load(
        spec: &Spec,
        loader: &mut Loader<'_>,
        place: usize,
        devices: &[Device],
    ) -> Result<Self, EngineError> {
        let tokens = loader.table(&spec.embedding.tokens, devices[place])?;
        let mut scale = spec.embedding.scale;
        if spec.embedding.scale_rounded {
            scale = Tensor::from_slice(&[scale]).f_to_kind(loader.kind)?.f_double_value(&[0])?;
        }
        let positions = spec.embedding.positions.as_ref().map(|positions| {
            Ok::<_, EngineError>((loader.one(&positions.table, devices[place])?, positions.offset as i64))
        });
        Ok(Self { place, tokens, scale, positions: positions.transpose()? })
    }

    /// `[rows * count, hidden]`.
    fn apply(&self, tokens: &Tensor, positions: Option<&Tensor>) -> Result<Tensor, EngineError> {
        let mut x = self.tokens.f_index_select(0, &tokens.f_reshape([-1])?)?;
        if self.scale != 1.0 {
            x = x.f_mul_scalar_(self.scale)?;
        }
        if let (Some((table, offset)), Some(positions)) = (&self.positions, positions) {
            let rows = positions.f_add_scalar(*offset)?.f_reshape([-1])?;
            x = x.f_add_(&table.f_index_select(0, &rows)?)?;
        }
        Ok(x)
    }

    /// `true` where positions are learned.
    pub(super) fn wants_positions(&self) -> bool {
        self.positions.is_some()
    }
}

impl Head {
    fn load(
        spec: &Spec,
        loader: &mut Loader<'_>,
        place: usize,
        devices: &[Device],
        embedding: &Embedding,
    ) -> Result<Self, EngineError> {
        let norm =
            spec.final_norm.as_ref().map(|norm| Norm::load(norm, loader, devices[place])).transpose()?;
        let bias = loader.bias(&spec.head.linear, devices[place])?;
        let shared = spec.head.tied && embedding.place == place;
        let linear = if shared {
            loader.skip(&spec.head.linear.weight);
            Linear::over(embedding.tokens.shallow_clone(), bias)
        } else {
            let weight = loader.stacked(&spec.head.linear.weight, devices[place])?;
            loader.matrix(weight, bias, super::Quantization::None)?
        };
        Ok(Self { place, norm, linear, shared, scale: spec.head.scale, soft_cap: spec.head.soft_cap })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        self.finished(match &self.norm {
            Some(norm) => self.linear.apply(&norm.apply(x)?)?,
            None => self.linear.apply(x)?,
        })
    }

    /// What becomes of the product.
    fn finished(&self, mut logits: Tensor) -> Result<Tensor, EngineError> {
        if self.scale != 1.0 {
            logits = logits.f_mul_scalar_(self.scale)?;
        }
        if let Some(cap) = self.soft_cap {
            logits = logits.f_div_scalar_(cap)?.f_tanh_()?.f_mul_scalar_(cap)?;
        }
        Ok(logits.f_to_kind(Kind::Float)?)
    }
}

fn kind(asked: TorchDtype, stored: Stored) -> Kind {
    match (asked, stored) {
        (TorchDtype::Float32, _) | (TorchDtype::Auto, Stored::F32 | Stored::U8) => Kind::Float,
        (TorchDtype::Float16, _) | (TorchDtype::Auto, Stored::F16) => Kind::Half,
        (TorchDtype::Bfloat16, _) | (TorchDtype::Auto, Stored::Bf16) => Kind::BFloat16,
    }
}

fn dtype_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        _ => "float32",
    }
}
