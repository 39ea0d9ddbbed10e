use std::ops::ControlFlow;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Epoch, Observer, Plan, Step};
use crate::{DecoupledNetwork, Result, Scalar, StopReason};

/// Shows how far the fit is, with one bar for the epochs and one for the visits of an epoch, on standard error; nothing unless that
/// is a terminal.
#[derive(Debug)]
pub struct Progress {
    epochs: ProgressBar,
    steps: ProgressBar,
}

impl Progress {
    /// Bars that appear when the fit starts.
    pub fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let bar = |template: &str| {
            // The templates below are in order.
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::no_length().with_style(style))
        };
        let epochs = bar("epoch {pos:>5}/{len:5} {bar:40} {eta:>5}  {msg}");
        let steps = bar("batch {pos:>5}/{len:5} {bar:40} {eta:>5}  {msg}");
        Self { epochs, steps }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> Observer<T> for Progress {
    fn start(&mut self, plan: &Plan, _: &DecoupledNetwork<T>) -> Result<()> {
        for (bar, length) in [(&self.epochs, plan.epochs), (&self.steps, plan.steps)] {
            bar.reset();
            bar.set_length(length as u64);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<ControlFlow<StopReason>> {
        if !self.steps.is_hidden() {
            self.steps.set_message(format!("loss {:.4e}", step.train_loss));
        }
        self.steps.set_position(step.number as u64);
        Ok(ControlFlow::Continue(()))
    }

    fn epoch(&mut self, epoch: &Epoch<'_, T>) -> Result<ControlFlow<StopReason>> {
        let best = epoch.best.map_or_else(String::new, |best| format!("best epoch {}", best.epoch));
        self.epochs.set_message(best);
        self.epochs.inc(1);
        self.steps.reset();
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, _: &mut DecoupledNetwork<T>, _: StopReason) -> Result<()> {
        self.steps.finish_and_clear();
        self.epochs.abandon();
        Ok(())
    }
}
