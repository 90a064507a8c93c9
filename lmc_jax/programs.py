"""The compiled programs of a sweep: to sample, descend, measure, join a batch.

Each takes a batch of runs or pairs on its leading axis, sharded over all devices, and
is compiled once for each shape and each set of the static settings it is named by.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from lmc_jax import descent, devices, interpolation, measures, minima, two_layer
from lmc_jax.devices import RUNS
from lmc_jax.environment import PRNG
from lmc_jax.matching import align_refined, align_types
from lmc_jax.numerics import safe_norm
from lmc_jax.spec import Descent, Minima

# Students of at most so many rows and columns are descended with the batch on the last
# axis (measured by experiments.bench.descent).
SMALL = 12
VECTOR = 64  # elements, a multiple of what a loop takes at a time
NEWER_EMITTERS = "xla_cpu_use_fusion_emitters"
KEPT = 16  # programs of a kind: a sweep over many teachers must not keep them all


def padded_width(m: int) -> int:
    """The smallest of 8, 16, 32, 48, 64, 96, 128, 192, ... that holds m rows."""
    size = 8
    while size < m:
        size *= 2
    return 3 * size // 4 if size > 32 and m <= 3 * size // 4 else size


def sharded(function: Callable, effort: int = 1) -> jax.stages.Wrapped:
    """``function`` on each device's share of the leading axis of its arguments.

    Explicit rather than left to the partitioner: each device runs the program of its
    own batch shape. On CPU LLVM takes most of the time to compile: effort 1 halves it
    and runs as fast as XLA's default, 3, where matrix products do the work; effort 0
    is for what is next to no work.
    """
    return jax.jit(
        jax.shard_map(function, mesh=devices.mesh(), in_specs=RUNS, out_specs=RUNS),
        compiler_options=_options(effort) if jax.default_backend() == "cpu" else None,
    )


@functools.cache
def _options(effort: int) -> dict[str, bool | int]:
    """Of XLA on CPU, whose older emitters compile faster what then runs slower."""
    level: dict[str, bool | int] = {"xla_backend_optimization_level": effort}
    if effort:
        return level
    options = level | {NEWER_EMITTERS: False}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:  # an XLA without the option
        return level
    return options


@functools.lru_cache(KEPT)
def sampler(k: int, d: int, size: int, source: Minima) -> jax.stages.Wrapped:
    """Program of key data ``[pairs, 2, 2]`` and widths ``[pairs]`` to global minima.

    Float64 ``[pairs, 2, size, d]``, rows from the width on zero.
    """

    def one(key_data, m):
        key = jax.random.wrap_key_data(key_data, impl=PRNG)
        return minima.sample(key, m, k, d, alpha=source.concentration, size=size)

    return sharded(jax.vmap(jax.vmap(one, in_axes=(0, None))), effort=0)


def any_lr(source: Descent) -> Descent:
    """The source with what may differ between the runs of a batch taken out."""
    return dataclasses.replace(source, lr=1.0)


def advancer(k: int, d: int, size: int, spec: Descent) -> Callable:
    """``(runs, data keys, learning rates) -> runs`` after up to ``check_every`` steps.

    Batched, the layout chosen by size.
    """
    dtype = jnp.dtype(spec.precision)
    optimizer_of = descent.optimizer_named(spec.optimizer)
    advance = functools.partial(
        descent.advance, updates=min(spec.check_every, spec.steps), limit=spec.steps
    )

    def one(run, data_key, lr):
        def gradient(W, step):
            if not spec.batch:
                return two_layer.gradient(W, k)
            key = jax.random.fold_in(data_key, step)
            x = jax.random.normal(key, (spec.batch, d), dtype)
            return two_layer.sampled_gradient(W, x, k)

        return advance(run, gradient, optimizer_of(lr.astype(dtype)))

    def batch_last(runs, data_keys, lr):
        count = len(lr)

        def to_last(a):
            # Whole vectors only: XLA rounds the rest of a loop in another way.
            padding = [(0, 0)] * (a.ndim - 1) + [(0, -count % VECTOR)]
            return jnp.pad(jnp.moveaxis(a, 0, -1), padding)

        def update(*arguments):
            return jax.vmap(
                lambda lr, *rest: optimizer_of(lr).update(*rest), -1, out_axes=-1
            )(to_last(lr.astype(dtype)), *arguments)

        optimizer = optax.GradientTransformation(optimizer_of, update)
        runs = advance(
            jax.tree.map(to_last, runs),
            lambda W, step: two_layer.gradient_batch_last(W, k),
            optimizer,
        )
        return jax.tree.map(lambda a: jnp.moveaxis(a[..., :count], -1, 0), runs)

    return batch_last if is_small(d, size, spec) else jax.vmap(one)


def is_small(d: int, size: int, spec: Descent) -> bool:
    """Whether students are descended with the batch on the last axis."""
    return max(size, d) <= SMALL and not spec.batch


def effort(d: int, size: int, spec: Descent) -> int:
    """Of compiling a descent: sums over small axes must be unrolled and vectorised."""
    return 3 if is_small(d, size, spec) else 1


@functools.lru_cache(KEPT)
def descender(
    k: int, d: int, size: int, spec: Descent
) -> tuple[jax.stages.Wrapped, jax.stages.Wrapped]:
    """Programs ``start(m) -> runs`` and ``descend(runs, *jobs) -> runs``.

    A round of ``descend`` starts the fresh jobs, takes ``check_every`` steps, and
    compares the float64 population loss with the tolerance.
    """
    dtype = jnp.dtype(spec.precision)
    advance = advancer(k, d, size, spec)

    def start(W, lr):
        optimizer = descent.optimizer_named(spec.optimizer)(lr.astype(dtype))
        return descent.start(W, optimizer)

    def idle(m):
        run = start(jnp.zeros((size, d), dtype), jnp.zeros(()))
        return run._replace(status=run.status + descent.EXHAUSTED)

    def begin(run, init_key, m, lr, fresh):
        W = two_layer.init(init_key, m, d, spec.init_std, size=size, dtype=dtype)
        return jax.tree.map(lambda a, b: jnp.where(fresh, a, b), start(W, lr), run)

    def look(run):
        loss = two_layer.loss(run.W.astype(jnp.float64), k)
        return descent.check(run, loss, spec.tol, spec.hold)

    def descend(runs, key_data, m, lr, fresh):
        keys = jax.vmap(jax.random.split)(jax.random.wrap_key_data(key_data, impl=PRNG))
        runs = jax.vmap(begin)(runs, keys[:, 0], m, lr, fresh)
        return jax.vmap(look)(advance(runs, keys[:, 1], lr))

    return sharded(jax.vmap(idle), 0), sharded(descend, effort(d, size, spec))


@functools.lru_cache(KEPT)
def measurer(k: int, exponents: tuple[float, float]) -> jax.stages.Wrapped:
    """Program of pairs ``[n, 2, size, d]`` to measures of students and their counts.

    It takes their widths ``[n]`` and the norm of a zero row ``[n]`` too. Float64.
    """

    def one(pair, m, zero_row):
        counts = minima.counts(minima.types(pair, k, zero=zero_row), k)
        return {
            "pqi_flat": measures.pqi(
                pair.reshape(2, -1), *exponents, size=m * pair.shape[2]
            ),
            "pqi_rows": measures.pqi(safe_norm(pair), *exponents, size=m),
            "overlap": measures.overlap(counts),
            "counts": counts,
            "zero_rows": measures.zero_rows(pair, m, zero_row),
            "off_axis": minima.off_axis_share(pair, k),
            "distance": jax.vmap(lambda W: minima.distance(W, k))(pair),
        }

    return sharded(jax.vmap(one), effort=0)


@functools.lru_cache(KEPT)
def joiner(k: int, matchings: tuple[str, ...], points: int) -> jax.stages.Wrapped:
    """Program of pairs ``[n, 2, size, d]`` to paths, direct and after each matching.

    It takes their widths ``[n]`` and the permutations by weights ``[n, size]`` too,
    which are found on the host. Float64.
    """

    def align(pair, m, by_weights, name):
        if name == "weights":
            return by_weights
        if name == "refine":
            return align_refined(pair, k, m=m)
        return align_types(pair, k, leftovers=name.removeprefix("types_"), m=m)

    def one(pair, m, by_weights):
        direct = jnp.arange(pair.shape[1], dtype=jnp.int32)
        aligned = [align(pair, m, by_weights, name) for name in matchings]
        perms = jnp.stack([direct, *aligned])
        ts = interpolation.times(points)
        loss = functools.partial(two_layer.loss, k=k)
        along = functools.partial(interpolation.path_losses, loss, pair[0], ts=ts)
        bound = functools.partial(measures.certificate, pair, k=k, ts=ts)
        return {
            "certificate": jax.vmap(bound)(perms),
            "losses": jax.lax.map(lambda perm: along(pair[1][perm]), perms),
        }

    return sharded(jax.vmap(one))
