"""Labels that are wrong on purpose."""

import numpy as np


def shuffled_labels(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Labels ``[n]``, those of a share of the images in a random order among them.

    So every class keeps its size, and of ten equal classes a tenth of the shuffled
    labels is right by chance. The images of a smaller share are among those of a larger
    one.

    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> shuffled_labels(labels, 0.5, seed=3).tolist()
    [0, 0, 1, 1, 0, 1]
    """
    rng = np.random.default_rng(seed)
    places = rng.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[places] = labels[rng.permutation(places)]
    return noisy
