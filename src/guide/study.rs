//! The claim, tested: does a decoupled network settle where backpropagation (BP) would?
//!
//! All tables and figures here are written by one command, the same ones for the same seeds:
//!
//! ```text
//! MNIST_DIR=… cargo run --release --features plot --example claim -- --figures examples/figures
//! ```
//!
//! It takes the better part of an hour on two cores, goes on where it was cut off, and writes every measurement as a line of JSON;
//! `--quick` runs a part of it in a minute. Times differ from run to run, and are printed but not written down here.
//!
//! # What is compared
//!
//! A network is trained by BP with Adam: the reference. From **the same initial parameters, with the same batches** it is trained by
//! each method. The claim has two readings, and both are measured, on test examples that no training has seen:
//!
//! * **in performance**: the gap in accuracy; the *agreement*, how often the two name the same class, beyond what two independent
//!   networks of these accuracies would (1: always, 0: by chance); the Jensen–Shannon divergence (*JS*) of their class probabilities;
//! * **in parameter space**: the *cosine* between the ways that the two have gone from the start, and their *distance*, relative to
//!   their size (0: the same, about 1.4: unrelated). Units may have changed places and ReLU units their scale, so they are
//!   [normalised](crate::diagnostics::normalised) and [matched](crate::diagnostics::matching()) before; "raw" is without. Shown besides:
//!   the loss *barrier* on the straight line between the two, and *CKA* of the hidden layers.
//!
//! **Controls**: none of these numbers means anything by itself. So BP is compared with itself: with another order of the examples,
//! with another optimizer (gradient descent with momentum), with another seed; and the reference with the untrained network. A method
//! is *similar* in a sense where by each measure its interval meets the span of the controls or lies beyond it on the side that is
//! more alike, and is more alike than the untrained network is; behind "as" stand the controls that it is as near as. *Different*
//! where that holds by no measure, else similar *in part*. ± are 95 % intervals over seeds, by Student's t.
//!
//! **At equal epochs** is what a user sees. **At equal training loss** takes the noise of who is ahead out of it: of each pair the one that
//! got further is taken from the first epoch in which it had what the other ended with, as near as whole epochs allow.
//!
#![cfg_attr(doc, doc = include_str!("../../examples/figures/verdict.md"))]
//!
//! # Tables
//!
#![cfg_attr(doc, doc = include_str!("../../examples/figures/study.md"))]
//!
//! # Pictures
//!
//! Loss on the straight line from BP's network to another, MNIST, ReLU. Between two BP networks of different seeds lies a ridge, which
//! matching lowers. Between BP and the default there is none:
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
//! Training on the digits: the default's curve lies on BP's, and its energy below its loss; the literal objective follows behind:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/digits-relu-training.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! Residuals of the literal objective on the digits: the label comes down one layer a visit:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/digits-relu-residuals.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! Two moons, the default and then BP:
//!
#![cfg_attr(doc, doc = "<div>")]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/moons-default.svg"))]
#![cfg_attr(doc, doc = include_str!("../../examples/figures/moons-bp.svg"))]
#![cfg_attr(doc, doc = "</div>")]
//!
//! # The immunities
//!
//! The claim says that such a network is immune to vanishing and exploding gradients, to the sequential lock, and to layers without a
//! derivative. Each by itself, by the same command:
//!
#![cfg_attr(doc, doc = include_str!("../../examples/figures/immunity.md"))]
