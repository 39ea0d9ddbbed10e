//! Bars in the terminal.

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
    /// Epochs are counted over the life of the network, as in reports.
    fn start(&mut self, plan: &Plan, _: &DecoupledNetwork<T>) -> Result<()> {
        let past = plan.first_epoch - 1;
        for (bar, past, length) in [(&self.epochs, past, past + plan.epochs), (&self.steps, 0, plan.steps)] {
            bar.reset();
            bar.set_length(length as u64);
            bar.set_position(past as u64);
            bar.reset_eta();
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
        self.epochs.set_position(epoch.report.epoch as u64);
        self.steps.reset();
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, _: &mut DecoupledNetwork<T>, _: StopReason) -> Result<()> {
        self.steps.finish_and_clear();
        self.epochs.abandon();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Result;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;
    use crate::layer::Activation;
    use crate::{FitConfig, data};

    /// A terminal that keeps what is written.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> Result<()> {
            self.0.lock().map(|mut paper| paper.push_str(text)).unwrap_or_default();
            Ok(())
        }
        fn clear_line(&self) -> Result<()> {
            Ok(())
        }
        fn flush(&self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bars_say_how_far_the_fit_is() {
        let data = data::two_moons::<f64>(100, 0.1, 0).unwrap();
        let mut network = DecoupledNetwork::builder(2).dense(2, Activation::Identity).threads(1).build().unwrap();
        let paper = Paper::default();
        let mut progress = Progress::on(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        let (epochs, steps) = (progress.epochs.clone(), progress.steps.clone());
        let mut seen = Vec::new();
        let mut look = |_: &crate::EpochReport| {
            seen.push((epochs.position(), epochs.length(), steps.position(), steps.length()));
            ControlFlow::Continue(())
        };
        // Five visits an epoch. Who comes before the bars sees the steps of an epoch that is over.
        let config = FitConfig::new().epochs(3).batch_size(20);
        network.fit_observed(&data, &config, &mut [&mut look, &mut progress]).unwrap();
        let bars = |epoch| (epoch, Some(3), 5, Some(5));
        assert_eq!(seen, [bars(0), bars(1), bars(2)]);
        assert!(epochs.is_finished() && steps.is_finished());
        let text = paper.0.lock().unwrap().clone();
        assert!(text.contains("epoch     3/3") && text.contains("best epoch 3"), "{text}");

        network.fit_observed(&data, &FitConfig::new().epochs(2), &mut [&mut progress]).unwrap();
        assert_eq!((epochs.position(), epochs.length()), (5, Some(5)));
    }
}
