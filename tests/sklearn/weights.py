#!/usr/bin/env python3
"""scikit-learn's metrics with a `sample_weight`, and its balanced class weights, to compare the crate with.

    python3 tests/sklearn/weights.py

writes weights.txt beside this file: the inputs of each case, then what scikit-learn makes of them. Matrices are written row by
row, and rows are examples here. Nothing was read off the crate's results. Needs scikit-learn alone; the first line of weights.txt
names the versions that were used.
"""

import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m
from sklearn.utils.class_weight import compute_sample_weight

HERE = Path(__file__).parent
LINES = [f"# Written by tests/sklearn/weights.py with scikit-learn {sklearn.__version__} and NumPy {np.__version__}."]

# It warns where a class is predicted that is not there.
warnings.simplefilter("ignore")


def write(case, **values):
    for key, value in values.items():
        LINES.append(f"{case}/{key}: " + " ".join(repr(v.item()) for v in np.ravel(value)))


def labels(case, truth, predicted, classes, weights):
    write(case, truth=truth, predicted=predicted, classes=classes, weights=weights)
    write(case, accuracy=m.accuracy_score(truth, predicted, sample_weight=weights))
    write(case, confusion=m.confusion_matrix(truth, predicted, labels=range(classes), sample_weight=weights))
    write(case, balanced=compute_sample_weight("balanced", truth))


def probabilities(case, truth, shares, weights):
    classes = shares.shape[1]
    loss = m.log_loss(truth, shares, labels=range(classes), sample_weight=weights)
    write(case, truth=truth, probabilities=shares, classes=classes, weights=weights, log_loss=loss)


def numbers(case, targets, predictions, weights):
    outputs = targets.shape[1]
    write(case, targets=targets, predictions=predictions, outputs=outputs, weights=weights)
    for name, metric in [("mse", m.mean_squared_error), ("mae", m.mean_absolute_error), ("r2", m.r2_score)]:
        write(case, **{name: metric(targets, predictions, sample_weight=weights)})


rng = np.random.default_rng(18)
for i, (n, classes) in enumerate([(2, 2), (5, 2), (9, 3), (40, 4), (60, 3)]):
    truth, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    weights = [rng.uniform(0, 2, n), rng.integers(0, 4, n) * 1.0, np.full(n, 0.3)][i % 3]
    weights[0] = 1.5 if weights.sum() == 0 else weights[0]
    labels(f"labels{i}", truth, predicted, classes, weights)
# A class that does not occur, and one example that has all the weight.
labels("labels5", np.array([0, 2, 2, 2]), np.array([0, 0, 2, 1]), 3, np.array([1.0, 2.0, 4.0, 0.5]))
labels("labels6", np.array([0, 1, 1]), np.array([0, 0, 1]), 2, np.array([0.0, 0.0, 7.0]))

for i, (n, classes) in enumerate([(3, 2), (8, 3), (30, 5), (50, 2)]):
    shares = rng.dirichlet(np.ones(classes), n)
    weights = rng.exponential(1, n) if i % 2 else rng.integers(1, 5, n) * 1.0
    probabilities(f"probabilities{i}", rng.integers(0, classes, n), shares, weights)
certain = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
probabilities("probabilities4", np.array([0, 1, 1]), certain, np.array([1.0, 2.0, 0.25]))

for i, (n, outputs) in enumerate([(2, 1), (7, 1), (20, 3), (50, 2)]):
    targets = rng.normal(2, 3, (n, outputs))
    weights = rng.uniform(0, 5, n) if i % 2 else rng.integers(1, 4, n) * 1.0
    numbers(f"numbers{i}", targets, targets + rng.normal(0, 1, (n, outputs)), weights)
constant = np.column_stack([np.full(4, 0.5), np.arange(4.0)])
numbers("numbers4", constant, constant + [[0.5, 0], [0, 0.25], [0, 0], [0.125, 0]], np.array([1.0, 0.0, 2.0, 3.0]))
numbers("numbers5", constant, constant, np.array([1.0, 0.5, 2.0, 3.0]))

(HERE / "weights.txt").write_text("\n".join(LINES) + "\n")
