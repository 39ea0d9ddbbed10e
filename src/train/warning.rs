//! Warnings of a fit: their kinds and texts. The files below decide when each is given.

use std::fmt;

mod baseline;
mod data;
mod history;

pub(crate) use baseline::Baseline;

/// Something that a reader of a fit's numbers should know; printed, it says what to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The scale cheat: the energy is at its lowest, and less than 0.9 of what it was when the forward loss was at its
    /// lowest, while the forward loss is more than 1.5 times that. The bank agrees with the layers ever better, and the
    /// network gets worse.
    EnergyAndLossPart {
        /// The epoch in which it was noticed.
        epoch: usize,
        /// Mean energy then, and in the epoch of the lowest forward loss.
        energy: (f64, f64),
        /// Mean forward loss on the training data in the same epochs.
        train_loss: (f64, f64),
    },
    /// The activation steps overshoot: after steps from the forward pass the energy lies above the forward loss by more than a
    /// tenth, or it is more than a hundred times its lowest.
    Overshoot {
        /// The epoch in which it was noticed.
        epoch: usize,
        /// Mean energy then.
        energy: f64,
    },
    /// The activation steps are too few for the depth: in every visit a signal that starts at the output crosses one layer a
    /// Jacobi step, and these layers see none.
    OutOfReach {
        /// How many layers, from the input, are never trained.
        layers: usize,
    },
    /// The signal fades on its way down: these stored activations moved from their predictions by less than a millionth of what
    /// another did, relative to their size. (Where a visit ends without a new look at the residuals, as after a single reverse
    /// sweep, these layers' parameters moved by so little.) The layers below them learn next to nothing, unless their optimizer
    /// makes up for the size of a gradient, and little even then.
    SignalFades {
        /// How many hidden layers, from the input.
        layers: usize,
    },
    /// Half the units of a hidden layer or more are dead: they gave one and the same number for every example of the epoch, and no
    /// signal passes through them.
    DeadUnits {
        /// The epoch in which it was noticed.
        epoch: usize,
        /// The layer that has most, of t = 1 .. T.
        layer: usize,
        /// How many of its units are dead.
        dead: usize,
    },
    /// A layer's gradient points away from backpropagation's, as [measured](crate::FitConfig::measure_decoupling) for a method whose
    /// visits start at a forward pass: what it learns is not what would lower the forward loss.
    TurnsAway {
        /// The epoch in which it was noticed.
        epoch: usize,
        /// The layer whose cosine is the lowest, counted from 0 at the input.
        layer: usize,
        /// The cosine.
        cosine: f64,
    },
    /// Gradients are asked for where there are none: these layers hold something that is constant but for jumps
    /// ([`Layer::has_derivative`](crate::Layer::has_derivative)), and no gradient goes through a jump.
    NoDerivative {
        /// The layers, counted from 0 at the input.
        layers: Vec<usize>,
    },
    /// The last layer's outputs [cannot leave](crate::Layer::output_range) these bounds, and the loss reads them as logits
    /// ([`Loss::outputs`](crate::Loss::outputs)), which must be free for a probability to come near 0 or 1: a sigmoid's, from 0 to
    /// 1, are taken for probabilities from 0.5 to 0.73.
    BoundedLogits {
        /// The lower bound; −∞ where there is none.
        least: f64,
        /// The upper bound; ∞ where there is none.
        most: f64,
    },
    /// Nothing is trained: every layer that has parameters is [frozen](crate::DecoupledNetwork::freeze), or none has any. No other
    /// warning is given beside it.
    NothingToTrain {
        /// How many layers are frozen.
        frozen: usize,
    },
    /// The fit ended no better than a constant, as in [`LearnedNothing`](Self::LearnedNothing), and no parameter has moved in
    /// it: no gradient comes down, or a schedule or an observer has taken the learning rate to 0.
    StoodStill {
        /// The last epoch.
        epoch: usize,
    },
    /// The fit ended no better than a constant: on at most 4,096 examples that lie evenly in the training data, the network's loss
    /// is no lower, to a thousandth, than that of the best output that is the same for all of them. For
    /// [`SquaredError`](crate::loss::SquaredError) the latter is half the variance of the targets, for
    /// [`SoftmaxCrossEntropy`](crate::loss::SoftmaxCrossEntropy) the entropy of the classes' shares, for any loss the minimum that
    /// steps along its gradient find. Not judged before a network's 20th parameter update.
    LearnedNothing {
        /// The last epoch.
        epoch: usize,
        /// Mean forward loss at the end of the fit; where inputs are missing, that of the last epoch.
        train_loss: f64,
        /// Mean loss of the best constant.
        constant_loss: f64,
    },
    /// Features that are not constant differ in size by a factor of a thousand, or lie far from one, for which rates, penalties and
    /// initial weights are made: the largest is 100 or more, or 0.01 or less. A feature that is mostly 0 does not count among the
    /// small ones. Of targets that are real numbers only the large ones are told.
    FeatureScales {
        /// Inputs or targets.
        what: &'static str,
        /// The feature (row) whose mean or standard deviation is the largest, and that number, without its sign.
        largest: (usize, f64),
        /// The feature whose standard deviation is the smallest, and that.
        smallest: (usize, f64),
    },
    /// An input's values lie so close together, and so far from 0, that the network's scalar tells fewer than a thousand of them
    /// apart within a standard deviation, as with times in seconds since 1970 in `f32`.
    FeaturePrecision {
        /// The feature (row) that has fewest.
        feature: usize,
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        spread: f64,
        /// How far numbers of the network's scalar are from one another at the mean.
        spacing: f64,
    },
    /// All targets are the same, so that a constant fits them: one class alone, or one number.
    TargetsAlike {
        /// How many examples.
        examples: usize,
        /// The class, if the targets are classes.
        class: Option<usize>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnergyAndLossPart { epoch, energy, train_loss } => write!(
                f,
                "epoch {epoch}: the energy fell from {:.3e} to {:.3e} while the forward loss rose from {:.3e} to {:.3e} (scale \
                 cheat): begin visits at a forward pass (Start::Anchored) and let the parameter step read it (Reads::Forward), or \
                 take RelativeSquaredError as hidden loss, or raise the penalty",
                energy.1, energy.0, train_loss.1, train_loss.0
            ),
            Self::Overshoot { epoch, energy } => write!(
                f,
                "epoch {epoch}: the activation steps overshoot, the energy is {energy:.3e}: lower the activation rate, or the \
                 share of the stable one that sweeps take (Sweeps::stable), or the learning rate"
            ),
            Self::OutOfReach { layers } => write!(
                f,
                "{} out of reach of the activation steps and will not learn: take more steps, or sweeps in the order of \
                 Order::ReverseGaussSeidel",
                lowest(*layers, "layer is", "layers are")
            ),
            Self::SignalFades { layers } => write!(
                f,
                "the signal fades on its way down to {}: train by the default (Method::default), from \
                 DecoupledNetwork::start_isometric if the weights were set or their initialiser named; or take sweeps in \
                 Order::RedBlack at a larger activation rate, or fewer layers",
                lowest(*layers, "hidden layer", "hidden layers")
            ),
            Self::DeadUnits { epoch, layer, dead } => write!(
                f,
                "epoch {epoch}: {dead} units of hidden layer {layer} gave the same for every example: lower the learning rate, or \
                 take LeakyRelu, Gelu or normalised activations"
            ),
            Self::TurnsAway { epoch, layer, cosine } => write!(
                f,
                "epoch {epoch}: the gradient of layer {layer} points away from backpropagation's (cosine {cosine:.3}): lower the \
                 activation rate, take fewer local parameter steps, or let the parameter step read the forward activations"
            ),
            Self::LearnedNothing { epoch, train_loss, constant_loss } => write!(
                f,
                "epoch {epoch}: the training loss, {train_loss:.4e}, is no better than that of the best constant output, \
                 {constant_loss:.4e}: first see to the other warnings, if any; then, while the loss falls, train for more \
                 epochs, else lower the learning rate"
            ),
            Self::BoundedLogits { least, most } => write!(
                f,
                "the last layer gives numbers from {least} to {most} alone, and the loss reads them as logits: leave the last \
                 activation out (dense(n, Activation::Identity)), and predict_proba applies the one that the loss means"
            ),
            Self::NothingToTrain { frozen: 0 } => f.write_str(
                "no layer has parameters, and nothing is trained: add one that has, as dense(n, activation)",
            ),
            Self::NothingToTrain { .. } => f.write_str(
                "every layer that has parameters is frozen, and nothing is trained: unfreeze those that are to learn \
                 (DecoupledNetwork::unfreeze)",
            ),
            Self::StoodStill { epoch } => write!(
                f,
                "epoch {epoch}: no parameter has moved, and the training loss is no better than that of the best constant output: first \
                 see to the other warnings, if any; then raise the learning rate, which a schedule or an observer has taken to 0"
            ),
            Self::FeatureScales { what, largest, smallest } if largest.0 == smallest.0 => write!(
                f,
                "the {what} lie far from one: feature {} has a mean or a standard deviation of {:.1e}: scale them by \
                 data::Scaler, fitted on the training data",
                largest.0, largest.1
            ),
            Self::FeatureScales { what, largest, smallest } => write!(
                f,
                "the {what} differ much in size, or lie far from one: feature {} has a mean or a standard deviation of {:.1e}, \
                 feature {} a standard deviation of {:.1e}: scale them by data::Scaler, fitted on the training data",
                largest.0, largest.1, smallest.0, smallest.1
            ),
            Self::FeaturePrecision { feature, mean, spread, spacing } => write!(
                f,
                "input feature {feature} has the mean {mean:.4e} and the standard deviation {spread:.1e}, where the network's \
                 numbers lie {spacing:.1e} apart, too far to tell its values apart: scale it in f64 (data::Scaler) before it \
                 becomes f32; or leave it out, if it is constant but for rounding"
            ),
            Self::TargetsAlike { examples, class: Some(class) } => write!(
                f,
                "all {examples} examples are of class {class}, and nothing else can be learned: train on examples of every class; \
                 of sorted data, Dataset::stratified_split takes some of each"
            ),
            Self::TargetsAlike { examples, class: None } => {
                write!(
                    f,
                    "all {examples} targets are the same, and nothing else can be learned: train on targets that differ"
                )
            }
            Self::NoDerivative { layers } => write!(
                f,
                "layers {layers:?} are constant but for jumps, and no gradient goes through a jump: parameters that it would reach by \
                 no other way stay as they are; in place of dense(n, Activation::Sign) take a Chain of Dense::new(m, n) and \
                 Elementwise::new(n, Activation::Sign).straight_through(), which brings a derivative of its own, and train by \
                 Method::local_targets(1) or by fit_backprop"
            ),
        }
    }
}

/// "the lowest layer is", "the lowest 3 layers are".
fn lowest(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("the lowest {one}") } else { format!("the lowest {count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_is_named_in_the_singular() {
        let text = |layers| Warning::OutOfReach { layers }.to_string();
        assert!(text(1).starts_with("the lowest layer is out of reach"), "{}", text(1));
        assert!(text(3).starts_with("the lowest 3 layers are out of reach"), "{}", text(3));
    }

    #[test]
    fn a_feature_that_is_far_from_one_by_itself_differs_from_none() {
        let text = |smallest| Warning::FeatureScales { what: "inputs", largest: (3, 1e4), smallest }.to_string();
        let (alone, two) = (text((3, 1e4)), text((7, 0.1)));
        assert!(alone.contains("feature 3 has") && !alone.contains("differ"), "{alone}");
        assert!(two.contains("differ") && two.contains("feature 3 has") && two.contains("feature 7 "), "{two}");
    }
}
