"""A specification put to the test: hidden units permuted at random."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmc_jax.networks.permutations import Spec, on_arrays, perm_shapes, permute


def check_spec(
    apply: Callable, weights: Any, spec: Spec, *inputs: Any, seed: int = 0
) -> float:
    """How far outputs move where hidden units are permuted at random.

    Numbers of the weights are moved a little first, so that biases of 0 and scales of 1
    tell units apart too.

    Args:
      apply: weights and inputs to outputs.
      weights: pytree of arrays or ``jax.ShapeDtypeStruct``, which stand for zeros.
      spec: its permutation specification.
      *inputs: pytrees of arrays or ``jax.ShapeDtypeStruct``, which stand for normal
        numbers.
      seed: of the permutations and of all numbers drawn.

    Returns:
      The largest change of an output, divided by its largest size.

    Raises:
      ValueError: if that is more than rounding, the square root of the precision of the
        outputs: the groups at fault are named; for outputs that are not finite; and as
        ``permute``.

    >>> from jax import ShapeDtypeStruct as Shape, numpy as jnp
    >>> weights = {"in": Shape((4, 8), "float32"), "out": Shape((8, 3), "float32")}
    >>> apply = lambda w, x: jnp.tanh(x @ w["in"]) @ w["out"]
    >>> spec = {"in": (None, "hidden"), "out": ("hidden", None)}
    >>> check_spec(apply, weights, spec, Shape((10, 4), "float32")) < 1e-5
    True
    """
    rng = np.random.default_rng(seed)
    apply, weights = on_arrays(apply, weights)
    weights = jax.tree.map(lambda array: _moved(array, rng), weights)
    inputs = jax.tree.map(lambda array: _drawn(array, rng), inputs)
    perms = {
        name: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for name, shape in perm_shapes(weights, spec).items()
    }
    function = jax.jit(apply)
    before = function(weights, *inputs)

    def changed(some) -> tuple[float, bool]:
        """Where some groups permute."""
        return _changed(before, function(permute(weights, spec, some), *inputs))

    largest, wrong = changed(perms)
    if wrong:
        alone = [name for name in perms if changed({name: perms[name]})[1]]
        raise ValueError(
            f"outputs change by {largest:.1e} of their size where hidden units are "
            f"permuted: the specification is wrong about {', '.join(alone or perms)}"
        )
    return largest


def require_unchanged(
    apply: Callable, weights: Any, permuted: Any, *inputs: Any
) -> None:
    """Compares the outputs of a network with those of its units in another order.

    Raises:
      ValueError: if they differ by more than rounding, and as ``check_spec``.
    """
    function = jax.jit(apply)
    change, wrong = _changed(function(weights, *inputs), function(permuted, *inputs))
    if wrong:
        raise ValueError(
            f"outputs change by {change:.1e} of their size where units are permuted: "
            "infer_spec missed what tells them apart; please report it"
        )


def _changed(before: Any, after: Any) -> tuple[float, bool]:
    """The largest relative change of an output, and whether it is beyond rounding."""
    pairs = zip(*map(jax.tree.leaves, (before, after)), strict=True)
    found = [_change(*pair) for pair in pairs]
    wrong = not all(change <= most for change, most in found)  # NaN is wrong
    return max((change for change, _ in found), default=0.0), wrong


def _moved(array: Any, rng: np.random.Generator) -> Any:
    """Weights scaled at random and shifted upwards: positive ones stay so."""
    start = jnp.zeros(array.shape, array.dtype) if _abstract(array) else array
    start = jnp.asarray(start)
    if not jnp.issubdtype(start.dtype, jnp.inexact):
        return start
    scale = rng.uniform(0.5, 1.5, start.shape)
    shift = rng.uniform(0, 0.2, start.shape)
    return (start * jnp.asarray(scale, start.dtype)) + jnp.asarray(shift, start.dtype)


def _drawn(array: Any, rng: np.random.Generator) -> Any:
    if not _abstract(array):
        return array
    if jnp.issubdtype(array.dtype, jnp.inexact):
        return jnp.asarray(rng.normal(size=array.shape), array.dtype)
    return jnp.asarray(rng.integers(0, 2, array.shape), array.dtype)


def _abstract(array: Any) -> bool:
    return isinstance(array, jax.ShapeDtypeStruct)


def _change(before: jax.Array, after: jax.Array) -> tuple[float, float]:
    """The relative change of an output, and what rounding may cause.

    Raises:
      ValueError: for an output that is not finite.
    """
    dtype = before.dtype
    exact = not jnp.issubdtype(dtype, jnp.inexact)
    most = 0.0 if exact else float(jnp.finfo(dtype).eps) ** 0.5
    kind = np.complex128 if jnp.issubdtype(dtype, jnp.complexfloating) else np.float64
    one, other = (np.asarray(array).astype(kind) for array in (before, after))
    if not np.isfinite(one).all():
        raise ValueError("outputs are not finite: give weights and inputs in range")
    size = np.abs(one).max(initial=0)
    change = np.abs(other - one).max(initial=0)
    return float(change / size if size else change), most
