"""What is wrong in a call of the Python API is refused, however it is put."""

import dataclasses
import random
from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from lmc_jax import match_activations, match_types, match_weights
from lmc_jax.networks.permutations import Tiled, permute
from lmc_jax.paths import BARRIERS, barrier, path_losses, times
from lmc_jax.students import two_layer
from lmc_jax.sweep.cell import Cell, Descent, Minima

CALLS = 600
NO_NUMBERS = (True, False, Fraction(3, 2), Decimal(2), 1j, "2", None, [1], (2,))


def shapes(choose):
    """Two shapes that differ and yet would be broadcast."""
    shape = [choose.randint(2, 4) for _ in range(choose.randint(1, 3))]
    other = list(shape)
    if choose.random() < 0.5:
        other.insert(choose.randrange(len(other) + 1), 1)
    else:
        other[choose.randrange(len(other))] = 1
    return tuple(shape), tuple(other)


def ends(choose):
    one, other = (np.ones(shape) for shape in shapes(choose))
    wrong = choose.choice(("shape", "dtype", "name", "fewer"))
    start, end = {"a": np.ones(2), "b": one}, {"a": np.ones(2), "b": other}
    if wrong == "dtype":
        end = start | {"b": one.astype(choose.choice(("i4", "i8", "u1", "?")))}
    elif wrong == "name":
        end = {"a": start["a"], choose.choice("cdef"): one}
    elif wrong == "fewer":
        end = {"a": start["a"]}
    both = choose.sample((start, end), 2)
    path_losses(lambda w: sum(jnp.sum(x * x) for x in w.values()), *both, times(3))


def heights(choose):
    points = choose.choice((3, 5, 11))
    losses, ts = np.linspace(0, 1, points) ** 2, np.linspace(0, 1, points)
    at = choose.randrange(1, points - 1)
    losses, ts = choose.choice(
        (
            lambda: (losses, np.linspace(0, 1, points + choose.randint(1, 3))),
            lambda: (losses, 100 * ts),
            lambda: (losses, ts[::-1]),
            lambda: (losses, np.where(np.arange(points) == at, ts[at - 1], ts)),
            lambda: (losses, choose.random()),
            lambda: (choose.random(), ts),
            lambda: (np.ma.masked_array(losses, np.arange(points) == at), ts),
            lambda: (np.where(ts == choose.choice((0, 1)), np.nan, losses), ts),
            lambda: (np.where(ts == choose.choice((0, 1)), -np.inf, losses), ts),
            lambda: (losses.astype(choose.choice(("c16", "U8", "?", "O"))), ts),
        )
    )()
    put = choose.choice((lambda x: x, lambda x: x, list))  # a list where it can be
    plain = isinstance(losses, np.ndarray) and not np.ma.isMaskedArray(losses)
    if plain and losses.dtype != object:  # of which a list is one of right numbers
        losses = put(losses)
    barrier(losses, ts, choose.choice(BARRIERS))


def points(choose):
    times(choose.choice((1, 0, -3, 2.5, True, "5", None, Fraction(5), 5 + 0j)))


def matched(choose):
    students = np.random.default_rng(choose.randrange(99)).normal(size=(2, 2, 4, 3))
    students = students.astype(choose.choice(("c8", "c16", "U9", "S9", "O")))
    match = choose.choice((match_activations, match_weights, match_types))
    match(*(students, 2) if match is match_types else (students,))


def cells(choose):
    source = choose.choice((Descent(lr=0.5), Minima()))
    cell = Cell(k=2, m=4, d=3, source=source, pairs=2)
    part = choose.choice((cell, source))
    words = ("source", "matchings", "optimizer", "precision")
    names = [f.name for f in dataclasses.fields(part) if f.name not in words]
    name, wrong = choose.choice(names), choose.choice(NO_NUMBERS)
    if name == "pqi" and choose.random() < 0.5:
        wrong = (wrong, 2.0)
    changed = dataclasses.replace(part, **{name: wrong})
    if part is source:
        changed = dataclasses.replace(cell, source=changed)
    changed.validate()


def permuted(choose):
    weights, units = {"a": np.ones((2, 3)), "b": np.ones(12)}, choose.randrange(2, 9)
    spec = {"a": (None, "g"), "b": (Tiled("g", choose.choice((0, -1, -3, 5))),)}
    if choose.random() < 0.5:
        spec = {"a": (None, "g"), "b": (Tiled("g"),)}
        wrong = (None, [2, 0, 1], {"g": None}, {"g": units}, {"g": [0, 0, 1]})
        permute(weights, spec, choose.choice(wrong))
    else:
        permute(weights, spec, {"g": [2, 0, 1]})


def teachers(choose):
    d = choose.randint(1, 5)
    W = jnp.ones((choose.randint(1, 4), d))
    wrong = choose.choice((d + choose.randint(1, 3), 0, -1, True, 1.5, "1"))
    choose.choice(
        (
            lambda: two_layer.loss(W, wrong),
            lambda: two_layer.gradient(W, wrong),
            lambda: two_layer.sampled_gradient(W, jnp.ones((2, d)), wrong),
            lambda: match_types(np.ones((1, 2, 3, d)), wrong),
        )
    )()


@pytest.mark.slow
def test_no_wrong_call_is_accepted_in_silence(capsys):
    choose = random.Random(0)
    kinds = (ends, heights, points, matched, cells, permuted, teachers)
    accepted, others = [], []
    for number in range(CALLS):
        kind = kinds[number % len(kinds)]
        try:
            kind(choose)
            accepted.append(f"{number}: {kind.__name__}")
        except Exception as error:
            if not isinstance(error, ValueError | TypeError) or not str(error).strip():
                others.append(f"{number}: {kind.__name__}: {error!r}")
    with capsys.disabled():
        said = f"{len(accepted)} accepted, {len(others)} other errors"
        print(f"\n{CALLS} wrong calls of the API: {said}")
    assert not accepted
    assert not others
