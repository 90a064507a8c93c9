"""A finished sweep for other tools: an xarray Dataset, or a tidy table.

The Dataset holds everything stored but weights, with named dimensions:

    cell        one point of the grid; its parameters are coordinates (k, m, lr, ...)
    pair        independent pairs of a cell, two fresh students each
    path        "direct", then the matchings by name
    t           position on the path
    student     the two of a pair
    type        which of the teacher's k neurons
    definition  of the barrier: lerp, mean, max, midpoint

Cells may differ in their pairs, matchings, k and positions: what a cell does not have
is NaN, or -1 in whole numbers. The table has a row for each (cell, pair, path).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_jax.paths import BARRIERS, barrier
from lmc_jax.results import store, summary
from lmc_jax.students import descent

if TYPE_CHECKING:  # of the extra "export"
    import xarray

MISSING = -1  # in whole numbers
DIMENSIONS = {
    "losses": ("pair", "path", "t"),
    "certificate": ("pair", "path", "t"),
    "barrier": ("definition", "pair", "path"),
    "overlap": ("pair",),
    "counts": ("pair", "student", "type"),
    "status": ("pair", "student"),
    "steps": ("pair", "student"),
    "zero_rows": ("pair", "student"),
    "off_axis": ("pair", "student"),
    "distance": ("pair", "student"),
    "pqi_flat": ("pair", "student"),
    "pqi_rows": ("pair", "student"),
}
ATTRIBUTES = {
    "title": "Linear mode connectivity modulo permutation, simulated by lmc_jax",
    "student": "f(x; W) = sum_i relu(w_i . x), W [m, d]",
    "teacher": "f*(x) = sum_{j<k} relu(x_j)",
    "loss": "L = 1/2 E[(f - f*)^2], x ~ N(0, I_d), in closed form, float64",
    "path": "W_t = (1 - t) W + t W'[perm]; direct: perm is the identity",
    "barrier_by_lerp": "max_t [L(W_t) - ((1-t) L(W) + t L(W'))]",
    "barrier_by_mean": "max_t L(W_t) - (L(W) + L(W'))/2",
    "barrier_by_max": "max_t L(W_t) - max(L(W), L(W'))",
    "barrier_by_midpoint": "the excess of barrier_by_lerp at t = 1/2",
    "permutation": "row i of the result is row perm[i] of the input",
    "diverged": "pairs with a diverged run are here; summary.csv leaves them out",
    "padding": "what a cell does not have is NaN, or -1 in whole numbers",
}
DESCRIPTIONS = {
    "losses": "loss along the path, in units of 1/2 E[(f - f*)^2]",
    "certificate": "upper bound of the loss along the path, global minima only",
    "barrier": "barrier of the path, in units of the loss",
    "overlap": "sum_j min(n_j, n'_j), neurons",
    "counts": "neurons of each type",
    "status": "how the run ended",
    "steps": "optimiser updates of the run",
    "zero_rows": "neurons of norm at most zero_row",
    "off_axis": "share of the squared norm off the neurons' own axes",
    "distance": "to the nearest global minimum of these types, Frobenius norm",
    "pqi_flat": "PQ index of the flattened weights",
    "pqi_rows": "PQ index of the row norms",
}
STATUS = {
    "flag_values": np.arange(len(descent.STATUS), dtype=np.int32),
    "flag_meanings": " ".join(descent.STATUS),
}


def dataset(out: str | Path) -> "xarray.Dataset":
    """All cells of a sweep, finished or not, as a Dataset in memory.

    Raises:
      StoreError: when the folder holds no cells, or a damaged one.
      ValueError: as ``summary.require_students``.
      ImportError: without xarray, of the extra ``export``.
    """
    import xarray

    cells = [_cell(record) for record in store.load(out)]
    whole = {
        name
        for cell in cells
        for name, variable in cell.data_vars.items()
        if variable.dtype.kind in "iu"
    }
    fill = dict.fromkeys(whole, MISSING)
    joined = xarray.concat(cells, "cell", join="outer", fill_value=fill)
    paths = dict.fromkeys(path for cell in cells for path in cell.path.values.tolist())
    joined = joined.sel(path=list(paths))  # in the order in which they come
    for name in whole:
        joined[name].encoding["_FillValue"] = MISSING
    return joined.drop_vars(joined.sizes.keys() - {"cell", "path", "t", "definition"})


def _cell(record: store.Record) -> "xarray.Dataset":
    """One cell; axes without labels are counted, so that cells can be aligned."""
    import xarray

    summary.require_students(record)
    parameters = summary.cell_columns(record.parameters)
    coordinates = {name: ("cell", [value]) for name, value in parameters.items()}
    variables = {}
    for name, array in _measures(record).items():
        axes = (f"{name}_{axis}" for axis in range(1, array.ndim))
        dimensions = ("cell", *DIMENSIONS.get(name, ("pair", *axes)))
        variables[name] = (dimensions, array[None], _attributes(name))
    dataset = xarray.Dataset(variables, coordinates | _labels(record), ATTRIBUTES)
    unlabelled = dataset.sizes.keys() - dataset.coords.keys()
    return dataset.assign_coords(
        {name: range(dataset.sizes[name]) for name in unlabelled}
    )


def _measures(record: store.Record) -> dict[str, np.ndarray]:
    """The arrays of a cell, and its barriers by every definition."""
    losses, ts = record.arrays["losses"], _labels(record)["t"]
    heights = np.full((len(BARRIERS), *losses.shape[:-1]), np.nan)
    ended = np.isfinite(losses[..., [0, -1]]).all(-1)
    for height, name in zip(heights, BARRIERS, strict=True):
        height[ended] = barrier(losses[ended], ts, name)
    return {**record.arrays, "barrier": heights}


def _labels(record: store.Record) -> dict[str, Any]:
    points = record.arrays["losses"].shape[-1]
    return {
        "path": np.array(["direct", *record.parameters["matchings"]]),
        "t": np.arange(points) / (points - 1),
        "definition": np.array(BARRIERS),
    }


def _attributes(name: str) -> dict[str, Any]:
    described = {"long_name": DESCRIPTIONS[name]} if name in DESCRIPTIONS else {}
    return described | (STATUS if name == "status" else {})


# --- the table -----------------------------------------------------------------------


def rows(out: str | Path) -> Iterator[dict[str, Any]]:
    """The tidy table: a row for each path of each pair, cell by cell.

    The cell's parameters, ``pair``, ``path``, a barrier by each definition, the losses
    at both ends, the overlap, and of both students what is measured of each. What a
    cell does not have is None.

    Raises:
      StoreError: for a damaged cell.
      ValueError: as ``summary.require_students``.
    """
    for record in store.read_each(out):
        summary.require_students(record)
        yield from _rows(record)


def _rows(record: store.Record) -> Iterator[dict[str, Any]]:
    measures, shared = _measures(record), summary.cell_columns(record.parameters)
    names = [f"barrier_by_{definition}" for definition in BARRIERS]
    for pair, losses in enumerate(measures["losses"]):
        heights = measures["barrier"][:, pair]
        overlap = {"overlap_neurons": measures["overlap"][pair]}
        students = _of_students(measures, pair)
        for path, label in enumerate(_labels(record)["path"]):
            of_path = {"pair": pair, "path": label}
            of_path |= dict(zip(names, heights[:, path], strict=True))
            of_path |= {"loss_first": losses[path, 0], "loss_second": losses[path, -1]}
            yield shared | of_path | overlap | students


def _of_students(measures: dict[str, np.ndarray], pair: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, dimensions in DIMENSIONS.items():
        if dimensions == ("pair", "student"):
            both: Any = measures[name][pair] if name in measures else (None, None)
            first, second = both
            if name == "status" and name in measures:
                first, second = descent.STATUS[first], descent.STATUS[second]
            columns |= {f"{name}_first": first, f"{name}_second": second}
    return columns
