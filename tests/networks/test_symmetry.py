"""Specifications read off a network: complete, right, and with their reasons."""

import architectures
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import CASES
from cases import NETWORKS
from jax import ShapeDtypeStruct as Shape
from jax import lax

from lmc_jax.networks import NORMS
from lmc_jax.networks.entries import Concat, Product, Tiled, Within
from lmc_jax.networks.permutations import group_sizes
from lmc_jax.networks.symmetry import check_spec, explain_spec, infer_spec


def inferred(name):
    apply, weights, *inputs = architectures.example(CASES[name])
    return explain_spec(apply, weights, *inputs), apply, weights, inputs


@pytest.mark.parametrize("name", CASES)
def test_all_groups_are_found_and_every_operation_is_known(name):
    found, apply, weights, inputs = inferred(name)
    assert tuple(sorted(found.sizes.values())) == CASES[name].sizes
    assert (found.unknown, found.unused) == ([], [])
    assert group_sizes(weights, found.spec) == found.sizes
    assert check_spec(apply, weights, found.spec, *inputs) < 1e-12


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_own_networks_have_the_specification_that_was_written_for_them(name, norm):
    make, shape = NETWORKS[name]
    network = make(norm)
    weights = jax.eval_shape(network.init, jax.random.key(0))
    found = infer_spec(network.apply, weights, Shape(shape, "float32"))
    assert found == network.spec


def test_entries_are_names_tiles_products_and_concatenations():
    spec = inferred("cnn_channels_first")[0].spec
    assert spec["c/kernel"] == (Tiled("b", 16), "c")
    spec = inferred("group_norm")[0].spec
    units = Within("a:1", ("a:0",))
    assert spec["a/bias"] == (Product(((4, "a:0"), (3, units))),)
    spec = inferred("lstm")[0].spec
    assert spec["cell/bias"] == (Concat(((5, "cell"),) * 4),)
    spec = inferred("interleaved_gates")[0].spec
    assert spec["a/bias"] == (Tiled("a", 2),)


# --- what keeps axes in place ---------------------------------------------------------

ORDER = np.array([0.3, -1.0, 2.0, 0.1, 0.7])
TRAPS = {
    "cumsum": lambda h: jnp.cumsum(h, -1),
    "rev": lambda h: h + h[:, ::-1],
    "a constant": lambda h: h * ORDER,
    "iota": lambda h: h * jnp.arange(5.0),
    "argmax": lambda h: h * jnp.argmax(h, -1, keepdims=True).astype(h.dtype),
    "fft": lambda h: jnp.abs(jnp.fft.fft(h)),
    "sort": lambda h: jnp.sort(h, -1),
    "top_k": lambda h: lax.top_k(h, 3)[0],
    "gather": lambda h: h[:, np.array([0, 2, 3])],
    "dynamic_slice": lambda h: lax.dynamic_slice_in_dim(h, h.astype(int).max(), 3, 1),
    "reduce_window": lambda h: lax.reduce_window(
        h, -jnp.inf, lax.max, (1, 2), (1, 1), "VALID"
    ),
    "scan": lambda h: lax.scan(lambda c, h: (c * 0.9 + h, None), h[:, 0], h.T)[0],
    "cholesky": lambda h: jnp.linalg.cholesky(h.T @ h),
    "output": lambda h: h,
}


def trapped(trap):
    """A network whose hidden units go through a trap, and its shapes."""

    def apply(w, x):
        out = TRAPS[trap](jnp.tanh(x @ w["in"]))
        return out if trap == "output" else out.sum()

    return apply, {"in": Shape((7, 5), float)}, Shape((4, 7), float)


@pytest.mark.parametrize("trap", TRAPS)
def test_units_whose_order_matters_stay_and_the_reason_is_said(trap):
    found = explain_spec(*trapped(trap))
    assert found.spec == {"in": (None, None)}
    assert trap in found.fixed["in", 1]
    assert (
        trap in ("a constant", "output") or "test_symmetry.py" in found.fixed["in", 1]
    )
    assert bool(found.unknown) == (trap == "cholesky")


def test_hidden_activations_among_the_outputs_are_named():
    assert (
        "hidden activation, leave it out"
        in explain_spec(*trapped("output")).fixed["in", 1]
    )


def test_unknown_operations_and_arrays_without_effect_are_warned_of():
    with pytest.warns(UserWarning, match=r"no rule for these.*cholesky.*test_symmetry"):
        infer_spec(*trapped("cholesky"))
    weights = {"in": Shape((7, 5), float), "mean": Shape((5,), float)}
    weights["count"] = Shape((), int)  # has no axis to stay
    with pytest.warns(UserWarning, match=r"no effect on the outputs.*: mean$"):
        spec = infer_spec(
            lambda w, x: (x @ w["in"]).max(-1), weights, Shape((4, 7), float)
        )
    assert spec == {"in": (None, "in"), "mean": (None,), "count": ()}


def test_an_explanation_is_printed_in_words():
    lines = str(explain_spec(*trapped("cholesky"))).splitlines()
    assert lines[0] == "in axis 0: input"
    assert lines[-1].startswith("no rule for cholesky")
    found = inferred("llama_scanned")[0]
    assert "group layers:0: 2 units" in str(found)
    assert "units of layers:0: in an order of their own along" in str(found)


def test_units_of_a_head_and_of_a_scanned_layer_may_permute_apart():
    weights = {"in": Shape((3, 7, 5), float), "out": Shape((3, 5, 2), float)}

    def heads(w, x):
        h = jnp.tanh(jnp.einsum("nd,adh->nah", x, w["in"]))
        return jnp.einsum("nah,aho->no", h, w["out"])

    def layers(w, x):
        def step(x, w):
            return (x + (jnp.tanh(x @ w["in"]) @ w["out"])[:, :1], None)

        return lax.scan(step, x, w)[0]

    def mixed(w, x):  # heads add up one after the other: their units are the same
        h = jnp.cumsum(jnp.einsum("nd,adh->nah", x, w["in"]), 1)
        return jnp.einsum("nah,aho->no", jnp.tanh(h), w["out"])

    def experts(w, x):  # the largest is taken of sums over units, which have no order
        h = jnp.tanh(jnp.einsum("nd,adh->nah", x, w["in"]))
        best = lax.top_k(h.sum(-1), 1)[0]
        return (best * jnp.einsum("nah,aho->no", h, w["out"])).sum(-1)

    def largest(w, x):  # of every unit, over heads
        h = jnp.tanh(jnp.einsum("nd,adh->nah", x, w["in"]))
        best = lax.top_k(h.swapaxes(1, 2), 1)[0]
        return best.sum((1, 2)) * jnp.einsum("nah,aho->no", h, w["out"]).sum(-1)

    x = Shape((4, 7), float)
    assert explain_spec(experts, weights, x).nested == {"in": ("in axis 0",)}
    assert explain_spec(largest, weights, x).nested == {}
    assert explain_spec(heads, weights, x).nested == {"in:1": ("in:0",)}
    assert explain_spec(layers, weights, x).nested == {"in": ("in axis 0",)}
    assert explain_spec(mixed, weights, x).nested == {}


# --- the check ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("mlp", "layer_norm", "gru"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet", "unet")),
    ],
)
def test_any_wrong_entry_is_found_and_its_group_named(name):
    found, apply, weights, inputs = inferred(name)
    for path, entries in found.spec.items():
        for axis, entry in enumerate(entries):
            if entry is None:
                continue
            wrong = [None if i == axis else e for i, e in enumerate(entries)]
            with pytest.raises(ValueError, match="specification is wrong about"):
                check_spec(apply, weights, {**found.spec, path: tuple(wrong)}, *inputs)


def test_the_group_at_fault_is_named_and_zero_biases_hide_nothing():
    weights = {"in": np.ones((7, 5)), "bias": np.zeros(5), "mid": np.full((5, 4), 0.1)}

    def apply(w, x):
        return jnp.tanh((x @ w["in"] + w["bias"]) @ w["mid"]).sum()

    spec = {"in": (None, "a"), "bias": (None,), "mid": ("a", "b")}
    with pytest.raises(ValueError, match=r"wrong about a$"):
        check_spec(apply, weights, spec, Shape((3, 7), float))


def test_outputs_that_are_not_finite_are_refused():
    weights, spec = {"in": Shape((7, 5), float)}, {"in": (None, "a")}
    with pytest.raises(ValueError, match="not finite"):
        check_spec(lambda w: jnp.log(-w["in"]).sum(), weights, spec)
