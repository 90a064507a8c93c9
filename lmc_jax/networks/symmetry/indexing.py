"""Rules of reading and writing at computed positions, which are told apart."""

from lmc_jax.networks.symmetry.axes import Axis, find
from lmc_jax.networks.symmetry.rules import Operation, Value, rule

OVERWRITE = ("scatter",)  # where positions are equal, the last one stays
GATHERED = ("add", "sub", "mul", "min", "max")  # their order does not matter


@rule("gather")
def gather(op: Operation, array: Value, indices: Value):
    """Axes read whole stay; others are fixed, and those of the indices are new."""
    numbers, sizes = op.params["dimension_numbers"], op.params["slice_sizes"]
    batch = _pairs(numbers.operand_batching_dims, numbers.start_indices_batching_dims)
    op.fix(indices[-1])
    offsets = iter(numbers.offset_dims)
    out: dict[int, Axis] = {}
    for i, axis in enumerate(array):
        if i in batch:
            op.tie(axis, indices[batch[i]])
            continue
        whole = sizes[i] == find(axis).size and i not in numbers.collapsed_slice_dims
        if not whole:
            op.fix(axis)
        if i not in numbers.collapsed_slice_dims:
            out[next(offsets)] = axis if whole else op.new_axis(sizes[i])
    rest = iter(indices[:-1])
    return [[out[i] if i in out else next(rest) for i in range(len(op.shapes[0]))]]


@rule("scatter", *(f"scatter-{kind}" for kind in GATHERED))
@rule(*(f"scatter_{kind}" for kind in GATHERED))
def scatter(op: Operation, array: Value, indices: Value, updates: Value):
    """Axes written whole stay; others are fixed."""
    numbers = op.params["dimension_numbers"]
    batch = _pairs(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims)
    op.fix(indices[-1])
    windows = iter(numbers.update_window_dims)
    for i, axis in enumerate(array):
        if i in batch:
            op.tie(axis, indices[batch[i]])
        elif i in numbers.inserted_window_dims:
            op.fix(axis)
        else:
            update = updates[next(windows)]
            if find(update).size == find(axis).size:
                op.tie(update, axis)
            else:
                op.fix(update)
                op.fix(axis)
    window = numbers.update_window_dims
    rest = [axis for i, axis in enumerate(updates) if i not in window]
    for k, (update, axis) in enumerate(zip(rest, indices[:-1], strict=True)):
        op.tie(update, axis)
        if op.name in OVERWRITE and k not in batch.values():
            op.fix(update)
    return [array]


def _pairs(keys, values) -> dict[int, int]:
    return dict(zip(keys, values, strict=True))


@rule("dynamic_slice")
def dynamic_slice(op: Operation, array: Value, *_: Value):
    """Axes read whole stay; others are fixed."""
    out = []
    for axis, size in zip(array, op.shapes[0], strict=True):
        whole = find(axis).size == size
        if not whole:
            op.fix(axis)
        out.append(axis if whole else op.new_axis(size))
    return [out]


@rule("dynamic_update_slice")
def dynamic_update_slice(op: Operation, array: Value, update: Value, *_: Value):
    """Axes written whole stay; others are fixed."""
    for axis, part in zip(array, update, strict=True):
        if find(axis).size == find(part).size:
            op.tie(axis, part)
        else:
            op.fix(axis)
            op.fix(part)
    return [array]
