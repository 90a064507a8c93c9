"""Independent oracles, written from the formulas: NumPy float64 and mpmath.

Students are ``W [m, d]``, one neuron a row; k is the teacher's width, or its neurons
``[k, d]``.
"""

from itertools import product
from math import factorial

import jax
import mpmath
import numpy as np


def digits(count):
    """Context of mpmath with ``count`` decimal digits."""
    context = mpmath.mp.clone()
    context.dps = count
    return context


def angles(U, V):
    """Angles between the rows of U [a, d] and V [b, d], accurate at 0 and π."""
    first = U[:, None] * np.linalg.norm(V, axis=1)[:, None]
    second = V * np.linalg.norm(U, axis=1)[:, None, None]
    difference = np.linalg.norm(first - second, axis=-1)
    return 2 * np.arctan2(difference, np.linalg.norm(first + second, axis=-1))


def relu_kernel(theta):
    return (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)


def taught(k, d):
    """The teacher's neurons, of a width the first axes."""
    return np.eye(d)[:k] if isinstance(k, int) else np.asarray(k, float)


def loss(W, k):
    """½ E[(f - f*)²] for x ~ N(0, I), from explicit angles."""
    W, V = np.asarray(W, float), taught(k, W.shape[1])
    norms, lengths = (np.linalg.norm(rows, axis=1) for rows in (W, V))
    twice = norms @ relu_kernel(angles(W, W)) @ norms
    twice -= 2 * norms @ relu_kernel(angles(W, V)) @ lengths
    return (twice + lengths @ relu_kernel(angles(V, V)) @ lengths) / 2


def gradient(W, k):
    """Closed form of the gradient of ``loss``, from explicit angles."""
    W, V = np.asarray(W, float), taught(k, W.shape[1])
    norms = np.linalg.norm(W, axis=1)
    own, cross = angles(W, W), angles(W, V)
    radial = np.sin(own) @ norms - np.sin(cross) @ np.linalg.norm(V, axis=1)
    total = (np.pi - own) @ W - (np.pi - cross) @ V
    alive = norms > 0
    total[alive] += W[alive] / norms[alive, None] * radial[alive, None]
    total[~alive] = 0
    return total / (2 * np.pi)


def precise_loss(W, k):
    """``loss`` in 60 digits, rounded at the end."""
    mp = digits(60)
    rows, teacher = _rows(mp, W), _rows(mp, taught(k, W.shape[1]))
    total = sum(_kernel(mp, u, v) for u in rows for v in rows)
    total -= 2 * sum(_kernel(mp, u, e) for u in rows for e in teacher)
    total += sum(_kernel(mp, e, f) for e in teacher for f in teacher)
    return float(total / 2)


def precise_gradient(W, k):
    """Central differences of ``loss`` in 100 digits; 0 at zero neurons."""
    mp = digits(100)
    rows, teacher = _rows(mp, W), _rows(mp, taught(k, W.shape[1]))
    slopes = np.zeros(W.shape)
    for i, row in enumerate(rows):
        step = _norm(mp, row) * mp.mpf(10) ** -30
        others = rows[:i] + rows[i + 1 :]

        def part(u, others=others):  # what depends on neuron i
            half = _kernel(mp, u, u) / 2
            cross = sum(_kernel(mp, u, v) for v in others)
            return half + cross - sum(_kernel(mp, u, e) for e in teacher)

        for j in range(len(row) if step else 0):
            up, down = list(row), list(row)
            up[j], down[j] = row[j] + step, row[j] - step
            slopes[i, j] = float((part(up) - part(down)) / (2 * step))
    return slopes


def _rows(mp, W):
    return [[mp.mpf(float(entry)) for entry in row] for row in W]


def _norm(mp, u):
    return mp.sqrt(mp.fsum(x * x for x in u))


def _kernel(mp, u, v):
    """E[relu(u·x) relu(v·x)] of vectors of any length."""
    a, b = _norm(mp, u), _norm(mp, v)
    if not a * b:
        return mp.mpf(0)
    less = _norm(mp, [x * b - y * a for x, y in zip(u, v, strict=True)])
    more = _norm(mp, [x * b + y * a for x, y in zip(u, v, strict=True)])
    theta = 2 * mp.atan2(less, more)
    return a * b * (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / (2 * mp.pi)


def student(W, x):
    return np.maximum(x @ W.T, 0).sum(1)


def residual(W, x, k):
    """f - f* at inputs x [n, d], [n]."""
    return student(W, x) - student(taught(k, x.shape[1]), x)


def sampled_loss(W, x, k):
    """½ (f - f*)² of every input, [n]."""
    return residual(W, x, k) ** 2 / 2


def sampled_gradient(W, x, k):
    """Gradient of ``sampled_loss`` of every input, [n, m, d]."""
    active = (x @ W.T > 0) * residual(W, x, k)[:, None]
    return active[:, :, None] * x[:, None, :]


def descend(W, k, change, slope, *, steps, tol, check_every, hold=1):
    """Plain descent ``W + change(slope(W, step))`` of one student until it ends.

    Returns its weights, how it ended, the updates done, and the loss at every look.
    """
    history, held = [], 0
    for step in range(steps):
        after = W + change(slope(W, step))
        if not np.linalg.norm(after) <= 1e6:
            return W, "diverged", step, [*history, loss(W, k)]
        W = after
        if (step + 1) % check_every == 0 or step + 1 == steps:
            history.append(loss(W, k))
            held = held + 1 if history[-1] < tol else 0
            if held == hold:
                return W, "converged", step + 1, history
    return W, "exhausted", steps, history


def assert_mean(draws, expected, rounding=0.0):
    """The mean over axis 0 is within 4 standard errors of the expected."""
    error = draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - expected) <= 4 * error + rounding)


def barrier(pair, perm, k, definition="lerp", points=11):
    """From its definition, path and losses."""
    ts = np.arange(points) / (points - 1)
    first, second = pair[0], pair[1][np.asarray(perm)]
    losses = np.array([loss((1 - t) * first + t * second, k) for t in ts])
    chord = (1 - ts) * losses[0] + ts * losses[-1]
    return {
        "lerp": np.max(losses - chord),
        "mean": np.max(losses) - (losses[0] + losses[-1]) / 2,
        "max": np.max(losses) - max(losses[0], losses[-1]),
        "midpoint": (losses - chord)[points // 2],
    }[definition]


def minimum(rng, counts, d, k=None):
    """Global minimum with the given neurons of each type, in shuffled order."""
    kinds = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    norms = rng.exponential(size=len(kinds))
    norms /= np.bincount(kinds, norms)[kinds]
    return norms[:, None] * taught(len(counts) if k is None else k, d)[kinds]


def hessian_at_minimum(W, k):
    """Gauss-Newton matrix [m, d, m, d] from the types alone; no block for zero rows."""
    m, d = W.shape
    kinds = np.where(W.any(1), W.argmax(1), k)
    blocks = np.zeros((m, d, m, d))
    for i, p in enumerate(kinds):
        for l, q in enumerate(kinds):
            if k in (p, q):
                continue
            block = np.eye(d) * (0.5 if p == q else 0.25)
            if p != q:
                block[p, q] = block[q, p] = 1 / (2 * np.pi)
            blocks[i, :, l] = block
    return blocks


def gauss_newton(counts, d):
    """Hessian of the loss at a minimum on the span of each type's sum, [k d, k d].

    Blocks √(n_p n_q) E[x xᵀ 1{x_p > 0} 1{x_q > 0}].
    """
    size = len(counts) * d
    blocks = hessian_at_minimum(np.eye(len(counts), d), len(counts))
    root = np.repeat(np.sqrt(counts), d)
    return np.multiply.outer(root, root) * blocks.reshape(size, size)


def count_vectors(m, k):
    """All n >= 1 with sum m [vectors, k] and their uniform-model probabilities."""
    extra = [s for s in product(range(m - k + 1), repeat=k) if sum(s) == m - k]
    ways = [factorial(m - k) / np.prod([factorial(i) for i in s]) for s in extra]
    return np.array(extra) + 1, np.array(ways) / float(k) ** (m - k)


def inner(first, second, spec):
    """Σ ⟨A, B⟩ over the arrays that run over groups."""
    paths = [path for path, entries in spec.items() if any(entries)]
    flat = [
        {"/".join(k.key for k in path): leaf for path, leaf in leaves}
        for leaves, _ in map(jax.tree_util.tree_flatten_with_path, (first, second))
    ]
    return sum(np.vdot(flat[0][path], flat[1][path]) for path in paths)
