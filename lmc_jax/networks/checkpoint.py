"""Networks in training as named arrays, to be stored and gone on from."""

from collections.abc import Mapping

import jax
import numpy as np
from jax.tree_util import keystr

from lmc_jax.environment import root_key
from lmc_jax.networks import Network
from lmc_jax.networks.permutations import leaves
from lmc_jax.networks.training import Training, TrainingState, start


def pack(state: TrainingState) -> dict[str, np.ndarray]:
    """Networks in training as named arrays, to be stored."""
    states = {
        "weights": state.weights,
        "optimizer": state.optimizer,
        "snapshots": state.snapshots,
    }
    arrays = {name: np.asarray(leaf) for name, leaf in leaves(states).items()}
    return arrays | {"step": np.asarray(state.step), "history": state.history}


def unpack(
    network: Network, training: Training, arrays: Mapping[str, np.ndarray]
) -> TrainingState:
    """What ``pack`` was given, for the same network and training.

    Raises:
      KeyError: for arrays of another network or optimiser.
    """
    begin = start(network, training.transformation())
    weights, memory = jax.eval_shape(begin, jax.random.key_data(root_key(0)))
    step = int(arrays["step"])
    taken = tuple(weights for stop in training.measure_at_looks if stop <= step)
    template = {"weights": weights, "optimizer": memory, "snapshots": taken}
    states = jax.tree_util.tree_map_with_path(
        lambda path, _: arrays[keystr(path, simple=True, separator="/")], template
    )
    return TrainingState(step=step, history=arrays["history"], **states)
