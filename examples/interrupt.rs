//! Ctrl-C ends the fit after the step that it is at, and the network is there to be used: here it is evaluated.
//!
//! ```text
//! cargo run --release --example interrupt
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::observer::{Step, Table};
use decoupled::{DecoupledNetwork, FitConfig, Observer, Result, Scalar, StopReason, data};
use signal_hook::consts::SIGINT;

/// Breaks off once its flag is up.
struct Interrupt(Arc<AtomicBool>);

impl<T: Scalar> Observer<T> for Interrupt {
    fn step(&mut self, _: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
        Ok(match self.0.load(Ordering::Relaxed) {
            true => ControlFlow::Break(StopReason::Observer),
            false => ControlFlow::Continue(()),
        })
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&flag))?;

    let (train, test) = data::digits::<f32>()?.stratified_split(0.8, 0)?;
    let mut network = DecoupledNetwork::builder(train.input_dim())
        .dense(128, Activation::Relu)
        .dense(64, Activation::Relu)
        .dense(10, Activation::Identity)
        .output_loss(SoftmaxCrossEntropy::new())
        .build()?;
    println!("press Ctrl-C when you have seen enough");
    let config = FitConfig::new().epochs(1000).batch_size(32);
    let report = network.fit_observed(&train, &config, &mut [&mut Table::new(), &mut Interrupt(flag)])?;

    let end = match report.stop {
        StopReason::Epochs => "all epochs are done",
        _ => "interrupted",
    };
    println!("{end} after {} updates: {:?}", network.updates(), network.evaluate(&test)?);
    Ok(())
}
