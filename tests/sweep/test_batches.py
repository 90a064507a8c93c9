"""Batches: the same bits at every size, and halved where they do not fit."""

import dataclasses

import jax
import pytest
from cases import BASE, GD32, SGD, UNIFORM, assert_same_bits, swept

from lmc_jax.sweep import batches, programs
from lmc_jax.sweep.cell import Cell
from lmc_jax.sweep.run import OutOfMemory, grouped

LARGE = dataclasses.replace(SGD, batch=256)  # for which XLA has other kernels


@pytest.mark.parametrize(
    ("source", "m"),
    [(GD32, 40), (LARGE, 20), (UNIFORM, 4)],
    ids=["gd32", "sgd", "uniform"],
)
def test_cell_has_the_same_bits_at_every_batch_of_two_or_more(source, m, monkeypatch):
    """So no batch shape is part of what a cell is; known for CPU only."""
    cell = dataclasses.replace(BASE, m=m, pairs=16, source=source)
    whole = swept([cell])[cell]
    assert batches.batch_shape(cell) > (2, 2)
    monkeypatch.setattr(batches, "ELEMENTS", {"cpu": 1})
    assert batches.batch_shape(cell) == (2, 2)
    assert_same_bits(swept([cell])[cell], whole)


def test_cells_of_other_rates_and_scales_share_programs_and_keep_their_bits():
    cells = [
        dataclasses.replace(
            BASE, source=dataclasses.replace(BASE.source, lr=lr, init_std=init_std)
        )
        for lr in (0.5, 0.3)
        for init_std in (0.3, 0.03)
    ]
    assert len(grouped(cells)) == 1
    together = swept(cells)
    for cell in cells:
        assert_same_bits(swept([cell])[cell], together[cell])


class Accelerator:
    """What a device says of itself."""

    platform = "gpu"

    def __init__(self, gib=None):
        self.gib = gib

    def memory_stats(self):
        return self.gib and {"bytes_limit": int(self.gib * 2**30)}


@pytest.mark.parametrize(
    ("gib", "elements"),
    # One that does not say; ones that hold more than fills them; ones that do not.
    [(None, 2**24), (141, 2**24), (60, 2**24), (7.9, 2**23), (3.9, 2**22), (1, 2**21)],
)
def test_batches_fill_an_accelerator_and_a_quarter_of_its_memory(
    gib, elements, monkeypatch
):
    device = Accelerator(gib)
    assert batches.room(device) == elements
    assert gib is None or elements * batches.BYTES <= gib * 2**30 / 4
    monkeypatch.setattr(jax, "devices", lambda: [device])
    few, many = (dataclasses.replace(BASE, pairs=pairs) for pairs in (5, 10**6))
    count = jax.device_count()
    # 8 rows and k = 2 more: as many slots whatever the cell, its own pairs measured.
    assert batches.slots(few) == batches.slots(many) == count * (elements // 80)
    assert batches.slots(few, 1) == count * (elements // 80 // 2)
    assert batches.pair_batch(few) == count * -(-5 // count)


def test_cores_are_given_what_their_cache_holds_and_no_more_than_a_cell_has():
    assert batches.room(jax.devices()[0]) == 2**16
    assert batches.slots(BASE) == 2 * BASE.pairs


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("k", "m"), [(5, 10), (20, 40)])
def test_no_program_takes_more_memory_an_element_than_batches_are_sized_for(
    k, m, precision, monkeypatch
):
    monkeypatch.setattr(batches, "ELEMENTS", {"cpu": 2**20})
    source = dataclasses.replace(BASE.source, precision=precision)
    cell = Cell(k, m, m, source, pairs=10**6)
    size = programs.padded_width(m)
    for program, shapes in batches.programs_of(cell):
        found = program.lower(*shapes).compile().memory_analysis()
        held = found.temp_size_in_bytes + found.argument_size_in_bytes
        held += found.output_size_in_bytes
        # By device, as are the elements.
        assert held / (2**20 // (size * (size + k)) * size * (size + k)) < batches.BYTES


class Memory:
    """Programs that run out of memory at batches of more than ``room`` a device."""

    def __init__(self, program, room, error):
        self.program, self.room, self.calls = program, room, 0
        self.error = error
        self.lower = program.lower

    def __call__(self, *arguments):
        self.calls += 1
        (size,) = {leaf.shape[0] for leaf in jax.tree.leaves(arguments)}
        if self.calls > 2 and size > self.room * jax.device_count():
            raise self.error
        return self.program(*arguments)


OF_DEVICE = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory: 1 GiB")


def in_memory(monkeypatch, room, error=OF_DEVICE):
    descender, measurer = programs.descender, programs.measurer

    def small_descender(*settings):
        start, descend = descender(*settings)
        return start, Memory(descend, room, error)

    monkeypatch.setattr(programs, "descender", small_descender)
    monkeypatch.setattr(
        programs,
        "measurer",
        lambda *settings: Memory(measurer(*settings), room, error),
    )


@pytest.mark.slow
def test_batch_that_does_not_fit_is_halved_for_the_rest_of_the_sweep(monkeypatch):
    cells = [dataclasses.replace(BASE, pairs=16), dataclasses.replace(BASE, m=9)]
    expected, done, halvings = swept(cells), [], []
    in_memory(monkeypatch, 5)
    found = swept(cells, halved=halvings.append, progress=done.append)
    assert halvings == list(range(1, len(halvings) + 1))
    assert batches.batch_shape(cells[0], halvings[-1])[0] <= 5
    assert batches.batch_shape(cells[0], halvings[-2])[0] > 5
    assert sum(done) == 16 + 5  # what is computed again is not counted twice
    for cell in cells:
        assert_same_bits(found[cell], expected[cell])


def test_batch_of_two_that_does_not_fit_is_refused_in_one_line(monkeypatch):
    in_memory(monkeypatch, 1, MemoryError())
    with pytest.raises(OutOfMemory, match="k=2, m=4: 2 runs or 2 pairs") as caught:
        swept([BASE])
    assert len(str(caught.value).splitlines()) == 1


def test_other_errors_of_the_device_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: the device fell off the bus")

    measurer = programs.measurer
    broken.lower = lambda *shapes: measurer(2, (1, 2)).lower(*shapes)
    monkeypatch.setattr(programs, "measurer", lambda *settings: broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="fell off the bus"):
        swept([BASE])
