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
use super::norm::Norm;
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
        let mut model =
            Self { spec: spec.clone(), kind, devices, embedding, layers, head, facts: ModelFacts::default() };
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
        let cache = |(place, layer): &(usize, Layer)| {
            Cache::new(layer.cache_shape(rows, capacity), self.kind, self.devices[*place])
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

    fn gather_facts(&self, options: &LoadOptions, threads: usize) -> ModelFacts {
        let name = |place: usize| device::name(self.devices[place]);
        let (mut held, mut read) = (0, 0);
        for (_, layer) in &self.layers {
            let bytes = layer.bytes();
            (held, read) = (held + bytes.0, read + bytes.1);
        }
        let head = self.head.linear.bytes() + self.head.norm.as_ref().map_or(0, Norm::bytes);
        let positions = self.embedding.positions.as_ref().map_or(0, |(table, _)| super::bytes(table));
        let row = super::bytes(&self.embedding.tokens) / self.spec.vocab_size.max(1) as u64;
        let mut devices: Vec<String> = self.layers.iter().map(|(place, _)| name(*place)).collect();
        let layer_devices = devices.clone();
        devices.dedup();
        ModelFacts {
            family: self.spec.family.to_owned(),
            parameters: self.spec.parameters(),
            weight_bytes: held + head + positions + super::bytes(&self.embedding.tokens),
            weight_bytes_per_token: read + head + row,
            dtype: dtype_name(self.kind).to_owned(),
            quantization: options.quantization.name().to_owned(),
            device: devices.join(", "),
            layer_devices,
            kernels: self.layers.first().map_or("plain", |(_, layer)| layer.kernel()).to_owned(),
            threads,
            max_context: self.spec.max_context,
            vocab_size: self.spec.vocab_size,
            remarks: Vec::new(),
        }
    }
}

impl Embedding {
    fn load(
        spec: &Spec,
        loader: &mut Loader<'_>,
        place: usize,
        devices: &[Device],
    ) -> Result<Self, EngineError> {
        let tokens = loader.one(&spec.embedding.tokens, devices[place])?;
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
        let shared = spec.head.tied && embedding.place == place;
        let weight = if shared {
            loader.skip(&spec.head.linear.weight);
            embedding.tokens.shallow_clone()
        } else {
            loader.stacked(&spec.head.linear.weight, devices[place])?
        };
        let bias = loader.bias(&spec.head.linear, devices[place])?;
        let linear = Linear::new(weight, bias, super::Quantization::None)?;
        Ok(Self { place, norm, linear, scale: spec.head.scale, soft_cap: spec.head.soft_cap })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let mut logits = match &self.norm {
            Some(norm) => self.linear.apply(&norm.apply(x)?)?,
            None => self.linear.apply(x)?,
        };
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
