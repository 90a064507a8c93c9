"""Any network aligned in one call, by weights and by activations."""

import architectures
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from architectures import CASES
from cases import NETWORKS, network_weights

from lmc_jax.networks.own import align, barrier_curve, merge
from lmc_jax.networks.permutations import perm_shapes, permute
from lmc_jax.networks.symmetry import check_spec, infer_spec
from lmc_jax.networks.symmetry.hidden import activations
from lmc_jax.paths import lerp

# Networks of which the examples tell all units apart by their activations.
BY_ACTIVATIONS = (
    *("mlp", "cnn_channels_first", "layer_norm", "gpt", "llama_scanned", "looped"),
    *("lstm", "gru", "mixer", "tied_autoencoder", "interleaved_gates"),
)


def copies(name):
    """A network, its function, inputs, and itself with its units in a random order."""
    apply, weights, *inputs = architectures.example(CASES[name])
    rng = np.random.default_rng(0)
    first = jax.tree.map(lambda leaf: abs(rng.normal(size=leaf.shape)), weights)
    for layer in first.values():  # variances are positive, all else has any sign
        for path, array in layer.items() if isinstance(layer, dict) else ():
            if path != "var":
                layer[path] = jax.tree.map(lambda a: rng.normal(size=a.shape), array)
    spec = infer_spec(apply, weights, *inputs)
    perms = {
        group: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for group, shape in perm_shapes(weights, spec).items()
    }
    x = [rng.integers(0, 13, i.shape).astype(i.dtype) for i in inputs]
    x = [
        n if i.dtype == np.int32 else rng.normal(size=i.shape)
        for n, i in zip(x, inputs, strict=True)
    ]
    return first, permute(first, spec, perms), apply, x


@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("weights", name) for name in CASES),
        *(("activations", name) for name in BY_ACTIVATIONS),
    ],
)
def test_exact_copies_are_recovered(method, name):
    first, second, apply, x = copies(name)
    aligned, perms = align(first, second, apply, *x, method=method)
    jax.tree.map(np.testing.assert_array_equal, aligned, first)
    assert any((perm != np.arange(perm.shape[-1])).any() for perm in perms.values())


def test_what_is_no_array_stays_and_the_merged_network_is_of_the_caller():
    def apply(network, x):
        for layer in network["layers"]:
            x = layer["activation"](x @ layer["kernel"] * network["gain"])
        return x

    def network(seed):
        rng = np.random.default_rng(seed)
        shapes = ((7, 5), (5, 2))
        layers = [
            {"kernel": rng.normal(size=shape), "activation": jnp.tanh}
            for shape in shapes
        ]
        return {"layers": layers, "gain": 0.5, "none": None}

    first, second = network(0), network(1)
    x = np.random.default_rng(2).normal(size=(9, 7))
    spec = infer_spec(apply, first, x)
    assert check_spec(apply, first, spec, x) < 1e-12
    for method in ("weights", "activations"):
        aligned, _ = align(first, second, apply, x, method=method)
        assert aligned["layers"][0]["activation"] is jnp.tanh
        assert (aligned["gain"], aligned["none"]) == (0.5, None)
        np.testing.assert_allclose(apply(aligned, x), apply(second, x), rtol=1e-12)
    curve = barrier_curve(lambda w: (apply(w, x) ** 2).mean(), first, aligned)

    def between(t):
        layers = [
            {
                "kernel": (1 - t) * a["kernel"] + t * b["kernel"],
                "activation": np.tanh,
            }
            for a, b in zip(first["layers"], aligned["layers"], strict=True)
        ]
        return {"layers": layers, "gain": 0.5}

    ts = np.linspace(0, 1, 11)
    expected = np.array([(apply(between(t), x) ** 2).mean() for t in ts])
    np.testing.assert_allclose(curve.times, ts, rtol=1e-15)
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-12)
    chord = (1 - ts) * expected[0] + ts * expected[-1]
    np.testing.assert_allclose(curve.barrier, (expected - chord).max(), rtol=1e-9)


def test_activations_pair_the_units_that_correlate_most():
    rng = np.random.default_rng(3)
    first, second = (
        {"in": rng.normal(size=(6, 16)), "out": rng.normal(size=(16, 3))}
        for _ in range(2)
    )
    x = rng.normal(size=(200, 6))
    hidden = [np.maximum(x @ w["in"], 0) for w in (first, second)]
    cosines = np.corrcoef(*hidden, rowvar=False)[:16, 16:]
    _, best = scipy.optimize.linear_sum_assignment(cosines, maximize=True)

    def apply(w, x):
        return jax.nn.relu(x @ w["in"]) @ w["out"]

    by_weights, _ = align(first, second, apply, x)
    aligned, perms = align(first, second, apply, x, method="activations")
    (perm,) = perms.values()
    assert perm.tolist() == best.tolist()
    np.testing.assert_array_equal(aligned["in"], second["in"][:, perm])
    # Not where weights have put them already.
    assert (aligned["in"] != by_weights["in"]).any()


def test_the_barrier_of_a_copy_vanishes_once_it_is_aligned():
    first, second, apply, (x,) = copies("mlp")

    def loss(weights):
        return ((apply(weights, x) - apply(first, x)) ** 2).mean()

    aligned, _ = align(first, second, apply, x)
    assert barrier_curve(loss, first, second).barrier > 1e-3
    assert abs(barrier_curve(loss, first, aligned).barrier) < 1e-20
    middle = lerp(first, aligned, 0.5)
    assert jax.tree.structure(middle) == jax.tree.structure(first)


def test_what_cannot_be_aligned_is_refused():
    first, second, apply, (x,) = copies("mlp")
    with pytest.raises(ValueError, match="unknown method 'luck': one of weights"):
        align(first, second, apply, x, method="luck")
    flat = {"in": np.ones((7, 5))}
    with pytest.raises(ValueError, match="no product and no convolution reads"):
        align(flat, flat, lambda w, x: (x @ w["in"]).sum(), x, method="activations")


@pytest.mark.parametrize("rule", ["tie", "fix"])
def test_a_change_of_the_function_is_noticed(rule, monkeypatch):
    """Should a symmetry be found where there is none."""
    monkeypatch.setattr(f"lmc_jax.networks.symmetry.axes.{rule}", lambda *_: None)
    first, second, apply, (x,) = copies("mlp")
    other = jax.tree.map(lambda a: np.flip(a, -1), second)
    with pytest.raises(ValueError, match="outputs change by"):
        align(first, other, lambda w, x: jnp.cumsum(apply(w, x), -1), x)


# --- merging --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "resnet", "gpt", "llama_scanned"])
def test_exact_copies_merge_to_the_network_that_they_are_of(name):
    first, second, apply, x = copies(name)
    spec = infer_spec(apply, first, *x)
    rng = np.random.default_rng(4)
    order = {
        group: rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
        for group, shape in perm_shapes(first, spec).items()
    }
    merged, perms = merge([first, second, permute(first, spec, order)], apply, *x)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-15), merged, first
    )
    for group, perm in perms[0].items():
        assert (perm == np.arange(perm.shape[-1])).all()
        assert (perms[1][group] != perm).any() or perm.shape[-1] == 2


def test_two_networks_merge_to_the_middle_of_their_line():
    first, _, apply, x = copies("mlp")
    second = jax.tree.map(lambda a: np.flip(a, -1) + 0.1, first)
    aligned, perms = align(first, second, apply, *x)
    merged, (own, other) = merge([first, second], apply, *x)
    middle = lerp(first, aligned, 0.5)
    jax.tree.map(np.testing.assert_allclose, merged, middle)
    for group, perm in perms.items():
        assert own[group].tolist() == list(range(len(perm)))
        assert other[group].tolist() == perm.tolist()


def test_a_merged_network_has_the_dtypes_and_the_rest_of_the_first():
    def apply(network, x):
        return network["activation"](x @ network["in"]) @ network["out"]

    def network(seed, activation):
        rng = np.random.default_rng(seed)
        arrays = {"in": rng.normal(size=(4, 6)), "out": rng.normal(size=(6, 2))}
        arrays = {name: jnp.asarray(array, "float32") for name, array in arrays.items()}
        return arrays | {"activation": activation, "steps": np.array(seed)}

    several = [network(seed, jnp.tanh) for seed in (5, 6, 7)]
    x = np.random.default_rng(8).normal(size=(9, 4)).astype("float32")
    merged, perms = merge(several, apply, x)
    assert (merged["activation"], merged["steps"]) == (jnp.tanh, 5)
    for name, axis in (("in", 1), ("out", 0)):
        assert merged[name].dtype == jnp.float32
        moved = [
            np.take(np.asarray(one[name]), perm["in"], axis)
            for one, perm in zip(several, perms, strict=True)
        ]
        np.testing.assert_allclose(merged[name], np.mean(moved, 0), rtol=1e-6)
    with pytest.raises(ValueError, match="1 networks: give two or more"):
        merge(several[:1], apply, x)


# --- activations ----------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_activations_of_a_perceptron_are_those_behind_its_relus(norm):
    make, shape = NETWORKS["mlp"]
    network = make(norm)
    weights = network_weights(network, 1)
    x = np.random.default_rng(2).normal(size=shape)
    found = jax.jit(activations(network.apply, weights, x))(weights, (x,))
    expected = jax.tree.map(jax.nn.relu, network.hidden(weights, x))
    assert found.keys() == expected.keys()
    for group, values in expected.items():
        np.testing.assert_allclose(found[group], values, atol=1e-12)


def test_activations_of_a_recurrent_network_are_its_states_at_every_step():
    first, _, apply, (x,) = copies("lstm")
    found = activations(apply, first, x)(first, (x,))["cell"]
    cell, h, c = first["cell"], np.zeros((4, 5)), np.zeros((4, 5))
    states = [h]
    for t in range(6):
        gates = x[:, t] @ cell["x"] + h @ cell["h"] + cell["bias"]
        i, f, g, o = np.split(gates, 4, axis=-1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        states.append(h)
    # What the kernel of the cell reads at six steps, and the output at the last.
    np.testing.assert_allclose(found, np.concatenate(states), atol=1e-12)
