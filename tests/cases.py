"""What several files of tests try: settings of commands, cells, students, images."""

import dataclasses
import functools
import gzip
import struct

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from lmc_jax.data import datasets
from lmc_jax.networks import cnn, mlp
from lmc_jax.students import minima
from lmc_jax.students.teachers import Teacher, named
from lmc_jax.sweep.cell import Cell, Descent, Minima
from lmc_jax.sweep.run import sweep

# --- settings of commands -------------------------------------------------------------

SWEEP = ("--k=2", "--m=2:5", "--pairs=4", "--source=uniform", "--matching=")
# Of each command, by name: small, and yet with all kinds of cells that it has.
GAP = "--k=2 --m=4,10 --pairs=4 --steps=4000 --tol=1e-4 --points=5"
PLANTED = (
    "--k=2 --d=3 --m=5 --pairs=4 --noise=0.1,3 --source=gaussian,uniform "
    "--matching=types_opposed,weights,activations,refine,exhaustive --points=3"
)
DOUBLE_DESCENT = "--k=2 --m=1,2,3,4,7 --pairs=2 --lr_times_m=3 --steps=2000"
BARRIER_RATE = "--k=2 --m=4,6,20 --pairs=5 --whole=4 --whole_pairs=5"
SPARSITY = (
    "--k=2 --d=2 --m=4,6 --fixed_m=4 --scan=2,4 --lr_times_m=2 --pairs=2 --tol=1e-4 "
    "--hold=1 --steps=2000"
)
SGD_THRESHOLD = (
    "--k=2 --d=2 --m=4 --batch=4 --scan=0.6,1.5 --raised=1.2 --pairs=2 --tol=1e-4 "
    "--hold=1 --steps=2000"
)
MERGING = "--k=2 --m=4,8 --n=2,4 --groups=2 --steps=4000 --tol=1e-4"
SETTINGS_MAP = (
    "--k=2 --m_over_k=1.5,2,3 --d_over_k=1 --init_std=0.1,he --shares=0.5 --pairs=3 "
    "--m_one=4 --steps=4000 --tol=1e-4 --points=3"
)
TEACHERS = (
    "--k=2 --rho=0.5 --m=1,2,3,4,10 --fixed_m=4 --scan=0.8,1.1 --pairs=3 --tol=1e-4 "
    "--hold=1 --steps=2000"
)
CLASSIFIERS = (
    "--train_images=60 --test_images=20 --pairs=2 --steps=6 --batch=20 --looks=2 "
    "--points=3 --widths=2,4 --measure_at_looks=2"
)

# --- cells of sweeps ------------------------------------------------------------------

GD64 = Descent(lr=0.5, steps=400, check_every=100, init_std=0.3, precision="float64")
GD32 = dataclasses.replace(GD64, precision="float32")
SGD = dataclasses.replace(GD32, lr=0.1, batch=16, steps=50, check_every=20)
UNIFORM = Minima()
BASE = Cell(
    k=2, m=4, d=3, source=GD64, pairs=5, seed=7, matchings=("types_opposed", "weights")
)
SOURCES = pytest.mark.parametrize(
    "source", [GD64, SGD, UNIFORM], ids=["gd64", "sgd", "uniform"]
)


def swept(cells, **options):
    """Everything a sweep hands over, by cell: arrays and, among them, weights."""
    found = {}

    def save(cell, arrays, weights):
        assert cell not in found, "saved twice"
        found[cell] = arrays | {"weights": weights}

    sweep(cells, save, weights=True, **options)
    assert found.keys() == set(cells)
    return found


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


# --- students -------------------------------------------------------------------------


def make_students():
    """Students at ordinary and at singular points: name to (W, k)."""
    rng = np.random.default_rng(0)
    normal = rng.normal
    base, axes = normal(size=(8, 5)), np.eye(5)
    half = base[:4] / np.linalg.norm(base[:4], axis=1, keepdims=True)
    sizes = 10.0 ** np.array([-12, 0, 6, -6, 3, -12, 0, 6])
    return {
        "d > k": (base, 3),
        "d = k": (normal(size=(5, 4)), 4),
        "k = 1": (np.array([[0.3], [-2.0], [1.5]]), 1),
        "m < k": (normal(size=(1, 5)), 2),
        "equal": (np.concatenate([base[:5], base[:2], 0.3 * base[:1]]), 3),
        "nearly equal": (np.concatenate([half, half + 1e-9 * base[4:]]), 3),
        "opposite": (np.concatenate([base[:5], -base[:2], -0.3 * base[:1]]), 3),
        "nearly opposite": (np.concatenate([half, 1e-9 * base[4:] - half]), 3),
        "on the axes": (np.concatenate([2 * axes[:4], -axes[:3], base[:1]]), 3),
        "tiny": (1e-12 * base, 3),
        "huge": (1e6 * base, 3),
        "equal and huge": (1e6 * np.concatenate([half, half]), 3),
        "all sizes": (sizes[:, None] * base, 3),
        "some zero": (base * (np.arange(8) % 3 > 0)[:, None], 3),
        "all zero": (np.zeros((8, 5)), 3),
        "minimum": (oracles.minimum(rng, [4, 1, 3], 5), 3),
        "minimum and zero": (
            np.concatenate([np.zeros((2, 5)), oracles.minimum(rng, [2, 3, 1], 5)]),
            3,
        ),
    }


STUDENTS = make_students()


def cast(name, dtype):
    """A student in working precision, and the same numbers in float64."""
    W, k = STUDENTS[name]
    W = jnp.asarray(W, dtype)
    return W, np.asarray(W, float), k


def size(W, k):
    """Magnitude of the terms that cancel in the gradient; its square, in the loss."""
    return np.linalg.norm(W, axis=1).sum() + k


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def uniform_minima(n, m, k, d):
    keys = jax.random.split(jax.random.key(m), n)
    return jax.vmap(lambda key: minima.sample(key, m, k, d))(keys)


# --- networks -------------------------------------------------------------------------


def random_weights(network, seed=0):
    """float64, every array random, variances positive."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    weights = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
    for path in network.statistics:
        layer, name = path.split("/")
        weights[layer][name] = rng.uniform(0.5, 2, weights[layer][name].shape)
    return weights


NETWORKS = {
    "mlp": (lambda norm: mlp((20, 16, 24, 12, 5), norm), (300, 20)),
    "cnn": (lambda norm: cnn((8, 8, 3), (12, 10), (14,), 5, norm), (60, 8, 8, 3)),
}


def network_weights(network, seed):
    """Random weights in float64, of the size of initial ones, biases and scales too."""
    return jax.tree.map(
        lambda leaf: leaf / np.sqrt(leaf.size / leaf.shape[-1]),
        random_weights(network, seed),
    )


# --- stored arrays --------------------------------------------------------------------

PARAMETERS = {"k": 5, "m": 8, "lr": 0.1, "source": "uniform", "tol": None}
PROVENANCE = {"commit": "abc", "versions": {"numpy": "2.0"}, "flags": ["--m", "8"]}
ARRAYS: dict[str, np.ndarray] = {
    "barrier": np.linspace(0.0, 1.0, 33).reshape(3, 11),
    "diverged": np.array([True, False, False]),
    "steps": np.arange(3, dtype=np.int32),
    "names/type": np.array(["index", "opposed"]),
    "loss": np.array(0.25),
}

# --- images ---------------------------------------------------------------------------

IDX_FILES = datasets.IDX_FILES
IDX_SMALL = ((12, 4, 4), (12,), (5, 4, 4), (5,))


def idx(array):
    """The array as an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def images(shapes=IDX_SMALL):
    rng = np.random.default_rng(0)
    tops = (256, 10, 256, 10)
    drawn = [rng.integers(t, size=s) for t, s in zip(tops, shapes, strict=True)]
    return [array.astype(np.uint8) for array in drawn]


def write_images(root, name, contents, zipped=False):
    (root / name).mkdir(exist_ok=True)
    for file, content in zip(IDX_FILES, contents, strict=True):
        path = root / name / (f"{file}.gz" if zipped else file)
        path.write_bytes(gzip.compress(content) if zipped else content)


# --- teachers -------------------------------------------------------------------------

UNEQUAL = np.array([[1.0], [2], [4]]) * named("equiangular:0.5", 3, 4).neurons
TAUGHT = {  # three linearly independent neurons in four dimensions
    "equiangular:0.9": named("equiangular:0.9", 3, 4),
    "random": named("random", 3, 4),
    "lengths and angles": Teacher(UNEQUAL),
}


def taught(teachers, *fast):
    """A test of each of these teachers, slow but for those named."""
    return pytest.mark.parametrize(
        "teacher",
        [
            pytest.param(
                teacher, id=name, marks=() if name in fast else pytest.mark.slow
            )
            for name, teacher in teachers.items()
        ],
    )


REGULAR = taught(TAUGHT, "lengths and angles")
