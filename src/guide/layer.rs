//! Writing a layer.
//!
//! A layer is an immutable description: its parameters, outputs and scratch belong to the network, and are lent to it as slices.
//! So there is nothing to lock, to copy or to clone, and it needs no registration: implement [`Layer`](crate::Layer) and pass it to
//! [`NetworkBuilder::layer`](crate::NetworkBuilder::layer).
//!
//! 1. **Say the shapes**: `input_dim`, `output_dim`, `param_len`. Columns are examples, so the input is `input_dim × n`.
//! 2. **`forward`**: output = f(input; params). Write every entry: the buffer's previous content is arbitrary.
//! 3. **`input_gradient`**: grad = (∂f/∂z)ᵀ · cotangent, column by column. (The *cotangent* is the gradient at this layer's
//!    output, PyTorch's `grad_output`.) Activation steps and BP ask for it.
//! 4. **`param_gradient`**: grad = Σ over the columns of (∂f/∂θ)ᵀ · cotangent. Parameter steps ask for it.
//! 5. **`init_params`**, if zeros are not a good start.
//! 6. **Prove it**: [`check::layer`](crate::check::layer()) compares the gradients with finite differences and tests every promise of the
//!    trait.
//!
//! The documentation of [`Layer`](crate::Layer) has a whole layer in thirty lines, tested; the example `custom_layer` a larger one.
//!
//! Results that are expensive and needed again go into the `cache`: `cache_len` sets its length, `forward` fills it, and the gradients
//! read it.
//!
//! # Optional functions
//!
//! | function | gain |
//! |---|---|
//! | [`regression`](crate::Layer::regression) | its parameters by least squares, as in `bcd` and `admm` |
//! | [`proximal`](crate::Layer::proximal) | its best input in closed form, as in the same |
//! | [`noise`](crate::Layer::noise) | another map in training, by random numbers that the layer is given: [`Noise`](crate::layer::Noise) |
//! | [`has_derivative`](crate::Layer::has_derivative) | a warning where no gradient goes through |
//! | [`output_range`](crate::Layer::output_range) | a warning where a loss reads logits from a last layer that does not give all numbers |
//! | [`is_straight_through`](crate::Layer::is_straight_through) | a derivative of your own choice, which no difference can check |
//! | [`wiring`](crate::Layer::wiring) | units that can be matched with those of another network |
//! | [`input_shape`](crate::Layer::input_shape), [`output_shape`](crate::Layer::output_shape) | pictures that are checked at every border |
//! | [`operations`](crate::Layer::operations) | a [cost](crate::diagnostics::cost) that counts every use of a parameter |
//! | [`tensors`](crate::Layer::tensors) | parameters as named matrices in files |
//! | [`name`](crate::Layer::name) | a name in [summaries](crate::DecoupledNetwork::summary) |
//!
//! A network with layers of your own is [built first and filled](crate::DecoupledNetwork::load_params) from a file.
//!
//! A [training method](crate::Method) that needs a function that a layer lacks is an error, when the network is built with it or before
//! a fit with it changes anything; the error lists the methods that work.
