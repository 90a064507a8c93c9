"""What a cell of classifiers is expected to cost, known before anything is computed.

A stated model, as ``lmc_jax.sweep.cost`` is of students.
"""

import math

import jax
import jax.numpy as jnp

from lmc_jax.data.datasets import blank
from lmc_jax.environment import root_key
from lmc_jax.networks import Network
from lmc_jax.networks.cell import ClassifierCell, orders


def multiplications(network: Network, shape: tuple[int, ...]) -> int:
    """Of weights with units in one evaluation of an image of a shape, biases apart.

    >>> from lmc_jax.networks import mlp
    >>> multiplications(mlp((784, 20, 10)), (28, 28, 1))
    15880
    """
    weights = jax.eval_shape(network.init, root_key(0))
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    hidden = jax.eval_shape(network.hidden, weights, image)
    # A kernel is used at every position of what it gives.
    positions = {name: math.prod(units.shape[:-1]) for name, units in hidden.items()}
    return sum(
        positions.get(name, 1) * math.prod(layer["kernel"].shape)
        for name, layer in weights.items()
        if "kernel" in layer
    )


def expected_cost(cell: ClassifierCell) -> float:
    """Multiplications of a cell: of its updates, of its looks and along its paths.

    An update is three evaluations, and an evaluation in float64 counts twice. Networks
    are taken to need all their steps.
    """
    shape = blank(cell.data).train_images.shape[1:]
    each = multiplications(cell.network(shape), shape) + math.prod(shape)
    fitted = 3 * cell.training.steps * cell.training.batch
    looked = cell.look_images + cell.test_images
    seen = 2 * (fitted + 2 * len(cell.training.stops()) * looked)
    measured = 1 + len(cell.training.measure_at_looks)
    paths = measured * len(orders(cell.parameters())) * cell.points
    seen += 2 * paths * (cell.train_images + cell.test_images)
    return float(cell.pairs * each * seen)
