//! Random parts of a network and of its training, all of them within their domains.

use std::sync::Arc;

use decoupled::layer::{Activation, Init};
use decoupled::loss::{
    BinaryCrossEntropy, Huber, MeanAbsoluteError, RelativeSquaredError, SoftmaxCrossEntropy, SquaredError,
};
use decoupled::method::{
    ErrorSteps, Exact, GaussNewton, Multipliers, Order, Penalty, PenaltyIncrease, Reads, Ridge, Stall, Start, Sweeps,
    Timing,
};
use decoupled::optimizer::{Adam, AdamW, ClipNorm, ClipValue, L1, RmsProp, Schedule, Scheduled, Sgd, WeightDecay};
use decoupled::{ActivationStep, Method, Optimizer, Scalar};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::builtin;

/// What a layer is, apart from its widths.
#[derive(Clone, Debug)]
pub(crate) enum Unit {
    Plain(Activation),
    With(Activation, Init),
    Dense(Init, Option<f64>),
    Fused(Activation),
    Normed(Activation),
    Elementwise(Activation),
    StraightThrough(Activation),
    Norm(f64),
    Residual(Activation),
    /// The input as a picture of one row: convolved, pooled twice.
    Convolved(Activation),
    /// The same, enlarged.
    Enlarged(Activation),
    /// One description of a layer at two places.
    Twice(Activation),
    /// With this share of the units dropped.
    Dropping(Activation, f64),
}

pub(crate) type Target<T> = Arc<dyn decoupled::Loss<T>>;
pub(crate) type Rule<T> = Arc<dyn Optimizer<T>>;

/// One of these, with a setting of its own if it has one.
fn any_of(kinds: impl Iterator<Item = Activation>) -> impl Strategy<Value = Activation> {
    select(kinds.collect::<Vec<_>>()).prop_flat_map(|kind| match kind {
        Activation::LeakyRelu(_) => (-1.0..1.0).prop_map(Activation::LeakyRelu).boxed(),
        Activation::Quantize(_) => (1u32..=16).prop_map(Activation::Quantize).boxed(),
        _ => Just(kind).boxed(),
    })
}

fn jumps() -> impl Strategy<Value = Activation> {
    any_of(builtin::jumping())
}

fn activations() -> impl Strategy<Value = Activation> {
    any_of(builtin::ACTIVATIONS.into_iter())
}

fn inits() -> impl Strategy<Value = Init> {
    let schemes = select(vec![
        Init::glorot_normal(),
        Init::glorot_uniform(),
        Init::he_normal(),
        Init::he_uniform(),
        Init::lecun_normal(),
        Init::lecun_uniform(),
        Init::orthogonal(),
        Init::constant(0.3),
        Init::zeros(),
    ]);
    (schemes, -1.0..1.0).prop_map(|(init, gain)| init.gain(gain))
}

pub(crate) fn units() -> impl Strategy<Value = Unit> {
    prop_oneof![
        3 => activations().prop_map(Unit::Plain),
        1 => (activations(), inits()).prop_map(|(activation, init)| Unit::With(activation, init)),
        2 => (inits(), option::of(-1.0..1.0)).prop_map(|(init, bias)| Unit::Dense(init, bias)),
        1 => activations().prop_map(Unit::Fused),
        1 => activations().prop_map(Unit::Normed),
        1 => activations().prop_map(Unit::Elementwise),
        1 => jumps().prop_map(Unit::StraightThrough),
        1 => (0.1..1.0).prop_map(Unit::Norm),
        1 => activations().prop_map(Unit::Residual),
        1 => activations().prop_map(Unit::Convolved),
        1 => activations().prop_map(Unit::Enlarged),
        1 => activations().prop_map(Unit::Twice),
        1 => (activations(), 0.0..0.6).prop_map(|(activation, p)| Unit::Dropping(activation, p)),
    ]
}

/// Those that exact steps and least squares serve.
pub(crate) fn affine_units() -> impl Strategy<Value = Unit> {
    prop_oneof![
        2 => activations().prop_map(Unit::Plain),
        1 => (inits(), option::of(-1.0..1.0)).prop_map(|(init, bias)| Unit::Dense(init, bias)),
    ]
}

pub(crate) fn output_losses<T: Scalar>() -> BoxedStrategy<Target<T>> {
    let softmax = (0.0..0.9).prop_map(|share| target(SoftmaxCrossEntropy::new().label_smoothing(share)));
    prop_oneof![hidden_losses(), softmax, Just(BinaryCrossEntropy).prop_map(target)].boxed()
}

pub(crate) fn hidden_losses<T: Scalar>() -> BoxedStrategy<Target<T>> {
    prop_oneof![
        3 => Just(SquaredError).prop_map(target),
        1 => (1e-3..1.0).prop_map(|epsilon| target(RelativeSquaredError::new().epsilon(epsilon))),
        1 => Just(MeanAbsoluteError).prop_map(target),
        1 => (0.1..2.0).prop_map(|delta| target(Huber::new(delta))),
    ]
    .boxed()
}

pub(crate) fn target<T: Scalar>(loss: impl decoupled::Loss<T> + 'static) -> Target<T> {
    Arc::new(loss)
}

/// Small rates, or such that nothing can be promised of them.
pub(crate) fn rates(wild: bool) -> impl Strategy<Value = f64> + Clone {
    let exponents = if wild { 0.0..12.0 } else { -4.0..-1.5 };
    exponents.prop_map(|exponent: f64| 10f64.powf(exponent))
}

pub(crate) fn schedules() -> impl Strategy<Value = Schedule> {
    let plain = prop_oneof![
        Just(Schedule::Constant),
        (1u64..4, 0.1..1.0).prop_map(|(every, factor)| Schedule::Step { every, factor }),
        (0.5..1.5).prop_map(|factor| Schedule::Exponential { factor }),
        (1u64..20, 0.0..=1.0).prop_map(|(total, floor)| Schedule::Cosine { total, floor }),
        (1u64..20, 0.01..0.99, 0.0..=1.0, 0.0..=1.0).prop_map(|(total, rise, start, floor)| Schedule::OneCycle {
            total,
            rise,
            start,
            floor
        }),
    ];
    (option::of(0u64..5), plain).prop_map(|(warm, then)| match warm {
        Some(steps) => Schedule::WarmUp { steps, then: Box::new(then) },
        None => then,
    })
}

pub(crate) fn rules<T: Scalar>(wild: bool) -> BoxedStrategy<Rule<T>> {
    let rate = rates(wild);
    let plain = prop_oneof![
        rate.clone().prop_map(|rate| Arc::new(Sgd::new(rate)) as Rule<T>),
        (rate.clone(), 0.1..0.99).prop_map(|(rate, m)| Arc::new(Sgd::new(rate).momentum(m)) as Rule<T>),
        (rate.clone(), 0.1..0.99).prop_map(|(rate, m)| Arc::new(Sgd::new(rate).momentum(m).nesterov()) as Rule<T>),
        (rate.clone(), 0.0..0.99, 0.0..0.99, 1e-8..1e-2)
            .prop_map(|(rate, a, b, e)| Arc::new(Adam::new(rate).beta1(a).beta2(b).epsilon(e)) as Rule<T>),
        (rate.clone(), 0.0..0.5, 0.0..0.99, 0.0..0.99).prop_map(|(rate, decay, a, b)| {
            Arc::new(AdamW::new(rate).weight_decay(decay).beta1(a).beta2(b).epsilon(1e-8)) as Rule<T>
        }),
        (rate, 0.0..0.99, 1e-8..1e-2)
            .prop_map(|(rate, decay, e)| Arc::new(RmsProp::new(rate).decay(decay).epsilon(e)) as Rule<T>),
    ];
    prop_oneof![
        4 => plain.clone(),
        1 => (plain.clone(), schedules()).prop_map(|(rule, s)| Arc::new(Scheduled::new(rule, s)) as Rule<T>),
        1 => (plain.clone(), 0.0..0.5).prop_map(|(rule, decay)| Arc::new(WeightDecay::new(rule, decay)) as Rule<T>),
        1 => (plain.clone(), 1e-3..10.0).prop_map(|(rule, most)| Arc::new(ClipNorm::new(rule, most)) as Rule<T>),
        1 => (plain.clone(), 1e-3..10.0).prop_map(|(rule, most)| Arc::new(ClipValue::new(rule, most)) as Rule<T>),
        1 => (plain, 0.0..0.5).prop_map(|(rule, factor)| Arc::new(L1::new(rule, factor)) as Rule<T>),
    ]
    .boxed()
}

fn orders() -> impl Strategy<Value = Order> {
    select(builtin::ORDERS.to_vec())
}

fn starts() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Anchored), Just(Start::Persisted), (0.01..0.99).prop_map(Start::Blend)]
}

fn timings() -> impl Strategy<Value = Timing> {
    prop_oneof![Just(Timing::EveryStep), (1usize..4).prop_map(|local_steps| Timing::AfterRelaxation { local_steps })]
}

/// Those of steps that do not stream, too.
fn all_timings() -> impl Strategy<Value = Timing> {
    let once = (1usize..4).prop_map(|local_steps| Timing::FirstGradientOnce { local_steps });
    prop_oneof![2 => timings(), 1 => once]
}

fn penalties() -> impl Strategy<Value = Penalty> {
    let raises = (select(vec![Stall::Residual, Stall::ForwardLoss]), 1.1..10.0, 0.0..0.99, 1.0..100.0);
    raises
        .prop_map(|(stall, factor, progress, most)| Penalty::Raised(PenaltyIncrease { stall, factor, progress, most }))
}

fn multipliers() -> impl Strategy<Value = Option<Multipliers>> {
    option::of((0.1..1.0, any::<bool>()).prop_map(|(rate, highest_only)| Multipliers { rate, highest_only }))
}

fn ridges() -> impl Strategy<Value = Ridge> {
    (0.01..1.0, 0.0..5.0, 0.0..0.9, option::of(0.01..1.0)).prop_map(|(ridge, proximal, memory, trust)| Ridge {
        ridge,
        proximal,
        memory,
        trust,
    })
}

type Move<T> = Arc<dyn ActivationStep<T>>;

/// Activation steps that go by gradients, most of them sweeps.
fn moves<T: Scalar>(wild: bool) -> BoxedStrategy<Move<T>> {
    let steps = 1usize..4;
    let (stable, rule) = (option::weighted(0.4, 0.1..1.9), option::weighted(0.4, rules(wild)));
    let sweeps = (orders(), option::weighted(0.8, steps.clone()), rates(wild), any::<bool>(), stable, rule);
    let sweeps = sweeps.prop_map(|(order, steps, rate, per_penalty, stable, rule)| {
        let rate = if per_penalty { rate.min(1.0) } else { rate };
        let sweeps = steps.map_or_else(|| Sweeps::reaching(order, rate), |steps| Sweeps::new(order, steps, rate));
        let sweeps = if per_penalty { sweeps.per_penalty() } else { sweeps };
        let sweeps = stable.into_iter().fold(sweeps, Sweeps::stable);
        Arc::new(rule.into_iter().fold(sweeps, Sweeps::optimizer)) as Move<T>
    });
    let errors = (steps.clone(), rules(wild))
        .prop_map(|(steps, rule)| Arc::new(ErrorSteps::new(steps, 1.0).optimizer(rule)) as Move<T>);
    let gauss_newton = steps.prop_map(|steps| Arc::new(GaussNewton::new(steps)) as Move<T>);
    prop_oneof![4 => sweeps, 1 => errors, 1 => gauss_newton].boxed()
}

/// Every preset that goes by gradients, and steps of one's own, with settings changed at random.
pub(crate) fn gradient_methods<T: Scalar>(wild: bool) -> BoxedStrategy<Method<T>> {
    let (rate, steps) = (rates(wild), 1usize..4);
    let capped = rate.clone().prop_map(|rate: f64| rate.min(1.0));
    let reads = select(vec![Reads::Stored, Reads::Forward]);
    let own = (starts(), reads.clone());
    let presets: Vec<_> = builtin::gradient_methods().into_iter().map(|(_, method)| method).collect();
    let preset = prop_oneof![
        1 => select(presets),
        2 => Just(Method::default()),
        1 => rate.clone().prop_map(Method::joint),
        1 => (steps.clone(), rate.clone()).prop_map(|(steps, rate)| Method::predictive_coding(steps, rate)),
        1 => (steps.clone(), rate.clone()).prop_map(|(steps, rate)| Method::incremental(steps, rate)),
        1 => (steps.clone(), rate.clone()).prop_map(|(steps, rate)| Method::error_based(steps, rate)),
        1 => steps.clone().prop_map(Method::local_targets),
        1 => Just(Method::backprop_by_sweep()),
        1 => (1usize..6, 1usize..9).prop_map(|(stages, micro_batch)| Method::in_flight(stages, micro_batch)),
        1 => capped.prop_map(Method::alm),
        1 => steps.clone().prop_map(Method::mac),
        3 => (own, moves(wild)).prop_map(|((start, reads), moves)| Method::new(start, moves, reads)),
    ];
    let few = 0.15;
    let knobs = (
        option::weighted(few, starts()),
        option::weighted(0.5, moves(wild)),
        option::weighted(few, all_timings()),
        option::weighted(few, reads),
        option::weighted(few, penalties()),
        option::weighted(few, multipliers()),
        option::weighted(few, any::<bool>()),
    );
    (preset, knobs).prop_map(|(method, knobs)| turned(method, knobs)).boxed()
}

type Knobs<T> = (
    Option<Start>,
    Option<Move<T>>,
    Option<Timing>,
    Option<Reads>,
    Option<Penalty>,
    Option<Option<Multipliers>>,
    Option<bool>,
);

fn turned<T: Scalar>(method: Method<T>, knobs: Knobs<T>) -> Method<T> {
    let (start, moves, timing, reads, penalty, multipliers, finish) = knobs;
    if method.schedule(2).flight_plan().is_some() {
        // It refuses the others.
        let method = penalty.into_iter().fold(method, Method::penalty);
        return finish.into_iter().fold(method, Method::finish);
    }
    let method = start.into_iter().fold(method, Method::start);
    let method = moves.into_iter().fold(method, Method::activation);
    let method = timing.into_iter().fold(method, Method::timing);
    let method = reads.into_iter().fold(method, Method::reads);
    let method = penalty.into_iter().fold(method, Method::penalty);
    let method = multipliers.into_iter().fold(method, Method::multipliers);
    finish.into_iter().fold(method, Method::finish)
}

/// Those that ask for closed forms.
pub(crate) fn exact_methods<T: Scalar>() -> BoxedStrategy<Method<T>> {
    let own = (1usize..3, 0.0..2.0, option::of(ridges())).prop_map(|(steps, proximal, ridge)| {
        let method = Method::new(Start::Persisted, Exact { steps, proximal }, Reads::Stored);
        ridge.into_iter().fold(method, Method::parameter)
    });
    let regressed = (starts(), 1usize..3, rates(false), ridges()).prop_map(|(start, steps, rate, ridge)| {
        Method::new(start, Sweeps::new(Order::Jacobi, steps, rate), Reads::Forward).layer_parameter(0, ridge)
    });
    let presets: Vec<_> = builtin::exact_methods().into_iter().map(|(_, method)| method).collect();
    let preset = prop_oneof![
        select(presets),
        (0.1..5.0).prop_map(Method::bcd),
        (0.1..1.0).prop_map(Method::admm),
        own,
        regressed
    ];
    let knobs = (option::of(starts()), option::of(timings()), option::of(multipliers()), option::of(penalties()));
    (preset, knobs)
        .prop_map(|(method, (start, timing, multipliers, penalty))| {
            turned(method, (start, None, timing, None, penalty, multipliers, None))
        })
        .boxed()
}
