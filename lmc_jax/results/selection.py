"""Which pairs and which runs count: one policy, for every table and figure.

Means of barriers and overlaps are over pairs that did not diverge, converged or not;
the shares of runs that converged or diverged are of all runs. Statements about minima
are of runs that converged, at their edge of stability also of those that were below
the tolerance at the end only; those about the uniform model (Assumption 3), which has
no zero rows, of converged runs without any.

Runs are those of a cell of students; sampled minima have converged.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lmc_jax.students import descent

Arrays = Mapping[str, np.ndarray]


def kept_pairs(arrays: Arrays) -> NDArray[np.bool_]:
    """Pairs of students or classifiers of which neither run diverged, ``[pairs]``.

    A classifier diverged where its loss is not finite.
    """
    ends = arrays["losses"][:, :, [0, -1]]
    kept = np.asarray(np.isfinite(ends).reshape(len(ends), -1).all(axis=1))
    if "status" in arrays:
        kept &= kept_runs(arrays).all(axis=1)
    return kept


def kept_runs(arrays: Arrays) -> NDArray[np.bool_]:
    """Runs that did not diverge, ``[pairs, 2]``."""
    return _status(arrays) != descent.DIVERGED


def low_runs(arrays: Arrays, tol: float) -> NDArray[np.bool_]:
    """Runs whose last loss is below ``tol``, held there or not, ``[pairs, 2]``."""
    return np.asarray(arrays["losses"][:, 0, [0, -1]] < tol)


def converged_runs(arrays: Arrays) -> NDArray[np.bool_]:
    """Runs that met the tolerance, ``[pairs, 2]``."""
    return _status(arrays) == descent.CONVERGED


def regular_runs(arrays: Arrays) -> NDArray[np.bool_]:
    """Converged runs without zero rows, as in the uniform model, ``[pairs, 2]``."""
    return converged_runs(arrays) & (arrays["zero_rows"] == 0)


def _status(arrays: Arrays) -> np.ndarray:
    converged = np.full(arrays["zero_rows"].shape, descent.CONVERGED)
    return arrays.get("status", converged)
