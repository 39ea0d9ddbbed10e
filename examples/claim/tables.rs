//! What the rows say: means with intervals over the seeds, and the verdicts.

use crate::rows::{Row, number, word};
use crate::statistics::Estimate;
use crate::study::LOCAL_TARGETS;

fn percent(share: Estimate) -> Estimate {
    Estimate { mean: 100.0 * share.mean, half: 100.0 * share.half }
}

/// A measure of similarity.
struct Measure {
    key: &'static str,
    title: &'static str,
    digits: usize,
    side: Side,
    sense: Sense,
    /// Whether the verdict goes by it.
    in_verdict: bool,
}

/// Which way is more alike.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Higher,
    Lower,
    /// Nearer to 0.
    Either,
}

/// Which of the two readings of "similar" it belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Sense {
    Parameters,
    Performance,
}

const fn measure(key: &'static str, title: &'static str, digits: usize, side: Side, sense: Sense) -> Measure {
    Measure { key, title, digits, side, sense, in_verdict: true }
}

impl Measure {
    /// Shown, and in no verdict.
    const fn shown(self) -> Self {
        Self { in_verdict: false, ..self }
    }
}

const MEASURES: [Measure; 12] = [
    measure("bp_loss", "BP's training loss", 3, Side::Lower, Sense::Performance).shown(),
    measure("loss", "its training loss", 3, Side::Lower, Sense::Performance).shown(),
    measure("accuracy", "accuracy", 4, Side::Higher, Sense::Performance).shown(),
    measure("gap", "gap to BP", 4, Side::Either, Sense::Performance),
    measure("beyond_chance", "agreement", 3, Side::Higher, Sense::Performance),
    measure("jensen_shannon", "JS, nats", 4, Side::Lower, Sense::Performance),
    measure("matched_cosine", "cosine", 3, Side::Higher, Sense::Parameters),
    measure("cosine", "raw cosine", 3, Side::Higher, Sense::Parameters).shown(),
    measure("matched_distance", "distance", 3, Side::Lower, Sense::Parameters),
    measure("matched_barrier", "barrier", 3, Side::Lower, Sense::Parameters).shown(),
    measure("barrier", "raw barrier", 3, Side::Lower, Sense::Parameters).shown(),
    measure("cka", "CKA", 3, Side::Higher, Sense::Parameters).shown(),
];

/// All rows of a task, of all its seeds.
pub(crate) struct Table<'a> {
    pub(crate) rows: Vec<&'a Row>,
}

impl Table<'_> {
    /// The names of a kind, in order.
    fn names(&self, kind: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| word(row, "kind") == kind) {
            if !names.contains(&word(row, "name")) {
                names.push(word(row, "name"));
            }
        }
        names
    }

    /// A measure over the seeds.
    pub(crate) fn estimate(&self, name: &str, at: &str, key: &str) -> Option<Estimate> {
        let own = self.rows.iter().filter(|row| word(row, "name") == name && word(row, "at") == at);
        let values: Vec<f64> = own.filter_map(|row| number(row, key)).collect();
        Estimate::of(&values)
    }

    /// The controls by backpropagation.
    fn controls(&self) -> Vec<&str> {
        self.names("control").into_iter().filter(|name| !name.starts_with(LOCAL_TARGETS)).collect()
    }

    /// The largest mean of the absolute value among the controls by backpropagation.
    pub(crate) fn control_gap(&self, at: &str) -> f64 {
        let gaps = self.controls().into_iter().filter_map(|name| self.estimate(name, at, "gap"));
        gaps.map(|gap| gap.mean.abs()).fold(0.0, f64::max)
    }

    /// The mean of a measure over the controls by backpropagation.
    pub(crate) fn control_mean(&self, at: &str, key: &str) -> f64 {
        let means: Vec<f64> =
            self.controls().into_iter().filter_map(|name| self.estimate(name, at, key)).map(|own| own.mean).collect();
        means.iter().sum::<f64>() / means.len() as f64
    }

    /// Whether a method is as near to backpropagation as these controls are, by one measure: its mean lies in the range that their
    /// intervals span, or on the side that is more alike. (Its own interval does not count: what is not known well is no more alike.)
    fn inside(&self, name: &str, at: &str, measure: &Measure, controls: &[&str]) -> Option<bool> {
        let own = self.estimate(name, at, measure.key)?;
        let controls: Vec<Estimate> = controls.iter().filter_map(|name| self.estimate(name, at, measure.key)).collect();
        let low = controls.iter().map(Estimate::low).fold(f64::INFINITY, f64::min);
        let high = controls.iter().map(Estimate::high).fold(f64::NEG_INFINITY, f64::max);
        Some(match measure.side {
            Side::Higher => own.mean >= low,
            Side::Lower => own.mean <= high,
            // What lies between the span and 0 is more alike.
            Side::Either => (low.min(0.0)..=high.max(0.0)).contains(&own.mean),
        })
    }

    /// Whether it is nearer to backpropagation than the untrained network is, the whole of its interval.
    fn beyond_untrained(&self, name: &str, at: &str, measure: &Measure) -> Option<bool> {
        let (own, untrained) =
            (self.estimate(name, at, measure.key)?, self.estimate("untrained", "epochs", measure.key)?);
        Some(match measure.side {
            Side::Higher => own.low() > untrained.mean,
            Side::Lower => own.high() < untrained.mean,
            Side::Either => own.low().abs().max(own.high().abs()) < untrained.mean.abs(),
        })
    }

    /// The word for a method in one sense, and the controls that it is as near as.
    fn verdict(&self, name: &str, at: &str, sense: Sense) -> String {
        let measures: Vec<&Measure> =
            MEASURES.iter().filter(|measure| measure.sense == sense && measure.in_verdict).collect();
        if self.estimate(name, at, "gap").is_some_and(|own| !own.half.is_finite()) {
            return "no verdict: one seed".to_owned();
        }
        let holds = |controls: &[&str]| {
            let inside = |measure: &&&Measure| self.inside(name, at, measure, controls).unwrap_or(false);
            let beyond = |measure: &&&Measure| self.beyond_untrained(name, at, measure).unwrap_or(false);
            measures.iter().filter(|measure| inside(measure) && beyond(measure)).count()
        };
        let controls = self.controls();
        let near: Vec<&str> = controls.iter().copied().filter(|control| holds(&[control]) == measures.len()).collect();
        match holds(&controls) {
            0 => "different".to_owned(),
            count if count < measures.len() => "in part".to_owned(),
            _ if near.is_empty() => "similar".to_owned(),
            _ => format!("similar, as {}", near.join(", ").replace("other ", "")),
        }
    }

    /// The verdict for each method at equal epochs, in parameter space and in performance, each without the controls' names.
    pub(crate) fn verdicts(&self) -> Vec<(String, String)> {
        let word =
            |name: &str, sense| self.verdict(name, "epochs", sense).split(',').next().unwrap_or_default().to_owned();
        let failed = |name: &str| {
            self.rows.iter().any(|row| crate::rows::word(row, "name") == name && row.contains_key("failed"))
        };
        let cell = |name: &str| match failed(name) {
            true => "diverged".to_owned(),
            false => format!("{} / {}", word(name, Sense::Parameters), word(name, Sense::Performance)),
        };
        self.names("method").into_iter().map(|name| (name.to_owned(), cell(name))).collect()
    }

    /// The gap of `local_targets(2)` to backpropagation beside the controls', in a sentence.
    pub(crate) fn gap_in_words(&self, task: &str) -> Option<String> {
        let gap = MEASURES.iter().find(|measure| measure.key == "gap")?;
        let own = self.estimate(LOCAL_TARGETS, "epochs", "gap")?;
        let controls: Vec<String> = self
            .controls()
            .into_iter()
            .filter_map(|name| Some(format!("{name} {:.2}", percent(self.estimate(name, "epochs", "gap")?))))
            .collect();
        let inside = self.inside(LOCAL_TARGETS, "epochs", gap, &self.controls())?;
        Some(format!(
            "* {task}: the accuracy of local_targets(2) less BP's is {:.2} points; controls: {}. {} the controls.\n",
            percent(own),
            controls.join(", "),
            match inside {
                true => "Inside",
                false if own.mean > 0.0 => "**Above**",
                false => "**Below**",
            }
        ))
    }

    /// Markdown: at equal epochs, at equal loss, and what each costs but for seconds.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (at, title) in [("epochs", "At equal epochs"), ("loss", "At equal training loss")] {
            for (sense, name) in [(Sense::Performance, "performance"), (Sense::Parameters, "parameters")] {
                let titles: Vec<&str> =
                    MEASURES.iter().filter(|measure| measure.sense == sense).map(|measure| measure.title).collect();
                text += &format!("\n{title}, {name}:\n\n| against BP | {} | verdict |\n", titles.join(" | "));
                text += &format!("|---|{}---|\n", "---|".repeat(titles.len()));
                for kind in ["control", "method", "untrained"] {
                    self.names(kind).into_iter().for_each(|name| text += &self.line(kind, name, at, sense));
                }
            }
        }
        text += "\n| cost of one update | products in a row | MFLOP an example | bank, MB |\n|---|---|---|---|\n";
        for name in self.names("method") {
            let mean = |key: &str| self.estimate(name, "epochs", key).map(|own| own.mean);
            let show =
                |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
            let operations = show(mean("operations").map(|operations| operations / 1e6), 2);
            let bytes = show(mean("bank_bytes").map(|bytes| bytes / 1e6), 1);
            let products = show(mean("products"), 0);
            let products = if name == "in_flight" { format!("{products} a tick") } else { products };
            text += &format!("| {name} | {products} | {operations} | {bytes} |\n");
        }
        text
    }

    fn line(&self, kind: &str, name: &str, at: &str, sense: Sense) -> String {
        let measures = || MEASURES.iter().filter(|measure| measure.sense == sense);
        if let Some(row) = self.rows.iter().find(|row| word(row, "name") == name && row.contains_key("failed")) {
            return format!("| {name} |{} {} |\n", " |".repeat(measures().count()), word(row, "failed"));
        }
        let cell = |measure: &Measure| match self.estimate(name, at, measure.key) {
            Some(own) => format!("{own:.*}", measure.digits),
            None => "–".to_owned(),
        };
        let cells: Vec<String> = measures().map(cell).collect();
        if cells.iter().all(|cell| cell == "–") {
            return String::new();
        }
        let verdict = if kind == "method" { self.verdict(name, at, sense) } else { String::new() };
        format!("| {name} | {} | {verdict} |\n", cells.join(" | "))
    }

    /// Seconds of training in units of backpropagation's, which no two runs have alike.
    pub(crate) fn times(&self) -> String {
        let time = |name: &&str| {
            let mean = |key: &str| self.estimate(name, "epochs", key).map(|own| own.mean);
            let ratio = mean("seconds").zip(mean("bp_seconds")).map(|(own, bp)| own / bp)?;
            Some(format!("{name} {ratio:.2}"))
        };
        let times: Vec<String> = self.names("method").iter().filter_map(time).collect();
        format!("time in units of backpropagation's: {}", times.join(", "))
    }
}
