//! The claim, tested: is the trained network the one that backpropagation (BP) would give?
//!
//! Those who propose to train layers apart expect that the network settles at a configuration similar to that of the same network
//! trained by BP, and that it avoids BP's difficulties. This page tests that. All its tables and figures are written
//! by one command, the same ones for the same seeds:
//!
//! ```text
//! MNIST_DIR=… cargo run --release --features plot --example claim -- --figures examples/figures
//! ```
//!
//! It takes most of an hour on two cores, resumes where it was interrupted, and writes every measurement as a line of JSON;
//! `--quick` runs a part of it in a minute. Times differ from run to run: they are printed, and not reported here.
//!
//! All weights start as drawn, but where a row names another start, and in the table of accuracies beside the sequential lock, where a first
//! fit chooses and all take the rate of [`Adam::for_depth`](crate::optimizer::Adam::for_depth), BP too.
//!
//! In short: `red_black` and `backprop_by_sweep` are similar by every measure. [`local_targets(2)`](crate::Method::local_targets), which
//! the default is but for the first layer's second gradient, is similar in parameters everywhere; on MNIST it gets further than BP in as
//! many epochs, with twice the updates, and its answers differ more. `in_flight` is similar in parameters, and up to 0.8 points below BP
//! after five epochs of tanh.
//!
//! # Comparison
//!
//! A network is trained by BP with Adam: the reference. From **the same initial parameters, with the same batches** it is trained by
//! each method. The claim has two readings, and both are measured, on test examples that no training has seen:
//!
//! * **in performance**: the *gap* in test accuracy; the *agreement*, how often the two name the same class, scaled so that two
//!   independent networks of these accuracies have 0 and two that always agree 1; the Jensen–Shannon divergence of their class
//!   probabilities (*JS*; 0 for the same, ln 2 = 0.69 for opposite certainties);
//! * **in parameter space**: the *cosine* of the angle between the two changes of the weights since the start, and the *distance* of the
//!   weights, relative to their size (0: the same, about 1.4: unrelated). Hidden units may have changed places and ReLU units their
//!   scale without changing the function, so they are [normalised](crate::diagnostics::normalised) and
//!   [matched](crate::diagnostics::matching()) before; "raw" is without.
//!
//! Shown besides: the *barrier*, by how much the loss rises on the straight line between the two networks, and *CKA*, how alike the
//! hidden layers are up to rotation (1: the same).
//!
//! **Controls.** None of these numbers means anything by itself. So BP is compared with itself as well: with another order of the
//! examples, with another optimizer (gradient descent with momentum), with another seed; and with the untrained network. A method is
//!
//! * *similar* if by every measure it is as near to the reference as BP is to itself in some control, and nearer than the untrained
//!   network. (Its mean lies in the range that the controls' 95 % intervals, over the seeds by Student's t, span, or on the nearer side
//!   of it; and the whole of its own interval is nearer than the untrained network.) After "as" stand the controls that it is as near
//!   as when each is taken alone;
//! * *different* if that holds by no measure, and similar *in part* if by some.
//!
//! In parameter space that says little: two BP networks of different seeds are far apart, so most networks are as near as they are. The
//! nearest control is "as other order".
//!
//! **At equal epochs** is a user's view. **At equal training loss** compares where the two runs stood at the same point: the run that
//! got to a lower loss is taken from the first epoch at which it had the other's final loss. Whole epochs are steps, so the two losses
//! are only about equal; the tables have both. And that run is then in the middle of its schedule, at a higher learning rate.
//!
//! Accuracies are those of the whole test part; agreement, JS, CKA and barriers of its first 4,000 examples. All take the same learning
//! rate, with a schedule as long as their own training. A method that takes several parameter steps a visit (`incremental`: 4,
//! `local_targets(2)`: 2) takes that multiple of BP's updates. The row *local_targets(2), other order* compares it with itself; its column
//! of BP's training loss has its own. The verdicts are those at equal epochs.
//!
#![cfg_attr(doc, doc = include_str!("../../examples/figures/verdict.md"))]
//!
//! # Tables
//!
#![cfg_attr(doc, doc = include_str!("../../examples/figures/study.md"))]
//!
//! # Pictures
//!
//! Loss on the straight line from BP's network (0) to another (1), MNIST, ReLU, before and after matching units:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/mnist-relu-barrier.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! CKA of each hidden layer with BP's, ten layers of tanh:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/mnist-ten-layers-of-tanh-profile.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! CKA of every hidden layer with every other, the same network:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/mnist-ten-layers-of-tanh-cka.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! Training on the digits, forward loss and energy:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/digits-relu-training.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! Residuals of `joint`, the objective taken literally, on the digits:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/digits-relu-residuals.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! Two moons, `local_targets(2)` and then BP:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/moons-local-targets.svg"))]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/moons-bp.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! # The immunities
//!
//! The claim says that such a network is immune to vanishing and exploding gradients, to the sequential lock, and to layers without a
//! derivative. Each by itself, by the same command:
//!
#![cfg_attr(doc, doc = include_str!("../../examples/figures/immunity.md"))]
//!
//! Where the signal dies: of each hidden layer in units of the highest one's, sigmoid × 10, after one update:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/vanishing-sigmoid-x-10-gain-1-signal.svg"))]
#![cfg_attr(doc, doc = "</div>")]
