//! Rules of a layer's initial parameters and forward pass.

use super::{
    super::{guard, rounding},
    trial::Trial,
};
use crate::{Result, Scalar};

pub(super) fn initial_params_are_finite<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.finite("initial parameters", &trial.initial)
}

pub(super) fn initial_params_follow_the_stream<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let what = "initial parameters, drawn again from the same stream";
    trial.subject.same(what, &trial.initial, &trial.draw()?)
}

pub(super) fn forward_overwrites<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    trial.subject.finite("output of forward into buffers full of NaN", &trial.first_pass()?.output)
}

pub(super) fn forward_repeats<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let input = &trial.point.input;
    let mut pass = trial.unwritten(&trial.point.params, trial.examples)?;
    let elsewhere: Vec<T> = input.iter().map(|&x| T::of(0.5) - x).collect();
    trial.run(&mut pass, &elsewhere)?;
    trial.run(&mut pass, input)?;
    trial.subject.same("output of forward into used buffers", &trial.first_pass()?.output, &pass.output)
}

pub(super) fn forward_ignores_other_examples<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (params, together) = (&trial.point.params, trial.first_pass()?.output);
    for j in 0..trial.examples {
        let alone = trial.forward(params, trial.column(&trial.point.input, trial.inputs, j))?.output;
        let what = format!("output of example {j} in a batch, against the example alone");
        let found = trial.column(&together, trial.outputs, j);
        trial.subject.close(&what, &alone, found, rounding(&together))?;
    }
    Ok(())
}

pub(super) fn forward_far_out_is_no_nan<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let far: Vec<T> = trial.point.input.iter().map(|&x| T::of(1e3) * x).collect();
    let pass = trial.forward(&trial.point.params, &far)?;
    trial.subject.no_nan("output of forward for inputs in the thousands", &pass.output)
}

pub(super) fn forward_stays_in_its_range<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let (least, most) = guard("output_range", || trial.layer.output_range())?;
    let (input, params) = (&trial.point.input, &trial.point.params);
    for scale in [1.0, 1e3] {
        let scaled: Vec<T> = input.iter().map(|&x| T::of(scale) * x).collect();
        for y in trial.forward(params, &scaled)?.output {
            let y = y.to_f64();
            let (bound, leaves) = if y < least { (least, true) } else { (most, y > most) };
            if leaves {
                return Err(trial.subject.breach("an entry of the output lies in output_range", bound, y));
            }
        }
    }
    Ok(())
}
