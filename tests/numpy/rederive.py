#!/usr/bin/env python3
"""Every way to train, computed once more in NumPy from the equations, to compare the crate with.

    python3 tests/numpy/rederive.py

writes numbers.txt beside this file: data, initial parameters, and what each way to train makes of them. It shares no
code and no layout with the crate (rows are examples here), and nothing in it was read off the crate's results. Needs
NumPy alone; the first line of numbers.txt names the version that was used.

Before it writes anything it checks its own gradients by finite differences, and that a reverse sweep is backpropagation;
it exits with an error if they fail.

order.txt is the one thing that it takes from the crate: the order in which examples are visited, one line an epoch, which
the crate draws from a ChaCha stream. `tests/equations/numpy.rs` records it through a metric and asserts that it still is the same.
"""

import math
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
EPOCHS = 4


# ---- activations: (σ, σ')

_erf = np.vectorize(math.erf, otypes=[float])


def _normal_cdf(u):
    return 0.5 * (1 + _erf(u / math.sqrt(2)))


def _normal_pdf(u):
    return np.exp(-u * u / 2) / math.sqrt(2 * math.pi)


IDENTITY = (lambda u: u, np.ones_like)
TANH = (np.tanh, lambda u: np.cosh(u) ** -2.0)
RELU = (lambda u: np.where(u > 0, u, 0.0), lambda u: np.where(u > 0, 1.0, 0.0))
GELU = (lambda u: u * _normal_cdf(u), lambda u: _normal_cdf(u) + u * _normal_pdf(u))


# ---- losses: (z, p) -> (L summed over units and examples, ∂L/∂p, ∂L/∂z)


def squared(z, p):
    return 0.5 * np.sum((p - z) ** 2), p - z, z - p


def huber(delta):
    def loss(z, p):
        r = p - z
        far = np.abs(r) > delta
        value = np.sum(np.where(far, delta * (np.abs(r) - delta / 2), r * r / 2))
        slope = np.where(far, delta * np.sign(r), r)
        return value, slope, -slope

    return loss


def relative(z, p, epsilon=1e-8):
    d = z.shape[1]
    s = (np.sum(z * z, axis=1, keepdims=True) + np.sum(p * p, axis=1, keepdims=True)) / (2 * d) + epsilon
    q = np.sum((z - p) ** 2, axis=1, keepdims=True)
    # L = q/2s by the quotient rule, with ∂q/∂p = 2(p − z) and ∂s/∂p = p/d.
    return np.sum(q / (2 * s)), (p - z) / s - q * p / (2 * d * s * s), (z - p) / s - q * z / (2 * d * s * s)


def cross_entropy(smoothing=0.0):
    def loss(y, logits):
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        t = (1 - smoothing) * y + smoothing / y.shape[1]
        return -np.sum(t * log_p), np.exp(log_p) * t.sum(axis=1, keepdims=True) - t, None

    return loss


def binary_cross_entropy(y, logits):
    p = 1 / (1 + np.exp(-logits))
    return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)), p - y, None


# ---- rules: (slots, step); step(x, g, state, k) -> (x, state), k counts from 1


def sgd(rate, momentum=0.0, nesterov=False):
    def step(x, g, state, k):
        if momentum == 0:
            return x - rate * g, state
        v = momentum * state[0] + g
        return x - rate * (g + momentum * v if nesterov else v), np.stack([v])

    return (1 if momentum else 0), step


def adam(rate, decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """With decay this is AdamW."""

    def step(x, g, state, k):
        m = beta1 * state[0] + (1 - beta1) * g
        v = beta2 * state[1] + (1 - beta2) * g * g
        direction = m / (1 - beta1**k) / (np.sqrt(v / (1 - beta2**k)) + epsilon)
        return (1 - rate * decay) * x - rate * direction, np.stack([m, v])

    return 2, step


def rms_prop(rate, rho):
    def step(x, g, state, k):
        v = rho * state[0] + (1 - rho) * g * g
        return x - rate * g / (np.sqrt(v) + 1e-8), np.stack([v])

    return 1, step


# ---- data and initial parameters


def make_data(seed, examples):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(examples, 5)), 3)
    bent = np.sin(x @ rng.normal(size=(5, 3))) + 0.3 * rng.normal(size=(examples, 3))
    labels = bent.argmax(axis=1)
    return {
        "inputs": x,
        "labels": labels,
        "classes": np.eye(3)[labels],
        "real": np.round(bent, 3),
        "odds": np.round(np.clip(0.5 + bent, 0, 1), 2),
    }


def make_params(seed, widths):
    """θ_t flat: the (in × out) matrix row after row, which is W (out × in) column after column, then b."""
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths, widths[1:]))
    return [np.round(np.r_[rng.normal(size=i * o) / math.sqrt(i), 0.2 * rng.normal(size=o)], 3) for i, o in pairs]


SMALL, LARGE = make_data(1, 23), make_data(2, 150)
WIDE, NARROW = [5, 6, 3, 4, 3], [5, 3, 2, 2, 3]
START_WIDE, START_NARROW = make_params(3, WIDE), make_params(4, NARROW)


# ---- the ways to train


def way(targets, activations, output, rule, hidden=squared, mu=1.0, data=SMALL, start=START_WIDE, widths=WIDE, **method):
    mu = list(mu) if isinstance(mu, tuple) else [mu] * 3
    rules = rule if isinstance(rule, list) else [rule] * 4
    return dict(
        x=data["inputs"], y=data[targets], targets=targets, activations=[*activations, IDENTITY], widths=widths,
        start=start, output=output, hidden=hidden, mu=mu, rules=rules, sizes=dict(full=10**6, batches=8), **method,
    )  # fmt: skip


def method(z_rule, steps, persisted=False, reverse=False, together=False, local=1, reads="stored"):
    return dict(
        z_rule=z_rule, steps=steps, persisted=persisted, reverse=reverse, together=together, local=local, reads=reads
    )


def joint(z_rule):
    return method(z_rule, 1, persisted=True, together=True)


def predictive_coding(steps, z_rule, **changes):
    return method(z_rule, steps, **{"reads": "forward", **changes})


MIXED = [TANH, RELU, GELU]
WAYS = {
    "joint": way("classes", [TANH] * 3, cross_entropy(), adam(0.02), **joint(sgd(0.1))),
    "joint_momentum": way(
        "classes", MIXED, cross_entropy(), adam(0.02), mu=(0.7, 1.3, 2.0), **joint(sgd(0.1, 0.6))
    ),
    "joint_adam": way(
        "real", [GELU] * 3, squared, rms_prop(0.01, 0.9), huber(0.05), mu=1.5, **joint(adam(0.05))
    ),
    "predictive_coding": way(
        "classes", [RELU] * 3, cross_entropy(0.1), sgd(0.1, 0.9, True), mu=1.7, **predictive_coding(4, sgd(0.2))
    ),
    "stored_reads": way(
        "real", [TANH] * 3, squared, adam(0.02, decay=0.1), huber(0.1), mu=(2.0, 0.5, 2.0),
        **predictive_coding(3, sgd(0.3), reads="stored")
    ),
    "reverse": way(
        "classes", [GELU] * 3, cross_entropy(), rms_prop(0.005, 0.95), relative, mu=1.2,
        **predictive_coding(3, sgd(0.05), reverse=True)
    ),
    "local_steps": way(
        "odds", MIXED, binary_cross_entropy, adam(0.01), mu=0.8, **predictive_coding(3, sgd(0.2), local=2)
    ),
    "local_steps_stored": way(
        "classes", [TANH] * 3, cross_entropy(),
        [adam(0.02, decay=0.2), rms_prop(0.01, 0.9), sgd(0.1, 0.5), adam(0.03)], relative, mu=(0.6, 1.0, 1.4),
        **predictive_coding(3, sgd(0.05, 0.5), reverse=True, local=2, reads="stored")
    ),
    "incremental": way(
        "odds", [GELU] * 3, binary_cross_entropy, adam(0.01), huber(0.05), mu=(0.5, 1.0, 1.5),
        **method(sgd(0.2), 3, together=True)
    ),
    "persisted": way(
        "real", [RELU] * 3, squared, sgd(0.02, 0.8, True), mu=1.3,
        **predictive_coding(2, sgd(0.1, 0.4), persisted=True)
    ),
    "sweep": way(
        "classes", MIXED, cross_entropy(0.2), adam(0.02), mu=2.0, **predictive_coding(1, sgd(1 / 2.0), reverse=True)
    ),
    "backprop": way("classes", MIXED, cross_entropy(0.2), adam(0.02)),
    "backprop_nesterov": way("odds", [TANH] * 3, binary_cross_entropy, sgd(0.1, 0.9, True)),
    "large": way(
        "classes", MIXED, cross_entropy(), adam(0.02), data=LARGE, start=START_NARROW, widths=NARROW,
        **joint(sgd(0.1))
    ),
}  # fmt: skip
WAYS["large"]["sizes"] = dict(full=10**6, batches=100)


# ---- the objective and its gradients


def affine(w, theta, t, z):
    i, o = w["widths"][t], w["widths"][t + 1]
    return z @ theta[t][: i * o].reshape(i, o) + theta[t][i * o :]


def predict(w, theta, t, z):
    return w["activations"][t][0](affine(w, theta, t, z))


def pull_back(w, theta, t, z, c):
    """c = ∂/∂ẑ_{t+1} back to the input z and to θ_t."""
    i, o = w["widths"][t], w["widths"][t + 1]
    c = c * w["activations"][t][1](affine(w, theta, t, z))
    return c @ theta[t][: i * o].reshape(i, o).T, np.r_[(z.T @ c).ravel(), c.sum(axis=0)]


def discrepancy(w, t, z, p):
    """The t-th term of L with its two gradients, t = 1 ..= T."""
    if t == 4:
        return w["output"](z, p)
    return [w["mu"][t - 1] * part for part in w["hidden"](z, p)]


def energy(w, theta, Z):
    return sum(discrepancy(w, t + 1, Z[t + 1], predict(w, theta, t, Z[t]))[0] for t in range(4))


def z_gradient(w, theta, Z, t):
    own = discrepancy(w, t, Z[t], predict(w, theta, t - 1, Z[t - 1]))[2]
    c = discrepancy(w, t + 1, Z[t + 1], predict(w, theta, t, Z[t]))[1]
    return own + pull_back(w, theta, t, Z[t], c)[0]


def theta_gradient(w, theta, inputs, Z, t):
    c = discrepancy(w, t + 1, Z[t + 1], predict(w, theta, t, inputs[t]))[1]
    return pull_back(w, theta, t, inputs[t], c)[1]


def forward(w, theta, x):
    a = [x]
    for t in range(4):
        a.append(predict(w, theta, t, a[t]))
    return a


def backprop(w, theta, a, y):
    grads = [None] * 4
    c = w["output"](y, a[4])[1]
    for t in (3, 2, 1, 0):
        c, grads[t] = pull_back(w, theta, t, a[t], c)
    return grads


def score(w, y, out):
    """Accuracy for classes, Σ|y − out| for others; summed over the examples."""
    if w["targets"] == "classes":
        return float(np.sum(y.argmax(axis=1) == out.argmax(axis=1)))
    return np.abs(y - out).sum()


# ---- training


def train(w, size, orders):
    x, y, n = w["x"], w["y"], len(w["x"])
    theta = [t.copy() for t in w["start"]]
    theta_state = [np.zeros((rule[0], len(t))) for rule, t in zip(w["rules"], theta)]
    updates = 0
    decoupled = "z_rule" in w
    z_slots, z_step = w.get("z_rule", (0, None))
    hidden = (1, 2, 3)
    bank = {t: np.zeros((n, w["widths"][t])) for t in hidden}
    bank_state = {t: np.zeros((z_slots, n, w["widths"][t])) for t in hidden}
    bank_steps = np.zeros(n, dtype=int)
    report = {key: [] for key in ("energy", "loss", "score", "residuals", "updates", "held_loss", "held_score")}

    def step_theta(grads, count):
        nonlocal updates
        updates += 1
        for t in range(4):
            theta[t], theta_state[t] = w["rules"][t][1](theta[t], grads[t] / count, theta_state[t], updates)

    for order in orders:
        before = [t.copy() for t in theta]
        energies = losses = scores = 0.0
        looked_at = 0
        miss, length = np.zeros(3), np.zeros(3)
        for visit, batch in enumerate(order[i : i + size] for i in range(0, n, size)):
            a = forward(w, theta, x[batch])
            loss = w["output"](y[batch], a[4])[0]
            # Where nothing else needs a forward pass, the report looks at every eighth visit and at all first ones.
            spared = decoupled and w["persisted"] and w["reads"] == "stored" and np.all(bank_steps[batch] > 0)
            if visit % 8 == 0 or not spared:
                losses += loss
                scores += score(w, y[batch], a[4])
                looked_at += len(batch)
            if not decoupled:
                energies += loss
                step_theta(backprop(w, theta, a, y[batch]), len(batch))
                continue

            Z = a[:4] + [y[batch]]
            state = {t: np.zeros((z_slots, len(batch), w["widths"][t])) for t in hidden}
            steps = np.zeros((len(batch), 1), dtype=int)
            if w["persisted"]:
                steps = bank_steps[batch][:, None]
                for t in hidden:
                    Z[t] = np.where(steps > 0, bank[t][batch], a[t])
                    state[t] = bank_state[t][:, batch]

            def measure():
                nonlocal energies
                energies += energy(w, theta, Z)
                for t in hidden:
                    miss[t - 1] += np.sum((Z[t] - predict(w, theta, t - 1, Z[t - 1])) ** 2)
                    length[t - 1] += np.sum(Z[t] ** 2)

            def move(t, g):
                Z[t], state[t] = z_step(Z[t], g, state[t], steps)

            def sweep():
                nonlocal steps
                steps = steps + 1
                if w["reverse"]:
                    for t in reversed(hidden):
                        move(t, z_gradient(w, theta, Z, t))
                else:
                    for t, g in [(t, z_gradient(w, theta, Z, t)) for t in hidden]:
                        move(t, g)

            def theta_gradients():
                return [theta_gradient(w, theta, a if w["reads"] == "forward" else Z, Z, t) for t in range(4)]

            for k in range(w["steps"]):
                last = k + 1 == w["steps"]
                if last and (w["together"] or w["reads"] == "forward"):
                    measure()
                grads = theta_gradients() if w["together"] else None
                sweep()
                if w["together"]:
                    step_theta(grads, len(batch))
            if not w["together"]:
                if w["reads"] == "stored":
                    measure()
                for _ in range(w["local"]):
                    step_theta(theta_gradients(), len(batch))

            bank_steps[batch] = steps[:, 0] if w["persisted"] else bank_steps[batch] + steps[:, 0]
            for t in hidden:
                bank[t][batch] = Z[t]
                bank_state[t][:, batch] = state[t]

        out = forward(w, theta, x)[4]
        report["energy"].append(energies / n)
        report["loss"].append(losses / looked_at)
        report["score"].append(scores / looked_at)
        report["residuals"] += list(np.sqrt(miss / length)) if decoupled else []
        report["updates"] += [np.linalg.norm(now - old) for now, old in zip(theta, before)]
        report["held_loss"].append(w["output"](y, out)[0] / n)
        report["held_score"].append(score(w, y, out) / n)

    result = {f"params/{t}": theta[t] for t in range(4)}
    if decoupled:
        result |= {f"bank/{t}": bank[t] for t in hidden} | {"steps": bank_steps}
    return result | report


# ---- checks of this script


def difference(f, x, h=1e-5):
    """The gradient of f at x by central differences; x is changed in place and put back."""
    grad = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        up = f()
        x[i] = old - h
        grad[i] = (up - f()) / (2 * h)
        x[i] = old
    return grad


def fail_unless_close(what, found, expected, tolerance):
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    if not error <= tolerance:
        sys.exit(f"{what}: relative error {error:.1e}")


def check_gradients(name, w):
    rng = np.random.default_rng(5)
    theta = [t.copy() for t in w["start"]]
    y = w["y"][:5]
    a = forward(w, theta, w["x"][:5])
    Z = [a[0]] + [z + 0.2 * rng.normal(size=z.shape) for z in a[1:4]] + [y]
    for t in (1, 2, 3):
        found = z_gradient(w, theta, Z, t)
        fail_unless_close(f"{name} ∂L/∂z_{t}", found, difference(lambda: energy(w, theta, Z), Z[t]), 1e-7)
    for t in range(4):
        for reads, inputs in (("stored", Z), ("forward", a)):
            expected = difference(lambda: discrepancy(w, t + 1, Z[t + 1], predict(w, theta, t, inputs[t]))[0], theta[t])
            found = theta_gradient(w, theta, inputs, Z, t)
            fail_unless_close(f"{name} ∂L/∂θ_{t}, {reads}", found, expected, 1e-7)
        found = backprop(w, theta, forward(w, theta, a[0]), y)[t]
        expected = difference(lambda: w["output"](y, forward(w, theta, a[0])[4])[0], theta[t])
        fail_unless_close(f"{name} backpropagation, θ_{t}", found, expected, 1e-7)


def main():
    orders = {23: [], 150: []}
    for line in (HERE / "order.txt").read_text().splitlines():
        order = np.array(line.split(), dtype=int)
        assert sorted(order) == list(range(len(order)))
        orders[len(order)].append(order)
    assert all(len(epochs) == EPOCHS for epochs in orders.values())

    for name, w in WAYS.items():
        check_gradients(name, w)
    results = {
        f"{name}/{size}": train(w, w["sizes"][size], orders[len(w["x"])])
        for name, w in WAYS.items()
        for size in w["sizes"]
    }
    for size in ("full", "batches"):
        for t in range(4):
            swept, chained = (results[f"{way}/{size}"][f"params/{t}"] for way in ("sweep", "backprop"))
            fail_unless_close(f"a reverse sweep is backpropagation, {size}, θ_{t}", swept, chained, 1e-10)

    lines = [f"# Written by tests/numpy/rederive.py with NumPy {np.__version__}; order.txt beside it is the crate's."]

    def write(key, values):
        lines.append(f"{key}: " + " ".join(repr(v) for v in np.asarray(values).ravel().tolist()))

    for prefix, data, start in (("small", SMALL, START_WIDE), ("large", LARGE, START_NARROW)):
        for key in ("inputs", "labels") if prefix == "large" else ("inputs", "labels", "real", "odds"):
            write(f"{prefix}/{key}", data[key])
        for t in range(4):
            write(f"{prefix}/start/{t}", start[t])
    for case, result in results.items():
        for key, values in result.items():
            write(f"{case}/{key}", values)
    (HERE / "numbers.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
