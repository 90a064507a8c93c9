"""Rules of operations that work position by position, or along an axis as a whole."""

from lmc_jax.networks.symmetry.axes import Axis, find
from lmc_jax.networks.symmetry.rules import UNKNOWN, Operation, Value, rule

ELEMENTWISE = """abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e
bessel_i1e cbrt ceil clamp clz complex conj convert_element_type copy copy_p cos cosh
digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igammac imag
integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter
not or polygamma population_count pow real reduce_precision regularized_incomplete_beta
rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin
sinh sqrt square stop_gradient sub tan tanh xor zeta"""
SAME = "optimization_barrier device_put pvary sharding_constraint layout_constraint"
REDUCTIONS = """reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum
reduce_xor"""
RANDOM = """random_bits random_clone random_fold_in random_gamma random_seed
random_split random_unwrap random_wrap rng_bit_generator rng_uniform threefry2x32"""
ALONG = {  # operations that tell positions along an axis apart: where they say which
    "argmax": "axes",
    "argmin": "axes",
    "cumlogsumexp": "axis",
    "cummax": "axis",
    "cummin": "axis",
    "cumprod": "axis",
    "cumsum": "axis",
    "reduce": "dimensions",
    "rev": "dimensions",
    "sort": "dimension",
}


@rule(*ELEMENTWISE.split())
def elementwise(op: Operation, *arrays: Value):
    """Axes in the same place are tied; scalars and axes of size 1 are broadcast."""
    out = [Axis(size) for size in op.shapes[0]]
    for array in filter(None, arrays):
        for axis, result in zip(array, out, strict=True):
            if find(axis).size == find(result).size:
                op.tie(axis, result)
    return [out]


@rule(*SAME.split())
def same(op: Operation, *arrays: Value):
    """Nothing happens to the arrays."""
    return arrays


@rule(UNKNOWN, *RANDOM.split())
def everything(op: Operation, *arrays: Value):
    """All positions of all arrays are told apart."""
    for array in arrays:
        for axis in array:
            op.fix(axis)
    return [[op.new_axis(size) for size in shape] for shape in op.shapes]


@rule(*REDUCTIONS.split())
def reduction(op: Operation, array: Value):
    """What is reduced may come in any order."""
    return [[a for i, a in enumerate(array) if i not in op.params["axes"]]]


@rule(*ALONG)
def along(op: Operation, *arrays: Value):
    """Positions along some axes are told apart; other axes stay as they are."""
    where = op.params[ALONG[op.name]]
    return told_apart(op, where if isinstance(where, tuple) else (where,), arrays)


@rule("fft")
def fft(op: Operation, array: Value):
    """A transform of the last axes."""
    first = len(array) - len(op.params["fft_lengths"])
    return told_apart(op, tuple(range(first, len(array))), (array,))


@rule("top_k")
def top_k(op: Operation, array: Value):
    """Values and positions of the largest, by default along the last axis."""
    axis = op.params.get("dimension", op.params.get("axis", -1))
    return told_apart(op, (axis % len(array),), (array,))


def told_apart(op: Operation, where: tuple[int, ...], arrays: tuple[Value, ...]):
    """Arrays of one shape, tied; some axes fixed, gone or of another size after it."""
    first, *others = filter(None, arrays)  # without initial values
    op.tie_all(first, *others)
    for i in where:
        op.fix(first[i])
    for shape in op.shapes:
        if len(shape) < len(first):
            yield [axis for i, axis in enumerate(first) if i not in where]
        else:
            sizes = enumerate(shape)
            yield [op.new_axis(size) if i in where else first[i] for i, size in sizes]
