#!/usr/bin/env python3
"""StandardScaler and MinMaxScaler of scikit-learn on columns that are constant, or almost, to compare the crate with.

    python3 tests/sklearn/scaler.py

writes scaler.txt beside this file: a column (of f64, or of f32 and read as such), 1 where scikit-learn takes it as constant, and what it
makes of the column. Nothing was read off the crate's results.
"""

from pathlib import Path

import numpy as np
import sklearn
from sklearn.preprocessing import MinMaxScaler, StandardScaler

HERE = Path(__file__).parent
LINES = [f"# Written by tests/sklearn/scaler.py with scikit-learn {sklearn.__version__} and NumPy {np.__version__}."]

draws = np.random.default_rng(18)
EPS = np.finfo(np.float64).eps
COLUMNS = {
    "noise of 0.3": [0.1 + 0.2, 0.3, 0.3],
    "noise of 0.3 below": [0.3, 0.3 - EPS / 4, 0.3, 0.3],
    "noise of 1": [1.0, 1.0 + EPS, 1.0, 1.0 - EPS / 2],
    "noise of -0.7": [-0.7, -0.1 * 7, -(0.8 - 0.1), -0.7],
    "noise of sums": [sum([0.1] * 3), 0.3, 0.6 / 2, 0.15 * 2, 0.9 / 3],
    "noise of thousands": (np.full(1000, 1.1) * 3 / 3 + draws.integers(0, 2, 1000) * EPS).tolist(),
    "constant": [0.1] * 3,
    "constant of many": [0.1] * 1000,
    "zeros": [0.0] * 4,
    "one value": [5.0],
    "unit": [1.0, 2.0, 6.0],
    "drawn": draws.normal(size=50).tolist(),
    "drawn beside 1": (1 + 1e-3 * draws.normal(size=50)).tolist(),
    "a millionth beside 1": (1 + 1e-6 * draws.uniform(size=20)).tolist(),
    "1e-12 beside 1": (1 + 1e-12 * draws.uniform(size=20)).tolist(),
    "two values": [0.0] * 30 + [1.0],
    "sine": np.sin(np.arange(40.0)).tolist(),
}


def write(name, dtype, column):
    values = np.array(column, dtype=dtype).reshape(-1, 1)
    for kind, scaler in [("standard", StandardScaler()), ("min-max", MinMaxScaler())]:
        scaled = scaler.fit_transform(values)
        constant = kind == "standard" and scaler.scale_[0] == 1.0 and scaler.var_[0] != 1.0
        if kind == "min-max":
            constant = scaler.data_range_[0] < 10 * np.finfo(dtype).eps
        key = f"{name}/{np.dtype(dtype).name}/{kind}"
        numbers = lambda column: " ".join(repr(v) for v in column[:, 0].astype(float).tolist())
        LINES.append(f"{key}/column: {numbers(values)}")
        LINES.append(f"{key}/constant: {int(constant)}")
        LINES.append(f"{key}/scaled: {numbers(scaled)}")


for name, column in COLUMNS.items():
    for dtype in [np.float64, np.float32]:
        write(name, dtype, column)
(HERE / "scaler.txt").write_text("\n".join(LINES) + "\n")
