//! The guide: what the method is, what it costs, and when to use it. Start here.
//!
//! # In one page
//!
//! An ordinary network is trained by *backpropagation* (BP): an example runs up through all layers, its error runs down again, and
//! only then does a layer know what to change. While it waits for the layers above it can do nothing; and what arrives has been
//! multiplied by every layer on the way, so that it may have faded, exploded, or stopped at a layer that has no derivative.
//!
//! Here the layers do not wait for each other, because what each of them needs lies beside it.
//!
//! **What is stored.** For every training example and every hidden layer the network keeps one vector of numbers, the *stored
//! activation*: what the output of that layer should be for that example. All of them together are the *activation bank*. It is a
//! part of the training, not of the result: a trained network predicts without it.
//!
//! ```text
//!            layer 0              layer 1              layer 2
//!     x ───────────────▶ z_1 ───────────────▶ z_2 ───────────────▶ y
//!   input                stored               stored               target
//!
//!   layer 0 reads x and should hit z_1;  layer 1 reads z_1 and should hit z_2;  layer 2 reads z_2 and should hit y
//! ```
//!
//! **What is local.** Each layer has a task of its own: read the stored activation below, hit the stored activation above. How far
//! it misses is its *residual*; the sum of all misses, with the error at the output, is the *energy*, and training lowers it in two
//! ways that take turns or go together:
//!
//! * the *parameter step* changes a layer so that it hits its target better. It needs the two stored activations beside the layer;
//! * the *activation step* moves a stored activation to where the layer below can reach it and the layer above can use it. It needs
//!   the two layers beside it.
//!
//! Neither needs anything that has travelled through the whole network. The label enters at the top, and works its way down because
//! every stored activation gives a little way to the one above it.
//!
//! **What it costs.** Memory: one number for each hidden unit and example (MNIST with two hidden layers of 256 units takes 124 MB;
//! [a file or half the bytes](crate::Storage) will do). Time: the [default](crate::Method::default) takes about one and a half times as
//! long as BP for as many passes over the data, since it moves activations as well as parameters; [`presets`] has the figures of the
//! others. And one more thing to set: how far activations move, which the default does by itself.
//!
//! **When to use it.**
//!
//! * You want layers without a usable derivative: signs, steps, a few bits. Closed forms and local targets train them.
//! * You have a deep, plain network in which BP's signal is lost: [`start_from_bank`](crate::DecoupledNetwork::start_from_bank) with
//!   [`local_targets`](crate::Method::local_targets) trains sigmoids through thirty layers.
//! * You have many cores and small batches, or layers on several machines: under [`joint`](crate::Method::joint) all layers of any
//!   depth step at once.
//! * You study learning without backpropagation, and want every method of the family under one objective, with instruments, beside
//!   its BP twin on the same network.
//!
//! **When not.** If BP trains your network and a single machine is fast enough, BP is cheaper, and does as well. That is not what
//! one wants to sell, and it is [what was measured](study).
//!
//! # The words
//!
//! | word | what it is | in formulas |
//! |---|---|---|
//! | stored activation | what the bank keeps for one example and one hidden layer | z_t |
//! | prediction | what the layer below makes of its own stored input | ẑ_t = f(z_{t−1}; θ_{t−1}) |
//! | residual | by how much the two differ | z_t − ẑ_t |
//! | energy | all misses together, which training lowers | L(Θ, Z) |
//! | penalty | how much a hidden miss counts beside one at the output | μ |
//! | forward loss | the error of the ordinary network, without the bank: what counts in the end | L_y |
//! | anchored, persisted | whether a visit to an example starts from a forward pass, or from what the bank has kept | |
//! | twin | the same network, start and batches, trained by BP | |
//!
//! # The pages
//!
//! * [`method`]: the equations, and what is known about where they lead;
//! * [`presets`]: which way to train, by what you want;
//! * [`reading`]: what the report of a fit says, and what to do about it;
//! * [`study`]: the claim that all this settles where BP would, tested;
//! * [`layer`] and [`loss`]: writing your own.

pub mod layer;
pub mod loss;
pub mod method;
pub mod presets;
pub mod reading;
pub mod study;
