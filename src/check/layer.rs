//! The check of a layer: its rules, in groups of one file each.

mod account;
mod forward;
mod gradients;
mod noise;
mod proximal;
mod regression;
mod trial;
mod unit;
mod wiring;

use super::guard;
use crate::{Error, Layer, Result, Scalar};
use trial::Trial;

rules! {
    /// What [`layer()`] tests, in that order.
    ///
    /// * What a layer says of itself stays the same and fits: sizes, name, [tensors](Layer::tensors); `cache_len` does not fall
    ///   as the batch grows. If it is [described](Layer::describe), what is made from the description computes the same.
    /// * Initial parameters are finite, and the same for the same random stream.
    /// * `forward` and the gradients give the same bits each time, in any order, and overwrite what they write, the cache included.
    /// * No example influences another, and inputs in the thousands give infinities at worst.
    /// * Outputs lie in the [range](Layer::output_range) that it tells, for inputs in the thousands as well.
    /// * Both gradients are linear in the cotangent, and agree with differences, at random inputs and parameters near the initial
    ///   ones; not of a layer that is [straight-through](Layer::is_straight_through) or has
    ///   [no derivative](Layer::has_derivative): differences say nothing there, or, over a fine staircase, the slope of its flight.
    /// * Its [`unit`](Layer::unit), if it has one, computes the same from the same parameters.
    /// * Renumbered units give renumbered outputs, if it tells its [`wiring`](Layer::wiring), and scales go through if it says so.
    /// * [`Regression`](crate::layer::Regression) and [`Proximal`](crate::layer::Proximal), where it offers them, find minima,
    ///   tell the present pre-activation, and add up; an example of weight 2 counts as two.
    /// * Of the pass with [`Noise`](crate::layer::Noise), where it offers one, the same holds as of `forward` and its gradients, at any
    ///   fixed noise; it leaves nothing behind in a later plain pass.
    LAYER_RULES of Trial:
    account {
        sizes_stay_the_same,
        shapes_have_their_dimensions,
        cache_does_not_shrink,
        name_is_one_line,
        tensors_cover_the_parameters,
        tensors_stay_the_same,
        #[cfg(feature = "save")]
        description_computes_the_same,
    }
    forward {
        initial_params_are_finite,
        initial_params_follow_the_stream,
        forward_overwrites,
        forward_repeats,
        forward_ignores_other_examples,
        forward_far_out_is_no_nan,
        forward_stays_in_its_range,
    }
    gradients {
        input_gradient_overwrites,
        param_gradient_overwrites,
        input_gradient_repeats,
        param_gradient_repeats,
        input_gradient_ignores_other_examples,
        param_gradient_sums_over_examples,
        input_gradient_is_linear,
        param_gradient_is_linear,
        input_gradient_agrees_with_differences,
        param_gradient_agrees_with_differences,
    }
    unit {
        unit_computes_the_same,
    }
    wiring {
        wiring_covers_the_parameters,
        renumbered_units_renumber_outputs,
        rescaled_units_rescale_outputs,
    }
    regression {
        regression_moments_add_up,
        regression_moments_follow_the_weights,
        regression_knows_the_present_pre_activation,
        regression_ignores_its_scratch,
        regression_finds_the_least_squares,
        regression_ridge_presses_on_the_weights,
        regression_refuses_what_has_no_answer,
        regression_change_is_of_pre_activations,
    }
    proximal {
        proximal_repeats,
        proximal_ignores_other_examples,
        proximal_is_no_worse_than_its_start,
        proximal_is_no_worse_than_other_points,
    }
    noise {
        noise_len_stays_the_same,
        noisy_forward_overwrites,
        noisy_forward_repeats,
        noisy_forward_ignores_other_examples,
        noisy_forward_far_out_is_no_nan,
        noisy_gradients_overwrite,
        noisy_gradients_repeat,
        noisy_input_gradient_agrees_with_differences,
        noisy_param_gradient_agrees_with_differences,
        noise_leaves_the_plain_pass,
    }
}

/// Checks a layer against the contract of [`Layer`], by the [rules](LAYER_RULES), on batches of 1, 3 and 8 examples; before that,
/// its widths are not zero and [`validate`](Layer::validate) accepts it.
///
/// # Errors
/// [`Error::Contract`] naming the broken rule, [`Error::Panicked`] when the layer panics, [`Error::ZeroWidth`], or
/// whatever `validate` and the layer's regression and proximal operator find.
///
/// # Example
///
/// ```
/// use decoupled::{check, layer::Dense};
///
/// check::layer::<f64>(&Dense::new(5, 3))?;
/// # Ok::<(), decoupled::Error>(())
/// ```
pub fn layer<T: Scalar>(layer: &dyn Layer<T>) -> Result<()> {
    [1, 3, 8].into_iter().try_for_each(|examples| layer_at(layer, examples, 0))
}

/// As [`layer()`], on one batch of `examples` columns, all drawn from `seed`.
///
/// # Errors
/// As [`layer()`]; [`Error::Empty`] without examples.
pub fn layer_at<T: Scalar>(layer: &dyn Layer<T>, examples: usize, seed: u64) -> Result<()> {
    if examples == 0 {
        return Err(Error::Empty { what: "the batch to check a layer with" });
    }
    let (inputs, outputs) = guard("input_dim or output_dim", || (layer.input_dim(), layer.output_dim()))?;
    // First, since settings that do not fit, such as a window larger than the picture, are why there are no outputs.
    guard("validate", || layer.validate())??;
    if inputs == 0 || outputs == 0 {
        return Err(Error::ZeroWidth { layer: 0 });
    }
    hold(&mut Trial::new(layer, (inputs, outputs), examples, seed)?)
}
