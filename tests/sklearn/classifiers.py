#!/usr/bin/env python3
"""Classifiers of one logit, multi-label data and rankings in scikit-learn, to compare the crate with.

    python3 tests/sklearn/classifiers.py

writes classifiers.txt beside this file: the inputs of each case, then what scikit-learn makes of them. Matrices are written row by
row, and rows are examples here, so that a matrix reads as one whose columns are examples. Weights are written as
`coef_[layer]`, inputs × outputs row by row, so that they read as outputs × inputs column by column. Nothing was read off the
crate's results. Needs scikit-learn alone; the first line of classifiers.txt names the versions that were used.
"""

import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics as m
from sklearn.datasets import make_blobs, make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
LINES = [f"# Written by tests/sklearn/classifiers.py with scikit-learn {sklearn.__version__} and NumPy {np.__version__}."]

# It warns wherever it divides by zero, and where a fit is stopped early.
warnings.simplefilter("ignore")


def write(case, **values):
    for key, value in values.items():
        flat = np.ravel(value)
        LINES.append(f"{case}/{key}: " + " ".join(repr(v.item()) for v in flat))


def averages(case, truth, predicted):
    for average in [None, "micro", "macro", "weighted", "samples"]:
        if average == "samples" and truth.ndim == 1:
            continue
        name = average or "each"
        scores = m.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        write(case, **{f"{name}/precision": scores[0], f"{name}/recall": scores[1], f"{name}/f1": scores[2]})
        if average is None:
            write(case, **{"each/support": scores[3]})


def binary(case, model, inputs, truth):
    """One logit: the weights, and all that the model says of the examples."""
    model.fit(inputs, truth)
    chance, predicted = model.predict_proba(inputs)[:, 1], model.predict(inputs)
    write(case, truth=truth, inputs=inputs)
    if isinstance(model, MLPClassifier):
        write(case, coef0=model.coefs_[0], intercept0=model.intercepts_[0])
        write(case, coef1=model.coefs_[1], intercept1=model.intercepts_[1], hidden=model.hidden_layer_sizes)
    else:
        write(case, coef0=model.coef_.T, intercept0=model.intercept_, hidden=0)
        write(case, logits=model.decision_function(inputs))
    write(case, proba=chance, predict=predicted, score=model.score(inputs, truth))
    write(case, log_loss=m.log_loss(truth, chance), roc_auc=m.roc_auc_score(truth, chance))
    write(case, average_precision=m.average_precision_score(truth, chance))
    for name, threshold in [("low", 0.2), ("high", 0.9)]:
        other = FixedThresholdClassifier(model, threshold=threshold, response_method="predict_proba").fit(inputs, truth)
        # It fits a clone, to the same numbers.
        assert np.array_equal(other.estimator_.predict_proba(inputs)[:, 1], chance)
        write(case, **{f"{name}/predict": other.predict(inputs), f"{name}/score": other.score(inputs, truth)})
    averages(case, truth, predicted)


def several(case, model, inputs, truth):
    """A logit for each of several labels."""
    model.fit(inputs, truth)
    predicted = model.predict(inputs)
    write(case, truth=truth, inputs=inputs, labels=truth.shape[1], hidden=model.hidden_layer_sizes)
    write(case, coef0=model.coefs_[0], intercept0=model.intercepts_[0])
    write(case, coef1=model.coefs_[1], intercept1=model.intercepts_[1])
    write(case, proba=model.predict_proba(inputs), predict=predicted, score=model.score(inputs, truth))
    averages(case, truth, predicted)


def labels(case, truth, predicted):
    write(case, truth=truth, predicted=predicted, labels=truth.shape[1])
    write(case, subset=m.accuracy_score(truth, predicted), hamming=m.hamming_loss(truth, predicted))
    write(case, accuracies=[m.accuracy_score(t, p) for t, p in zip(truth.T, predicted.T)])
    write(case, confusion=m.multilabel_confusion_matrix(truth, predicted))
    averages(case, truth, predicted)


def ranked_labels(case, truth, scores):
    """No label, and no example, without a one and a zero: scikit-learn warns of others."""
    write(case, truth=truth, scores=scores, labels=truth.shape[1])
    for average in ["macro", "micro", "weighted", "samples"]:
        write(case, **{f"{average}/roc_auc": m.roc_auc_score(truth, scores, average=average)})
        write(case, **{f"{average}/average_precision": m.average_precision_score(truth, scores, average=average)})


def ranked(case, truth, scores):
    scores = np.asarray(scores)
    rows = 1 if scores.ndim == 1 else scores.shape[1]
    judged = scores[:, 1] if rows == 2 else scores
    write(case, truth=truth, scores=scores, rows=rows, average_precision=m.average_precision_score(truth, judged))
    if rows < 3:
        fpr, tpr, thresholds = m.roc_curve(truth, judged)
        write(case, fpr=fpr, tpr=tpr, roc_thresholds=thresholds)
        precision, recall, thresholds = m.precision_recall_curve(truth, judged)
        write(case, precision=precision, recall=recall, pr_thresholds=thresholds)


def log_loss(case, truth, chance):
    write(case, truth=truth, chance=chance, log_loss=m.log_loss(truth, chance, labels=[0, 1]))


def distributions(rng, n, classes, digits=None):
    """Columns that sum to 1; of few digits, so that many are equal."""
    if digits is None:
        return rng.dirichlet(np.ones(classes), n)
    return rng.multinomial(digits, np.ones(classes) / classes, n) / digits


for seed in range(6):
    inputs, truth = make_blobs(40, centers=[[-1, 0], [1, 1]], cluster_std=1.0, random_state=seed)
    binary(f"binary/logistic_{seed}", LogisticRegression(), inputs, truth)
    mlp = MLPClassifier(hidden_layer_sizes=3, activation="tanh", solver="lbfgs", max_iter=20, random_state=seed)
    binary(f"binary/mlp_{seed}", mlp, inputs, truth)

for seed in range(3):
    inputs, truth = make_multilabel_classification(30, 4, n_classes=3, random_state=seed)
    inputs = inputs / 10
    mlp = MLPClassifier(hidden_layer_sizes=5, activation="tanh", solver="lbfgs", max_iter=15, random_state=seed)
    several(f"several/mlp_{seed}", mlp, inputs, truth)

for seed in range(4):
    rng = np.random.default_rng(500 + seed)
    for count in [2, 3, 7]:
        shape = (20, count)
        labels(f"multi/{seed}-{count}", rng.integers(2, size=shape), rng.integers(2, size=shape))
    rare = (rng.random((25, 5)) < 0.15).astype(int)
    labels(f"multi/rare_{seed}", rare, (rng.random((25, 5)) < 0.15).astype(int))
    labels(f"multi/near_{seed}", rare, np.where(rng.random((25, 5)) < 0.1, 1 - rare, rare))
some = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0]])
labels("multi/right", some, some)
labels("multi/wrong", some, 1 - some)
labels("multi/nothing_true", np.zeros((3, 2), int), np.array([[1, 0], [0, 0], [1, 1]]))
labels("multi/nothing_predicted", some, np.zeros((3, 3), int))
labels("multi/nothing_at_all", np.zeros((3, 2), int), np.zeros((3, 2), int))
labels("multi/one_example", np.array([[1, 0, 1, 0]]), np.array([[1, 1, 0, 0]]))

for seed in range(4):
    rng = np.random.default_rng(600 + seed)
    for count in [3, 6]:
        truth = rng.integers(2, size=(18, count))
        truth[:, 0], truth[:, 1] = 1, 0
        truth[::3, 0], truth[::3, 1] = 0, 1
        ranked_labels(f"labels_auc/{seed}-{count}", truth, rng.normal(size=truth.shape).round(2))
        ranked_labels(f"labels_auc/ties_{seed}-{count}", truth, rng.integers(-1, 2, size=truth.shape).astype(float))

for seed in range(4):
    rng = np.random.default_rng(700 + seed)
    truth = np.append(rng.integers(2, size=18), [0, 1])
    ranked(f"ranked/scores_{seed}", truth, rng.normal(size=20).round(2))
    ranked(f"ranked/ties_{seed}", truth, rng.integers(-2, 3, size=20).astype(float))
    ranked(f"ranked/two_rows_{seed}", truth, distributions(rng, 20, 2, 6))
    for classes in [3, 5]:
        truth = np.append(rng.integers(classes, size=20), np.arange(classes))
        ranked(f"ranked/many_{seed}-{classes}", truth, distributions(rng, len(truth), classes))
        ranked(f"ranked/many_ties_{seed}-{classes}", truth, distributions(rng, len(truth), classes, 5))
ranked("ranked/best", [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
ranked("ranked/worst", [1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4])
ranked("ranked/all_equal", [0, 1, 0], [0.5, 0.5, 0.5])
ranked("ranked/zeros_of_both_signs", [0, 1, 1, 0], [0.0, -0.0, 1.0, -1.0])
ranked("ranked/one_hit", [0, 0, 1, 0, 0], [0.3, 0.1, 0.2, 0.5, 0.4])

for seed in range(4):
    rng = np.random.default_rng(800 + seed)
    truth = rng.integers(2, size=15)
    log_loss(f"chance/{seed}", truth, rng.random(15))
    log_loss(f"chance/clipped_{seed}", truth, rng.integers(0, 3, size=15) / 2)
log_loss("chance/sure_and_right", [0, 1], [0.0, 1.0])
log_loss("chance/sure_and_wrong", [1, 0], [0.0, 1.0])

(HERE / "classifiers.txt").write_text("\n".join(LINES) + "\n")
