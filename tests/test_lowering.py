"""What cannot be lowered for CUDA or TPU is found here, on a CPU.

Lowered, not compiled: an operation that a platform does not have shows; a lack of
memory, or a fault of its compiler, does not.
"""

import dataclasses

import jax
import numpy as np
import pytest
from cases import BASE, SOURCES

from lmc_jax.data.datasets import Dataset
from lmc_jax.matching import MATCHINGS
from lmc_jax.networks.alignment import activations
from lmc_jax.networks.cell import ClassifierCell, compute
from lmc_jax.networks.training import Training
from lmc_jax.sweep import batches

pytestmark = pytest.mark.slow

PLATFORMS = ("cuda", "tpu")


@SOURCES
def test_programs_of_sweeps_are_lowered(source):
    cell = dataclasses.replace(BASE, source=source, matchings=tuple(MATCHINGS))
    for program, shapes in batches.programs_of(cell):
        exported = jax.export.export(program, platforms=PLATFORMS)(*shapes)
        assert exported.platforms == PLATFORMS


@pytest.mark.parametrize(
    ("architecture", "norm"),
    [
        ("mlp", "none"),
        *(("cnn", norm) for norm in ("layer", "batch")),
        *(("resnet", norm) for norm in ("layer", "batch")),
    ],
)
def test_programs_of_networks_are_lowered(monkeypatch, architecture, norm):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(256, size=(60, 4, 4, 2)), rng.integers(10, size=60)
    half = pixels[:30].astype(np.uint8), labels[:30].astype(np.int32)
    cell = ClassifierCell(
        data="noise",
        digest="",
        train_images=30,
        test_images=30,
        architecture=architecture,
        width=2,
        layers=8 if architecture == "resnet" else 3,
        training=Training(steps=2, batch=10, looks=1),
        norm=norm,
        repaired=True,
        points=3,
        pairs=1,
    )
    lowered = []
    jit = jax.jit

    def exporting(function, **options):
        compiled = jit(function, **options)

        def call(*arguments):
            exported = jax.export.export(compiled, platforms=PLATFORMS)(*arguments)
            lowered.append(exported)
            zeros = [np.zeros(like.shape, like.dtype) for like in exported.out_avals]
            return jax.tree.unflatten(exported.out_tree, zeros)  # nothing is computed

        return call

    monkeypatch.setattr(jax, "jit", exporting)
    monkeypatch.setattr(jax, "default_backend", lambda: "cuda")  # networks side by side
    moments = exporting(activations._moments.__wrapped__, static_argnums=0)
    monkeypatch.setattr(activations, "_moments", moments)
    with jax.numpy_dtype_promotion("standard"):
        compute(cell, Dataset("noise", *half, *half, digest=""))
    assert len(lowered) > 4
