#!/usr/bin/env python3
"""Debiased CKA and Procrustes distances once more in NumPy, from their definitions, to compare the crate with.

    python3 tests/numpy/representation.py

writes representation.txt beside this file: representations, the alignment and the distance of each pair. Here the n × n kernels
are formed, in whole numbers and fractions, so that nothing has to be centred and nothing is rounded before the last quotient;
and rows are examples. Nothing was read off the crate's results. Needs NumPy alone; the first line of representation.txt names
the version that was used.

Before it writes anything it compares the estimator with a mean over all quadruples of examples, and exits with an error if they
differ by anything.
"""

import itertools
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def kernel(x):
    """x·xᵀ of numbers with three decimals, in thousandths: whole numbers of any length."""
    x = np.array([[int(v) for v in row] for row in np.rint(x * 1000)], dtype=object)
    return x @ x.T


def hsic(k, l):
    """The unbiased estimator of Song et al. (2012), equation 5, word for word; a fraction."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    ones = np.array([1] * n, dtype=object)
    first = np.trace(k @ l)
    second = Fraction((ones @ k @ ones) * (ones @ l @ ones), (n - 1) * (n - 2))
    third = Fraction(2, n - 2) * (ones @ k @ l @ ones)
    return (first + second - third) / (n * (n - 3))


def hsic_of_quadruples(k, l):
    """The same as a U-statistic: the mean of h over all ordered quadruples of different examples."""
    total, count = 0, 0
    for i, j, q, r in itertools.permutations(range(len(k)), 4):
        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
        count += 1
    return Fraction(total, count)


def cka(x, y):
    k, l = kernel(x), kernel(y)
    cross = hsic(k, l)
    return math.copysign(math.sqrt(cross * cross / (hsic(k, k) * hsic(l, l))), cross)


def procrustes(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return 2 - 2 * np.linalg.svd(x.T @ y, compute_uv=False).sum()


def check_estimator():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        k, l = kernel(rng.normal(size=(7, 3))), kernel(rng.normal(size=(7, 2)))
        if hsic(k, l) != hsic_of_quadruples(k, l):
            sys.exit("the estimator is not its U-statistic")


def pairs(seed):
    """Representations of the same examples, as rows: related, independent, wide, few, far from the origin, short of rank."""
    rng = np.random.default_rng(seed)

    def draw(n, d):
        return np.round(rng.normal(size=(n, d)), 3)

    x = draw(30, 6)
    yield "related", x, np.round(np.maximum(x @ rng.normal(size=(6, 9)), 0), 3)
    yield "independent", draw(40, 5), draw(40, 3)
    yield "wide", draw(8, 20), draw(8, 17)
    yield "four", draw(4, 3), draw(4, 2)
    x = draw(25, 4)
    yield "far", x + 100, np.round(x @ rng.normal(size=(4, 4)), 3) - 50
    x = draw(20, 3)
    yield "flat", np.round(x @ rng.normal(size=(3, 8)), 3), x
    yield "uneven", draw(15, 4) * np.array([1.0, 10.0, 100.0, 1000.0]), draw(15, 1)


def main():
    check_estimator()
    lines = [f"# Written by tests/numpy/representation.py with NumPy {np.__version__}."]

    def write(key, values):
        lines.append(f"{key}: " + " ".join(repr(v) for v in np.asarray(values).ravel().tolist()))

    for seed in (0, 1):
        for name, x, y in pairs(seed):
            key = f"{name}/{seed}"
            write(f"{key}/shape", [len(x), x.shape[1], y.shape[1]])
            write(f"{key}/x", x)
            write(f"{key}/y", y)
            write(f"{key}/cka", cka(x, y))
            write(f"{key}/procrustes", procrustes(x, y))
    (HERE / "representation.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
