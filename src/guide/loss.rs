//! Writing a loss.
//!
//! Implement [`Loss`](crate::Loss): a sum over units *and* examples, not a mean. (A mean over the examples in the output loss alone would
//! make the penalty N times as heavy; a mean over units, a layer's penalty lighter the wider it is.)
//!
//! 1. **`value`**: L(z, ẑ), target first.
//! 2. **`gradient`**: ∂L/∂ẑ. The output loss needs no more.
//! 3. **`target_gradient`**: ∂L/∂z. Needed only between hidden layers, where the target is itself trained; by differences unless
//!    written out.
//! 4. **`serves_hidden`**: false where L can fall without bound as the *target* moves, as cross-entropy can. Such a loss would let
//!    stored activations run away, and is refused between layers.
//! 5. **`check_targets`**: refuse targets that have no meaning for it; the error names the example.
//! 6. **Prove it**: [`check::loss`](crate::check::loss()).
//!
//! The documentation of [`Loss`](crate::Loss) has a whole loss, tested; the example `custom_loss` another one.
//!
//! [`hessian_product`](crate::Loss::hessian_product) is for Gauss–Newton steps, and has a default by differences;
//! [`outputs`](crate::Loss::outputs) declares the outputs to be numbers, classes or labels, for the comparison of two
//! classifiers and for [`predict_proba`](crate::DecoupledNetwork::predict_proba) and its like.
//!
//! # A hidden loss
//!
//! [`SquaredError`](crate::loss::SquaredError) is the default between layers. [`RelativeSquaredError`](crate::loss::RelativeSquaredError)
//! does not change when activations shrink, so that the [scale cheat](super::method#failures-and-remedies) does not
//! pay; [`Huber`](crate::loss::Huber) limits the pull of single
//! activations that are far off.
