"""The optimisers by name, for students and for deep networks.

Each works entry by entry, and leaves a weight at 0 whose gradients are all 0: a student
padded with zero rows stays the same student. Not every optimiser of optax does so.
``yogi`` moves such a weight, ``adafactor`` takes means over all rows.
"""

from collections.abc import Callable
from typing import Any

import optax

Optimizer = Callable[[Any], optax.GradientTransformation]
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": optax.sgd,
    "momentum": lambda lr: optax.sgd(lr, momentum=0.9),
    "nesterov": lambda lr: optax.sgd(lr, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
}


def optimizer_named(name: str) -> Optimizer:
    """The function from a learning rate, or a schedule of it, to the optimiser.

    Args:
      name: one of ``OPTIMIZERS``; other settings are optax's defaults.

    Raises:
      ValueError: for any other name.
    """
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise ValueError(f"unknown optimizer {name!r}: choose among {known}")
    return OPTIMIZERS[name]
