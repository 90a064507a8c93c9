"""Random programs over weights and an input, from a seed: all operations with a rule.

Shapes are small and few, so that arrays meet; every value passes through a sine, so
that none grows; what a program returns does not depend on the order of any axis, so
that all symmetries that are broken were broken by an operation.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from picks import WEIGHTS, followed, in_order, like, pick, rounded, with_axis

LENGTHS = (2, 3, 4, 6)
LARGEST = 150  # numbers in an array
STEPS = 8


def binary(rng, pool):
    x = pick(rng, pool)
    y = like(rng, pool, x)
    kind = rng.integers(4)
    if kind == 0:
        return jnp.where(x > 0.1234, y, x)
    return [x * y, x - y * y, jnp.maximum(x, y)][kind - 1]


def reduced(rng, pool):
    x, axis = with_axis(rng, pool)
    function = [jnp.sum, jnp.max, jnp.prod][rng.integers(3)]
    return jnp.sum(function(x, axis, keepdims=True) * jnp.cos(x), axis)


def along(rng, pool):
    x, axis = with_axis(rng, pool)
    kind = rng.integers(8)
    if kind < 2:
        y, *rest = lax.sort(
            (rounded(x), like(rng, pool, x)), dimension=axis, num_keys=1
        )
        return rest[0] + y / 1e6
    if kind == 2:
        return jnp.argmax(rounded(x), axis).astype(x.dtype)
    if kind == 3:
        initial = (np.float64(0), np.float64(1))

        def f(a, b):
            return (a[0] + b[0], a[1] * b[1])

        total, other = lax.reduce((x, like(rng, pool, x)), initial, f, (axis,))
        return total * other
    return [jnp.cumsum, jnp.cumprod, jnp.flip, lax.cummax][kind - 4](x, axis)


def transformed(rng, pool):
    x = pick(rng, pool)
    return jnp.abs(jnp.fft.fft(x))


def largest(rng, pool):
    """By an operation with a rule, or by one without."""
    x = pick(rng, pool)
    function = [lax.top_k, lax.approx_max_k][rng.integers(2)]
    values, places = function(rounded(x), min(2, x.shape[-1]))
    return values / 1e6 * places.astype(x.dtype)


def contracted(rng, pool):
    x, i = with_axis(rng, pool)
    y = pick(rng, pool, lambda y: x.shape[i] in y.shape)
    j = y.shape.index(x.shape[i])
    batch = ((), ())
    for a in range(x.ndim):
        for b in range(y.ndim):
            same = x.shape[a] == y.shape[b] and a != i and b != j
            if same and rng.integers(2) and batch == ((), ()):
                batch = ((a,), (b,))
    return lax.dot_general(x, y, (((i,), (j,)), batch))


def convolved(rng, pool):
    x = pick(rng, pool, lambda x: x.ndim == 3)
    if x is None:
        return None
    channels = x.shape[1]
    kernel = pick(
        rng, pool,
        lambda k: k.ndim == 3 and channels % k.shape[1] == 0
        and k.shape[0] % (channels // k.shape[1]) == 0,
    )  # fmt: skip
    if kernel is None:
        return None
    if rng.integers(3) == 0:
        kernel = kernel[..., :1]
    return lax.conv_general_dilated(
        x, kernel, (int(rng.integers(1, 3)),), "SAME",
        feature_group_count=channels // kernel.shape[1],
    )  # fmt: skip


def windowed(rng, pool):
    x, axis = with_axis(rng, pool)
    sizes = [2 if i == axis else 1 for i in range(x.ndim)]
    if rng.integers(2):
        return lax.reduce_window(x, 0.0, lax.add, sizes, [1] * x.ndim, "SAME")
    initial = (np.float64(0), np.float64(1))

    def f(a, b):
        return (a[0] + b[0], a[1] * b[1])

    pair = (x, like(rng, pool, x))
    total, other = lax.reduce_window(pair, initial, f, sizes, [1] * x.ndim, "VALID")
    return total * other


def reshaped(rng, pool):
    x = pick(rng, pool)
    sizes = []
    left = x.size
    while left > 1:
        divisors = [n for n in range(2, left + 1) if left % n == 0]
        sizes.append(divisors[rng.integers(min(len(divisors), 4))])
        left //= sizes[-1]
    while len(sizes) > 3 or (len(sizes) > 1 and rng.integers(3) == 0):
        i = rng.integers(len(sizes) - 1)
        sizes[i : i + 2] = [sizes[i] * sizes[i + 1]]
    return x.reshape(sizes)


def stacked(rng, pool):
    x, axis = with_axis(rng, pool)
    if rng.integers(2):
        return jnp.prod(jnp.stack([x, like(rng, pool, x)], axis), axis)
    parts = jnp.unstack(x, axis=axis)
    return in_order(parts[0] * parts[-1])


def laid_out(rng, pool):
    x, axis = with_axis(rng, pool)
    kind = rng.integers(4)
    if kind == 0:
        return x.transpose(rng.permutation(x.ndim))
    if kind == 1:
        return jnp.broadcast_to(
            jnp.expand_dims(x, axis), (*x.shape[:axis], 2, *x.shape[axis:])
        )
    if kind == 2:
        return jnp.tile(x, [2 if i == axis else 1 for i in range(x.ndim)])
    return lax.squeeze(lax.slice_in_dim(x, 0, 1, axis=axis), (axis,))


def joined(rng, pool):
    x, axis = with_axis(rng, pool)

    def rest(y):
        return y.shape[:axis] + y.shape[axis + 1 :]

    y = pick(rng, pool, lambda y: y.ndim == x.ndim and rest(y) == rest(x))
    parts = [x, y] if rng.integers(2) else [y, jnp.ones_like(x), x]
    return jnp.concatenate(parts, axis)


def cut(rng, pool):
    x, axis = with_axis(rng, pool)
    n = x.shape[axis]
    if n < 2:
        return None
    kind = rng.integers(4)
    if kind == 0:
        start = int(rng.integers(n - 1))
        return lax.slice_in_dim(
            x, start, int(rng.integers(start + 1, n)) + 1, axis=axis
        )
    if kind == 1:
        return lax.slice_in_dim(
            x, int(rng.integers(2)), n, int(rng.integers(2, 4)), axis
        )
    if kind == 2:
        first, second = lax.split(x, [1, n - 1], axis)
        return first * second
    low, high, between = (int(n) for n in rng.integers((0, -1, 0), (2, 2, 2)))
    config = [(low, high, between) if i == axis else (0, 0, 0) for i in range(x.ndim)]
    return lax.pad(x, np.float64(0.5), config)


def placed(rng, pool):
    """With positions, with a constant that varies, with random numbers."""
    x, axis = with_axis(rng, pool)
    shape = [n if i == axis else 1 for i, n in enumerate(x.shape)]
    kind = rng.integers(4)
    if kind == 0:
        return x * lax.broadcasted_iota(x.dtype, x.shape, axis)
    if kind == 1:
        return x * np.random.default_rng(0).normal(size=shape)
    if kind == 2:
        return x * jax.random.uniform(jax.random.key(0), shape)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        x = x.reshape(-1, x.shape[-1])
        x = x.T @ x
    return jnp.linalg.inv(jnp.eye(x.shape[-1]) + x @ jnp.swapaxes(x, -1, -2))


def read_at(rng, pool):
    x, axis = with_axis(rng, pool)
    n = x.shape[axis]
    kind = rng.integers(5)
    places = jnp.floor(jnp.abs(pick(rng, pool)) * 100).astype(int) % n
    if kind == 0:
        return x.take(np.array([0, n - 1, 0]), axis)
    if kind == 1:
        return x.take(places, axis)
    if kind == 2:
        y = like(rng, pool, x)
        places = jnp.floor(jnp.abs(y) * 100).astype(int) % n
        return jnp.take_along_axis(x, places, axis)

    def window(place):
        return lax.dynamic_slice_in_dim(x, place, max(1, n - 1), axis)

    if kind == 3:
        return followed(rng, pool, jax.vmap(window)(places.ravel()[:3]), axis + 1)
    return followed(rng, pool, window(places.sum() % n), axis)


def write_at(rng, pool):
    x, axis = with_axis(rng, pool)
    x = jnp.moveaxis(x, axis, 0)
    n = len(x)
    y = like(rng, pool, x)
    places = jnp.floor(jnp.abs(y.reshape(n, -1)[:, 0]) * 100).astype(int) % n
    kind = rng.integers(5)
    if kind == 0:
        return x.at[places].add(y)
    if kind == 1:
        return x.at[places].set(y)
    if kind == 2:
        return lax.dynamic_update_slice_in_dim(x, y[: n - 1], places.sum() % n, 0)
    if kind == 3:
        return lax.dynamic_update_slice_in_dim(x, y, places.sum() % n, 0)
    return jax.vmap(
        lambda x, i, y: jnp.atleast_1d(x).at[i % 2].max(jnp.atleast_1d(y)[0])
    )(x, places, y)


def called(rng, pool):
    x = pick(rng, pool)
    y = like(rng, pool, x)

    def f(x, y):
        return (x * jnp.cos(y), y - x)

    kind = rng.integers(5)
    if kind == 0:
        a, b = jax.jit(f)(x, y)
    elif kind == 1:
        a, b = jax.checkpoint(f)(x, y)
    elif kind == 2:
        f = jax.custom_jvp(f)
        f.defjvp(lambda x, t: (f(*x), t))
        a, b = f(x, y)
    elif kind == 3:
        a, b = jax.vmap(f)(x, y)
    else:
        a, b = lax.optimization_barrier((x, y))
    return a * jnp.sin(b)


def controlled(rng, pool):
    x = pick(rng, pool)
    y = like(rng, pool, x)
    kind = rng.integers(4)
    if kind == 0:
        carry, stacked = lax.scan(lambda c, y: (jnp.sin(c + y), c * y), x[0], y)
        return jnp.concatenate([carry[None], stacked])
    if kind == 1:

        def step(c, _):
            return ((jnp.sin(c[1]), c[0] - c[1]), c[0])

        (a, b), _ = lax.scan(step, (x, y), length=3)
        return a * b
    if kind == 2:

        def test(c):
            return (c[2] < 3) & ((c[0] ** 2).sum() < 1e9)

        def step(c):
            return jnp.cos(c[1]), c[0], c[2] + 1

        a, _, n = lax.while_loop(test, step, (x, y, jnp.array(0)))
        return a * x if rng.integers(2) else in_order(a * n.astype(a.dtype))
    a = lax.cond(x.sum() > 0.1234, lambda x, y: jnp.sin(y), lambda x, y: x + 1, x, y)
    return a if rng.integers(2) else in_order(a)


OPERATIONS = (
    binary, binary, reduced, along, along, transformed, largest, contracted, contracted,
    convolved, convolved, windowed, reshaped, reshaped, laid_out, stacked, joined, cut,
    cut, placed, read_at, write_at, called, controlled, controlled,
)  # fmt: skip


def program(seed):
    """``(apply, weights, x)``: a function, its float64 weights and an input."""
    rng = np.random.default_rng(seed)
    shapes = [
        tuple(int(n) for n in rng.choice(LENGTHS[:3], rng.integers(1, 4)))
        for _ in range(WEIGHTS)
    ]
    weights = {f"w{i}": rng.normal(size=shape) for i, shape in enumerate(shapes)}
    x = rng.normal(size=shapes[0])

    def apply(weights, x):
        rng = np.random.default_rng(seed + 1_000_000)  # the same at every tracing
        pool = [*weights.values(), x]
        for _ in range(STEPS):
            y = OPERATIONS[rng.integers(len(OPERATIONS))](rng, pool)
            if y is not None and 0 < y.size <= LARGEST and y.ndim <= 4:
                pool.append(jnp.sin(1.3 * y + 0.2))
        made = pool[WEIGHTS + 1 :]
        pairs = [x * like(rng, pool, x) for x in made[::3] if x.ndim]
        return [jnp.sum(jnp.sin(value)) for value in (*made, *pairs)]

    return apply, weights, x
