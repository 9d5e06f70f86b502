#!/usr/bin/env python3
"""Fits the polynomial coefficients of ir/scalar_expand.c.

Each polynomial is the weighted minimax fit (Remez exchange on a dense grid) of a function over an
interval. Coefficients are rounded to f32 one after the other, from the one that matters most, and
the rest is fitted again each time, so that later coefficients make up for rounding errors.
Run it to print the tables; ir/scalar_expand.c holds them in hexadecimal. Needs mpmath.
"""
import struct
import sys

from mpmath import mp, mpf, matrix, lu_solve, cos, pi, exp, log, sin, atan, tanh, erf, erfc, sqrt

mp.dps = 30


def f32(x):
    """x rounded to f32."""
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def extrema(err):
    """Indices of the largest |err| in each run of equal sign."""
    picks = []
    for i, e in enumerate(err):
        if picks and (err[picks[-1]] > 0) == (e > 0):
            if abs(e) > abs(err[picks[-1]]):
                picks[-1] = i
        else:
            picks.append(i)
    return picks


def remez(target, weight, powers, lo, hi, grid=600):
    """Coefficients c of sum c[j] x^powers[j] with the least max |weight * (sum - target)|."""
    n = len(powers)
    xs = [(lo + hi) / 2 - (hi - lo) / 2 * cos(pi * i / (grid - 1)) for i in range(grid)]
    w = [weight(x) for x in xs]
    floor = max(w) / 10**6  # where the weight vanishes the exchange has nothing to level
    w = [max(v, floor) for v in w]
    t = [target(x) for x in xs]
    basis = [[x ** p if p else mpf(1) for p in powers] for x in xs]
    at = [round(i * (grid - 1) / n) for i in range(n + 1)]
    for _ in range(30):
        rows = matrix(n + 1, n + 1)
        rhs = matrix(n + 1, 1)
        for r, i in enumerate(at):
            for j in range(n):
                rows[r, j] = basis[i][j] * w[i]
            rows[r, n] = (-1) ** r
            rhs[r] = t[i] * w[i]
        c = lu_solve(rows, rhs)
        err = [w[i] * (sum(b * c[j] for j, b in enumerate(basis[i])) - t[i]) for i in range(grid)]
        picks = extrema(err)
        while len(picks) > n + 1:
            picks.pop(0 if abs(err[picks[0]]) < abs(err[picks[-1]]) else -1)
        worst = max(abs(e) for e in err)
        if len(picks) < n + 1 or worst <= abs(c[n]) * mpf("1.001"):
            break
        at = picks
    return [c[j] for j in range(n)], worst


def worst_error(target, weight, powers, c, lo, hi):
    """Max |weight * (polynomial - target)| on a grid."""
    xs = [lo + (hi - lo) * i / 400 for i in range(401)]
    xs = [x for x in xs if abs(x) > mpf("1e-5")]
    errors = [sum(v * x ** p for v, p in zip(c, powers)) - target(x) for x in xs]
    return max(abs(weight(x) * e) for x, e in zip(xs, errors))


def fit(name, target, weight, powers, lo, hi):
    """Fit and round one coefficient after the other; print the table.

    Where the exchange finds nothing better with the rounded ones fixed, the earlier ones stay."""
    lo, hi = mpf(lo), mpf(hi)
    c, exact = remez(target, weight, powers, lo, hi)
    for k in range(len(powers)):
        c[k] = f32(c[k])
        if k + 1 == len(powers):
            break

        def rest(x):
            return target(x) - sum(v * x ** p for v, p in zip(c[:k + 1], powers))
        again = c[:k + 1] + remez(rest, weight, powers[k + 1:], lo, hi)[0]
        c = min(c, again, key=lambda v: worst_error(target, weight, powers, v, lo, hi))
    error = worst_error(target, weight, powers, c, lo, hi)
    print("%s on [%s, %s]: error 2^%.2f, before rounding 2^%.2f" %
          (name, mp.nstr(lo, 5), mp.nstr(hi, 5), log(error, 2), log(exact, 2)))
    for p, v in zip(powers, c):
        print("    x^%d  %-18s // %s" % (p, float(v).hex() + "f", mp.nstr(v, 9)))


def split(name, value, parts):
    """value as a sum of f32 constants."""
    print(name)
    for _ in range(parts):
        c = f32(value)
        print("    %-22s // %s" % (float(c).hex() + "f", mp.nstr(c, 9)))
        value -= c


def even(t):
    """The argument x of an even series in t = x^2."""
    return sqrt(t)


def tables():
    half = log(2) / 2 * mpf("1.002")
    yield "exp", lambda: fit("exp: (e^r - 1 - r) / r^2", lambda r: (exp(r) - 1 - r) / r**2,
                             lambda r: r**2 / exp(r), [0, 1, 2, 3, 4], -half, half)
    yield "log", lambda: fit("log: (log(1 + f) - f + f^2 / 2) / f^3",
                             lambda f: (log(1 + f) - f + f**2 / 2) / f**3,
                             lambda f: f**3 / log(1 + f), list(range(8)), sqrt(mpf(0.5)) - 1,
                             sqrt(mpf(2)) - 1)
    quarter = (pi / 4 * mpf("1.01"))**2
    yield "sin", lambda: fit("sin: (sin r / r - 1) / r^2, in r^2",
                             lambda t: (sin(even(t)) / even(t) - 1) / t,
                             lambda t: t * even(t) / sin(even(t)), [0, 1, 2], "1e-9", quarter)
    yield "cos", lambda: fit("cos: (cos r - 1 + r^2 / 2) / r^4, in r^2",
                             lambda t: (cos(even(t)) - 1 + t / 2) / t**2,
                             lambda t: t**2 / cos(even(t)), [0, 1, 2], "1e-6", quarter)
    yield "atan", lambda: fit("atan: (atan z / z - 1) / z^2, in z^2",
                              lambda t: (atan(even(t)) / even(t) - 1) / t,
                              lambda t: t * even(t) / atan(even(t)), list(range(8)), "1e-9", 1)
    yield "tanh", lambda: fit("tanh: (tanh x / x - 1) / x^2, in x^2",
                              lambda t: (tanh(even(t)) / even(t) - 1) / t,
                              lambda t: t * even(t) / tanh(even(t)), list(range(5)), "1e-9", "0.36")
    yield "erf", lambda: fit("erf: erf x / x - 1, in x^2", lambda t: erf(even(t)) / even(t) - 1,
                             lambda t: even(t) / erf(even(t)), list(range(6)), "1e-9",
                             mpf("1.03")**2)
    yield "erfc", lambda: fit("erf: erfc(x)^(1/8)", lambda x: erfc(x)**mpf("0.125"),
                              lambda x: 8 * erfc(x)**mpf("0.875"), list(range(8)), "1.03", "3.95")
    yield "ln2", lambda: split("log 2", log(2), 2)
    yield "pi/2", lambda: split("pi / 2", pi / 2, 3)


if __name__ == "__main__":
    for key, run in tables():
        if len(sys.argv) < 2 or key in sys.argv[1:]:
            run()
