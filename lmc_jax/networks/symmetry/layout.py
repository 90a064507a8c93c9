"""Rules of operations that lay an array out anew: shapes, slices, concatenations."""

import math

from lmc_jax.networks.symmetry.axes import PRODUCT, SUM, Axis, concat, find, product
from lmc_jax.networks.symmetry.rules import Operation, Value, rule


@rule("broadcast_in_dim")
def broadcast_in_dim(op: Operation, array: Value):
    """Copies are alike: the axes that they lie along are free."""
    out = [Axis(size) for size in op.shapes[0]]
    for axis, i in zip(array, op.params["broadcast_dimensions"], strict=True):
        if find(axis).size == out[i].size:
            out[i] = axis
    return [out]


@rule("transpose")
def transpose(op: Operation, array: Value):
    """The axes in another order."""
    return [[array[i] for i in op.params["permutation"]]]


@rule("squeeze")
def squeeze(op: Operation, array: Value):
    """Axes of size 1 go."""
    return [[a for i, a in enumerate(array) if i not in op.params["dimensions"]]]


@rule("reshape")
def reshape(op: Operation, array: Value):
    """Runs of axes, as short as they may be, are merged and parted to others."""
    old, new = list(array), list(op.shapes[0])
    out: list[Axis] = []
    if 0 in new:
        return [[Axis(size) for size in new]]
    while old or new:
        axes, sizes = old[:1], new[:1]
        del old[:1], new[:1]
        while (size := math.prod(find(a).size for a in axes)) != math.prod(sizes):
            if size < math.prod(sizes):
                axes.append(old.pop(0))
            else:
                sizes.append(new.pop(0))
        out += op.regroup(axes, PRODUCT, sizes)
    return [out]


@rule("slice")
def slicing(op: Operation, array: Value):
    """A section of a sum; every n-th position, of a product of n with a fixed one."""
    starts, limits = op.params["start_indices"], op.params["limit_indices"]
    strides = op.params["strides"] or (1,) * len(array)
    out = []
    for i, axis in enumerate(array):
        start, limit, stride = starts[i], limits[i], strides[i]
        size, count = find(axis).size, op.shapes[0][i]
        if stride == 1:
            out.append(op.regroup([axis], SUM, [start, count, size - limit])[1])
        elif size and count * stride == size:
            outer, inner = op.regroup([axis], PRODUCT, [count, stride])
            op.fix(inner)
            out.append(outer)
        else:
            op.fix(axis)
            out.append(op.new_axis(count))
    return [out]


@rule("split")
def split(op: Operation, array: Value):
    """All the sections of a sum."""
    axis = op.params["axis"]
    for part in op.regroup([array[axis]], SUM, op.params["sizes"]):
        yield [*array[:axis], part, *array[axis + 1 :]]


@rule("concatenate")
def concatenate(op: Operation, *arrays: Value):
    """One axis is a sum, the others are tied."""
    axis, first = op.params["dimension"], arrays[0]
    for other in arrays[1:]:
        for i in range(len(first)):
            if i != axis:
                op.tie(first[i], other[i])
    whole = concat(array[axis] for array in arrays)
    return [[*first[:axis], whole, *first[axis + 1 :]]]


@rule("stack")
def stack(op: Operation, *arrays: Value):
    """All axes are tied; the new one has a term for each array."""
    op.tie_all(*arrays)
    out = list(arrays[0])
    out.insert(op.params["axis"], concat(Axis(1) for _ in arrays))
    return [out]


@rule("unstack")
def unstack(op: Operation, array: Value):
    """The axis that goes is a sum of single positions."""
    axis = op.params["axis"]
    op.regroup([array[axis]], SUM, [1] * len(op.shapes))
    return [[*array[:axis], *array[axis + 1 :]] for _ in op.shapes]


@rule("pad")
def pad(op: Operation, array: Value, _: Value):
    """What is padded is alike: free to permute."""
    out = []
    for i, (low, high, between) in enumerate(op.params["padding_config"]):
        if between or min(low, high) < 0:
            op.fix(array[i])
            out.append(op.new_axis(op.shapes[0][i]))
        else:
            out.append(concat([Axis(low), array[i], Axis(high)]))
    return [out]


@rule("tile")
def tile(op: Operation, array: Value):
    """Copies one after another, which may change places."""
    sizes = zip(array, op.shapes[0], strict=True)
    return [[product([Axis(size // find(a).size), a]) for a, size in sizes]]


@rule("iota")
def iota(op: Operation):
    """Positions are told apart along one axis, alike along others."""
    where = op.params["dimension"]
    sizes = enumerate(op.shapes[0])
    return [[op.new_axis(size) if i == where else Axis(size) for i, size in sizes]]
