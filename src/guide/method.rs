//! The equations, and where they lead.
//!
//! A network of T layers maps z_t to ẑ_{t+1} = f_t(z_t; θ_t). The input z_0 = x and the target z_T = y are given; between them every
//! example i has a stored activation z_t^i for each hidden layer, and training minimises over parameters Θ and activations Z
//!
//! ```text
//! L(Θ, Z) = Σ_i [ L_y(z_T, ẑ_T) + Σ_{t=1}^{T−1} μ_t L_h(z_t, ẑ_t) ]
//!
//! ∂L/∂θ_t = Σ_i (∂f/∂θ_t)ᵀ c_{t+1}               the layer's own input and target suffice
//! ∂L/∂z_t = μ_t ∂L_h/∂z_t + (∂f/∂z_t)ᵀ c_{t+1}   its two neighbours suffice
//! c_T = ∂L_y/∂ẑ_T,  c_t = μ_t ∂L_h/∂ẑ_t          the error signal at a layer's output
//! ```
//!
//! They are written once in the code, in [`energy`](crate::method::energy), and every gradient of every method comes from there. A visit takes a
//! batch through four parts, which are chosen apart ([`Method`](crate::Method)): where its activations
//! [start](crate::method::Start), how they [move](crate::ActivationStep), how [parameters](crate::ParameterStep) follow, and how the
//! two are [coupled](crate::method::Coupling). [`Method::schedule`](crate::Method::schedule) prints the stages of a visit that these give, with the
//! products that follow one another in each.
//!
//! # How the label comes down
//!
//! Write a_t for the forward activation, ε_t = z_t − ẑ_t for the residual, and δ_t for the error that BP would have at layer t. After a
//! forward pass z_t = a_t: all hidden residuals are zero, the energy is the forward loss, and only the last layer has a gradient. Then
//!
//! * **K activation steps, all layers at once, reach K layers**: the first moves the highest stored activation, the next the one below
//!   it as well, and so on. The signal at the lowest is of the order of the rate to the power of the depth;
//! * **in [red-black order](crate::method::Order::RedBlack) they reach 2K**: every other layer steps, then the rest. Neighbours never
//!   move together, so that larger steps are stable. [`red_black`](crate::Method::red_black) takes the sweeps that reach the lowest layer and one more: enough
//!   for [some ten hidden layers](super::results#where-red-black-sweeps-end);
//! * **one special choice reproduces BP**: a single sweep from the top down, one layer after the other, with steps of 1/μ, gives
//!   z_t = a_t − δ_t/μ, and with the squared hidden loss the parameter gradient is BP's, up to rounding. The
//!   [default](crate::Method::default) uses this sweep to set targets and takes two steps towards them, of which the second is not BP's;
//!   with one it is [`backprop_by_sweep`](crate::Method::backprop_by_sweep), a check. [`in_flight`](crate::Method::in_flight) takes the same
//!   sweep a layer a tick, with other micro-batches in the layers above and below. Other choices differ from BP more or less;
//! * **to the end**, where nothing moves any more, the output's error has been shared out among all layers. For linear layers and
//!   squared errors, with P_t the product of the weight matrices above z_t and r the output's error after a forward pass,
//!   ε_t = P_tᵀ S⁻¹ r / μ_t, S = I + Σ P_t P_tᵀ / μ_t: BP's error, damped most in the directions that the network amplifies. Then
//!   Σ μ_t‖ε_t‖² ≤ ‖r‖², so hidden errors cannot explode. They can still vanish.
//!
//! [`diagnostics::decoupling`](crate::diagnostics::decoupling()) measures where a method lies between these: how far it relaxes, and
//! the cosine of its gradient with BP's, layer by layer.
//!
//! # Failures and remedies
//!
//! * **Label leak.** A relaxed activation holds something of the label. A layer that reads it while learning comes to use information that
//!   is absent when it predicts. So by default only a layer's *target* is the relaxed activation; its input is the [forward
//!   activation](crate::method::Reads::Forward). (The picture on the first page shows the general scheme.)
//! * **Steps too long.** Activation steps longer than 2/λmax overshoot and grow, with λmax the largest eigenvalue of the energy's Hessian in
//!   the activations. It changes during training. `red_black` measures it and keeps below; the report has the
//!   [margin](crate::EpochReport::stability_margin).
//! * **Scale cheat.** The energy can be lowered without learning: make all hidden vectors small and the last layer's weights large.
//!   Residuals shrink, and the forward loss does not. The energy falls while the forward loss rises, and a
//!   [warning](crate::Warning::EnergyAndLossPart) says so.
//! * **Diffusion.** Activations that are kept and take one step a visit ([`joint`](crate::Method::joint), the objective taken literally)
//!   carry the label down one layer a visit. It works, and takes many epochs.
//! * **Bias.** Where residuals remain at the end, the solution is off BP's by O(1/μ). Multipliers ([`alm`](crate::Method::alm)) remove
//!   that: at their fixed point they *are* the backpropagated errors.
//!
//! # Where it comes from
//!
//! Auxiliary coordinates (Carreira-Perpiñán and Wang 2014), ADMM without gradients (Taylor et al. 2016), block coordinate descent (Zhang
//! and Brand 2017, Zeng et al. 2019), predictive coding (Whittington and Bogacz 2017), local propagation (Marra et al. 2020), pipelined backpropagation (Narayanan et al. 2019, layers in flight), local losses with targets (target propagation, Lee et al. 2015; LocoProp, Amid et al. 2021, the
//! default) are the
//! same objective with other choices in the four parts. Each [preset](crate::Method) names its paper.
