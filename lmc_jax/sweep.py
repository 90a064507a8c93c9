"""Cells of a grid, computed in batches of runs sharded over all local devices.

Widths are batched together by zero-row padding, which is exact, into the few sizes of
``padded_width``. Descent runs in slots: a slot whose run ended is given the next run,
so that ended runs cost nothing and every batch keeps one shape. Slots and batches are
sized from the cell alone, so a cell has the same bits in any company.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import PartitionSpec

from lmc_jax import descent, interpolation, measures, minima, two_layer
from lmc_jax.environment import PRNG, root_key
from lmc_jax.matching import match_types, match_weights
from lmc_jax.numerics import safe_norm
from lmc_jax.spec import Cell, Descent, Minima

Save = Callable[[Cell, dict[str, np.ndarray], np.ndarray | None], None]

# Kernel elements of one step that a device works on at a time: about the cache of a
# core, or enough to fill an accelerator (measured by experiments.bench.descent).
ELEMENTS = {"cpu": 2**17, "gpu": 2**25, "tpu": 2**24}


def padded_width(m: int) -> int:
    """The smallest of 8, 16, 24, 32, 48, 64, 96, 128, ... that holds m rows."""
    size = 8
    while size < m:
        size *= 2
    return 3 * size // 4 if size > 16 and m <= 3 * size // 4 else size


@functools.partial(jax.jit, static_argnames="pairs")
def run_keys(root: Array, k: int, m: int, d: int, *, pairs: int) -> Array:
    """Keys of a cell's runs, folded from integers only.

    In this order: root seed, k, m, d, pair, role in the pair. Equal across sources and
    learning rates on purpose: the points of a curve over learning rates start from the
    same students.

    Returns:
      Keys ``[pairs, 2]``.
    """
    for number in (k, m, d):
        root = jax.random.fold_in(root, number)
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    by_pair = fold(root, jnp.arange(pairs, dtype=jnp.uint32))
    return jax.vmap(fold, in_axes=(0, None))(by_pair, jnp.arange(2, dtype=jnp.uint32))


def _key_data(cell: Cell) -> np.ndarray:
    keys = run_keys(root_key(cell.seed), cell.k, cell.m, cell.d, pairs=cell.pairs)
    return np.asarray(jax.random.key_data(keys))  # [pairs, 2, 2]


def sweep(
    cells: Iterable[Cell],
    save: Save,
    *,
    progress: Callable[[int], None] = lambda pairs: None,
    weights: bool = False,
) -> None:
    """Computes cells and hands each to ``save`` as soon as its last pair is measured.

    Args:
      cells: valid cells; leave out those that are already done.
      save: called as ``save(cell, arrays, weights)``. ``arrays`` holds, for n pairs,
        ``losses [n, 1 + matchings, points]`` along the direct and the permuted paths,
        ``overlap [n]``, and for both students of a pair ``counts [n, 2, k]``,
        ``zero_rows``, ``off_axis``, ``distance``, ``pqi_flat``, ``pqi_rows``
        ``[n, 2]``; for trained students also ``status`` and ``steps`` ``[n, 2]``, for
        global minima ``certificate``, of the shape of ``losses``.
      progress: called with the number of pairs measured since the last call.
      weights: hand the students ``[n, 2, m, d]`` over as well, else None.
    """
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_program(cell), []).append(cell)
    for group in groups.values():
        results = _Results(group, save, weights)
        stream = _trained if isinstance(group[0].source, Descent) else _sampled
        for batch in _batches(stream(group), _pair_batch(group[0])):
            results.add(batch, _measured(batch, group[0]))
            progress(len(batch))


class Pair(NamedTuple):
    """Two students ready to be measured: ``students [2, rows, d]`` of a cell's pair."""

    cell: Cell
    number: int
    students: np.ndarray
    run: dict[str, np.ndarray]


def _program(cell: Cell) -> Any:
    """Cells with equal programs are computed in the same batches."""
    source = cell.source
    if isinstance(source, Descent):
        source = _any_lr(source)
    shape = (cell.k, cell.d, padded_width(cell.m), cell.pairs)
    return (*shape, cell.seed, cell.matchings, cell.points, cell.pqi, source)


def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh(
        (jax.local_device_count(),), ("runs",), (jax.sharding.AxisType.Auto,)
    )


def _sharded(function: Callable) -> Callable:
    """``function`` on each device's share of the leading axis of its arguments.

    Explicit rather than left to the partitioner: each device runs the program of its
    own batch shape.
    """
    runs = PartitionSpec("runs")
    return jax.jit(jax.shard_map(function, mesh=_mesh(), in_specs=runs, out_specs=runs))


def _share(cell: Cell, elements: int, wanted: int) -> int:
    """Batch size over all devices: at least 2 a device, within memory, from the cell.

    One alone would take another program on CPU, with other rounding.
    """
    devices = jax.local_device_count()
    room = ELEMENTS[jax.devices()[0].platform] // elements
    return devices * max(2, min(room, -(-wanted // devices)))


def _descent(cell: Cell) -> Descent:
    assert isinstance(cell.source, Descent)
    return cell.source


def _slots(cell: Cell) -> int:
    size = padded_width(cell.m)
    elements = size * (_descent(cell).batch or size + cell.k)
    return _share(cell, elements, 2 * cell.pairs)


def _pair_batch(cell: Cell) -> int:
    size = padded_width(cell.m)
    return _share(cell, size * (size + cell.k), cell.pairs)


def _batches(stream: Iterator[Pair], size: int) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    for pair in stream:
        batch.append(pair)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


# --- students ------------------------------------------------------------------------


def _sampled(group: Sequence[Cell]) -> Iterator[Pair]:
    """Pairs of global minima."""
    first = group[0]
    draw = _sampler(first.k, first.d, padded_width(first.m), first.source)
    batch = _pair_batch(first)
    for cell in group:
        keys = _key_data(cell)
        for begin in range(0, cell.pairs, batch):
            part = range(begin, min(begin + batch, cell.pairs))
            rows = np.minimum(np.arange(begin, begin + batch), cell.pairs - 1)
            students = np.asarray(draw(keys[rows], np.full(batch, cell.m, np.int32)))
            for number, both in zip(part, students, strict=False):
                yield Pair(cell, number, both, {})


@functools.cache
def _sampler(k: int, d: int, size: int, source: Minima) -> Callable:
    def one(key_data, m):
        key = jax.random.wrap_key_data(key_data, impl=PRNG)
        return minima.sample(key, m, k, d, alpha=source.concentration, size=size)

    return _sharded(jax.vmap(jax.vmap(one, in_axes=(0, None))))


class Jobs(NamedTuple):
    """What each slot works on; ``fresh`` marks a run to be started. All ``[slots]``."""

    key_data: np.ndarray
    m: np.ndarray
    lr: np.ndarray
    fresh: np.ndarray


def _trained(group: Sequence[Cell]) -> Iterator[Pair]:
    """Pairs of trained students, in the order in which their runs end."""
    first = group[0]
    slots = _slots(first)
    size, spec = padded_width(first.m), _any_lr(_descent(first))
    start, descend = _descender(first.k, first.d, size, spec)
    queue = _queue(group)
    jobs = Jobs(
        np.zeros((slots, 2), np.uint32),
        np.zeros(slots, np.int32),
        np.zeros(slots),
        np.zeros(slots, bool),
    )
    runs = start(jobs.m)
    work: dict[int, tuple[Cell, int, int]] = {}  # cell, pair, role by slot
    waiting: dict[tuple[Cell, int], tuple[int, np.ndarray, dict]] = {}
    while True:
        jobs.fresh[:] = False
        free = [slot for slot in range(slots) if slot not in work]
        for slot, (job, key_data) in zip(free, queue, strict=False):
            cell = job[0]
            work[slot] = job
            jobs.key_data[slot], jobs.fresh[slot] = key_data, True
            jobs.m[slot], jobs.lr[slot] = cell.m, _descent(cell).lr
        if not work:
            return
        runs = descend(runs, *jobs)
        status, steps = np.asarray(runs.status), np.asarray(runs.step)
        ended = [slot for slot in work if status[slot] != descent.RUNNING]
        weights = np.asarray(runs.W) if ended else np.empty(0)
        for slot in ended:
            cell, number, role = work.pop(slot)
            run = {"status": status[slot], "steps": steps[slot]}
            end = role, weights[slot].copy(), run
            other = waiting.pop((cell, number), None)
            if other is None:
                waiting[cell, number] = end
                continue
            ends = sorted((end, other), key=lambda end: end[0])
            both = {name: np.stack([run[name] for _, _, run in ends]) for name in run}
            yield Pair(cell, number, np.stack([W for _, W, _ in ends]), both)


def _queue(group: Sequence[Cell]) -> Iterator[tuple[tuple[Cell, int, int], np.ndarray]]:
    """Every run of the cells, ``((cell, pair, role), key_data)``."""
    for cell in group:
        for number, keys in enumerate(_key_data(cell)):
            for role, key_data in enumerate(keys):
                yield (cell, number, role), key_data


def _any_lr(source: Descent) -> Descent:
    """The source with what may differ between the runs of a batch taken out."""
    return dataclasses.replace(source, lr=1.0)


@functools.cache
def _descender(k: int, d: int, size: int, spec: Descent) -> tuple[Callable, Callable]:
    """Programs ``start(m) -> runs`` and ``descend(runs, *jobs) -> runs``.

    A round of ``descend`` starts the fresh jobs, takes ``check_every`` steps, and
    compares the float64 population loss with the tolerance.
    """
    dtype = jnp.dtype(spec.precision)

    def gradient(W, key):
        if not spec.batch:
            return two_layer.gradient(W, k)
        x = jax.random.normal(key, (spec.batch, d), dtype)
        return two_layer.sampled_gradient(W, x, k)

    def optimizer(lr):
        return descent.optimizer_named(spec.optimizer)(lr.astype(dtype))

    def idle(m):
        run = descent.start(jnp.zeros((size, d), dtype), optimizer(jnp.zeros(())))
        return run._replace(status=run.status + descent.EXHAUSTED)

    def descend(run, key_data, m, lr, fresh):
        key = jax.random.wrap_key_data(key_data, impl=PRNG)
        init_key, data_key = jax.random.split(key)
        W = two_layer.init(init_key, m, d, spec.init_std, size=size, dtype=dtype)
        begun = descent.start(W, optimizer(lr))
        run = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), begun, run)
        run = descent.advance(
            run,
            data_key,
            gradient,
            optimizer(lr),
            updates=spec.check_every,
            limit=spec.steps,
        )
        loss = two_layer.loss(run.W.astype(jnp.float64), k)
        return descent.check(run, loss, spec.tol, spec.hold)

    return _sharded(jax.vmap(idle)), _sharded(jax.vmap(descend))


# --- measures ------------------------------------------------------------------------


def _measured(batch: list[Pair], cell: Cell) -> dict[str, np.ndarray]:
    """Measures of a batch of pairs, padded to the batch size by repeating the last."""
    size = _pair_batch(cell)
    padded = batch + [batch[-1]] * (size - len(batch))
    students = np.stack([pair.students for pair in padded]).astype(np.float64)
    m = np.array([pair.cell.m for pair in padded], np.int32)
    perms = np.tile(np.arange(students.shape[2], dtype=np.int32), (size, 1))
    if "weights" in cell.matchings:
        for row, pair in enumerate(batch):
            perms[row, : m[row]] = match_weights(pair.students[None, :, : m[row]])[0]
    zero = np.array([pair.cell.source.zero_row for pair in padded])
    measure = _measurer(cell.k, cell.matchings, cell.points, cell.pqi)
    found = jax.device_get(measure(students, m, zero, perms))
    if not isinstance(cell.source, Minima):
        del found["certificate"]  # it bounds paths between global minima only
    return {name: values[: len(batch)] for name, values in found.items()}


@functools.cache
def _measurer(
    k: int,
    matchings: tuple[str, ...],
    points: int,
    exponents: tuple[float, float],
) -> Callable:
    def align(pair, m, by_weights, name):
        if name == "weights":
            return by_weights
        return match_types(pair, k, leftovers=name.removeprefix("types_"), m=m)

    def one(pair, m, zero_row, by_weights):
        kinds = minima.types(pair, k, zero=zero_row)
        counts = minima.counts(kinds, k)
        direct = jnp.arange(pair.shape[1], dtype=jnp.int32)
        aligned = [align(pair, m, by_weights, name) for name in matchings]
        perms = jnp.stack([direct, *aligned])
        ts = interpolation.times(points)
        loss = functools.partial(two_layer.loss, k=k)
        along = functools.partial(interpolation.path_losses, loss, pair[0], ts=ts)
        norms = safe_norm(pair)
        bound = functools.partial(measures.certificate, pair, k=k, ts=ts)
        return {
            "certificate": jax.vmap(bound)(perms),
            "pqi_flat": measures.pqi(
                pair.reshape(2, -1), *exponents, size=m * pair.shape[2]
            ),
            "pqi_rows": measures.pqi(norms, *exponents, size=m),
            "losses": jax.lax.map(lambda perm: along(pair[1][perm]), perms),
            "overlap": measures.overlap(counts),
            "counts": counts,
            "zero_rows": measures.zero_rows(pair, m, zero_row),
            "off_axis": minima.off_axis_share(pair, k),
            "distance": jax.vmap(lambda W: minima.distance(W, k))(pair),
        }

    return _sharded(jax.vmap(one))


class _Results:
    """Arrays of the cells under way; a cell is saved with its last pair."""

    def __init__(self, group: Sequence[Cell], save: Save, weights: bool):
        self.missing = {cell: cell.pairs for cell in group}
        self.arrays: dict[Cell, dict[str, np.ndarray]] = {}
        self.save = save
        self.weights = weights

    def add(self, batch: list[Pair], measured: dict[str, np.ndarray]) -> None:
        for row, pair in enumerate(batch):
            cell = pair.cell
            values = {name: rows[row] for name, rows in measured.items()} | pair.run
            if self.weights:
                values["weights"] = pair.students[:, : cell.m]
            arrays = self.arrays.setdefault(cell, {})
            for name, value in values.items():
                if name not in arrays:
                    arrays[name] = np.empty((cell.pairs, *value.shape), value.dtype)
                arrays[name][pair.number] = value
            self.missing[cell] -= 1
            if not self.missing[cell]:
                arrays = self.arrays.pop(cell)
                self.save(cell, arrays, arrays.pop("weights", None))
