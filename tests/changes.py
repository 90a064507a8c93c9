"""How far permutations of what is found in a random program move its outputs."""

import functools

import jax
import numpy as np
import programs

from lmc_jax.networks.permutations import perm_shapes, permute
from lmc_jax.networks.symmetry import explain_spec

MOST = 1e-9  # of a change of an output of size 1: rounding is 1e-13
QUICK = {"xla_backend_optimization_level": 0}  # to compile: each runs a few times


@functools.cache
def drawn(seed):
    apply, weights, x = programs.program(seed)
    return jax.jit(apply), weights, x


@functools.cache
def prepared(seed):
    """A program compiled, its outputs."""
    function, weights, x = drawn(seed)
    compiled = jax.jit(function, compiler_options=QUICK)
    return compiled, np.array(compiled(weights, x))


def change(seed):
    """How far random permutations of all groups found move outputs; the groups."""
    (apply, weights, x), (compiled, before) = drawn(seed), prepared(seed)
    found = explain_spec(apply, weights, x)
    rng = np.random.default_rng(seed)
    perms = {
        name: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for name, shape in perm_shapes(weights, found.spec).items()
    }
    after = np.array(compiled(permute(weights, found.spec, perms), x))
    return np.abs(after - before).max(), len(perms)
