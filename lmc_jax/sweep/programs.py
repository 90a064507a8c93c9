"""The compiled programs of a sweep: to sample, descend, measure, join a batch.

Each takes a batch of runs or pairs on its leading axis, sharded over all devices, and
is compiled once for each shape and each set of the static settings it is named by. Of
these k is the teacher's width, or the teacher where it is not orthonormal.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax import paths
from lmc_jax.environment import PRNG
from lmc_jax.matching import MATCHINGS
from lmc_jax.numerics import safe_norm
from lmc_jax.students import descent, measures, minima, mixed, two_layer
from lmc_jax.students.optimizers import optimizer_named
from lmc_jax.students.teachers import Teacher
from lmc_jax.sweep import devices
from lmc_jax.sweep.cell import Descent, Minima
from lmc_jax.sweep.devices import RUNS

# Programs of a kind: a sweep over many teachers must not keep them all.
MAX_PROGRAMS = 16


def padded_width(m: int) -> int:
    """The smallest of 8, 16, 32, 48, 64, 80, 96, 112, 128, 160, ... that holds m rows.

    Powers of two up to 32, then four sizes an octave at most: of wide students padding
    must not cost much, of narrow ones another program does (experiments.bench.sizes).
    """
    power = 8
    while power < m:
        power *= 2
    step = max(16, power // 8) if power > 32 else power
    return -(-m // step) * step


def padded_columns(d: int) -> int:
    """The smallest multiple of 8 that holds d input dimensions: whole vectors of a CPU.

    Columns beyond d are zero, and stay zero: so is their gradient.
    """
    return -(-d // 8) * 8


def sharded(function: Callable, effort: int = 1) -> jax.stages.Wrapped:
    """``function`` on each device's share of the leading axis of its arguments.

    Explicit rather than left to the partitioner: each device runs the program of its
    own batch shape. On CPU LLVM takes most of the time to compile: effort 1 is faster
    than XLA's default, 3, and so is its code; effort 0 is for what is next to no work.
    A run's bits must not depend on its batch there: JAX 0.10.1 hands products of
    float32 over to kernels (YNN) that it picks by size, unless told none.
    """
    on_cpu = {
        "xla_backend_optimization_level": effort,
        "xla_cpu_experimental_ynn_fusion_type": "",
    }
    return jax.jit(
        jax.shard_map(function, mesh=devices.mesh(), in_specs=RUNS, out_specs=RUNS),
        compiler_options=on_cpu if jax.default_backend() == "cpu" else None,
    )


@functools.lru_cache(MAX_PROGRAMS)
def sampler(k: int | Teacher, d: int, size: int, source: Minima) -> jax.stages.Wrapped:
    """Program of key data ``[pairs, 2, 2]`` and widths ``[pairs]`` to global minima.

    Float64 ``[pairs, 2, size, d]``, rows from the width on zero.
    """

    def draw(key_data, m):
        key = jax.random.wrap_key_data(key_data, impl=PRNG)
        return minima.sample(key, m, k, d, alpha=source.concentration, size=size)

    return sharded(jax.vmap(jax.vmap(draw, in_axes=(0, None))), effort=0)


def shared(source: Descent) -> Descent:
    """The source with what may differ between the runs of a batch taken out."""
    return dataclasses.replace(source, lr=1.0, init_std=1.0)


@functools.lru_cache(MAX_PROGRAMS)
def descender(
    k: int | Teacher, d: int, size: int, source: Descent
) -> tuple[jax.stages.Wrapped, jax.stages.Wrapped]:
    """Programs ``start(m) -> runs`` and ``descend(runs, *jobs) -> runs``.

    A round of ``descend`` starts the fresh jobs, takes ``check_every`` steps, and
    compares the float64 population loss with the tolerance. Weights of runs are
    ``[size, padded_columns(d)]``.
    """
    dtype, columns = jnp.dtype(source.precision), padded_columns(d)

    def optimizer(lr):
        return optimizer_named(source.optimizer)(lr.astype(dtype))

    def idle(m):
        zero = jnp.zeros((size, columns), dtype)
        run = descent.start(zero, optimizer(jnp.zeros(())))
        return run._replace(status=run.status + descent.EXHAUSTED)

    def begin(run, init_key, m, lr, std, fresh):
        std = std.astype(dtype)
        W = two_layer.init(init_key, m, d, std, size=size, dtype=dtype)
        W = jnp.pad(W, ((0, 0), (0, columns - d)))
        begun = descent.start(W, optimizer(lr))
        return jax.tree.map(lambda new, old: jnp.where(fresh, new, old), begun, run)

    def advance(run, data_key, lr):
        return descent.advance(
            run,
            k,
            optimizer(lr),
            updates=min(source.check_every, source.steps),
            limit=source.steps,
            batch=source.batch,
            key=data_key,
            d=d,
        )

    def look(run):
        loss = two_layer.loss(run.W.astype(jnp.float64), k)
        return descent.check(run, loss, source.tol, source.hold)

    def descend(runs, key_data, m, lr, std, fresh):
        keys = jax.vmap(jax.random.split)(jax.random.wrap_key_data(key_data, impl=PRNG))
        runs = jax.vmap(begin)(runs, keys[:, 0], m, lr, std, fresh)
        return jax.vmap(look)(jax.vmap(advance)(runs, keys[:, 1], lr))

    return sharded(jax.vmap(idle), effort=0), sharded(descend)


@functools.lru_cache(MAX_PROGRAMS)
def measurer(k: int | Teacher, exponents: tuple[float, float]) -> jax.stages.Wrapped:
    """Program of pairs ``[n, 2, size, d]`` to measures of students and their counts.

    It takes their widths ``[n]`` and the norm of a zero row ``[n]`` too. Float64.
    """

    def measure(pair, m, zero_row):
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

    return sharded(jax.vmap(measure), effort=0)


def unmoved(matchings: tuple[str, ...], n: int, size: int) -> dict[str, np.ndarray]:
    """Permutations ``[n, size]`` that move nothing, for matchings found on the host."""
    stay = np.tile(np.arange(size, dtype=np.int32), (n, 1))
    host = [name for name in matchings if MATCHINGS[name].on_device is None]
    return {name: stay.copy() for name in host}


@functools.lru_cache(MAX_PROGRAMS)
def joiner(
    k: int | Teacher, matchings: tuple[str, ...], points: int
) -> jax.stages.Wrapped:
    """Program of pairs ``[n, 2, size, d]`` to paths, direct and after each matching.

    It takes their widths ``[n]`` and what was matched on the host too, permutations as
    ``unmoved``. Float64.
    """

    def align(pair, m, on_host, name):
        on_device = MATCHINGS[name].on_device
        return on_device(pair, k, m) if on_device else on_host[name]

    def join(pair, m, on_host):
        direct = jnp.arange(pair.shape[1], dtype=jnp.int32)
        aligned = [align(pair, m, on_host, name) for name in matchings]
        perms = jnp.stack([direct, *aligned])
        ts = paths.times(points)
        loss = functools.partial(two_layer.loss, k=k)
        along = functools.partial(paths.path_losses, loss, pair[0], ts=ts)

        def bound(perm):
            return mixed.certificate(mixed.mixed(pair, perm, k), k, ts)

        return {
            "certificate": jax.vmap(bound)(perms),
            "losses": jax.lax.map(lambda perm: along(pair[1][perm]), perms),
        }

    return sharded(jax.vmap(join))
