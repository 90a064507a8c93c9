"""Rules of products, convolutions and windows."""

from lmc_jax.networks.symmetry.axes import Axis, find, product
from lmc_jax.networks.symmetry.rules import Operation, Value, rule


@rule("dot_general")
def dot_general(op: Operation, lhs: Value, rhs: Value):
    """Contracted axes are tied, and so are those of a batch."""
    (lhs_sums, rhs_sums), (lhs_batch, rhs_batch) = op.params["dimension_numbers"]
    for i, j in zip((*lhs_sums, *lhs_batch), (*rhs_sums, *rhs_batch), strict=True):
        op.tie(lhs[i], rhs[j])
    batch = [lhs[i] for i in lhs_batch]
    left = [a for i, a in enumerate(lhs) if i not in (*lhs_sums, *lhs_batch)]
    right = [a for i, a in enumerate(rhs) if i not in (*rhs_sums, *rhs_batch)]
    op.see([*batch, *left, *right, *(lhs[i] for i in lhs_sums)])
    return [[*batch, *left, *right]]


@rule("conv_general_dilated")
def convolution(op: Operation, images: Value, kernel: Value):
    """Channels are contracted, in groups; positions are told apart but by 1 × 1."""
    if op.params["batch_group_count"] > 1:
        for axis in (*images, *kernel):
            op.fix(axis)
        return [[op.new_axis(size) for size in op.shapes[0]]]
    numbers, groups = op.params["dimension_numbers"], op.params["feature_group_count"]
    batch, channels, *positions = numbers.lhs_spec
    rows, columns, *window = numbers.rhs_spec  # channels out, channels in of a group
    group = Axis(groups)
    op.tie(images[channels], product([group, kernel[columns]]))
    op.tie(kernel[rows], product([group, Axis(find(kernel[rows]).size // groups)]))
    out = dict(zip(numbers.out_spec[:2], (images[batch], kernel[rows]), strict=True))
    steps = ("window_strides", "padding", "lhs_dilation")
    settings = zip(*(op.params[key] for key in steps), strict=True)
    for i, j, o, setting in zip(
        positions, window, numbers.out_spec[2:], settings, strict=True
    ):
        still = find(kernel[j]).size == 1 and setting == (1, (0, 0), 1)
        if not still:
            op.fix(images[i])
            op.fix(kernel[j])
        out[o] = images[i] if still else op.new_axis(op.shapes[0][o])
    found = [out[o] for o in range(len(images))]
    op.see([*found, kernel[columns]])
    return [found]


@rule("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum")
def window(op: Operation, *arrays: Value):
    """Positions are told apart along axes that the window does more to than stay."""
    first, *others = filter(None, arrays)  # without initial values
    op.tie_all(first, *others)
    out = []
    for i, axis in enumerate(first):
        setting = [op.params[key][i] for key in ("window_dimensions", "window_strides")]
        padding = tuple(op.params["padding"][i])
        still = setting == [1, 1] and padding == (0, 0)
        still &= op.params["base_dilation"][i] == 1
        if not still:
            op.fix(axis)
        out.append(axis if still else op.new_axis(op.shapes[0][i]))
    return [out for _ in op.shapes]
