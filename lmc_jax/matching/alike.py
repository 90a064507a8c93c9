"""Units that no correlation tells apart, told apart by their weights."""

import numpy as np
import scipy  # its parts load when first used

ALIKE = 1e-13  # of a correlation: its rounding, over 60,000 inputs too; 4e-7 in angle
CONSTANT = 1e-12  # variance over mean square: below it an activation is constant
ROUNDING = 1e-12  # of the distances of the units that move


def break_ties(
    perm: np.ndarray,
    gains: np.ndarray,
    alike: tuple[np.ndarray, np.ndarray],
    distances: np.ndarray,
) -> np.ndarray:
    """The permutation with ties between alike units broken by distance.

    First between alike units of the first network, then of the second, then between
    those alike on both sides, at the same total correlation up to rounding.

    Args:
      perm: ``[m]``, of largest total correlation.
      gains: correlations ``[m, m]`` of units of the first and the second.
      alike: ``tie_labels`` of the units of the first and of the second.
      distances: ``[m, m]``, squared, of their weights.
    """
    first, second = alike
    perm = _break(first, perm, gains, distances)
    turned = _break(second, np.argsort(perm), gains.T, distances.T)
    perm = np.argsort(turned)
    both = first * len(perm) + second[perm]
    return _break(both, perm, gains, distances).astype(np.int32)


def tie_labels(own: np.ndarray) -> np.ndarray:
    """A label ``[m]`` of each unit, the same for alike ones.

    Units are alike where a chain of correlations of 1, up to ``ALIKE``, links them, and
    where none of them varies.

    Args:
      own: correlations ``[m, m]`` within a network, 0 for units that do not vary.
    """
    still = np.diag(own) < 0.5
    links = (own > 1 - ALIKE) | np.outer(still, still)
    if np.count_nonzero(links) == len(own):
        return np.arange(len(own))
    graph = scipy.sparse.csr_array(links)
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def improved(costs: np.ndarray, perm: np.ndarray) -> tuple[np.ndarray, float]:
    """A permutation of lower total cost than the given one.

    A cycle of units exchanges its partners only where the cycle's own total falls by
    more than its rounding: so short units are not hidden behind long ones, and a
    descent by such steps ends.

    Args:
      costs: ``[m, m]``, at least 0.
      perm: ``[m]``, the given partner of each row.

    Returns:
      ``(perm, fall)``: the permutation, and by how much the total fell.
    """
    rows, best = scipy.optimize.linear_sum_assignment(costs)
    before, after = costs[rows, perm], costs[rows, best]
    if np.array_equal(best, perm):
        return perm, 0.0
    links = (np.ones(len(rows)), (rows, np.argsort(perm)[best]))
    _, cycles = scipy.sparse.csgraph.connected_components(
        scipy.sparse.coo_array(links), directed=False
    )
    total = np.bincount(cycles, before)
    falls = np.bincount(cycles, before - after)
    falls[falls <= ROUNDING * total] = 0
    taken = np.where(falls[cycles] > 0, best, perm).astype(np.int32)
    return taken, float(falls.sum())


def _break(
    groups: np.ndarray, perm: np.ndarray, gains: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    broken = np.array(perm)
    for label in np.flatnonzero(np.bincount(groups) > 1):
        rows = np.flatnonzero(groups == label)
        partners = perm[rows]
        order, _ = improved(distances[np.ix_(rows, partners)], np.arange(len(rows)))
        kept, asked = gains[rows, partners].sum(), gains[rows, partners[order]].sum()
        if asked >= kept - ALIKE * len(rows):
            broken[rows] = partners[order]
    return broken
