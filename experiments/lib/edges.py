"""η λ_max of trained students: how near the edge of stability each run ended.

Measured once: what a cell's weights give is kept in OUT/curvature, in sealed files.
"""

import functools
from typing import Any

import jax
import numpy as np

from experiments.lib import compute, students
from lmc_jax import versions
from lmc_jax.results import store
from lmc_jax.results.selection import low_runs
from lmc_jax.students.sharpness import sharpness
from lmc_jax.theory import stability

CURVATURE = "curvature"  # folder of OUT
STABLE = 2 + 1e-6
FINER = (1e-4, 1e-5)  # norms of zero rows at which the count of violations is shown


def edges(record: store.Record) -> dict[str, Any]:
    """η λ_max of every run with a final loss below the tolerance, held or not.

    ``edge`` is the largest with rows of norm <= zero_row taken as zero, from the types,
    and ``edge_cut`` from Hessian-vector products at those weights; ``edge_raw`` at the
    weights as they are. ``judged`` counts the runs, ``unstable``, ``unstable_raw`` and
    ``unstable_finer`` (with the norms ``FINER``) those above 2 + 1e-6.
    """
    source = record.parameters["source"]
    if "lr" not in source:
        return {"judged": 0}
    found = _kept(record)
    types, cut, raw = (source["lr"] * found[name] for name in ("types", "cut", "raw"))
    if not len(raw):
        return {"judged": 0}
    edge, *finer = types
    return {
        "judged": len(raw),
        "edge": float(edge.max()),
        "edge_cut": float(cut.max()),
        "edge_raw": float(raw.max()),
        "unstable": int(np.sum(edge > STABLE)),
        "unstable_raw": int(np.sum(raw > STABLE)),
        "unstable_finer": [int(np.sum(values > STABLE)) for values in finer],
    }


def _kept(record: store.Record) -> dict[str, np.ndarray]:
    """``_measured``, read where it was stored."""
    assert record.path is not None  # as of all that are stored
    out = record.path.parents[1] / CURVATURE
    cell = record.parameters
    made = cell.get("versions", {}) | versions.of("sharpness")
    wanted = {"cell": store.fingerprint(cell), "finer": FINER, "versions": made}
    if stored := compute.found(out, wanted, "measuring it again"):
        return stored.arrays
    measured = _measured(record)
    store.save(_opened(out), wanted, measured, record.provenance)
    return measured


_opened = functools.cache(store.open_store)


def _measured(record: store.Record) -> dict[str, np.ndarray]:
    """λ_max of the n runs below the tolerance.

    ``types`` ``[1 + len(FINER), n]`` from types, rows up to zero_row and ``FINER``
    taken as zero; ``cut``, ``raw`` ``[n]`` of the Hessian without those up to zero_row
    and at the weights as they are.
    """
    cell, source = record.parameters, record.parameters["source"]
    k = cell["k"]
    W = students.trained(record)[low_runs(record.arrays, source["tol"])]  # [n, m, d]
    kinds, norms = np.argmax(W[..., :k], -1), np.linalg.norm(W, axis=-1)

    def by_types(zero: float) -> np.ndarray:
        kept = (norms > zero)[..., None] & (kinds[..., None] == np.arange(k))
        return stability.gauss_newton_sharpness(kept.sum(1))

    dying = (norms <= source["zero_row"]) & (norms > 0)
    raw = _sharpness(W, k)
    cut, some = raw.copy(), dying.any(axis=1)
    cut[some] = _sharpness(np.where(dying[some][..., None], 0, W[some]), k)
    types = [by_types(zero) for zero in (source["zero_row"], *FINER)]
    return {"types": np.stack(types), "cut": cut, "raw": raw}


def _sharpness(W: np.ndarray, k: int) -> np.ndarray:
    """λ_max ``[n]`` of the Hessian at students ``[n, m, d]``, padded to few shapes."""
    if not len(W):
        return np.empty(0)
    size = -len(W) % 64
    padded = np.concatenate([W, np.repeat(W[-1:], size, axis=0)])
    return np.asarray(_mapped(padded, k))[: len(W)]


@functools.partial(jax.jit, static_argnums=1)
def _mapped(W, k):
    return jax.lax.map(lambda w: sharpness(w, k), W, batch_size=16)
