//! The part of a layer that treats each position alone: one for all tokens, or a mixture of experts.
//!
//! Refuses to know families.

use tch::{Device, Kind, Tensor};

use super::Quantization;
use super::linear::{Linear, activate};
use super::load::Loader;
use crate::EngineError;
use crate::model::{self, Activation, Routing};

/// Into the intermediate width.
#[derive(Debug)]
enum Up {
    /// One matrix.
    Single(Linear),
    /// Gate and up apart: each product is activated and multiplied as it is written.
    Apart { gate: Linear, up: Linear },
    /// Gate and up in one product.
    Together(Linear),
}

/// Two matrices with an activation between.
#[derive(Debug)]
pub(super) struct Mlp {
    activation: Activation,
    up: Up,
    down: Linear,
}

/// The part of a layer that treats each position alone.
#[derive(Debug)]
pub(super) enum FeedForward {
    /// One for every token.
    Dense(Mlp),
    /// Some of many.
    Experts(Box<Experts>),
}

/// A mixture of experts.
#[derive(Debug)]
pub(super) struct Experts {
    chosen: i64,
    routing: Routing,
    router: Linear,
    experts: Vec<Mlp>,
    shared: Option<(Mlp, Option<Linear>)>,
}

impl Mlp {
    /// Loads what a spec describes.
    fn load(
        spec: &model::Mlp,
        loader: &mut Loader<'_>,
        device: Device,
        quantization: Quantization,
    ) -> Result<Self, EngineError> {
        let up = if spec.gated {
            gated(spec, loader, device, quantization)?
        } else {
            Up::Single(loader.linear(&spec.up, device, quantization)?)
        };
        Ok(Self { activation: spec.activation, up, down: loader.linear(&spec.down, device, quantization)? })
    }

    fn bytes(&self) -> u64 {
        let up = match &self.up {
            Up::Single(linear) | Up::Together(linear) => linear.bytes(),
            Up::Apart { gate, up } => gate.bytes() + up.bytes(),
        };
        up + self.down.bytes()
    }

    /// The result; with `residual`, that is added to it.
    fn apply(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor, EngineError> {
        let middle = match &self.up {
            Up::Single(linear) => linear.activated(x, self.activation)?,
            Up::Apart { gate, up } => up.times(x, &gate.activated(x, self.activation)?)?,
            Up::Together(linear) => join(&linear.apply(x)?, self.activation)?,
        };
        match residual {
            Some(residual) => self.down.plus(&middle, residual),
            None => self.down.apply(&middle),
        }
    }
}

/// Gate and up, apart where that lets the product do more at once.
fn gated(
    spec: &model::Mlp,
    loader: &mut Loader<'_>,
    device: Device,
    quantization: Quantization,
) -> Result<Up, EngineError> {
    let weight = loader.stacked(&spec.up.weight, device)?;
    let bias = loader.bias(&spec.up, device)?;
    let half = (spec.up.outputs / 2) as i64;
    let plain = matches!(spec.activation, Activation::ClampedSwiglu { .. });
    if device != Device::Cpu || plain || quantization != Quantization::None {
        return Ok(Up::Together(Linear::new(weight, bias, quantization)?));
    }
    let part = |first: i64| -> Result<Linear, EngineError> {
        let bias = bias.as_ref().map(|bias| bias.f_narrow(0, first, half)).transpose()?;
        Linear::new(weight.f_narrow(0, first, half)?, bias, quantization)
    };
    let gate = part(0)?;
    if gate.fuses() {
        return Ok(Up::Apart { gate, up: part(half)? });
    }
    Ok(Up::Together(Linear::new(weight, bias, quantization)?))
}

/// `act(gate) * up` of `[rows, gate and up]`.
fn join(both: &Tensor, activation: Activation) -> Result<Tensor, EngineError> {
    let half = both.size().get(1).copied().unwrap_or(0) / 2;
    let (gate, up) = (both.f_narrow(1, 0, half)?, both.f_narrow(1, half, half)?);
    if let Activation::ClampedSwiglu { alpha, limit } = activation {
        let (gate, up) = (gate.f_clamp_max(limit)?, up.f_clamp(-limit, limit)?);
        let steep = gate.f_mul_scalar(alpha)?.f_sigmoid_()?;
        return Ok(up.f_add_scalar(1.0)?.f_mul_(&gate.f_mul(&steep)?)?);
    }
    Ok(activate(&gate, activation)?.f_mul_(&up)?)
}

impl FeedForward {
    /// Loads what a spec describes.
    pub(super) fn load(
        spec: &model::FeedForward,
        loader: &mut Loader<'_>,
        device: Device,
        quantization: Quantization,
    ) -> Result<Self, EngineError> {
        match spec {
            model::FeedForward::Dense(mlp) => Mlp::load(mlp, loader, device, quantization).map(Self::Dense),
            model::FeedForward::Experts(mix) => {
                let experts: Result<_, _> =
                    mix.experts.iter().map(|mlp| Mlp::load(mlp, loader, device, quantization)).collect();
                let shared = mix.shared.as_ref().map(|shared| {
                    let mlp = Mlp::load(&shared.mlp, loader, device, quantization)?;
                    let gate =
                        shared.gate.as_ref().map(|gate| loader.linear(gate, device, Quantization::None));
                    Ok::<_, EngineError>((mlp, gate.transpose()?))
                });
                Ok(Self::Experts(Box::new(Experts {
                    chosen: mix.chosen as i64,
                    routing: mix.routing,
                    // Which experts are chosen turns on small differences: the router keeps its format.
                    router: loader.linear(&mix.router, device, Quantization::None)?,
                    experts: experts?,
                    shared: shared.transpose()?,
                })))
            }
        }
    }

    /// Bytes it holds, and those of them that one token reads.
    pub(super) fn bytes(&self) -> (u64, u64) {
        match self {
            Self::Dense(mlp) => (mlp.bytes(), mlp.bytes()),
            Self::Experts(mix) => {
                let experts: u64 = mix.experts.iter().map(Mlp::bytes).sum();
                let read = experts / mix.experts.len().max(1) as u64 * mix.chosen as u64;
                let gate = |gate: &Option<Linear>| gate.as_ref().map_or(0, Linear::bytes);
                let shared = mix.shared.as_ref().map_or(0, |(mlp, weight)| mlp.bytes() + gate(weight));
                (mix.router.bytes() + experts + shared, mix.router.bytes() + read + shared)
            }
        }
    }

    /// The result over `[rows, hidden]`; with `residual`, that is added to it.
    pub(super) fn apply(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor, EngineError> {
        match self {
            Self::Dense(mlp) => mlp.apply(x, residual),
            Self::Experts(mix) => {
                let mixed = mix.apply(x)?;
                match residual {
                    Some(residual) => Ok(residual.f_add(&mixed)?),
                    None => Ok(mixed),
                }
            }
        }
    }
}

impl Experts {
    fn apply(&self, x: &Tensor) -> Result<Tensor, EngineError> {
        let (weights, chosen) = self.route(x)?;
        let rows = x.size().first().copied().unwrap_or(0);
        // Which experts compute is decided here, so the choice is read back: one small copy a layer.
        let table: Vec<i64> = Vec::try_from(chosen.f_flatten(0, -1)?)?;
        let mut mixed = x.f_zeros_like()?;
        for (index, expert) in self.experts.iter().enumerate() {
            let places: Vec<i64> = (0..table.len())
                .filter(|&place| table[place] == index as i64)
                .map(|place| place as i64)
                .collect();
            if places.is_empty() {
                continue;
            }
            let places = Tensor::from_slice(&places).f_to_device(x.device())?;
            let weight = weights.f_view([-1, 1])?.f_index_select(0, &places)?;
            if rows == 1 {
                mixed = mixed.f_addcmul_(&expert.apply(x, None)?, &weight)?;
                continue;
            }
            let tokens = places.f_floor_divide_scalar(self.chosen)?;
            let given = expert.apply(&x.f_index_select(0, &tokens)?, None)?.f_mul_(&weight)?;
            mixed = mixed.f_index_add_(0, &tokens, &given)?;
        }
        let Some((shared, gate)) = &self.shared else {
            return Ok(mixed);
        };
        let given = shared.apply(x, None)?;
        match gate {
            Some(gate) => Ok(mixed.f_addcmul_(&given, &gate.apply(x)?.f_sigmoid_()?)?),
            None => Ok(mixed.f_add_(&given)?),
        }
    }

    /// Weights and indices of the experts of each token, `[rows, chosen]` each.
    fn route(&self, x: &Tensor) -> Result<(Tensor, Tensor), EngineError> {
        let scores = self.router.apply(x)?;
        let (weights, chosen) = match self.routing {
            Routing::SoftmaxThenTop { normalize } => {
                let (best, chosen) =
                    scores.f_softmax(-1, Kind::Float)?.f_topk(self.chosen, -1, true, true)?;
                let sum = best.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?;
                (if normalize { best.f_div(&sum)? } else { best }, chosen)
            }
            Routing::TopThenSoftmax => {
                let (best, chosen) = scores.f_topk(self.chosen, -1, true, true)?;
                (best.f_softmax(-1, Kind::Float)?, chosen)
            }
        };
        Ok((weights.f_to_kind(x.kind())?.f_contiguous()?, chosen.f_contiguous()?))
    }
}
