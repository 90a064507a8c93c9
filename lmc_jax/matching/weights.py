"""Linear assignment on weights, on the host (Ainsworth et al. 2022, one layer)."""

import numpy as np
import scipy  # its parts load when first used


def match_weights(students: np.ndarray) -> np.ndarray:
    """Permutations that maximise Σᵢ wᵢ · w'_{perm[i]}.

    This also minimises the distance between the aligned weights; on the barrier of
    global minima it is no better than Algorithm 1 with leftovers in index order,
    because every pair of neurons of different types costs it the same.

    Args:
      students: ``[pairs, 2, m, d]``, any float dtype.

    Returns:
      int32 ``[pairs, m]``: row i of an aligned second student is row ``perm[i]``.

    Raises:
      ValueError: when a weight is not finite.
    """
    if not np.isfinite(students).all():
        raise ValueError("weight matching needs finite weights, got NaN or infinity")
    first, second = np.asarray(students, np.float64).swapaxes(0, 1)
    gains = np.einsum("pid,pjd->pij", first, second)
    matched = [
        scipy.optimize.linear_sum_assignment(gain, maximize=True)[1] for gain in gains
    ]
    return np.stack(matched).astype(np.int32)
