//! The guide: the method, its cost, and when to use it. Start here.
//!
//! # In one page
//!
//! An ordinary network is trained by *backpropagation* (BP): an example runs up through all layers, its error runs down again, and
//! a layer cannot step before its error has arrived. And on its way down the error is multiplied by the
//! derivative of every layer: it can shrink to nothing, grow without bound, or stop at a layer whose derivative is zero.
//!
//! The methods of this library give each layer an input and a target of its own, held in memory. Given these, each layer takes its step
//! independently of the others. The methods differ in how the targets get there.
//!
//! **Storage.** For every training example and every hidden layer the library keeps one vector, the *stored activation* z: the
//! target of the layer below it and the input of the layer above it. Nobody supplies these vectors. They start as the layers' outputs
//! in an ordinary forward pass. *Persisted* methods then change them little by little from visit to visit, as they change the weights;
//! *anchored* ones, the default among them, compute them anew at every visit. All of them together are the *activation bank*. It is needed
//! only while training: to predict, the network runs an ordinary forward pass.
//!
//! ```text
//!     x ──[layer 0]──▶ ẑ_1 ≈ z_1 ──[layer 1]──▶ ẑ_2 ≈ z_2 ──[layer 2]──▶ ŷ ≈ y
//!   input                  stored                   stored                  label
//!
//!   layer 0 reads x and should give z_1, layer 1 reads z_1 and should give z_2, and so on
//!   ≈ : should agree; the difference z − ẑ is the residual
//! ```
//!
//! **Locality.** Square the residuals, multiply each layer's by a factor (its *penalty*), add them up, and add the error at the
//! output: that is the *energy*, the one number that training lowers. Two kinds of step lower it; some methods
//! alternate them, others take both at once:
//!
//! * the *parameter step* changes a layer's weights so that it comes nearer to its target. It needs the layer's stored input and its
//!   target, and nothing else;
//! * the *activation step* changes a stored vector, by gradient descent with the weights fixed. Two terms pull at it: one towards the
//!   output of the layer below, one towards an input from which the layer above comes nearer to *its* target. It needs those two layers
//!   and the vectors beside them, and nothing else.
//!
//! Only the last layer sees the label. Its error shifts the highest stored vector; that leaves the layer below with a residual, which
//! shifts the next one, and so on: every activation step carries the label's influence one layer further down. It is a relay. In short
//! steps of all layers at once less arrives after every hop; in the default, which goes through the layers from the output down in steps of
//! full length, BP's error arrives. The gain depends on the method:
//!
//! | promise | which methods keep it |
//! |---|---|
//! | all layers work at once, at any depth | [`in_flight`](crate::Method::in_flight), each on a micro-batch of its own; an update takes as many ticks as there are of these, at least one less than the stages. After ten epochs it is [within 0.2 points of BP](results#the-sequential-lock), after few it is not. [`joint`](crate::Method::joint), all on the same batch, is far less accurate. The others begin every visit of a batch with a forward pass, from which its stored vectors start anew, or go through the layers in order; a sweep from the output makes that chain as long as BP's. Of the [default](crate::Method::default), the parameter steps are of all layers at once |
//! | nothing fades or explodes on its way down | the [default](crate::Method::default) and BP alike, from the start that a [first fit](crate::DecoupledNetwork::fit) takes where the error changes its size on the way down, or the network is deep: [an isometry](crate::DecoupledNetwork::start_isometric), up to a hundred plain layers. [`red_black`](crate::Method::red_black) fades beyond about ten |
//! | no derivative is needed | [`bcd`](crate::Method::bcd) and [`admm`](crate::Method::admm), which solve every layer's small problem exactly: ReLU networks learn by closed forms alone. Units that jump do not: there the closed forms bring nothing beyond the last layer, and [`local_targets`](crate::Method::local_targets) needs a substitute derivative, as BP does |
//!
//! **Cost.**
//!
//! * *Memory*: the bank, four bytes for each hidden unit and example, on top of the usual. For MNIST (60,000 examples) and two hidden
//!   layers of 256 that is 124 MB. [Two bytes](crate::bank::Storage) will do, or [a file](crate::bank::BankFile). Methods that start at
//!   the forward pass, as the default, do [without](crate::bank::Storage::Nothing): activations are then those of one batch.
//! * *Time*: an epoch of the default, local targets with two steps (the first layer's both along one gradient), takes 1.3 to 2 times as
//!   long as one of BP, the more the deeper the network and the narrower its input. After the same number of epochs it is as accurate,
//!   within 0.4 points, or better ([tables and commands](results)).
//! * *Effort*: methods that relax their activations have one more learning rate. The default has no such rate.
//!
//! **When to use it.**
//!
//! * Your layers jump: the sign of a number, a step, values rounded to a few bits. `local_targets` takes a substitute derivative that
//!   you choose. It is then as good as BP with the same straight-through estimator on all of MNIST, and better where data are few.
//! * Your network is deep and plain, without skip connections or normalisation, and BP's gradient vanishes in it: nothing has to be set.
//!   BP from the same start is as good, so that the start does it; from ordinary initial weights both learn little or nothing where the
//!   gradient vanishes.
//! * Epochs are expensive, because data are few or slow to read: the default learns more from each.
//! * Your network is deep, you train it for ten epochs or more, and you have eight cores or more: `in_flight` keeps all layers at work (a
//!   prediction; on two cores it gains [little or nothing](results#the-sequential-lock)).
//! * You study learning without backpropagation, and want the published methods in one place, with instruments, each beside the same
//!   network trained by BP. [`red_black`](crate::Method::red_black) is the one that comes nearest to BP without a pass from the output.
//!
//! **When not.** If BP trains your network and epochs are cheap, use BP: it takes less time for one, and is about as accurate
//! ([results]). Nor if you need a GPU or recurrent layers: there are none. Nor for examples that never come back, such as streams or random
//! augmentation: a stored vector belongs to one example.
//!
//! # Training, in five lines
//!
//! ```text
//! for every batch:                                                    (a visit)
//!     z ← forward pass of the batch           or: the bank's content  (anchored | kept)
//!     K times:  every z_t moves down the gradient of the energy       (activation steps)
//!     M times:  every θ_t moves down the gradient of the energy       (parameter steps)
//!     the bank ← z
//! ```
//!
//! The default is anchored, goes through the z_t once, from the output down (K = 1), and takes M = 2 steps of the parameters.
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::{DecoupledNetwork, FitConfig, data};
//!
//! let data = data::two_moons::<f32>(200, 0.1, 0)?;
//! let mut network = DecoupledNetwork::builder(2)
//!     .dense(16, Activation::Tanh)
//!     .dense(2, Activation::Identity)
//!     .build()?;
//! let mut twin = network.clone();
//! network.fit(&data, &FitConfig::new().epochs(20).batch_size(20))?;
//! twin.fit_backprop(&data, &FitConfig::new().epochs(20).batch_size(20))?;
//! println!("{:?}, BP {:?}", network.evaluate(&data)?, twin.evaluate(&data)?);
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # The words, for reference
//!
//! | word | meaning | in formulas |
//! |---|---|---|
//! | stored activation | a vector in the bank, for one example and one hidden layer | z_t |
//! | prediction of a layer | its output for its stored input | ẑ_t = f(z_{t−1}; θ_{t−1}) |
//! | residual | stored activation minus prediction | z_t − ẑ_t |
//! | energy | all weighted squared residuals and the error at the output | L(Θ, Z) |
//! | penalty | the weight of a hidden layer's residual; the output's is 1 | μ_t |
//! | forward loss | the usual loss: forward pass, compared with the label. Judge a network by this one | L_y |
//! | forward activation | a layer's output in an ordinary forward pass | a_t |
//! | visit | one use of a batch in training | |
//! | anchored, persisted (kept) | whether a visit starts from a forward pass, or from the stored values of the last visit | |
//! | target of a layer | the stored activation above it, which it is trained to give | z_{t+1} |
//! | sweep | one activation step of every hidden layer, in some order | |
//! | local step | one of several parameter steps towards the same targets | |
//! | lane | a part of a batch that one task works on | |
//! | product | one matrix product of a layer with a batch | |
//! | relaxed | changed by activation steps; to the end, where nothing moves any more, is the *equilibrium* | z* |
//! | twin | the same network, start and batches, trained by BP | |
//!
//! The field calls this predictive coding, auxiliary coordinates or block coordinate descent, depending on the choices in
//! the five lines.
//!
//! # The pages
//!
//! * [`method`]: the equations, and where they lead;
//! * [`presets`]: which way to train, by your aim;
//! * [`visits`]: every method stage by stage, with the products of each;
//! * [`reading`]: how to read the report of a fit, and how to act on it;
//! * [`study`]: is the trained network the one that BP would give? Measurements, with intervals and controls;
//! * [`results`]: accuracies, times and limits of every preset, each with its command;
//! * [`living`]: your own table, a bar, an early stop, files;
//! * [`coming`]: from Keras, scikit-learn or PyTorch, habit by habit;
//! * [`layer`] and [`loss`]: writing your own.

#[doc(alias = "categorical")]
#[doc(alias = "dropout")]
#[doc(alias = "keras")]
#[doc(alias = "learning rate schedule")]
#[doc(alias = "pytorch")]
#[doc(alias = "scikit-learn")]
pub mod coming;
pub mod layer;
pub mod living;
pub mod loss;
pub mod method;
pub mod presets;
pub mod reading;
pub mod results;
pub mod study;
pub mod visits;
