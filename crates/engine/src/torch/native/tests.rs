//! The calls of the C++ side against libtorch's own operators, written out in double precision.

use tch::{Device, Kind, Tensor};

use super::decode::{At, LayerParts, LinearParts, NormParts, Plan, number, optional};
use super::product::{MOST_ROWS, fits, product, swiglu};
use super::step::{Look, Turning, attend, rms_norm, turn_and_store};
use crate::model::Activation;

const KINDS: [(Kind, f64); 2] = [(Kind::Float, 2e-5), (Kind::BFloat16, 3e-2)];

fn random(shape: &[i64], kind: Kind) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind)
}

fn wide(tensor: &Tensor) -> Tensor {
    tensor.to_kind(Kind::Double)
}

/// The largest difference, as a share of the largest expected value.
fn difference(given: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(given.size(), expected.size());
    let largest = expected.abs().max().double_value(&[]).max(1e-9);
    (wide(given) - expected).abs().max().double_value(&[]) / largest
}

#[test]
fn products_of_few_rows_are_libtorchs_whatever_the_widths() {
    tch::manual_seed(1);
    for (kind, near) in KINDS {
        for (outputs, inputs) in [(1, 1), (7, 45), (64, 32), (33, 576), (130, 96)] {
            for rows in 1..=MOST_ROWS {
                let (x, weight) = (random(&[rows, inputs], kind), random(&[outputs, inputs], kind));
                let (bias, residual) = (random(&[outputs], kind), random(&[rows, outputs], kind));
                let plain = wide(&x).matmul(&wide(&weight).transpose(0, 1));
                let given = product(&x, &weight, None, None).unwrap();
                assert!(difference(&given, &plain) < near, "{kind:?} {outputs}x{inputs}, {rows} rows");
                let given = product(&x, &weight, Some(&bias), Some(&residual)).unwrap();
                assert!(difference(&given, &(plain + wide(&bias) + wide(&residual))) < near);
            }
        }
    }
}

#[test]
fn a_gated_product_is_the_activated_gate_times_the_rest() {
    tch::manual_seed(2);
    for (kind, near) in KINDS {
        let (x, weight) = (random(&[3, 96], kind), random(&[88, 96], kind));
        let both = wide(&x).matmul(&wide(&weight).transpose(0, 1));
        let expected = both.narrow(1, 0, 44).silu() * both.narrow(1, 44, 44);
        assert!(difference(&swiglu(&x, &weight).unwrap(), &expected) < near, "{kind:?}");
    }
}

#[test]
fn what_does_not_fit_a_product_is_an_error() {
    let (x, weight) = (random(&[1, 8], Kind::Float), random(&[4, 8], Kind::Float));
    assert!(product(&x, &random(&[4, 7], Kind::Float), None, None).is_err());
    assert!(product(&x, &weight.to_kind(Kind::BFloat16), None, None).is_err());
    assert!(product(&x, &weight, Some(&random(&[3], Kind::Float)), None).is_err());
    let many = random(&[MOST_ROWS + 1, 8], Kind::Float);
    assert!(!fits(&many) && product(&many, &weight, None, None).is_err());
}

#[test]
fn norms_are_written_out_ones() {
    tch::manual_seed(3);
    for (kind, near) in KINDS {
        let (x, weight) = (random(&[5, 77], kind), random(&[77], kind));
        let mean = wide(&x).square().mean_dim(-1, true, None::<Kind>);
        let expected = wide(&x) * (mean + 1e-5).rsqrt() * wide(&weight);
        assert!(difference(&rms_norm(&x, &weight, 1e-5).unwrap(), &expected) < near, "{kind:?}");
    }
}

/// Scores, softmax and mix as the formula says, over keys `first..first + count`; queries `[rows, heads, width]`.
fn attention(queries: &Tensor, keys: &Tensor, values: &Tensor, look: &Look<'_>) -> Tensor {
    let (rows, heads, width) = queries.size3().unwrap();
    let group = heads / keys.size()[1];
    let seen = |tensor: &Tensor| {
        wide(&tensor.narrow(2, look.first, look.count)).repeat_interleave_self_int(group, Some(1), None)
    };
    let (keys, values) = (seen(keys), seen(values));
    let mut scores =
        (wide(queries).unsqueeze(2) * keys).sum_dim_intlist([-1i64].as_slice(), false, Kind::Double)
            * look.scale;
    if let Some(cap) = look.cap {
        scores = (scores / cap).tanh() * cap;
    }
    if let Some(mask) = look.mask {
        scores += wide(&mask.view([rows, 1, -1]).narrow(2, look.first, look.count));
    }
    if let Some(sinks) = look.sinks {
        let column = wide(sinks).view([1, heads, 1]).expand([rows, heads, 1], false);
        scores = Tensor::cat(&[scores, column], 2);
    }
    let weights = scores.softmax(-1, Kind::Double).narrow(2, 0, look.count);
    (weights.unsqueeze(3) * values)
        .sum_dim_intlist([2i64].as_slice(), false, Kind::Double)
        .view([rows, heads * width])
}

#[test]
fn attention_over_spans_is_the_softmax_over_all_keys() {
    tch::manual_seed(4);
    for (kind, near) in [(Kind::Float, 2e-5), (Kind::BFloat16, 3e-2), (Kind::Half, 5e-3)] {
        for (group, width, capacity, first, count) in [
            (1, 64, 700, 0, 700),
            (3, 64, 130, 3, 100),
            (6, 80, 40, 0, 33),
            (2, 45, 600, 20, 530),
            (4, 320, 20, 0, 20),
        ] {
            let (kv_heads, rows) = (2, 2);
            let heads = group * kv_heads;
            let cache = || random(&[rows, kv_heads, capacity, width], kind);
            let (queries, keys, values) = (random(&[rows, heads, width], kind), cache(), cache());
            let mask = Tensor::zeros([rows, 1, 1, capacity], (kind, Device::Cpu));
            let _ = mask.get(1).narrow(2, 0, first + 5).fill_(f64::NEG_INFINITY);
            let sinks = random(&[heads], kind);
            let plain = Look { first, count, scale: 0.125, cap: None, mask: None, sinks: None };
            for look in [
                plain,
                Look { cap: Some(2.0), mask: Some(&mask), ..plain },
                Look { sinks: Some(&sinks), ..plain },
            ] {
                let expected = attention(&queries, &keys, &values, &look);
                let given = attend(&queries.view([rows, -1]), (&keys, &values), look).unwrap();
                assert!(difference(&given, &expected) < near, "{kind:?} {group} {width} {look:?}");
            }
        }
    }
}

#[test]
fn keys_are_turned_and_stored_where_they_belong() {
    tch::manual_seed(5);
    let (heads, kv_heads, width) = (4, 2, 8);
    let qkv = random(&[1, (heads + 2 * kv_heads) * width], Kind::Float);
    let angle = Tensor::randn([4], (Kind::Float, Device::Cpu));
    let cosines = Tensor::cat(&[angle.cos(), angle.cos()], 0).view([1, 1, 1, width]);
    let sines = Tensor::cat(&[-angle.sin(), angle.sin()], 0).view([1, 1, 1, width]);
    let cache = || Tensor::zeros([1, kv_heads, 5, width], (Kind::Float, Device::Cpu));
    let (keys, values) = (cache(), cache());
    let turning = Turning { angles: Some((&cosines, &sines)), norms: None };
    let queries = turn_and_store(&qkv, heads, turning, (&keys, &values), 3).unwrap();
    let all = qkv.view([heads + 2 * kv_heads, width]);
    let turned = &all * cosines.view([width]) + all.roll([width / 2], [-1]) * sines.view([width]);
    assert!(difference(&queries.view([heads, width]), &wide(&turned.narrow(0, 0, heads))) < 1e-6);
    assert!(difference(&keys.select(2, 3).squeeze(), &wide(&turned.narrow(0, heads, kv_heads))) < 1e-6);
    assert!(
        difference(&values.select(2, 3).squeeze(), &wide(&all.narrow(0, heads + kv_heads, kv_heads))) < 1e-6
    );
    assert_eq!(keys.narrow(2, 0, 3).abs().sum(Kind::Float).double_value(&[]), 0.0, "other places stay");
    assert!(turn_and_store(&qkv, heads, turning, (&keys, &values), 5).is_err(), "there is no place 5");
}

/// A layer without norms and attention worth the name, so that each activation of the step in one call shows alone.
fn feed_forward_alone(activation: Activation, gated: bool) -> f64 {
    let (hidden, inner, kind) = (8, 12, Kind::Float);
    let zero = |shape: &[i64]| Tensor::zeros(shape, (kind, Device::Cpu));
    let (qkv, output) = (zero(&[3 * hidden, hidden]), zero(&[hidden, hidden]));
    let (up, down) =
        (random(&[if gated { 2 * inner } else { inner }, hidden], kind), random(&[hidden, inner], kind));
    let (head, bias) = (Tensor::eye(hidden, (kind, Device::Cpu)), random(&[hidden], kind));
    let parts = LayerParts {
        before_attention: NormParts::NONE,
        after_attention: NormParts::NONE,
        before_feed_forward: NormParts::NONE,
        after_feed_forward: NormParts::NONE,
        query_norm: NormParts::NONE,
        key_norm: NormParts::NONE,
        qkv: LinearParts::new(&qkv, None),
        output: LinearParts::new(&output, None),
        up: LinearParts::new(&up, None),
        down: LinearParts::new(&down, Some(&bias)),
        sinks: optional(None),
        heads: 1,
        kv_heads: 1,
        head_dim: hidden,
        window: 0,
        rope: -1,
        scale: 1.0,
        cap: 0.0,
        residual_scale: 0.5,
        activation: number(activation).unwrap(),
        gated: i64::from(gated),
        parallel: 0,
    };
    let plan = Plan::new(&[parts], NormParts::NONE, LinearParts::new(&head, None)).unwrap();
    let x = random(&[3, hidden], kind);
    let (keys, values) = (zero(&[3, 1, 4, hidden]), zero(&[3, 1, 4, hidden]));
    let given = plan.run(&x, &[(&keys, &values)], &[], At { mask: None, place: 0 }).unwrap();
    let first = wide(&x).matmul(&wide(&up).transpose(0, 1));
    let act = |x: &Tensor| match activation {
        Activation::Gelu => x.gelu("none"),
        Activation::GeluTanh => x.gelu("tanh"),
        Activation::Relu => x.relu(),
        _ => x.silu(),
    };
    let middle =
        if gated { act(&first.narrow(1, 0, inner)) * first.narrow(1, inner, inner) } else { act(&first) };
    let expected = wide(&x) + (middle.matmul(&wide(&down).transpose(0, 1)) + wide(&bias)) * 0.5;
    difference(&given, &expected)
}

#[test]
fn each_activation_of_the_step_in_one_call_is_libtorchs() {
    tch::manual_seed(6);
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
        for gated in [false, true] {
            let off = feed_forward_alone(activation, gated);
            assert!(off < 1e-5, "{activation:?}, gated: {gated}: off by {off}");
        }
    }
}
