use std::sync::atomic::{AtomicU64, Ordering};

use decoupled::description::Description;
use decoupled::loss::Huber;
use decoupled::{Error, Loss, MatMut, MatRef, Result};

/// Half the squared distance, with one fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    fault: &'static str,
    count: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(fault: &'static str) -> Self {
        Self { fault, count: AtomicU64::new(0) }
    }

    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }
}

fn pairs<'m>(z: MatRef<'m, f64>, p: MatRef<'m, f64>) -> impl Iterator<Item = (&'m f64, &'m f64)> {
    z.as_slice().iter().zip(p.as_slice())
}

/// How many examples there are but for one: a fault that is none for an example alone.
fn others(batch: MatRef<'_, f64>) -> f64 {
    (batch.cols() - 1) as f64
}

impl Loss<f64> for Faulty {
    fn value(&self, z: MatRef<'_, f64>, p: MatRef<'_, f64>) -> f64 {
        let value = pairs(z, p).map(|(z, p)| (p - z).powi(2) / 2.0).sum::<f64>();
        match self.fault {
            "value_is_finite" => f64::INFINITY,
            "value_repeats" => value + self.count.fetch_add(1, Ordering::Relaxed) as f64,
            "value_sums_over_examples" => value / z.cols() as f64,
            "value_far_out_is_no_nan" if value > 1e3 && value < 1e9 => f64::NAN,
            "squared_error_is_half_the_square" => 2.0 * value,
            "hidden_value_is_bounded_below" => -value,
            _ => value,
        }
    }
    fn gradient(&self, z: MatRef<'_, f64>, p: MatRef<'_, f64>, mut grad: MatMut<'_, f64>) {
        let first = others(z) * (p.as_slice()[0] - z.as_slice()[0]);
        for (g, (z, p)) in grad.as_mut_slice().iter_mut().zip(pairs(z, p)) {
            let value = p - z;
            match self.fault {
                "gradient_overwrites" => *g += value,
                "gradient_ignores_other_examples" => *g = value + 1e-3 * first,
                "gradient_far_out_is_no_nan" if value.abs() > 1e2 => *g = f64::NAN,
                "gradient_agrees_with_differences" => *g = value * 1.0001,
                _ => *g = value,
            }
        }
    }
    fn target_gradient(&self, z: MatRef<'_, f64>, p: MatRef<'_, f64>, mut grad: MatMut<'_, f64>) {
        let first = others(z) * (p.as_slice()[0] - z.as_slice()[0]);
        for (g, (z, p)) in grad.as_mut_slice().iter_mut().zip(pairs(z, p)) {
            let value = z - p;
            match self.fault {
                "target_gradient_overwrites" => *g += value,
                "target_gradient_ignores_other_examples" => *g = value + 1e-3 * first,
                "target_gradient_agrees_with_differences" => *g = value + 1e-4,
                _ => *g = value,
            }
        }
    }
    fn hessian_product(
        &self,
        _: MatRef<'_, f64>,
        _: MatRef<'_, f64>,
        direction: MatRef<'_, f64>,
        mut out: MatMut<'_, f64>,
    ) {
        let first = others(direction) * direction.as_slice()[0];
        for (column, d) in out.columns_mut().zip(direction.columns()) {
            for (i, (out, &value)) in column.iter_mut().zip(d).enumerate() {
                match self.fault {
                    "hessian_product_overwrites" => *out += value,
                    "hessian_product_ignores_other_examples" => *out = value + first,
                    "hessian_product_is_symmetric" if i == 1 => *out = value + d[0],
                    "hessian_product_agrees_with_differences" => *out = 1.1 * value,
                    _ => *out = value,
                }
            }
        }
    }
    fn is_squared_error(&self) -> bool {
        !self.is("hidden_value_is_bounded_below")
    }
    fn check_targets(&self, targets: MatRef<'_, f64>) -> Result<()> {
        let refused = |example, found| Err(Error::Target { loss: "Faulty", example, expected: "small", found });
        for (example, column) in targets.columns().enumerate() {
            let nan = column.iter().any(|z| z.is_nan());
            match self.fault {
                "refused_targets_include_nan" if nan => {}
                "refused_targets_are_told" if nan => return refused(example + 1, f64::NAN),
                _ if nan => return refused(example, f64::NAN),
                _ => {}
            }
            if let Some(&found) = column.iter().find(|z| z.abs() > 12.0) {
                return refused(example, found);
            }
        }
        Ok(())
    }
    fn describe(&self) -> Option<Description> {
        self.is("description_has_the_same_value").then(|| Loss::<f64>::describe(&Huber::new(0.1))).flatten()
    }
}
