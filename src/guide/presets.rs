//! Which way to train, by your aim.
//!
//! | aim | preset | cost or condition |
//! |---|---|---|
//! | a network as good as BP's within 0.4 points, or better, through [one to a hundred](super::results#any-depth) plain hidden layers | [`default`](crate::Method::default), local targets with two steps, the first layer's along one gradient | 1.3 to 2 × BP's time, a sweep in sequence |
//! | at most half a point below BP without a sweep from the output down, through [up to ten](super::results#where-red-black-sweeps-end) hidden layers | [`red_black`](crate::Method::red_black), predictive coding that keeps its own rate stable | 1.3 to 2.7 × BP's time, some 3T products in sequence |
//! | few epochs, with more work in each | [`local_targets`](crate::Method::local_targets) with more steps, as `local_targets(5)`, at a lower learning rate | a sweep in sequence |
//! | all layers [at work at once](super::results#the-sequential-lock), within 0.2 points of BP after ten epochs | [`in_flight`](crate::Method::in_flight)`(usize::MAX, 8)`: a stage a layer, micro-batches of at most 8 | many small products: for eight cores or more |
//! | all layers at once on the same batch | [`joint`](crate::Method::joint), the objective taken literally | many epochs, and some accuracy |
//! | BP's solution, by multipliers that persist in the bank | [`alm`](crate::Method::alm) | a second bank, for multipliers |
//! | no derivative at all, for ReLU and the like | [`bcd`](crate::Method::bcd), [`admm`](crate::Method::admm) | squared errors, full batches, [pre-activations stored](crate::NetworkBuilder::store_pre_activations) |
//! | units with a jump (sign, step), by a substitute derivative | [`local_targets`](crate::Method::local_targets) with [`straight_through`](crate::layer::Elementwise::straight_through) | a derivative that you choose |
//! | predictive coding with settings as published | [`predictive_coding`](crate::Method::predictive_coding), [`incremental`](crate::Method::incremental), [`error_based`](crate::Method::error_based) | a rate for the activations |
//! | second-order steps for the activations | [`mac`](crate::Method::mac) | a network with few outputs |
//! | BP, to see that the rest of your set-up is right | [`fit_backprop`](crate::DecoupledNetwork::fit_backprop) | |
//!
//! A method is a value with setters; nothing else has to change:
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::{DecoupledNetwork, FitConfig, Method, data};
//! use decoupled::method::Reads;
//!
//! let data = data::two_moons::<f32>(200, 0.1, 0)?;
//! let mut network = DecoupledNetwork::builder(2).dense(16, Activation::Tanh).dense(2, Activation::Identity).build()?;
//! let method = Method::predictive_coding(8, 0.05).reads(Reads::Stored); // as published
//! network.fit(&data, &FitConfig::new().method(method))?;
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Rules of thumb
//!
//! * End with a small learning rate ([`Schedule::Cosine`](crate::optimizer::Schedule)): methods whose gradients are not quite BP's gain
//!   by it. The schedule's length is counted in parameter updates: epochs × batches ×
//!   [`parameter_steps`](crate::Method::parameter_steps).
//! * Bring inputs and targets to unit size ([`Scaler`](crate::data::Scaler)): penalties and activation rates are chosen for that.
//! * [`search`](crate::search) tries rates and penalties by cross-validation; compare its best with the default, on data that it has
//!   not seen. [`find_step`](crate::diagnostics::find_step) says which activation rates are stable where training starts.
//! * Change the activation rate before the number of steps, the number of steps before the penalty.
//! * With `bcd` and `admm` take all examples in one batch, squared errors, and `store_pre_activations`.
//! * Train the [twin](crate::DecoupledNetwork::fit_backprop) once. If BP fails as well, look for the fault in data or settings.
//!
//! [`results`](super::results) has accuracies and times with the commands that print them, and the [study](super::study) intervals over
//! seeds.
