"""A cell of pairs: what it measures, that it can go on, and what it refuses."""

import dataclasses

import jax
import numpy as np
import pytest

from lmc_jax.data.datasets import Dataset
from lmc_jax.networks import cell as networks_cell
from lmc_jax.networks.alignment import align_weights
from lmc_jax.networks.cell import (
    CLASSES,
    LOOK_IMAGES,
    ClassifierCell,
    align,
    compute,
    orders,
    samples,
)
from lmc_jax.networks.estimate import expected_cost
from lmc_jax.networks.permutations import group_sizes, leaves, permute
from lmc_jax.networks.training import Training

POINTS = 3  # ends and middle


@pytest.fixture(autouse=True)
def optax_mixes_dtypes():
    with jax.numpy_dtype_promotion("standard"):
        yield


def images(count, seed):
    """Noise of 4 × 4 pixels in two channels, the pixel of the label's number bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=count).astype(np.int32)
    pixels = rng.integers(100, size=(count, 16, 2), dtype=np.uint8)
    pixels[np.arange(count), labels] += 100
    return pixels.reshape(count, 4, 4, 2), labels


DATA = Dataset("bright", *images(120, 0), *images(50, 1), digest="of bright")
MLP = ClassifierCell(
    data=DATA.name,
    digest=DATA.digest,
    train_images=100,
    test_images=50,
    architecture="mlp",
    width=6,
    layers=3,
    training=Training(steps=30, batch=20, looks=3),
    points=POINTS,
    pairs=2,
)


@pytest.fixture(scope="module")
def measured():
    with jax.numpy_dtype_promotion("standard"):
        return compute(MLP, DATA)


def one(weights, *at):
    """One network of many, in NumPy's float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64)[at], weights)


def nll_and_error(weights, pixels, labels):
    """What NumPy computes for the MLP, on images centred by all training images."""
    mean, std = (f(DATA.train_images, (0, 1, 2)) for f in (np.mean, np.std))
    x = ((pixels - mean) / std).reshape(len(pixels), -1)
    for name in ("hidden1", "hidden2", "output"):
        x = x @ weights[name]["kernel"] + weights[name]["bias"]
        x = x if name == "output" else np.maximum(x, 0)
    own = x[np.arange(len(x)), labels]
    nll = np.mean(np.log(np.exp(x).sum(1)) - own)
    return nll, np.mean(x.argmax(1) != labels)


def test_losses_along_paths_are_those_of_numpy(measured):
    arrays, weights = measured
    shown = (
        (DATA.train_images[:100], DATA.train_labels[:100]),
        (DATA.test_images, DATA.test_labels),
    )
    spec = MLP.network((4, 4, 2)).spec
    losses = arrays["losses"]
    assert losses.dtype == np.float64
    assert losses.shape == (2, len(orders(MLP.parameters())), POINTS, 2, 2)
    for pair in range(2):
        first, second = one(weights, pair, 0), one(weights, pair, 1)
        matched = permute(second, spec, align_weights(first, second, spec)[0])
        for order, end in enumerate((second, matched)):
            for point, t in enumerate((0, 0.5, 1)):
                between = jax.tree.map(
                    lambda a, b, t=t: (1 - t) * a + t * b, first, end
                )
                expected = [nll_and_error(between, *sample) for sample in shown]
                found = losses[pair, order, point]
                np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_paths_share_their_ends_and_networks_learnt_something(measured):
    losses, history = (measured[0][name] for name in ("losses", "history"))
    ends = losses[:, :, [0, -1]]
    np.testing.assert_allclose(ends, ends[:, :1].repeat(3, 1), rtol=1e-12)
    assert history.shape == (3, 2, 2, 2, 2)
    # The last look is at the end of training, and all images are few enough for it.
    np.testing.assert_allclose(history[-1], ends[:, 0], rtol=1e-12)
    assert (history[-1, ..., 0] < history[0, ..., 0]).all()


def test_a_cell_goes_on_from_a_checkpoint_to_the_same_bits(measured):
    kept, done = [], []
    again = compute(MLP, DATA, keep=kept.append, progress=done.append)
    assert [fits.step for fits in kept] == [10, 20, 30]
    assert sum(done) == 2 * MLP.pairs * MLP.training.steps
    resumed = compute(MLP, DATA, state=kept[0])
    for found in (again, resumed):
        jax.tree.map(np.testing.assert_array_equal, found, measured)


def test_paths_at_a_look_are_those_of_training_that_ends_there(measured):
    marks = (4, 20)
    training = dataclasses.replace(MLP.training, measure_at_looks=marks)
    arrays = compute(dataclasses.replace(MLP, training=training), DATA)[0]
    assert arrays["losses_at_looks"].shape == (2, 2, *arrays["losses"].shape[1:])
    for name in ("losses", "history"):
        own = arrays[name] if name == "losses" else arrays[name][1:]
        np.testing.assert_allclose(own, measured[0][name], rtol=1e-9)
    for i, steps in enumerate(marks):
        ended = Training(steps=steps, batch=20, looks=1)
        shorter = compute(dataclasses.replace(MLP, training=ended), DATA)[0]
        found = arrays["losses_at_looks"][:, i]
        np.testing.assert_allclose(found, shorter["losses"], rtol=1e-9)


def test_all_training_images_say_which_networks_are_done(monkeypatch):
    """The losses recorded are of fewer where nothing hangs on them."""
    monkeypatch.setattr(networks_cell, "LOOK_IMAGES", 10)
    for until, all_images in ((0.0, False), (1e-9, True)):
        training = Training(steps=6, batch=20, looks=2, until=until)
        cell = dataclasses.replace(MLP, training=training, alignments=())
        arrays = compute(cell, DATA)[0]
        seen, ends = arrays["history"][-1, ..., 0, 0], arrays["losses"][:, 0, [0, -1]]
        assert np.allclose(seen, ends[..., 0, 0], rtol=1e-12) is all_images


def test_cost_counts_the_paths_of_every_look_and_all_images_that_end_training():
    def cost(**how):
        training = dataclasses.replace(MLP.training, **how)
        return expected_cost(dataclasses.replace(mnist, training=training))

    mnist = dataclasses.replace(MLP, data="mnist", train_images=20_000)
    each = 784 * 6 + 6 * 6 + 6 * 10 + 784  # and the pixels, which are centred
    of_image = 2 * mnist.pairs * each
    paths = 3 * POINTS * (20_000 + 50)
    assert cost(measure_at_looks=(10,)) - cost() == paths * of_image
    more = 3 * 2 * (20_000 - LOOK_IMAGES)  # on both networks of a pair, three looks
    assert cost(until=1.0) - cost() == more * of_image


def test_fewer_pairs_are_the_first_of_more():
    """So that a larger run extends a smaller one."""
    few, more = (dataclasses.replace(MLP, pairs=n).keys() for n in (2, 5))
    np.testing.assert_array_equal(*map(jax.random.key_data, (few, more[:4])))


def test_no_two_networks_have_one_key():
    grid = [
        dataclasses.replace(MLP, **change)
        for change in (
            {},
            {"width": 7},
            {"layers": 4},
            {"seed": 1},
            {"architecture": "cnn"},
            {"architecture": "resnet"},
        )
    ]
    data = np.concatenate([jax.random.key_data(cell.keys()) for cell in grid])
    assert len(np.unique(data, axis=0)) == len(data) == 6 * 2 * MLP.pairs


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_a_cnn_with_normalisation_keeps_its_function_in_every_order(norm):
    cell = dataclasses.replace(
        MLP, architecture="cnn", width=2, layers=2, norm=norm, repaired=norm == "layer"
    )
    arrays, weights = compute(cell, DATA)
    losses = arrays["losses"]
    names = orders(cell.parameters())
    repaired = ["weights_repaired", "activations_repaired"]
    assert names == ["direct", "weights", "activations", *repaired * cell.repaired]
    assert losses.shape == (2, len(names), POINTS, 2, 2)
    assert np.isfinite(losses).all()
    ends = losses[:, :, [0, -1]]
    np.testing.assert_allclose(ends, ends[:, :1].repeat(len(names), 1), rtol=1e-9)
    if cell.repaired:
        assert np.abs(losses[:, 3:, 1] - losses[:, 1:3, 1]).max() > 1e-6
    network = cell.network((4, 4, 2))
    assert leaves(one(weights, 0, 0)).keys() == network.spec.keys()


def test_a_diverged_network_spoils_its_own_pair_only(measured):
    network, weights = MLP.network((4, 4, 2)), jax.tree.map(np.array, measured[1])
    perms = align(MLP, network, weights, samples(MLP, DATA)[0])
    weights["hidden1"]["kernel"][1, 0] = np.nan
    spoilt = align(MLP, network, weights, samples(MLP, DATA)[0])
    for group, units in perms.items():
        assert units.shape == (2, 3, MLP.width)
        assert (units[0, 1:] != np.arange(MLP.width)).any()
        np.testing.assert_array_equal(spoilt[group][0], units[0])
        own = np.broadcast_to(np.arange(MLP.width), units[1].shape)
        np.testing.assert_array_equal(spoilt[group][1], own)


def test_weights_are_matched_whatever_the_running_statistics():
    cell = dataclasses.replace(MLP, norm="batch", alignments=("weights",), pairs=1)
    network, seen = cell.network((4, 4, 2)), samples(cell, DATA)[0]
    ends = [network.init(key) for key in jax.random.split(jax.random.key(4))]
    weights = jax.tree.map(lambda *leaf: np.stack(leaf)[None], *ends)
    found = align(cell, network, weights, seen)
    for layer in ("hidden1_norm", "hidden2_norm"):
        weights[layer]["mean"] += 1e3 * np.arange(cell.width, dtype=np.float32)
    jax.tree.map(
        np.testing.assert_array_equal, align(cell, network, weights, seen), found
    )


def test_exact_copies_of_narrow_and_deep_networks_are_found():
    """Whose units are dead by twos, which correlations cannot tell apart."""
    cell = dataclasses.replace(MLP, layers=9, pairs=10)
    network = cell.network((4, 4, 2))
    rng = np.random.default_rng(2)
    weights, order, dead = [], [], 0
    x = samples(cell, DATA)[0].inputs(slice(None), np.float64)
    for key in jax.random.split(jax.random.key(1), cell.pairs):
        first = jax.tree.map(np.asarray, network.init(key))
        units = group_sizes(first, network.spec)
        order.append({group: rng.permutation(count) for group, count in units.items()})
        weights.append((first, permute(first, network.spec, order[-1])))
        fire = network.hidden(first, x).values()
        dead += sum((np.asarray(unit) <= 0).all(0).sum() > 1 for unit in fire)
    assert dead > 5
    stacked = jax.tree.map(lambda *leaf: np.stack(leaf), *sum(weights, ()))
    stacked = jax.tree.map(lambda leaf: leaf.reshape(-1, 2, *leaf.shape[1:]), stacked)
    for group, perms in align(cell, network, stacked, samples(cell, DATA)[0]).items():
        back = np.stack([np.argsort(pair[group]) for pair in order])
        np.testing.assert_array_equal(perms[:, 1:], back[:, None].repeat(2, 1))


def test_every_setting_is_in_the_parameters():
    noisy = dataclasses.replace(MLP, label_noise=0.1)
    for field in dataclasses.fields(ClassifierCell):
        value = getattr(noisy, field.name)
        assert noisy.parameters()[field.name] == (
            value.parameters() if field.name == "training" else value
        )
    # Cells from before there was label noise keep their names.
    assert noisy.parameters() == MLP.parameters() | {"label_noise": 0.1}
    assert "label_noise" not in MLP.parameters()


def test_noise_is_in_the_labels_that_networks_are_trained_on_and_nowhere_else():
    noisy = dataclasses.replace(MLP, label_noise=0.5)
    (train, test), (clean, same) = samples(noisy, DATA), samples(MLP, DATA)
    assert 30 < int((train.labels != clean.labels).sum()) <= 50  # of 100 images
    np.testing.assert_array_equal(test.labels, same.labels)
    for one, other in ((train, clean), (test, same)):
        np.testing.assert_array_equal(one.images, other.images)
    own, other = (compute(cell, DATA)[0]["history"] for cell in (noisy, MLP))
    assert (own[-1, ..., 0, 0] > other[-1, ..., 0, 0]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_images": 121}, "train_images=121: bright has 120"),
        ({"test_images": 0}, "test_images=0: bright has 50"),
        ({"label_noise": 1.1}, "label_noise=1.1: give a share, 0 to 1"),
        ({"label_noise": float("nan")}, "label_noise=nan: give a share, 0 to 1"),
        ({"points": 1}, "points=1: give at least 2"),
        ({"pairs": 0}, "pairs=0: give at least 1"),
        ({"seed": 2**32}, "seed=4294967296: give at most 4294967295"),
        ({"layers": 1}, "layers=1: give at least 2"),
        ({"layers": 2**31 - 1}, "layers=2147483647: give at most 1000"),
        ({"architecture": "gru"}, "architecture 'gru': choose among mlp, cnn"),
        (
            {"alignments": ("luck",)},
            "alignment 'luck': choose among weights, activations",
        ),
        ({"alignments": (), "repaired": True}, "repair without an alignment"),
        ({"width": 0}, "width=0: give at least 1"),
        ({"norm": "group"}, "a norm among none, layer, batch"),
        ({"architecture": "cnn", "layers": 4}, "multiples of 8"),
        ({"architecture": "resnet", "norm": "layer"}, "a depth in layers among 8, 14"),
        ({"architecture": "resnet", "layers": 8}, "a norm among layer, batch"),
        ({"training": Training(batch=101)}, "batch=101: give at most the 100"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(change, said):
    with pytest.raises(ValueError, match=said) as caught:
        dataclasses.replace(MLP, **change).validate(DATA)
    assert "\n" not in str(caught.value)


def test_labels_beyond_ten_classes_are_refused():
    labels = np.where(DATA.test_labels == 3, 10, DATA.test_labels)
    with pytest.raises(ValueError, match="bright has labels beyond 0 to 9"):
        MLP.validate(DATA._replace(test_labels=labels))
