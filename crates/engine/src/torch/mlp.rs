//! The part of a layer that treats each position alone: one for all tokens, or a mixture of experts.
//!
//! Refuses to know families.

use tch::{Device, Kind, Tensor};

use super::Quantization;
use super::linear::Linear;
use super::load::Loader;
use super::native::decode::{LinearParts, number};
use crate::EngineError;
use crate::model::{self, Activation, Routing};

/// Into the intermediate width.
#[derive(Debug)]
enum Up {
    /// One matrix.
    Single(Linear),
    /// Gate and up in one product.
    Gated(Linear),
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
        let first = loader.linear(&spec.up, device, quantization)?;
        let up = if spec.gated { Up::Gated(first) } else { Up::Single(first) };
        Ok(Self { activation: spec.activation, up, down: loader.linear(&spec.down, device, quantization)? })
    }

    fn bytes(&self) -> u64 {
        let (Up::Single(up) | Up::Gated(up)) = &self.up;
        up.bytes() + self.down.bytes()
    }

    /// The result; with `residual`, that is added to it.
    fn apply(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor, EngineError> {
        let middle = match &self.up {
            Up::Single(linear) => linear.activated(x, self.activation)?,
            Up::Gated(linear) => linear.gated(x, self.activation)?,
        };
        match residual {
            Some(residual) => self.down.plus(&middle, residual),
            None => self.down.apply(&middle),
        }
    }

    /// Its matrices, the activation's number and whether there is a gate, as a step in one call takes them.
    fn parts(&self) -> Option<(LinearParts, LinearParts, i64, bool)> {
        let (Up::Single(up) | Up::Gated(up)) = &self.up;
        let gated = matches!(self.up, Up::Gated(_));
        Some((up.parts()?, self.down.parts()?, number(self.activation)?, gated))
    }
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

    /// What a step in one call takes of one for every token: see [`Mlp::parts`].
    pub(super) fn parts(&self) -> Option<(LinearParts, LinearParts, i64, bool)> {
        match self {
            Self::Dense(mlp) => mlp.parts(),
            Self::Experts(_) => None,
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
