"""Training of many networks: recorded losses, checkpoints, what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from lmc_jax.environment import root_key
from lmc_jax.networks import evaluation, mlp, training
from lmc_jax.networks.checkpoint import pack, unpack
from lmc_jax.networks.evaluation import Sample, float64, nll_and_error
from lmc_jax.networks.training import Training, TrainingState, shuffled, train
from lmc_jax.results import store

NETWORK = mlp((16, 6, 3))


def sample(count, seed):
    """Images 4 × 4 whose label is the third of their brightest row group."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    images = rng.integers(100, size=(count, 4, 4, 1))
    images[np.arange(count), labels] += 100
    images = jnp.asarray(images, jnp.uint8)
    moments = jnp.full(1, 80.0), jnp.full(1, 50.0)
    return Sample(images, jnp.asarray(labels, jnp.int32), *moments)


SAMPLES = sample(90, 0), sample(40, 1)


@pytest.fixture(autouse=True)
def optax_mixes_dtypes():
    with jax.numpy_dtype_promotion("standard"):
        yield


def keys(count):
    return jax.random.split(root_key(0), count)


@pytest.mark.parametrize("network", [NETWORK, mlp((16, 6, 3), "batch")])
def test_networks_learn_and_the_last_look_is_that_of_the_result(network):
    fits = train(network, Training(steps=200, batch=20, looks=2), keys(3), SAMPLES)
    assert fits.step == 200
    assert fits.history.shape == (2, 3, 2, 2)
    assert (fits.history[-1, :, 1, 1] < 0.2).all()
    for i in range(3):
        own = float64(jax.tree.map(lambda leaf, i=i: leaf[i], fits.weights))
        for j in range(2):
            found = nll_and_error(network.apply, own, SAMPLES[j])
            np.testing.assert_allclose(found, fits.history[-1, i, j], rtol=1e-12)


@pytest.mark.parametrize("chunk", [500, 15])  # the last of three has ten of 40
def test_losses_are_those_of_numpy(chunk, monkeypatch):
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    weights = jax.tree.map(np.asarray, float64(NETWORK.init(root_key(3))))
    x = (np.asarray(SAMPLES[1].images, float).reshape(40, -1) - 80) / 50
    hidden = np.maximum(x @ weights["hidden1"]["kernel"], 0)
    logits = hidden @ weights["output"]["kernel"]
    labels = np.asarray(SAMPLES[1].labels)
    own = logits[np.arange(40), labels]
    nll = np.mean(np.log(np.exp(logits).sum(1)) - own)
    error = np.mean(logits.argmax(1) != labels)
    found = nll_and_error(NETWORK.apply, weights, SAMPLES[1])
    np.testing.assert_allclose(found, [nll, error], rtol=1e-12)


def plain_step(weights, x, labels, lr):
    """A step of gradient descent on the mean cross-entropy, by hand."""
    (W, b), (V, c) = (
        (weights[layer]["kernel"], weights[layer]["bias"])
        for layer in ("hidden1", "output")
    )
    hidden = np.maximum(x @ W + b, 0)
    scores = np.exp(hidden @ V + c)
    slope = scores / scores.sum(1, keepdims=True) - np.eye(len(c))[labels]
    slope *= lr / len(labels)
    back = (slope @ V.T) * (hidden > 0)
    return {
        "hidden1": {"kernel": W - x.T @ back, "bias": b - back.sum(0)},
        "output": {"kernel": V - hidden.T @ slope, "bias": c - slope.sum(0)},
    }


def test_training_equals_a_plain_loop_over_epochs_in_fresh_orders():
    training = Training(steps=9, batch=20, lr=0.5, looks=1)  # four steps an epoch
    [key] = keys(1)
    init_key, data_key = jax.random.split(key)
    weights = jax.tree.map(lambda leaf: np.asarray(leaf, float), NETWORK.init(init_key))
    x = (np.asarray(SAMPLES[0].images, float).reshape(90, -1) - 80) / 50
    labels = np.asarray(SAMPLES[0].labels)
    for step in range(training.steps):
        epoch, at = divmod(step, 4)
        order = shuffled(jax.random.fold_in(data_key, epoch), 90)
        index = np.asarray(order)[20 * at : 20 * (at + 1)]
        weights = plain_step(weights, x[index], labels[index], training.lr)
    found = train(NETWORK, training, key[None], SAMPLES).weights
    jax.tree.map(
        lambda ours, exact: np.testing.assert_allclose(ours[0], exact, atol=1e-5),
        *(found, weights),
    )


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("constant", lambda t: 1),
        ("linear", lambda t: 1 - t),
        ("cosine", lambda t: (1 + np.cos(np.pi * t)) / 2),
    ],
)
def test_the_learning_rate_follows_its_schedule_to_the_last_step(schedule, share):
    training = Training(steps=8, lr=0.5, schedule=schedule)
    optimizer, slope = training.transformation(), jnp.float32(1)
    memory = optimizer.init(slope)
    for step in range(training.steps):
        change, memory = optimizer.update(slope, memory)
        rate = training.lr * share(step / training.steps)
        assert -float(change) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 1000])
def test_an_order_has_every_place_once(count):
    order = shuffled(root_key(1), count)
    assert order.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_all_orders_are_equally_likely():
    keys = jax.random.split(root_key(2), 6000)
    orders = np.asarray(jax.vmap(lambda key: shuffled(key, 3))(keys))
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    std = np.sqrt(6000 / 6 * 5 / 6)
    assert (np.abs(counts - 1000) < 4 * std).all()


def test_a_network_does_not_depend_on_its_company():
    training = Training(steps=9, batch=20, lr=0.5, looks=1)  # as above: compiled once
    several = train(NETWORK, training, keys(4), SAMPLES)
    alone = train(NETWORK, training, keys(4)[2:3], SAMPLES)
    for one, many in zip(
        jax.tree.leaves(alone.weights), jax.tree.leaves(several.weights), strict=True
    ):
        np.testing.assert_allclose(one[0], many[2], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_checkpoint_through_the_store_goes_on_to_the_same_bits(tmp_path):
    of_state = {"optimizer": "adam", "schedule": "cosine"}
    training = Training(steps=9, batch=20, lr=0.01, looks=3, **of_state)
    kept = []
    whole = train(NETWORK, training, keys(2), SAMPLES, keep=kept.append)
    assert [fits.step for fits in kept] == [3, 6, 9]
    out = store.open_store(tmp_path)
    path = store.save(out, {"cell": 1}, pack(kept[1]), {})
    fits = unpack(NETWORK, training, store.read(path).arrays)
    resumed = train(NETWORK, training, keys(2), SAMPLES, state=fits)
    jax.tree.map(np.testing.assert_array_equal, resumed.weights, whole.weights)
    np.testing.assert_array_equal(resumed.history, whole.history)
    with pytest.raises(KeyError):  # of another optimiser
        unpack(NETWORK, Training(optimizer="momentum"), pack(kept[1]))


def test_a_checkpoint_has_the_memory_of_the_optimiser():
    how = Training(optimizer="adam")
    begun = training.start(NETWORK, how.transformation())
    moved = jax.tree.map(lambda leaf: leaf + 1, begun(jax.random.key_data(root_key(0))))
    state = TrainingState(*moved, 7, np.ones((2, 1, 2, 2)))
    same_bits(unpack(NETWORK, how, pack(state)), state)


UNTIL = Training(
    steps=120, batch=20, lr=0.05, looks=6, until=0.08, measure_at_looks=(10, 60)
)


@pytest.fixture(scope="module")
def ended():
    """Networks done one after another, the last never, and every look at them."""
    with jax.numpy_dtype_promotion("standard"):
        kept = []
        return train(NETWORK, UNTIL, keys(4), SAMPLES, keep=kept.append), kept


def same_bits(found, expected):
    jax.tree.map(np.testing.assert_array_equal, tuple(found), tuple(expected))


def test_a_network_below_the_tolerance_stays_what_it_was_at_that_look(ended):
    found, _ = ended
    after = UNTIL.reached(found.history)
    np.testing.assert_array_equal(after, [40, 60, 80, np.inf])
    plain = dataclasses.replace(UNTIL, until=0.0)
    going = []
    train(NETWORK, plain, keys(4), SAMPLES, keep=going.append)
    stops = UNTIL.stops()
    assert stops == [10, 20, 40, 60, 80, 100, 120] == [fits.step for fits in going]
    for i, stop in enumerate(after):
        at = stops.index(stop) if np.isfinite(stop) else len(stops) - 1
        assert (going[at].history[:at, i, 0, 0] >= UNTIL.until).all()
        for own, other in zip(
            jax.tree.leaves(found.weights),
            jax.tree.leaves(going[at].weights),
            strict=True,
        ):
            np.testing.assert_allclose(own[i], other[i], rtol=1e-5, atol=1e-7)
        own = found.history[:, i]
        np.testing.assert_allclose(own[: at + 1], going[at].history[:, i], rtol=1e-5)
        np.testing.assert_array_equal(
            own[at:], np.broadcast_to(own[at], own[at:].shape)
        )


def test_a_network_that_is_done_costs_no_update_more(ended, monkeypatch):
    real, counted, said = training.over_networks, [], []

    def counting(function, mapped, shared):
        many = real(function, mapped, shared)

        def counted_call(*arguments):
            if shared == 4:  # a segment of an epoch
                first, last = arguments[3:5]
                counted.append(len(arguments[1]) * int(last - first))
            return many(*arguments)

        return counted_call

    monkeypatch.setattr(training, "over_networks", counting)
    again = train(NETWORK, UNTIL, keys(4), SAMPLES, progress=said.append)
    same_bits(again, ended[0])
    after = np.minimum(UNTIL.reached(again.history), UNTIL.steps)
    assert sum(counted) == after.sum() < sum(said) == 4 * UNTIL.steps


def test_snapshots_are_the_networks_of_their_looks(ended):
    found, kept = ended
    assert len(found.snapshots) == 2
    for snapshot, step in zip(found.snapshots, UNTIL.measure_at_looks, strict=True):
        [at] = [fits for fits in kept if fits.step == step]
        jax.tree.map(np.testing.assert_array_equal, snapshot, at.weights)


@pytest.mark.parametrize("look", [1, 4, pytest.param(6, marks=pytest.mark.slow)])
def test_training_with_an_end_goes_on_from_every_look_to_the_same_bits(look, ended):
    whole, kept = ended
    fits = unpack(NETWORK, UNTIL, pack(kept[look]))
    same_bits(train(NETWORK, UNTIL, keys(4), SAMPLES, state=fits), whole)


def test_settings_that_are_not_used_are_not_in_the_parameters():
    """So that cells from before there were any keep their names."""
    assert {*Training().parameters()} == {
        *("steps", "lr", "batch", "optimizer", "schedule", "looks")
    }
    assert UNTIL.parameters() == dataclasses.asdict(UNTIL)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"steps": 0}, "steps=0: give at least 1"),
        ({"lr": -1.0}, "lr=-1.0: give a positive"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"batch": 91}, "at most the 90 training images"),
        ({"steps": 3, "looks": 4}, "looks=4: give at most steps=3"),
        ({"until": -1.0}, "until=-1.0: give a positive"),
        ({"until": float("nan")}, "until=nan: give a positive"),
        ({"measure_at_looks": (0, 5)}, "between 0 and steps=10000, in rising order"),
        ({"measure_at_looks": (5, 4)}, "in rising order"),
        ({"measure_at_looks": (4, 4)}, "in rising order"),
        ({"steps": 20, "measure_at_looks": (20,)}, "between 0 and steps=20"),
        ({"schedule": "step"}, "choose among constant, linear, cosine"),
        ({"optimizer": "gradient"}, "'gradient': choose among sgd, momentum, nes"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(setting, said):
    with pytest.raises(ValueError, match=said) as error:
        Training(**{"batch": 20, **setting}).validate(90)
    assert "\n" not in str(error.value)
