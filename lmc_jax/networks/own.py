"""Your own network: any JAX function of a pytree, aligned and compared in one call.

Weights are pytrees of any library: variables of Flax, modules of Flax NNX or Equinox,
parameters of Haiku. Leaves that are not arrays, such as the activation functions of a
module, stay as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lmc_jax.networks.alignment import align_activations, align_many, align_weights
from lmc_jax.networks.alignment.descent import Order
from lmc_jax.networks.alignment.many import mean
from lmc_jax.networks.permutations import (
    after,
    arrays_of,
    on_arrays,
    permute,
    with_arrays,
)
from lmc_jax.networks.symmetry import infer_spec
from lmc_jax.networks.symmetry.check import require_unchanged
from lmc_jax.networks.symmetry.hidden import activations
from lmc_jax.paths import barrier, path_losses, times

METHODS = ("weights", "activations")
ROUNDS = 20  # of pairing by activations: those of heads depend on the order of others


class BarrierCurve(NamedTuple):
    """Losses on the straight line between two networks.

    times: positions, float64 ``[11]``.
    losses: at these ``[11]``, in the dtype of the loss.
    barrier: the largest excess of the loss over the chord, ``lerp`` of ``BARRIERS``.
    """

    times: Array
    losses: Array
    barrier: Array


def align(
    first: Any, second: Any, apply: Callable, *inputs: Any, method: str = "weights"
) -> tuple[Any, Order]:
    """The second network, its hidden units in the order of the first's.

    Its permutation symmetries are found (``infer_spec``), its units matched, and its
    function is seen to be the same.

    Args:
      first: pytree of weights.
      second: the same structure.
      apply: weights and inputs to outputs: any function that JAX can trace, without
        hidden activations among its outputs.
      *inputs: pytrees of arrays, which stay in order. By activations they are the
        examples that units are compared on, all at once: give some hundred.
      method: ``weights`` for the nearest weights (Ainsworth et al. 2022), or
        ``activations`` for the largest correlations of activations (Li et al. 2015),
        from the order that weights give, again until no unit moves. Units within
        others, as those of heads and of layers of a scan, keep the order that weights
        give.

    Returns:
      ``(aligned, perms)``: the second network as the pytree that it was, whose straight
      line from ``first`` is the one to look at; int32 ``[units]`` by group, or
      ``[outers..., units]`` of units within others.

    Raises:
      ValueError: for an unknown method; for outputs that change; as ``align_weights``,
        ``align_activations`` and ``activations``.

    Warns:
      UserWarning: as ``infer_spec``.

    >>> from jax import numpy as jnp
    >>> first = {"in": jnp.array([[1.0, 2.0, 3.0]]), "out": jnp.array([4.0, 5.0, 6.0])}
    >>> second = {"in": jnp.array([[3.1, 2.1, 1.1]]), "out": jnp.array([6.0, 5.0, 4.0])}
    >>> apply = lambda w, x: jnp.tanh(x @ w["in"]) @ w["out"]
    >>> aligned, perms = align(first, second, apply, jnp.ones((2, 1)))
    >>> perms["in"].tolist(), aligned["out"].tolist()
    ([2, 1, 0], [4.0, 5.0, 6.0])
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: one of {', '.join(METHODS)}")
    ours = arrays_of(first)
    function, theirs = on_arrays(apply, second)
    spec = infer_spec(function, theirs, *inputs)
    perms, _ = align_weights(ours, theirs, spec)
    aligned = permute(theirs, spec, perms)
    if method == "activations":
        fire = activations(function, theirs, *inputs)
        for _ in range(ROUNDS):
            more, _ = align_activations(fire, ours, aligned, inputs, spec=spec)
            perms = after(perms, more, spec)
            aligned = permute(theirs, spec, perms)
            if all((np.diff(perm) == 1).all() for perm in more.values()):
                break
    require_unchanged(function, theirs, aligned, *inputs)
    return with_arrays(second, aligned), perms


def merge(
    networks: Sequence[Any], apply: Callable, *inputs: Any
) -> tuple[Any, list[Order]]:
    """One network in place of several: the mean of their weights, units in one order.

    That order is the first's. All are aligned to it by weights, and then each to the
    mean of the others as long as that brings them nearer (``align_many``).

    Args:
      networks: at least two pytrees of weights of one structure.
      apply: as ``align``.
      *inputs: as ``align``.

    Returns:
      ``(merged, perms)``: the mean as a pytree as the first is, JAX arrays in the
      dtypes of its arrays; what has no mean, as counts and functions, is the first's.
      By network the permutations before the mean, as ``align`` gives them.

    Raises:
      ValueError: for fewer than two networks; for outputs that change; as
        ``align_weights``.

    Warns:
      UserWarning: as ``infer_spec``.

    >>> from jax import numpy as jnp
    >>> first = {"in": jnp.array([[1.0, 2.0, 3.0]]), "out": jnp.array([4.0, 5.0, 6.0])}
    >>> second = {"in": jnp.array([[3.5, 2.5, 1.5]]), "out": jnp.array([6.0, 5.0, 4.0])}
    >>> apply = lambda w, x: jnp.tanh(x @ w["in"]) @ w["out"]
    >>> merged, perms = merge([first, second], apply, jnp.ones((2, 1)))
    >>> merged["in"].tolist(), perms[1]["in"].tolist()
    ([[1.25, 2.25, 3.25]], [2, 1, 0])
    """
    if len(networks) < 2:
        raise ValueError(f"{len(networks)} networks: give two or more")
    function, first = on_arrays(apply, networks[0])
    arrays = [arrays_of(network) for network in networks]
    spec = infer_spec(function, first, *inputs)
    perms, _ = align_many(arrays, spec)
    placed = [permute(a, spec, perm) for a, perm in zip(arrays, perms, strict=True)]
    for one, moved in zip(arrays, placed, strict=True):
        require_unchanged(function, one, moved, *inputs)
    merged = jax.tree.map(
        lambda array, own: own if array is own else jnp.asarray(array, own.dtype),
        mean(placed),
        first,
    )
    return with_arrays(networks[0], merged), perms


def barrier_curve(
    loss: Callable[[Any], Array], first: Any, second: Any
) -> BarrierCurve:
    """Losses on the straight line from one network to another, and their barrier.

    Args:
      loss: weights to a scalar, by operations of JAX.
      first: pytree of weights, at t = 0.
      second: the same structure, at t = 1.

    >>> from jax import numpy as jnp
    >>> first, second = {"w": jnp.array(-1.0)}, {"w": jnp.array(1.0)}
    >>> barrier_curve(lambda w: (w["w"] ** 2 - 1) ** 2, first, second).barrier.item()
    1.0
    """
    ts = times()
    function, start = on_arrays(loss, first)
    losses = jax.jit(lambda start, end: path_losses(function, start, end, ts))(
        start, arrays_of(second)
    )
    return BarrierCurve(ts, losses, barrier(losses, ts))
