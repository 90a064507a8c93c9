"""Predictions without free parameters: overlap, and certificates of the barrier.

Conventions: ``L(W) = ½ E[(f - f*)²]``, inputs ``x ~ N(0, I)``. m is the width of the
student, k of the teacher, n the numbers of neurons of each type. The *uniform model*
is the paper's Assumption 3: ``n = 1 + Multinomial(m - k, 1/k)``, and in each type the
norms are uniform on the simplex. NumPy and SciPy, float64.

Widths m < k or k < 1 raise ValueError; other arguments are taken as they are, unless
it is said.
"""

from lmc_jax.theory.barrier import (
    certificate_rate,
    expected_certificate,
    mixed_pair_loss,
    spacing_order_statistics,
)
from lmc_jax.theory.merging import (
    Expansion,
    merged_certificate,
    merged_certificate_law,
    two_neuron_merging,
    unaligned,
)
from lmc_jax.theory.overlap import (
    CLT_MINIMUM_RATIO,
    LIMIT_MINIMUM_RATIO,
    expected_overlap,
    expected_overlap_clt,
    expected_overlap_limit,
    overlap_minimum,
)
from lmc_jax.theory.rate import (
    Law,
    certificate_law,
    count_forms,
    expected_count_forms,
    two_neuron_limit,
)
from lmc_jax.theory.star import centre_law, centre_probability, equal_counts

__all__ = [
    "CLT_MINIMUM_RATIO",
    "LIMIT_MINIMUM_RATIO",
    "Expansion",
    "Law",
    "centre_law",
    "centre_probability",
    "certificate_law",
    "certificate_rate",
    "count_forms",
    "equal_counts",
    "expected_certificate",
    "expected_count_forms",
    "expected_overlap",
    "expected_overlap_clt",
    "expected_overlap_limit",
    "merged_certificate",
    "merged_certificate_law",
    "mixed_pair_loss",
    "overlap_minimum",
    "spacing_order_statistics",
    "two_neuron_limit",
    "two_neuron_merging",
    "unaligned",
]
