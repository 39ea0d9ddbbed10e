//! The comparison of two networks, where the answer is known: the network itself, its renumbered and rescaled copy, and
//! parameters that are set by hand.

use decoupled::data::{self, Examples};
use decoupled::diagnostics::{cka, similarity, similarity_from};
use decoupled::layer::{Activation, Dense};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::{Dataset, DecoupledNetwork, Error, FitConfig, Result};

type Net = DecoupledNetwork<f64>;

fn trained(seed: u64, data: &Dataset<f64>) -> Result<Net> {
    let builder = Net::builder(2).dense(9, Activation::Relu).dense(7, Activation::Relu).dense(2, Activation::Identity);
    let mut net = builder.output_loss(SoftmaxCrossEntropy::new()).seed(seed).build()?;
    net.fit_backprop(data, &FitConfig::new().epochs(30).batch_size(20))?;
    Ok(net)
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
}

#[test]
fn a_network_is_itself_by_every_measure() -> Result<()> {
    let data = data::two_moons(200, 0.1, 0)?;
    let (net, start) = (trained(0, &data)?, trained(5, &data)?);
    let found = similarity_from(&start, &net, &net, &data)?;
    for parameters in [&found.raw, &found.matched] {
        near(parameters.distance, 0.0);
        near(parameters.cosine.unwrap(), 1.0);
        near(parameters.path.barrier(), 0.0);
        assert_eq!(parameters.path.losses.len(), 11);
    }
    assert_eq!(found.matching.units, [(0..9).collect::<Vec<_>>(), (0..7).collect()]);
    (0..2).for_each(|t| near(found.cka[t][t], 1.0));
    assert!(found.cka[0][1] < 1.0);
    near(found.cka[0][1], found.cka[1][0]);
    found.procrustes.iter().for_each(|&distance| near(distance, 0.0));
    let function = &found.function;
    assert_eq!((function.agreement, function.score_gap, function.loss_gap), (Some(1.0), Some(0.0), 0.0));
    near(function.jensen_shannon.unwrap(), 0.0);
    near(function.beyond_chance.unwrap(), 1.0);
    assert_eq!(similarity(&net, &net, &data)?.raw.cosine, None);
    Ok(())
}

/// Units in reverse order, each three times as large as the one before: by hand.
#[test]
fn numbers_and_scales_of_units_are_out_of_the_way_after_matching() -> Result<()> {
    let data = data::two_moons(200, 0.1, 0)?;
    let net = trained(0, &data)?;
    let mut copy = net.clone();
    let widths = [2, 9, 7, 2];
    let place = |t: usize, i: usize| if t == 0 || t == 3 { i } else { widths[t] - 1 - i };
    let factor = |t: usize, i: usize| if t == 0 || t == 3 { 1.0 } else { 3f64.powi(i as i32 - 4) };
    for t in 0..3 {
        let (outputs, inputs) = (widths[t + 1], widths[t]);
        let mut params = vec![0.0; net.params(t).len()];
        for i in 0..outputs {
            for k in 0..inputs {
                let own = net.params(t)[place(t, k) * outputs + place(t + 1, i)];
                params[k * outputs + i] = own * factor(t + 1, i) / factor(t, k);
            }
            params[outputs * inputs + i] = net.params(t)[outputs * inputs + place(t + 1, i)] * factor(t + 1, i);
        }
        copy.set_params(t, &params)?;
    }
    let found = similarity(&net, &copy, &data)?;
    assert!(found.raw.distance > 0.5 && found.raw.path.barrier() > 0.1, "{:?}", found.raw);
    near(found.matched.distance, 0.0);
    near(found.matched.path.barrier(), 0.0);
    assert_eq!(found.matching.units, [(0..9).rev().collect::<Vec<_>>(), (0..7).rev().collect()]);
    assert_eq!(found.function.agreement, Some(1.0));
    // CKA and Procrustes know of order, and not of the scale of single units.
    assert!(found.cka[0][0] < 0.99);
    Ok(())
}

#[test]
fn distance_and_cosine_are_those_of_the_parameters() -> Result<()> {
    let data = Dataset::regression(
        Examples::from_rows(&[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])?,
        Examples::from_rows(&[[0.0], [1.0], [0.5], [0.0]])?,
    )?;
    let net = |weights: [f64; 2]| -> Result<Net> {
        let mut net = Net::builder(2).layer(Dense::new(2, 1).without_bias()).build()?;
        net.set_params(0, &weights)?;
        Ok(net)
    };
    let (start, a, b) = (net([1.0, 1.0])?, net([4.0, 1.0])?, net([2.0, 2.0])?);
    let found = similarity_from(&start, &a, &b, &data)?;
    // ‖(2, −1)‖² over the mean of 17 and 8; the displacements are (3, 0) and (1, 1).
    near(found.raw.distance, (5.0f64 / 12.5).sqrt());
    near(found.raw.cosine.unwrap(), 0.5f64.sqrt());
    assert_eq!(found.raw, found.matched);
    // Half-way the weights are (3, 1.5), and the loss is a parabola: no barrier.
    let loss: f64 = [3.0, 0.5, 4.0, 4.5].iter().map(|error: &f64| 0.5 * error * error).sum::<f64>() / 4.0;
    near(found.raw.path.losses[5], loss);
    // From the first to the second.
    near(found.raw.path.losses[0], a.evaluate(&data)?.loss);
    near(found.raw.path.losses[10], b.evaluate(&data)?.loss);
    assert!(found.raw.path.losses[0] > 1.1 * found.raw.path.losses[10]);
    assert_eq!(found.raw.path.barrier(), 0.0);
    assert!(found.cka.is_empty() && found.procrustes.is_empty());
    assert_eq!(found.function.agreement, None);
    // From the start itself there is no direction.
    assert_eq!(similarity_from(&a, &a, &b, &data)?.raw.cosine, Some(0.0));
    Ok(())
}

/// The start's units are scaled as the others' are, so that no scale of the start means anything.
#[test]
fn the_scale_of_the_start_is_out_of_the_way_after_matching() -> Result<()> {
    let data = data::two_moons(200, 0.1, 0)?;
    let (start, a, b) = (trained(2, &data)?, trained(0, &data)?, trained(1, &data)?);
    let mut scaled = start.clone();
    let factor = |i: usize| 3f64.powi(i as i32 % 5 - 2);
    let lower: Vec<f64> = start.params(0).iter().enumerate().map(|(at, p)| p * factor(at % 9)).collect();
    let (weights, biases) = start.params(1).split_at(9 * 7);
    let weights = weights.iter().enumerate().map(|(at, p)| p / factor(at / 7));
    scaled.set_params(0, &lower)?;
    scaled.set_params(1, &weights.chain(biases.iter().copied()).collect::<Vec<_>>())?;
    let cosines = |start: &Net| -> Result<[f64; 2]> {
        let found = similarity_from(start, &a, &b, &data)?;
        Ok([found.raw.cosine.unwrap(), found.matched.cosine.unwrap()])
    };
    let ([raw, matched], [raw_of_scaled, matched_of_scaled]) = (cosines(&start)?, cosines(&scaled)?);
    near(matched_of_scaled, matched);
    assert!((raw_of_scaled - raw).abs() > 1e-3);
    Ok(())
}

#[test]
fn rows_of_the_alignments_are_the_first_networks_layers() -> Result<()> {
    let data = data::two_moons(200, 0.1, 0)?;
    let (a, b) = (trained(0, &data)?, trained(1, &data)?);
    let (of_a, of_b) = (a.activations(data.inputs())?, b.activations(data.inputs())?);
    let found = similarity(&a, &b, &data)?.cka;
    for s in 0..2 {
        for t in 0..2 {
            near(found[s][t], cka((&of_a[s]).into(), (&of_b[t]).into())?);
        }
    }
    assert!((found[0][1] - found[1][0]).abs() > 1e-3);
    Ok(())
}

#[test]
fn the_number_of_threads_changes_no_bit() -> Result<()> {
    let data = data::two_moons(700, 0.1, 0)?;
    let (from, to) = (trained(0, &data)?, trained(1, &data)?);
    let on = |threads: usize, net: &Net| -> Result<Net> {
        let builder = Net::builder(2).dense(9, Activation::Relu).dense(7, Activation::Relu);
        let builder = builder.dense(2, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
        let mut copy = builder.threads(threads).build()?;
        (0..3).try_for_each(|t| copy.set_params(t, net.params(t)))?;
        Ok(copy)
    };
    let [one, three] = [1, 3].map(|threads| similarity(&on(threads, &from)?, &on(threads, &to)?, &data));
    assert_eq!(one?, three?);
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_refused() -> Result<()> {
    let data = data::two_moons(200, 0.1, 0)?;
    let net = trained(0, &data)?;
    let wide = Net::builder(2).dense(9, Activation::Relu).dense(8, Activation::Relu).dense(2, Activation::Identity);
    let wide = wide.output_loss(SoftmaxCrossEntropy::new()).build()?;
    let Err(Error::InLayer { layer: 1, source }) = similarity(&net, &wide, &data) else { panic!("names the layer") };
    assert!(matches!(*source, Error::Shape { expected: 7, found: 8, .. }), "{source}");
    assert!(matches!(similarity_from(&wide, &net, &net, &data), Err(Error::InLayer { layer: 1, .. })));
    assert!(similarity(&net, &net, &data.take(3)?).is_err());
    assert!(similarity(&net, &net, &data.take(4)?).is_ok());
    Ok(())
}
