use std::sync::atomic::{AtomicU64, Ordering};

use decoupled::description::Description;
use decoupled::layer::{Activation, Change, Dense, Noise, Proximal, Regression, Shape, Tensor, Tied, Unit, Wiring};
use decoupled::rand::Rng;
use decoupled::{Layer, MatMut, MatRef, Result};

const INPUTS: usize = 4;
const OUTPUTS: usize = 3;

/// A dense layer, with one fault; with noise its outputs are multiplied by 2u, which the cache holds from the second entry on.
#[derive(Debug)]
pub(crate) struct Faulty {
    fault: &'static str,
    dense: Dense,
    calls: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(fault: &'static str) -> Self {
        Self { fault, dense: Dense::new(INPUTS, OUTPUTS), calls: AtomicU64::new(0) }
    }

    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// The number of this call, where the fault is this; else 0.
    fn count(&self, fault: &str) -> u64 {
        if self.is(fault) { self.calls.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }

    fn dense(&self) -> &dyn Layer<f64> {
        &self.dense
    }

    /// The cotangent at the outputs of the dense layer.
    fn scaled(&self, cotangent: MatRef<'_, f64>, cache: &[f64]) -> Vec<f64> {
        cotangent.as_slice().iter().zip(&cache[1..]).map(|(c, m)| c * m).collect()
    }

    fn least_squares(&self) -> &dyn Regression<f64> {
        &self.dense
    }
}

impl Layer<f64> for Faulty {
    fn input_dim(&self) -> usize {
        INPUTS
    }
    fn output_dim(&self) -> usize {
        OUTPUTS
    }
    fn output_shape(&self, _: Shape) -> Shape {
        Shape::Flat(self.dense().output_dim() + usize::from(self.is("shapes_have_their_dimensions")))
    }
    fn param_len(&self) -> usize {
        self.dense().param_len() + self.count("sizes_stay_the_same") as usize
    }
    fn cache_len(&self, examples: usize) -> usize {
        if self.is("cache_does_not_shrink") { 40 - examples } else { 1 + OUTPUTS * examples }
    }
    fn name(&self) -> String {
        if self.is("name_is_one_line") { String::new() } else { "Faulty".to_owned() }
    }
    fn tensors(&self) -> Vec<Tensor> {
        let calls = self.count("tensors_stay_the_same");
        if calls % 2 == 1 || self.is("tensors_cover_the_parameters") {
            return vec![Tensor::vector("all", if calls > 0 { 15 } else { 14 })];
        }
        self.dense().tensors()
    }
    fn describe(&self) -> Option<Description> {
        let other = Dense::new(INPUTS, OUTPUTS).without_bias();
        self.is("description_computes_the_same").then(|| Layer::<f64>::describe(&other)).flatten()
    }
    fn output_range(&self) -> (f64, f64) {
        if self.is("forward_stays_in_its_range") { (0.0, 1.0) } else { (f64::NEG_INFINITY, f64::INFINITY) }
    }
    fn init_params(&self, params: &mut [f64], rng: &mut dyn Rng) {
        self.dense().init_params(params, rng);
        params[0] += self.count("initial_params_follow_the_stream") as f64;
        if self.is("initial_params_are_finite") {
            params[0] = f64::NAN;
        }
    }
    fn forward(&self, params: &[f64], input: MatRef<'_, f64>, mut output: MatMut<'_, f64>, cache: &mut [f64]) {
        let (before, used) = (output.as_ref().as_slice()[1], !cache[0].is_nan());
        self.dense().forward(params, input, output.reborrow(), &mut []);
        cache[0] = 0.0;
        if !(used && self.is("noise_leaves_the_plain_pass")) {
            cache[1..].fill(1.0);
        }
        let far = input.as_slice().iter().any(|x| x.abs() > 100.0);
        if self.is("rescaled_units_rescale_outputs") {
            output.as_mut_slice().iter_mut().for_each(|y| *y += 0.01);
        }
        let first = &mut output.as_mut_slice()[..2];
        match self.fault {
            "forward_overwrites" => first[1] = before,
            "forward_repeats" if used => first[0] += 1.0,
            "forward_ignores_other_examples" => first[0] += 0.1 * (input.cols() as f64 - 1.0),
            "forward_far_out_is_no_nan" if far => first[0] = f64::NAN,
            _ => {}
        }
    }
    fn input_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        mut grad: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        let before = grad.as_ref().as_slice()[1];
        let cotangents = self.scaled(cotangent, cache);
        let scaled = MatRef::new(&cotangents, OUTPUTS, input.cols());
        self.dense().input_gradient(params, input, scaled, grad.reborrow(), &mut []);
        if self.is("input_gradient_repeats") {
            grad.as_mut_slice()[0] += cache[0];
            cache[0] += 1.0;
        }
        let examples = input.cols() as f64;
        let c = cotangent.as_slice()[0];
        let grad = grad.as_mut_slice();
        match self.fault {
            "input_gradient_overwrites" => grad[1] += before,
            "input_gradient_ignores_other_examples" => grad[0] += 0.1 * (examples - 1.0),
            "input_gradient_is_linear" => grad.iter_mut().for_each(|g| *g = g.clamp(-0.1, 0.1)),
            "input_gradient_agrees_with_differences" => grad[0] += 1e-3 * c,
            "noisy_input_gradient_agrees_with_differences" if cotangents[0] != c => grad[0] += 1e-3 * c,
            "noisy_gradients_overwrite" if cotangents[0] != c => grad[1] += before,
            "noisy_gradients_repeat" if cotangents[0] != c => cache[1] += 1.0,
            _ => {}
        }
    }
    fn param_gradient(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        cotangent: MatRef<'_, f64>,
        grad: &mut [f64],
        cache: &mut [f64],
    ) {
        let before = grad[1];
        let cotangents = self.scaled(cotangent, cache);
        let scaled = MatRef::new(&cotangents, OUTPUTS, input.cols());
        self.dense().param_gradient(params, input, scaled, grad, &mut []);
        if self.is("param_gradient_repeats") {
            grad[0] += cache[0];
            cache[0] += 1.0;
        }
        match self.fault {
            "param_gradient_overwrites" => grad[1] += before,
            "param_gradient_sums_over_examples" => grad.iter_mut().for_each(|g| *g /= input.cols() as f64),
            "param_gradient_is_linear" if input.cols() == 1 => grad.iter_mut().for_each(|g| *g = g.abs()),
            "param_gradient_agrees_with_differences" => grad.iter_mut().for_each(|g| *g *= 1.0 - 1e-4),
            "noisy_param_gradient_agrees_with_differences" if cotangents != cotangent.as_slice() => {
                grad.iter_mut().for_each(|g| *g *= 1.0 - 1e-4);
            }
            _ => {}
        }
    }
    fn unit(&self) -> Option<Unit> {
        // One fault is in what it computes: it would break this rule first.
        let function = if self.is("unit_computes_the_same") { Activation::Silu } else { Activation::Identity };
        (!self.is("rescaled_units_rescale_outputs")).then_some(Unit { map: Some(self.dense), function })
    }
    fn wiring(&self) -> Option<Wiring> {
        let faithful = [Tied::Weights, Tied::Outputs];
        match self.fault {
            "wiring_covers_the_parameters" => Some(Wiring::new([Tied::Weights])),
            // As many parameters, in another order.
            "renumbered_units_renumber_outputs" => Some(Wiring::new([Tied::Outputs, Tied::Weights])),
            _ => Some(Wiring::new(faithful).scales()),
        }
    }
    fn noise(&self) -> Option<&dyn Noise<f64>> {
        // Closed forms refuse noise before they read anything else.
        (!self.is("no pre-activation")).then_some(self)
    }
    fn regression(&self) -> Option<&dyn Regression<f64>> {
        Some(self)
    }
    fn proximal(&self) -> Option<&dyn Proximal<f64>> {
        Some(self)
    }
}

impl Noise<f64> for Faulty {
    fn noise_len(&self) -> usize {
        OUTPUTS + self.count("noise_len_stays_the_same") as usize
    }
    fn noisy_forward(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        noise: MatRef<'_, f64>,
        mut output: MatMut<'_, f64>,
        cache: &mut [f64],
    ) {
        let (before, used) = (output.as_ref().as_slice()[1], !cache[0].is_nan());
        self.dense().forward(params, input, output.reborrow(), &mut []);
        cache[0] = 0.0;
        for ((y, u), m) in output.as_mut_slice().iter_mut().zip(noise.as_slice()).zip(&mut cache[1..]) {
            *m = 2.0 * u;
            *y *= *m;
        }
        let far = input.as_slice().iter().any(|x| x.abs() > 100.0);
        let first = &mut output.as_mut_slice()[..2];
        match self.fault {
            "noisy_forward_overwrites" => first[1] = before,
            "noisy_forward_repeats" if used => first[0] += 1.0,
            "noisy_forward_ignores_other_examples" => first[0] += 0.1 * (input.cols() as f64 - 1.0),
            "noisy_forward_far_out_is_no_nan" if far => first[0] = f64::NAN,
            _ => {}
        }
    }
}

impl Regression<f64> for Faulty {
    fn pre_activation_dim(&self) -> usize {
        if self.is("no pre-activation") { 0 } else { OUTPUTS }
    }
    fn moments_len(&self) -> usize {
        self.least_squares().moments_len()
    }
    fn pre_activation(
        &self,
        params: &[f64],
        input: MatRef<'_, f64>,
        target: MatRef<'_, f64>,
        mut out: MatMut<'_, f64>,
    ) -> Result<()> {
        self.least_squares().pre_activation(params, input, target, out.reborrow())?;
        if self.is("regression_knows_the_present_pre_activation") {
            out.as_mut_slice().iter_mut().for_each(|u| *u *= 1.01);
        }
        Ok(())
    }
    fn accumulate(
        &self,
        input: MatRef<'_, f64>,
        pre_activation: MatRef<'_, f64>,
        weights: &[f64],
        moments: &mut [f64],
    ) {
        let weights = if self.is("regression_moments_follow_the_weights") { &[] } else { weights };
        if self.is("regression_moments_add_up") {
            moments.fill(0.0);
        }
        self.least_squares().accumulate(input, pre_activation, weights, moments);
    }
    fn solve(&self, moments: &[f64], ridge: f64, proximal: f64, params: &mut [f64], work: &mut Vec<f64>) -> Result<()> {
        let before = params.to_vec();
        let used = !work.is_empty();
        let ridge = if self.is("regression_ridge_presses_on_the_weights") { 0.0 } else { ridge };
        let solved = self.least_squares().solve(moments, ridge, proximal, params, work);
        match self.fault {
            "regression_ignores_its_scratch" if used => params[0] += 1.0,
            "regression_finds_the_least_squares" => {
                params.iter_mut().zip(&before).for_each(|(p, b)| *p = b + 0.99 * (*p - b));
            }
            "regression_refuses_what_has_no_answer" if solved.is_err() => params.fill(0.0),
            _ => {}
        }
        solved
    }
    fn change(&self, moments: &[f64], before: &[f64], after: &[f64]) -> Change {
        let change = self.least_squares().change(moments, before, after);
        match self.fault {
            "regression_change_is_of_pre_activations" => Change { squared: change.squared.sqrt(), ..change },
            _ => change,
        }
    }
}

impl Proximal<f64> for Faulty {
    fn prepared_len(&self) -> usize {
        Proximal::<f64>::prepared_len(&self.dense)
    }
    fn prepare(&self, params: &[f64], weight: f64, prepared: &mut [f64], work: &mut Vec<f64>) -> Result<()> {
        let used = !work.is_empty();
        self.dense.prepare(params, weight, prepared, work)?;
        if used && self.is("proximal_repeats") {
            prepared[0] += 1.0;
        }
        Ok(())
    }
    fn solve(&self, params: &[f64], prepared: &[f64], weight: f64, target: MatMut<'_, f64>, mut z: MatMut<'_, f64>) {
        let near = z.as_ref().as_slice().to_vec();
        Proximal::solve(&self.dense, params, prepared, weight, target, z.reborrow());
        let crowd = z.cols() as f64 - 1.0;
        let z = z.as_mut_slice();
        match self.fault {
            "proximal_ignores_other_examples" => z[0] += 1e-3 * crowd,
            // Away from the solution, and half the way to it.
            "proximal_is_no_worse_than_its_start" => {
                z.iter_mut().zip(near).for_each(|(z, near)| *z = 3.0 * near - 2.0 * *z)
            }
            "proximal_is_no_worse_than_other_points" => {
                z.iter_mut().zip(near).for_each(|(z, near)| *z = 0.5 * (near + *z))
            }
            _ => {}
        }
    }
}
