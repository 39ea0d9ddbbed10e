//! The equations, and what is known about where they lead.
//!
//! A circuit of T layers maps z_t to ẑ_{t+1} = f_t(z_t; θ_t). The input z_0 = x and the target z_T = y are given; between them every
//! example i has a stored activation z_t^i for each hidden layer, and training minimises over parameters Θ and activations Z
//!
//! ```text
//! L(Θ, Z) = Σ_i [ L_y(z_T, ẑ_T) + Σ_{t=1}^{T−1} μ_t L_h(z_t, ẑ_t) ]
//!
//! ∂L/∂θ_t = Σ_i (∂f/∂θ_t)ᵀ c_{t+1}               the layer's own input and target suffice
//! ∂L/∂z_t = μ_t ∂L_h/∂z_t + (∂f/∂z_t)ᵀ c_{t+1}   its two neighbours suffice
//! c_T = ∂L_y/∂ẑ_T,  c_t = μ_t ∂L_h/∂ẑ_t
//! ```
//!
//! They stand once in the code, in [`energy`](crate::energy), and every gradient of every method comes from there. A *visit* takes a
//! batch through four parts, which are chosen apart ([`Method`](crate::Method)): where its activations
//! [start](crate::Start), how they [move](crate::ActivationStep), how [parameters](crate::ParameterStep) follow, and what
//! [couples](crate::Coupling) the two.
//!
//! # How the label comes down
//!
//! Start from a forward pass: all residuals are zero, the energy is the forward loss, and only the output misses. Then
//!
//! * no layer but the top one has a gradient, and no activation but the highest. One activation step moves that one; the next moves
//!   the one below it, and so on. **K steps at once reach K layers**; the default takes as many as there are layers;
//! * a single sweep from the top down, one activation after the other, with steps of 1/μ, gives z_t = a_t − δ_t/μ, with δ_t the error
//!   that BP would have there: **one sweep is BP**, to the last digit ([`backprop_by_sweep`](crate::Method::backprop_by_sweep));
//! * to the end, at the *equilibrium*, the output's error has been shared out among the layers. In a linear chain with squared errors
//!   ε_t = P_tᵀ S⁻¹ r / μ_t with S = I + Σ P_t P_tᵀ / μ_t: BP's error r, damped most in the directions that the network amplifies.
//!   Hidden errors cannot explode there, Σ μ_t‖ε_t‖² ≤ ‖r‖². They can still vanish.
//!
//! Everything in between is a choice, and [`diagnostics::decoupling`](crate::diagnostics::decoupling()) measures which one a method
//! makes: how far it relaxes, and the cosine of its gradient with BP's, layer by layer.
//!
//! # What goes wrong, and what is done about it
//!
//! * **Label leak.** A relaxed activation holds something of the label. A layer that reads it learns to use what it will not have when
//!   it predicts. So parameters [read the forward activation](crate::Reads::Forward) by default, and only the target is relaxed.
//! * **Steps too large.** A step of an activation is stable below 2/λmax of the energy's curvature, which grows during training. The
//!   default measures λmax and keeps below it; the report has the [margin](crate::EpochReport::stability_margin).
//! * **Scale cheat.** Shrink all activations and hidden weights, let the last layer make up for it: hidden misses shrink with the
//!   square, and nothing is learnt. Energy and forward loss part; a [warning](crate::Warning::EnergyAndLossPart) says so.
//! * **Diffusion.** Kept activations that take one step a visit carry the label down one layer a visit. It works, and takes many epochs.
//! * **Bias.** Where residuals remain at the end, the solution is off BP's by O(1/μ). Multipliers ([`alm`](crate::Method::alm)) remove
//!   that: at their fixed point they *are* the backpropagated errors.
//!
//! # Where it comes from
//!
//! Auxiliary coordinates (Carreira-Perpiñán and Wang 2014), ADMM without gradients (Taylor et al. 2016), block coordinate descent (Zhang
//! and Brand 2017, Zeng et al. 2019), predictive coding (Whittington and Bogacz 2017), local propagation (Marra et al. 2020) are the
//! same objective with other choices in the four parts. Each [preset](crate::Method) names its paper.
