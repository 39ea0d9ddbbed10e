use decoupled::layer::Activation;
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::{DecoupledNetwork, FitConfig, Result, data};

use crate::Verdict;
use crate::memory::resident;

/// What a process may grow by after the first tenth of its epochs.
const GROWTH: i64 = 1 << 20;

/// Trains for so many epochs, ten in a fit, since a report has a line for each of its fit.
pub(crate) fn run(epochs: usize) -> Result<Verdict> {
    const FIT: usize = 10;
    let few = data::digits::<f32>()?.take(100)?;
    let builder = DecoupledNetwork::builder(few.input_dim()).dense(16, Activation::Relu);
    let mut network = builder.dense(10, Activation::Identity).output_loss(SoftmaxCrossEntropy::new()).build()?;
    let config = FitConfig::new().epochs(FIT).batch_size(50);
    let mut warm = None;
    for done in (0..epochs).step_by(FIT) {
        if done == epochs / 10 {
            warm = resident();
        }
        network.fit(&few, &config)?;
    }
    let (Some(warm), Some(end)) = (warm, resident()) else {
        return Ok(Verdict::Skipped("the system does not tell the memory of a process".to_owned()));
    };
    let growth = end as i64 - warm as i64;
    Ok(Verdict::of(growth < GROWTH, format!("{} kB more after {epochs} epochs than after a tenth", growth / 1024)))
}
