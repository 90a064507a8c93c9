"""Losses along paths, float64: ns per kernel element, beside losses by ``arccos``."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import flags

from experiments.bench import timing
from experiments.bench.matching import pairs
from lmc_jax import paths
from lmc_jax.students import two_layer

POINTS = flags.DEFINE_integer("points", 11, "Positions along a path.", lower_bound=2)


def naive_loss(k: int) -> Callable:
    """The population loss by ``jnp.arccos``, up to its constant."""

    def kernel(cosine):
        theta = jnp.arccos(jnp.clip(cosine, -1, 1))
        return (jnp.sin(theta) + (jnp.pi - theta) * cosine) / (2 * jnp.pi)

    def loss(W):
        norms = jnp.linalg.norm(W, axis=-1)
        units = W / norms[:, None]
        cross = jnp.sum(norms * jnp.sum(kernel(units[:, :k]), axis=-1))
        return norms @ kernel(units @ units.T) @ norms / 2 - cross

    return loss


def main() -> None:
    shapes = timing.shapes()
    ts = paths.times(POINTS.value)
    rows = []
    for k, m, d, count in shapes:
        students = pairs(k, m, d, count)
        elements = count * POINTS.value * (m * m + m * k)

        def along(pair, loss):
            return paths.path_losses(loss, pair[0], pair[1], ts)

        ours = functools.partial(two_layer.loss, k=k)
        calls: dict[str, Callable] = {
            "lmc_jax": timing.on_all_devices(
                jax.vmap(functools.partial(along, loss=ours))
            ),
            "JAX arccos, vmapped": jax.jit(
                jax.vmap(functools.partial(along, loss=naive_loss(k)))
            ),
        }
        own = None
        for name, program in calls.items():
            found = timing.timed(timing.ready(program, students))
            own = own or found.median
            rows.append(
                {
                    "variant": name,
                    "k,m,d,pairs": f"{k},{m},{d},{count}",
                    "ns/element": timing.spread(found, elements * 1e-9),
                    "paths/s": count / found.median,
                    "lmc_jax faster": f"{found.median / own:.1f}x",
                    "compile s": max(0.0, found.first - found.median),
                    "run s": found.median,
                }
            )
    timing.show(rows)


if __name__ == "__main__":
    timing.run(main)
