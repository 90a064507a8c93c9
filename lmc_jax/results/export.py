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
STUDENTS = ("pair", "student")
# Of every array its dimensions and what it is.
ARRAYS = {
    "losses": (("pair", "path", "t"), "loss along the path, 1/2 E[(f - f*)^2]"),
    "certificate": (
        ("pair", "path", "t"),
        "upper bound of the loss along the path, global minima only",
    ),
    "barrier": (
        ("definition", "pair", "path"),
        "barrier of the path, in units of the loss",
    ),
    "overlap": (("pair",), "sum_j min(n_j, n'_j), neurons"),
    "counts": (("pair", "student", "type"), "neurons of each type"),
    "status": (STUDENTS, "how the run ended"),
    "steps": (STUDENTS, "optimiser updates of the run"),
    "zero_rows": (STUDENTS, "neurons of norm at most zero_row"),
    "off_axis": (STUDENTS, "share of the squared norm off the neurons' own axes"),
    "distance": (
        STUDENTS,
        "to the nearest global minimum of these types, Frobenius norm",
    ),
    "pqi_flat": (STUDENTS, "PQ index of the flattened weights"),
    "pqi_rows": (STUDENTS, "PQ index of the row norms"),
}
ATTRIBUTES = {
    "title": "Linear mode connectivity modulo permutation, simulated by lmc_jax",
    "student": "f(x; W) = sum_i relu(w_i . x), W [m, d]",
    "teacher": "f*(x) = sum_{j<k} relu(x_j); other neurons where a cell names them",
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
        dimensions, words = ARRAYS[name]
        attributes = {"long_name": words} | (STATUS if name == "status" else {})
        variables[name] = (("cell", *dimensions), array[None], attributes)
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
    for name, (dimensions, _) in ARRAYS.items():
        if dimensions is STUDENTS:
            both: Any = measures[name][pair] if name in measures else (None, None)
            first, second = both
            if name == "status" and name in measures:
                first, second = descent.STATUS[first], descent.STATUS[second]
            columns |= {f"{name}_first": first, f"{name}_second": second}
    return columns
