//! Which metric a search judges by.

use std::fmt;

use crate::error::require;
use crate::loss::Outputs;
use crate::metrics::{
    Average, ClassScores, average_precision, confusion_matrix, hamming_loss, log_loss, mae, mse,
    multi_label_average_precision, multi_label_confusion, multi_label_roc_auc, roc_auc, top_k_accuracy,
};
use crate::observer::Mode;
use crate::{Dataset, DecoupledNetwork, Error, Model, Result, Scalar};

/// What a candidate is judged by on the examples that are held out: numbers of [`metrics`](crate::metrics), and of which sign.
///
/// | | class labels | multi-label data | real numbers |
/// |---|---|---|---|
/// | [`Score`](Self::Score), [`Loss`](Self::Loss) | yes | yes | yes |
/// | [`RocAuc`](Self::RocAuc), [`AveragePrecision`](Self::AveragePrecision), [`F1`](Self::F1), [`Precision`](Self::Precision), [`Recall`](Self::Recall) | yes | yes | |
/// | [`LogLoss`](Self::LogLoss), [`TopKAccuracy`](Self::TopKAccuracy) | yes | | |
/// | [`HammingLoss`](Self::HammingLoss) | | yes | |
/// | [`Mse`](Self::Mse), [`Mae`](Self::Mae) | | | yes |
///
/// `Score` and `Loss` follow the [weights](Dataset::with_weights) of the examples; the others count each once, as scikit-learn does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[doc(alias = "make_scorer")]
#[non_exhaustive]
pub enum Scoring {
    /// [`Model::score`]: accuracy for class labels, subset accuracy for multi-label data, else R²; the more the better.
    Score,
    /// The forward loss, mean over the examples; the less the better. It is in the units that the network was trained
    /// in: candidates are comparable if they have the same loss and scale targets alike.
    Loss,
    /// [`roc_auc`] of the probabilities; [`multi_label_roc_auc`], the plain mean over the labels. The more the better.
    RocAuc,
    /// [`average_precision`] of the probabilities, also called PR AUC; [`multi_label_average_precision`], the plain mean over the
    /// labels. The more the better.
    #[doc(alias = "pr_auc")]
    AveragePrecision,
    /// [F1](ClassScores::f1) of class 1 where there are two classes, else the plain mean over classes or labels
    /// ([`Average::Macro`]); the more the better.
    F1,
    /// [Precision](ClassScores::precision), of which classes as [`F1`](Self::F1); the more the better.
    Precision,
    /// [Recall](ClassScores::recall), of which classes as [`F1`](Self::F1); the more the better.
    Recall,
    /// [`log_loss`] of the probabilities; the less the better.
    LogLoss,
    /// [`top_k_accuracy`] for this k ≥ 1, of two outputs or more; the more the better.
    TopKAccuracy(usize),
    /// [`hamming_loss`] of the predicted labels; the less the better.
    HammingLoss,
    /// [`mse`] of the predictions, in the units of the targets; the less the better.
    Mse,
    /// [`mae`] of the predictions, in the units of the targets; the less the better.
    Mae,
}

impl Scoring {
    /// Returns whether less or more of it is better.
    pub fn mode(self) -> Mode {
        match self {
            Self::Loss | Self::LogLoss | Self::HammingLoss | Self::Mse | Self::Mae => Mode::Min,
            Self::Score | Self::RocAuc | Self::AveragePrecision => Mode::Max,
            Self::F1 | Self::Precision | Self::Recall | Self::TopKAccuracy(_) => Mode::Max,
        }
    }

    /// Fails before any training where there will be nothing to judge by.
    pub(super) fn check<T: Scalar>(self, network: &DecoupledNetwork<T>, data: &Dataset<T>) -> Result<()> {
        let (labels, several) = (data.labels().is_some(), data.is_multi_label());
        let refused = |what, why| Err(Error::Unsupported { what, why });
        match self {
            Self::Score => return network.check_score(data),
            Self::Loss => return Ok(()),
            Self::LogLoss | Self::TopKAccuracy(_) if !labels => {
                return refused("scoring by log_loss or top_k_accuracy", "the targets are not class labels");
            }
            Self::HammingLoss if !several => {
                return refused("scoring by hamming_loss", "the data are not multi-label: see Dataset::multi_label");
            }
            Self::Mse | Self::Mae if labels || several || network.decision.outputs != Outputs::Numbers => {
                let why =
                    "it is of real-valued targets and outputs: of classes and labels take RocAuc, LogLoss or Loss";
                return refused("scoring by mse or mae", why);
            }
            Self::Mse | Self::Mae => return Ok(()),
            _ if !labels && !several => {
                let why = "the targets are real numbers: take Score (R²), Mse, Mae or Loss";
                return refused("scoring by a metric of classes or labels", why);
            }
            _ => {}
        }
        match self {
            Self::TopKAccuracy(k) => {
                let rows = network.output_dim() as f64;
                require(k > 0, "k of Scoring::TopKAccuracy", "at least 1", k as f64)?;
                return require(rows > 1.0, "outputs for Scoring::TopKAccuracy", "at least 2", rows);
            }
            Self::RocAuc | Self::AveragePrecision | Self::LogLoss => network.check_proba()?,
            _ => {}
        }
        if labels { network.decision.check_class(network.output_dim()) } else { network.decision.check_labels() }
    }

    pub(super) fn judge<T: Scalar>(self, model: &Model<T>, data: &Dataset<T>) -> Result<f64> {
        let (inputs, targets, labels) = (data.inputs(), data.targets(), data.labels());
        match self {
            Self::Score => model.score(data),
            Self::Loss => model.network.evaluate_with(&*model.apply(data)?, None).map(|scores| scores.loss),
            Self::RocAuc => {
                let p = model.predict_proba(inputs)?;
                labels.map_or_else(|| multi_label_roc_auc(targets, &p, Average::Macro), |labels| roc_auc(labels, &p))
            }
            Self::AveragePrecision => {
                let p = model.predict_proba(inputs)?;
                let several = || multi_label_average_precision(targets, &p, Average::Macro);
                labels.map_or_else(several, |labels| average_precision(labels, &p))
            }
            Self::F1 => told_apart(model, data).map(|scores| scores.f1),
            Self::Precision => told_apart(model, data).map(|scores| scores.precision),
            Self::Recall => told_apart(model, data).map(|scores| scores.recall),
            Self::LogLoss => log_loss(labels.unwrap_or_default(), &model.predict_proba(inputs)?),
            Self::TopKAccuracy(k) => top_k_accuracy(labels.unwrap_or_default(), &model.predict(inputs)?, k),
            Self::HammingLoss => hamming_loss(targets, &model.predict_labels(inputs)?),
            Self::Mse => mse(targets, &model.predict(inputs)?),
            Self::Mae => mae(targets, &model.predict(inputs)?),
        }
    }
}

/// The scores of class 1 of two, else their plain means over classes or labels.
fn told_apart<T: Scalar>(model: &Model<T>, data: &Dataset<T>) -> Result<ClassScores> {
    let Some(labels) = data.labels() else {
        let predicted = model.predict_labels(data.inputs())?;
        return Ok(multi_label_confusion(data.targets(), &predicted)?.average(Average::Macro));
    };
    let matrix = confusion_matrix(labels, &model.predict_class(data.inputs())?, data.classes().unwrap_or(0))?;
    Ok(match matrix.per_class()[..] {
        [_, yes] => yes,
        _ => matrix.average(Average::Macro),
    })
}

impl fmt::Display for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Score => "score",
            Self::Loss => "loss",
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::F1 => "f1",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::LogLoss => "log_loss",
            Self::TopKAccuracy(_) => "top_k_accuracy",
            Self::HammingLoss => "hamming_loss",
            Self::Mse => "mse",
            Self::Mae => "mae",
        })
    }
}
