//! What is missing is inferred from what is known.

use decoupled::network::{Evidence, InferConfig, Inference};
use decoupled::{MatRef, Result};

use super::{moons, trained};

#[test]
fn what_is_clamped_stays_and_the_rest_is_completed() -> Result<()> {
    let (net, data) = (trained(), moons().take(5)?);
    let known: Vec<bool> = (0..10).map(|entry| entry % 2 == 0).collect();
    let evidence = Evidence::new().clamp(3, data.targets()).clamp_where(0, data.inputs(), MatRef::new(&known, 2, 5));
    let Inference { inputs, hidden, outputs, energies, energies_before, .. } =
        net.infer(&evidence, &InferConfig::new().steps(50).tolerance(1e-3))?;
    assert_eq!((hidden.len(), outputs.shape()), (2, (2, 5)));
    assert_eq!(
        inputs.row(0).iter().copied().collect::<Vec<_>>(),
        data.inputs().view().row(0).iter().copied().collect::<Vec<_>>()
    );
    assert!(energies.iter().zip(energies_before).all(|(after, before)| *after <= before));
    Ok(())
}
