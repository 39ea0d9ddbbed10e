//! A visit as data: the stages that a method makes for a depth. The engine runs them; cost and reach are read off them.

use std::fmt;
use std::ops::Range;

use crate::method::block::{Group, Reads};
use crate::method::flight_plan::FlightPlan;
use crate::method::start::Start;

mod walk;

pub use walk::Products;
pub(crate) use walk::{Traits, Walk};

/// The products of an activation step, and how far it carries a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// For each z_t that moves: its prediction, that of z_{t+1} from it, and a pull-back of the latter's error. A signal crosses one
    /// layer.
    Local,
    /// For each z_t that moves: its prediction. The rest is a closed form of the layer above, which is no product. A signal crosses one
    /// layer.
    ClosedForm,
    /// A backward pass through all hidden layers, then a forward pass. A signal crosses all of them.
    Through,
}

/// One stage of a visit. Layers are t = 0 .. T, activations z_t with t = 0 ..= T.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// a_{t+1} ← f(a_t; θ_t) from the input up.
    Forward,
    /// z_t ← the forward activation a_t, the one in the bank, or a blend of both.
    Start(Start),
    /// δ_t ← ∂L_y/∂a_t from the output down, by the chain rule.
    ChainRule,
    /// An activation step of the members of a group.
    Relax {
        /// The activations that move.
        group: Group,
        /// Whether this begins another step of all of them.
        begins: bool,
        /// The products that it takes.
        work: Work,
    },
    /// The terms of the energy of these z_t, for the report.
    Measure(Range<usize>),
    /// The gradients of these layers' parameters, or the moments of their regressions, summed over the examples of a lane.
    Gather {
        /// The layers.
        layers: Range<usize>,
        /// The input that they read.
        reads: Reads,
        /// Whether by the chain rule, from the errors that it left in the block.
        chained: bool,
        /// Whether by gradients, one product per layer; moments take no product.
        by_gradient: bool,
    },
    /// λ_t ← λ_t + rate · μ_t (z_t − ẑ_t), where it will be read at the next visit.
    Ascend,
    /// The activations are written to the bank, if it [keeps](crate::bank::Storage) them; inputs that are missing take a step before.
    Store,
    /// **A barrier**: the lanes' sums are added, and the parameters of these layers move.
    Update(Range<usize>),
    /// These stages, `times` times.
    Repeat {
        /// The number of repetitions.
        times: usize,
        /// The stages.
        stages: Vec<Stage>,
    },
}

impl Stage {
    /// Returns whether a lane runs it independently, without waiting for the others.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Update(_) => false,
            Self::Repeat { stages, .. } => stages.iter().all(Self::is_local),
            _ => true,
        }
    }

    /// Returns the activations that it moves.
    pub(crate) fn group(&self) -> Option<&Group> {
        match self {
            Self::Relax { group, .. } => Some(group),
            _ => None,
        }
    }

    /// Returns the stages, `times` times; nothing for no stages or no repetition.
    pub(crate) fn repeat(times: usize, stages: &[Self]) -> Vec<Self> {
        match (times, stages) {
            (0, _) | (_, []) => Vec::new(),
            (1, _) => stages.to_vec(),
            _ => vec![Self::Repeat { times, stages: stages.to_vec() }],
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = |f: &mut fmt::Formatter<'_>, verb: &str, layers: &Range<usize>| match layers.len() {
            1 => write!(f, "{verb} θ_{}", layers.start),
            _ => write!(f, "{verb} θ_{} … θ_{}", layers.start, layers.end.saturating_sub(1)),
        };
        match self {
            Self::Forward => f.write_str("forward pass"),
            Self::Start(Start::Anchored) => f.write_str("start: forward pass"),
            Self::Start(Start::Persisted) => f.write_str("start: bank"),
            Self::Start(Start::Blend(share)) => write!(f, "start: {share} bank, {} forward pass", 1.0 - share),
            Self::ChainRule => f.write_str("chain rule"),
            Self::Relax { group, work: Work::Local, .. } => write!(f, "relax {group}"),
            Self::Relax { group, work: Work::ClosedForm, .. } => write!(f, "solve {group}"),
            Self::Relax { group, work: Work::Through, .. } => write!(f, "relax {group} together"),
            Self::Measure(terms) => write!(f, "measure {}", Group::all(terms.clone())),
            Self::Gather { layers: range, .. } => layers(f, "gather", range),
            Self::Ascend => f.write_str("ascend multipliers"),
            Self::Store => f.write_str("store"),
            Self::Update(range) => layers(f, "update", range),
            Self::Repeat { times, .. } => write!(f, "{times} times"),
        }
    }
}

/// A visit: its stages in order, for a circuit of `depth` layers.
///
/// Between two updates every lane of a batch runs independently; an update is the only barrier, but for a step that
/// [streams](crate::ActivationStep::streams), whose relaxations and gathers are barriers as well. Printed, it has one stage a line, with
/// its sequential products and all of its products, over all of its repetitions:
///
/// ```
/// use decoupled::Method;
///
/// let visit = Method::<f32>::joint(0.1).schedule(3);
/// assert_eq!(visit.sequential_products(), 2);
/// println!("{visit}");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    stages: Vec<Stage>,
    depth: usize,
    flight_plan: Option<FlightPlan>,
}

impl Schedule {
    pub(crate) const fn new(stages: Vec<Stage>, depth: usize) -> Self {
        Self { stages, depth, flight_plan: None }
    }

    /// Returns the visit of a micro-batch, whose layers come to it in stages, one a tick.
    pub(crate) fn in_flight(self, plan: FlightPlan) -> Self {
        Self { flight_plan: Some(plan), ..self }
    }

    /// Returns the visit of backpropagation through `depth` layers.
    pub fn backprop(depth: usize) -> Self {
        let layers = 0..depth;
        let gather = Stage::Gather { layers: layers.clone(), reads: Reads::Forward, chained: true, by_gradient: true };
        Self::new(vec![Stage::Forward, Stage::ChainRule, gather, Stage::Update(layers)], depth)
    }

    /// Returns the stages in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Returns which layers work at the same time, for a method whose micro-batches are [in flight](crate::Method::in_flight): the visit is
    /// that of one micro-batch, which takes two ticks at each stage.
    pub const fn flight_plan(&self) -> Option<&FlightPlan> {
        self.flight_plan.as_ref()
    }

    /// Counts the sequential products, those that must follow one another however many processors there are. Layers that move at the
    /// same time take theirs in parallel, and products of parameters run in parallel to those of activations that do not wait for them. For
    /// layers in flight, those of a tick.
    pub fn sequential_products(&self) -> usize {
        if let Some(plan) = &self.flight_plan {
            return plan.sequential_products();
        }
        let mut walk = Walk::everything_moves(self.depth);
        walk.run(&self.stages);
        walk.sequential()
    }

    /// Counts the parameter updates, as a schedule of the learning rate does.
    pub fn updates(&self) -> usize {
        fn of(stages: &[Stage], depth: usize) -> usize {
            let each = stages.iter().map(|stage| match stage {
                // Layer by layer, the highest layer's update counts for all, as the engine counts.
                Stage::Update(layers) => usize::from(layers.end == depth),
                Stage::Repeat { times, stages } => times.saturating_mul(of(stages, depth)),
                _ => 0,
            });
            each.fold(0, usize::saturating_add)
        }
        of(&self.stages, self.depth)
    }

    /// Returns whether the visit ends in an update, after the activations are stored.
    pub(crate) fn ends_in_update(&self) -> bool {
        matches!(self.stages.last(), Some(Stage::Update(_)))
    }
}

/// How far a signal from the output travels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Hidden layers, from the input, that it has not moved by the time that the energy is measured.
    pub(crate) unseen: usize,
    /// Layers, from the input, whose parameters get no gradient.
    pub(crate) unreached: usize,
    /// Visits until it has reached every layer that it ever reaches, and one more.
    pub(crate) visits: usize,
}

impl Reach {
    /// Follows the signal through visits; `keeps` says whether activations or multipliers carry it from one to the next.
    pub(crate) fn of(schedule: &Schedule, keeps: bool) -> Self {
        let mut signal = Signal { at: vec![false; schedule.depth], unseen: 0, unreached: 0 };
        signal.run(&schedule.stages);
        if !keeps {
            return Self { unseen: signal.unseen, unreached: signal.unreached, visits: 1 };
        }
        let mut visits = 1;
        let mut before = schedule.depth - 1;
        // What is kept takes the signal on at the next visit, until a visit brings it no further.
        while signal.hidden() < before {
            before = signal.hidden();
            visits += 1;
            signal.run(&schedule.stages);
        }
        // After these visits the signal is there before the measurement, from the visit before.
        Self { unseen: 0, unreached: 0, visits }
    }
}

#[derive(Clone, Debug)]
struct Signal {
    /// Whether the signal has arrived at z_t, t = 0 .. T.
    at: Vec<bool>,
    unseen: usize,
    unreached: usize,
}

impl Signal {
    /// Counts the hidden layers, from the input, at which it has not arrived.
    fn hidden(&self) -> usize {
        self.at.iter().skip(1).take_while(|at| !**at).count()
    }

    fn run(&mut self, stages: &[Stage]) {
        for stage in stages {
            match stage {
                Stage::Relax { group, work, .. } => {
                    // Members move at once: each sees its neighbour as it was before.
                    let before = self.at.clone();
                    for t in group.members() {
                        // The signal starts at the output, above the highest z_t.
                        let arrives = *work == Work::Through || before.get(t + 1).copied().unwrap_or(true);
                        self.at[t] |= arrives;
                    }
                }
                Stage::Measure(_) => self.unseen = self.hidden(),
                Stage::Gather { .. } => self.unreached = self.hidden(),
                Stage::Repeat { times, stages } => {
                    for _ in 0..*times {
                        let before = self.at.clone();
                        self.run(stages);
                        // A fixed point: `times` may be large.
                        if self.at == before {
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut walk = Walk::everything_moves(self.depth);
        let lines = walk.run(&self.stages);
        let width = lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:width$}  in sequence  products", "")?;
        for line in &lines {
            match (line.sequential, line.products) {
                (0, 0) => writeln!(f, "{}", line.text)?,
                (_, products) => writeln!(f, "{:width$}  {:11}  {products:8}", line.text, line.sequential)?,
            }
        }
        let products: usize = lines.iter().fold(0, |sum, line| sum.saturating_add(line.products));
        write!(f, "{:width$}  {:11}  {products:8}", "all", walk.sequential())?;
        let Some(plan) = &self.flight_plan else { return Ok(()) };
        write!(f, "\nin flight: {plan}")
    }
}
