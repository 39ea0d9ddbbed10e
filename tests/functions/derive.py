#!/usr/bin/env python3
"""The coefficients in src/linalg/functions.rs, and what the functions there are tested against, with mpmath at 60 digits.

    python3 tests/functions/derive.py

prints the coefficients, with the largest relative error of each approximation before any rounding but that of the
coefficients, and writes values.csv beside this file: the bits of x, then value and derivative, for functions and arguments
in both precisions. Needs mpmath alone.

Every approximation is an interpolation at Chebyshev nodes, which is within a small factor of the best one:

    (e^r - 1 - r)/r^2      by a polynomial in r, |r| <= (log 2)/2
    log(1 + q)/y           by a polynomial in y^2, y = 2q/(2 + q), 0 <= q <= 1
    e^(t^2/2) Phi(-t)      by P(t)/Q(t), degree Q = degree P + 1, 0 <= t <= end; nodes in (t - 4)/(t + 4)
"""

import random
import struct
from pathlib import Path

from mpmath import atanh, cos, erfc, exp, expm1, linspace, log, log1p, lu_solve, matrix, mp, mpf, nstr, pi, sqrt, tanh

HERE = Path(__file__).parent
mp.dps = 60

FORMATS = {"f32": ("<f", "<I", 24), "f64": ("<d", "<Q", 53)}


def rounded(x, kind):
    return mpf(struct.unpack(FORMATS[kind][0], struct.pack(FORMATS[kind][0], float(x)))[0])


def shortest(x, kind):
    """The shortest decimal that reads as x."""
    digits = next(d for d in range(1, 18) if rounded(float(f"{float(x):.{d}g}"), kind) == x)
    return f"{float(x):.{digits}g}"


# ---- coefficients


def nodes(low, high, n):
    return [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * n)) for k in range(n)]


def polynomial(f, low, high, degree):
    x = nodes(mpf(low), mpf(high), degree + 1)
    powers = matrix([[x**j for j in range(degree + 1)] for x in x])
    return list(lu_solve(powers, matrix([f(x) for x in x])))


def rational(f, end, degree, middle):
    top = (end - middle) / (end + middle)
    t = [middle * (1 + y) / (1 - y) for y in nodes(mpf(-1), top, 2 * degree + 2)]
    rows = [[t**j for j in range(degree + 1)] + [-f(t) * t**j for j in range(1, degree + 2)] for t in t]
    solution = list(lu_solve(matrix(rows), matrix([f(t) for t in t])))
    return solution[: degree + 1], [mpf(1)] + solution[degree + 1 :]


def at(coefficients, x):
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def exp_rest(r):
    return (exp(r) - 1 - r) / r**2 if abs(r) > mpf(10) ** -15 else mpf(1) / 2 + r / 6


def log_rest(w):
    return 2 * atanh(sqrt(w) / 2) / sqrt(w) if w > 0 else mpf(1)


def mills(t):
    return exp(t * t / 2) * erfc(t / sqrt(2)) / 2


def show(name, coefficients, kind):
    print(f"    {name}: {', '.join(shortest(c, kind) for c in coefficients)}")


def coefficients():
    half = log(2) / 2
    settings = {"f32": (4, 4, 4, mpf(15)), "f64": (9, 9, 9, mpf(79) / 2)}
    for kind, (of_exp, of_log, of_mills, end) in settings.items():
        print(kind)
        # n times the high part is exact for the n of at most 8 or 11 bits that occur.
        bits = FORMATS[kind][2] - (8 if kind == "f32" else 11)
        high = mpf(int(log(2) * 2**bits)) / 2**bits
        show("LN_2_HIGH, LN_2_LOW", [high, rounded(log(2) - high, kind)], kind)

        c = [rounded(c, kind) for c in polynomial(exp_rest, -half, half, of_exp)]
        show("EXP", c, kind)
        r = [r for r in linspace(-half, half, 1001) if r != 0]
        print("        e^r - 1:", nstr(max(abs((r + r * r * at(c, r)) / expm1(r) - 1) for r in r), 2))

        c = [rounded(c, kind) for c in polynomial(log_rest, 0, mpf(4) / 9, of_log)]
        show("LOG", c, kind)
        print("        log:", nstr(max(abs(at(c, w) / log_rest(w) - 1) for w in linspace(0, mpf(4) / 9, 1001)), 2))

        p, q = ([rounded(c, kind) for c in part] for part in rational(mills, end, of_mills, mpf(4)))
        show("MILLS_ABOVE", p, kind)
        show("MILLS_BELOW", q, kind)
        t = [end * (mpf(i) / 3000) ** 2 for i in range(3001)]
        print("        Mills:", nstr(max(abs(at(p, t) / at(q, t) / mills(t) - 1) for t in t), 2))


# ---- values


def sigmoid(x):
    return 1 / (1 + exp(-x))


def sigmoid_slope(x):
    return sigmoid(x) * sigmoid(-x)


def distribution(x):
    return erfc(-x / sqrt(2)) / 2


def density(x):
    return exp(-x * x / 2) / sqrt(2 * pi)


FUNCTIONS = {
    "exp": (exp, exp),
    "tanh": (tanh, lambda x: 4 * sigmoid_slope(2 * x)),
    "sigmoid": (sigmoid, sigmoid_slope),
    "softplus": (lambda x: log1p(exp(x)), sigmoid),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) + x * sigmoid_slope(x)),
    "gelu": (lambda x: x * distribution(x), lambda x: distribution(x) + x * density(x)),
    "gaussian": (distribution, density),
}


def nearest(x, kind):
    """The number of this precision nearest to x, subnormal ones included."""
    _, _, bits = FORMATS[kind]
    lowest, highest = (-149, 128) if kind == "f32" else (-1074, 1024)
    if x == 0:
        return "0"
    mantissa, exponent = mp.frexp(abs(x))
    unit = mpf(2) ** max(int(exponent) - bits, lowest)
    size = mp.nint(abs(x) / unit) * unit
    text = "inf" if size >= mpf(2) ** highest else shortest_of(size, kind)
    return ("-" if x < 0 and text != "0" else "") + text


def shortest_of(size, kind):
    # Python's repr is the shortest decimal of the f64, which for an f32 is longer than need be and still exact.
    return repr(float(size))


def arguments(kind):
    rng = random.Random(7)
    far = 120 if kind == "f32" else 800
    small = [mpf(2) ** -e for e in ((149, 130, 126, 30, 12, 3) if kind == "f32" else (1074, 1030, 1022, 60, 26, 3))]
    edges = [88.72283, 88.722839, 103.27, 103.97, 104.1, 87.4, 13.1, 14.1, 14.4, 0.34657, 0.17328, 0.7517915, 1.2784645]
    edges += [] if kind == "f32" else [709.7827, 709.78271289338, 745.13, 745.14, 708.5, 37.5, 38.4, 38.6]
    drawn = [rng.uniform(0, 3) for _ in range(20)] + [rng.uniform(3, 40) for _ in range(20)]
    drawn += [rng.uniform(40, far) for _ in range(15)]
    for size in small + edges + drawn:
        for sign in (1, -1):
            yield rounded(sign * size, kind)


def main():
    coefficients()
    with open(HERE / "values.csv", "w") as out:
        for kind, (number, integer, _) in FORMATS.items():
            for x in arguments(kind):
                bits = struct.unpack(integer, struct.pack(number, float(x)))[0]
                for name, (value, slope) in FUNCTIONS.items():
                    if name == "exp" and x > 0:
                        continue
                    print(kind, name, f"{bits:x}", nearest(value(x), kind), nearest(slope(x), kind), sep=",", file=out)


main()
