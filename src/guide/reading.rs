//! How to read the report of a fit, and how to act on it.
//!
//! [`fit`](crate::DecoupledNetwork::fit) returns a [`FitReport`](crate::FitReport) with one [`EpochReport`](crate::EpochReport) an
//! epoch. It prints as a table; [`summary`](crate::DecoupledNetwork::summary) prints the network. Read it in this order.
//!
//! 1. **`train_loss` and `validation`**: the *forward loss*, of the ordinary network. Judge the network by it.
//! 2. **`energy`** beside it. That of the default is the forward loss, and its residuals are 0: it measures at the
//!    forward pass, before its only sweep. Other anchored methods keep the energy below the forward loss; both fall together. If the energy falls and the loss
//!    rises, that is the [scale cheat](super::method#failures-and-remedies).
//! 3. **`warnings`**: conclusions from the numbers, in words, each with its remedy.
//! 4. The rest, if something is wrong:
//!
//! | field | meaning | act when |
//! |---|---|---|
//! | [`energies`](crate::EpochReport::energies) | which layer holds how much of the energy | a warning says that the signal fades (a factor of ten or a hundred from layer to layer is normal). Train by the default, or take fewer layers |
//! | [`residuals`](crate::EpochReport::residuals) | ‖z − ẑ‖ / ‖z‖ of each hidden layer | one is a million times smaller than another: that layer is not reached. Take more activation steps |
//! | [`update_norms`](crate::EpochReport::update_norms) | how far each layer's parameters went in the epoch | one layer does not move, as above |
//! | [`dead_units`](crate::EpochReport::dead_units) | units with the same output for every example | half a layer is dead. Lower the learning rate, or take `LeakyRelu` |
//! | [`curvature`](crate::EpochReport::curvature), [`stability_margin`](crate::EpochReport::stability_margin) | for methods that follow it: λmax of the energy, and how far the activation rate stays below 2/λmax | the margin is below 1. Lower the activation rate. Both are estimates from few examples; `decoupling` has better ones |
//! | [`staleness`](crate::EpochReport::staleness) | how many parameter updates have happened since an example was last visited | activations persist and there are many batches (with k batches an epoch it is k − 1). Take larger batches, or start anchored |
//! | [`penalty_factor`](crate::EpochReport::penalty_factor) | the factor that a schedule has applied to the penalties | |
//! | [`learning_rate_factor`](crate::EpochReport::learning_rate_factor) | the factor of observers on the learning rates; printed where it is not 1 | it is so small that nothing moves any more |
//! | [`decoupling`](crate::EpochReport::decoupling) | on request: how far activations got on the way to equilibrium (1: all of it), the cosine of each layer's gradient with BP's, λmax for any method | a cosine is near 0: that layer's step is unrelated to the forward loss. Fewer or smaller activation steps, or [read the forward activations](crate::method::Reads::Forward). It is measured from a forward pass: for persisted activations (`joint`) it is not the step that was taken |
//!
//! All but the last cost next to nothing and are always reported. The last is switched on by
//! [`FitConfig::measure_decoupling`](crate::FitConfig::measure_decoupling):
//!
//! ```
//! use decoupled::layer::Activation;
//! use decoupled::{DecoupledNetwork, FitConfig, data};
//!
//! let data = data::two_moons::<f32>(200, 0.1, 0)?;
//! let mut network = DecoupledNetwork::builder(2).dense(16, Activation::Tanh).dense(2, Activation::Identity).build()?;
//! // After every fifth epoch, on 64 examples.
//! let report = network.fit(&data, &FitConfig::new().epochs(10).measure_decoupling(5, 64))?;
//! for epoch in &report.epochs {
//!     if let Some(measured) = &epoch.decoupling {
//!         println!("epoch {}: cosines with BP {:.3?}", epoch.epoch, measured.cosine);
//!     }
//! }
//! report.warnings.iter().for_each(|warning| println!("{warning}"));
//! # Ok::<(), decoupled::Error>(())
//! ```
//!
//! # Two trained networks
//!
//! [`diagnostics::similarity`](crate::diagnostics::similarity()) compares parameters (as they are, and after [units have been
//! matched](crate::diagnostics::matching())), hidden activations (CKA, Procrustes), and outputs (agreement beyond
//! chance, Jensen–Shannon divergence). One rule: **no number without its controls**. Train BP with another seed, and with another
//! order of the examples, compare these with BP as well, and read yours beside them. The [study](super::study) does that.
//!
//! [`diagnostics::cost`](crate::diagnostics::cost()) counts the cost of one update: products that must follow one another,
//! floating-point operations, bytes of bank.
//!
//! # Pictures
//!
//! With the feature `plot` the module `decoupled::plot` draws training curves, residuals, depth profiles, CKA, loss barriers and
//! decision boundaries as SVG.
