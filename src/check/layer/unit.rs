//! The rule of a layer's unit: it computes the same as the layer.

use super::{
    super::{guard, rounding},
    trial::Trial,
};
use crate::machine::linalg::matrix::filled;
use crate::{Layer, MatMut, MatRef, Result, Scalar};

pub(super) fn unit_computes_the_same<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(unit) = guard("unit", || trial.layer.unit())? else { return Ok(()) };
    let (params, input) = (&trial.point.params, &trial.point.input);
    let sums = match &unit.map {
        None => input.clone(),
        Some(map) => {
            let map: &dyn Layer<T> = map;
            trial.subject.count("parameters of the unit's map", map.param_len(), params.len())?;
            trial.subject.count("inputs of the unit's map", map.input_dim(), trial.inputs)?;
            trial.subject.count("outputs of the unit's map", map.output_dim(), trial.outputs)?;
            let mut sums = filled("pre-activations", trial.outputs * trial.examples, T::zero())?;
            let output = MatMut::new(&mut sums, trial.outputs, trial.examples);
            map.forward(params, MatRef::new(input, trial.inputs, trial.examples), output, &mut []);
            sums
        }
    };
    let expected: Vec<T> = sums.iter().map(|&sum| unit.function.value(sum)).collect();
    let found = trial.first_pass()?.output;
    // The function is not steeper than a few times its argument's rounding.
    trial.subject.close("output of the unit", &expected, &found, 8.0 * rounding(&sums))
}
