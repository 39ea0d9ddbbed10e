//! Rules of a layer's wiring: units that are renumbered or rescaled leave the function as it is.

use super::{
    super::{gaussian, guard, rounding},
    trial::Trial,
};
use crate::layer::Wiring;
use crate::machine::random::{Purpose, shuffle, stream};
use crate::{Result, Scalar};

fn wiring<T: Scalar>(trial: &Trial<'_, T>) -> Result<Option<Wiring>> {
    guard("wiring", || trial.layer.wiring())
}

pub(super) fn wiring_covers_the_parameters<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(wiring) = wiring(trial)? else { return Ok(()) };
    let found = wiring.param_len(trial.outputs, trial.inputs);
    trial.subject.count("parameters that the wiring tells of", trial.initial.len(), found)?;
    if wiring.is_unit_by_unit() {
        trial.subject.count("inputs of a wiring that is unit by unit", trial.outputs, trial.inputs)?;
    }
    Ok(())
}

pub(super) fn renumbered_units_renumber_outputs<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(wiring) = wiring(trial)? else { return Ok(()) };
    let mut rng = stream(trial.seed, Purpose::Probe, 0, 2);
    let mut draw = |len: usize| {
        let mut order: Vec<usize> = (0..len).collect();
        shuffle(&mut order, &mut rng);
        if order.is_sorted() {
            order.rotate_left(1);
        }
        order
    };
    let above = draw(trial.outputs);
    let below = if wiring.is_unit_by_unit() { above.clone() } else { draw(trial.inputs) };
    let renumbered = |values: &[T], order: &[usize]| {
        let columns = values.chunks_exact(order.len());
        columns.flat_map(|column| order.iter().filter_map(|&i| column.get(i).copied())).collect::<Vec<T>>()
    };
    let output = trial.first_pass()?.output;
    let params = wiring.renumber(&trial.point.params, &above, &below);
    let found = trial.forward(&params, &renumbered(&trial.point.input, &below))?.output;
    let expected = renumbered(&output, &above);
    trial.subject.close("output of renumbered units", &expected, &found, 8.0 * rounding(&output))
}

pub(super) fn rescaled_units_rescale_outputs<T: Scalar>(trial: &Trial<'_, T>) -> Result<()> {
    let Some(wiring) = wiring(trial)? else { return Ok(()) };
    let mut rng = stream(trial.seed, Purpose::Probe, 0, 3);
    let mut draw = |len: usize, scales: bool| {
        let factors = gaussian::<T>(len, &mut rng).into_iter().map(|g| T::one() + T::of(0.5) * g.abs());
        if scales { factors.collect() } else { vec![T::one(); len] }
    };
    let below = draw(trial.inputs, wiring.scales_in());
    let above = if wiring.is_unit_by_unit() { below.clone() } else { draw(trial.outputs, wiring.scales_out()) };
    let rescaled = |values: &[T], factors: &[T]| {
        values.iter().zip(factors.iter().cycle()).map(|(&v, &f)| v * f).collect::<Vec<T>>()
    };
    let output = trial.first_pass()?.output;
    let mut params = trial.point.params.clone();
    wiring.rescale(&mut params, &above, &below);
    let found = trial.forward(&params, &rescaled(&trial.point.input, &below))?.output;
    let expected = rescaled(&output, &above);
    let largest = above.iter().fold(T::one(), |most, &f| most.max(f)).to_f64();
    trial.subject.close("output of rescaled units", &expected, &found, 8.0 * largest * rounding(&output))
}
