#!/usr/bin/env python3
"""The metrics of scikit-learn on small inputs, to compare the crate with.

    python3 tests/sklearn/metrics.py

writes metrics.txt beside this file: the inputs of each case, then what scikit-learn makes of them. Matrices are written row by
row, and rows are examples here, so that a matrix of scores reads as one whose columns are examples; the confusion matrix is
written row by row as well. Nothing was read off the crate's results. Needs scikit-learn alone; the first line of metrics.txt
names the versions that were used.
"""

import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m

HERE = Path(__file__).parent
LINES = [f"# Written by tests/sklearn/metrics.py with scikit-learn {sklearn.__version__} and NumPy {np.__version__}."]

# It warns wherever it divides by zero, and for k = classes.
warnings.simplefilter("ignore")


def write(case, **values):
    for key, value in values.items():
        flat = np.ravel(value)
        LINES.append(f"{case}/{key}: " + " ".join(repr(v.item()) for v in flat))


def labels(case, truth, predicted, classes):
    every = dict(labels=range(classes), zero_division=0)
    write(case, truth=truth, predicted=predicted, classes=classes)
    write(case, accuracy=m.accuracy_score(truth, predicted))
    write(case, confusion=m.confusion_matrix(truth, predicted, labels=range(classes)))
    for average in [None, "macro", "micro", "weighted"]:
        name = average or "each"
        scores = m.precision_recall_fscore_support(truth, predicted, average=average, **every)
        write(case, **{f"{name}/precision": scores[0], f"{name}/recall": scores[1], f"{name}/f1": scores[2]})
        if average is None:
            write(case, **{"each/support": scores[3]})
    if classes == 2:
        scores = m.precision_recall_fscore_support(truth, predicted, average="binary", zero_division=0)
        write(case, binary=scores[:3])


def top_k(case, truth, scores):
    classes = scores.shape[1]
    hits = [m.top_k_accuracy_score(truth, scores, k=k, labels=range(classes)) for k in range(1, classes + 1)]
    write(case, truth=truth, scores=scores, classes=classes, top_k=hits)


def log_loss(case, truth, probabilities):
    classes = probabilities.shape[1]
    loss = m.log_loss(truth, probabilities, labels=range(classes))
    write(case, truth=truth, probabilities=probabilities, classes=classes, log_loss=loss)


def auc(case, truth, scores):
    scores = np.asarray(scores)
    rows = 1 if scores.ndim == 1 else scores.shape[1]
    judged = scores[:, 1] if rows == 2 else scores
    write(case, truth=truth, scores=scores, rows=rows, auc=m.roc_auc_score(truth, judged, multi_class="ovr"))


def real(case, targets, predictions):
    write(case, targets=targets, predictions=predictions, outputs=targets.shape[1])
    write(case, mse=m.mean_squared_error(targets, predictions), mae=m.mean_absolute_error(targets, predictions))
    write(case, r2=m.r2_score(targets, predictions))


def distributions(rng, n, classes, digits=None):
    """Columns that sum to 1; of few digits, so that many are equal."""
    if digits is None:
        return rng.dirichlet(np.ones(classes), n)
    return rng.multinomial(digits, np.ones(classes) / classes, n) / digits


for seed in range(4):
    rng = np.random.default_rng(seed)
    for classes in [2, 3, 7]:
        n = 25
        labels(f"labels/{seed}-{classes}", rng.integers(classes, size=n), rng.integers(classes, size=n), classes)
labels("labels/right", [0, 1, 2, 1], [0, 1, 2, 1], 3)
labels("labels/wrong", [0, 1, 2, 1], [1, 2, 0, 0], 3)
labels("labels/never_true", [0, 0, 1, 1], [0, 2, 2, 1], 3)
labels("labels/never_predicted", [0, 2, 2, 1], [0, 0, 1, 1], 3)
labels("labels/absent", [0, 3, 3, 0], [0, 3, 0, 0], 5)
labels("labels/all_of_one_class", [1, 1, 1], [1, 1, 0], 2)
labels("labels/one_class_of_one", [0, 0, 0], [0, 0, 0], 1)
labels("labels/binary_without_a_hit", [1, 1, 0], [0, 0, 0], 2)
labels("labels/one_example", [2], [1], 4)

for seed in range(4):
    rng = np.random.default_rng(100 + seed)
    for classes in [3, 5]:
        truth = rng.integers(classes, size=20)
        top_k(f"top_k/{seed}-{classes}", truth, rng.normal(size=(20, classes)).round(2))
        top_k(f"top_k/ties_{seed}-{classes}", truth, rng.integers(-1, 2, size=(20, classes)).astype(float))
        top_k(f"top_k/absent_{seed}-{classes}", truth % 2, distributions(rng, 20, classes, 4))
top_k("top_k/all_equal", np.array([0, 1, 2, 3]), np.full((4, 4), 0.25))

for seed in range(4):
    rng = np.random.default_rng(200 + seed)
    for classes in [2, 3, 6]:
        truth = rng.integers(classes, size=15)
        log_loss(f"log_loss/{seed}-{classes}", truth, distributions(rng, 15, classes))
        log_loss(f"log_loss/absent_{seed}-{classes}", np.full(15, classes - 1), distributions(rng, 15, classes))
        log_loss(f"log_loss/clipped_{seed}-{classes}", truth, distributions(rng, 15, classes, 3))
log_loss("log_loss/sure_and_right", np.array([0, 1]), np.eye(2))
log_loss("log_loss/sure_and_wrong", np.array([1, 0]), np.eye(2))

for seed in range(4):
    rng = np.random.default_rng(300 + seed)
    truth = np.append(rng.integers(2, size=18), [0, 1])
    auc(f"auc/scores_{seed}", truth, rng.normal(size=20).round(2))
    auc(f"auc/ties_{seed}", truth, rng.integers(-2, 3, size=20).astype(float))
    auc(f"auc/two_rows_{seed}", truth, distributions(rng, 20, 2, 6))
    for classes in [3, 5]:
        truth = np.append(rng.integers(classes, size=20), np.arange(classes))
        auc(f"auc/many_{seed}-{classes}", truth, distributions(rng, len(truth), classes))
        auc(f"auc/many_ties_{seed}-{classes}", truth, distributions(rng, len(truth), classes, 5))
auc("auc/best", [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
auc("auc/worst", [1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4])
auc("auc/all_equal", [0, 1, 0], [0.5, 0.5, 0.5])
auc("auc/zeros_of_both_signs", [0, 1, 1, 0], [0.0, -0.0, 1.0, -1.0])

for seed in range(4):
    rng = np.random.default_rng(400 + seed)
    for outputs in [1, 3]:
        targets = rng.normal(5, 3, size=(12, outputs))
        real(f"real/{seed}-{outputs}", targets, targets + rng.normal(size=targets.shape))
        real(f"real/bad_{seed}-{outputs}", targets, rng.normal(size=targets.shape))
constant = np.column_stack([np.full(4, 2.0), [1.0, 2.0, 3.0, 5.0]])
real("real/constant_missed", constant, constant + [[0.5, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, -1.0]])
real("real/constant_met", constant, constant + [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, -1.0]])
real("real/all_right", constant, constant)
real("real/two_examples", np.array([[1.0], [3.0]]), np.array([[1.5], [2.0]]))

(HERE / "metrics.txt").write_text("\n".join(LINES) + "\n")
