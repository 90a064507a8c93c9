"""Rules of operations that run other programs: calls, loops, branches."""

from lmc_jax.networks.symmetry.registry import Operation, Value, rule

CALLS = {  # operations that are their sub-program, and the parameter that holds it
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
CONTROL = {*CALLS, "scan", "while", "cond"}  # what uses weights only within


@rule(*CALLS)
def call(op: Operation, *arrays: Value):
    """The axes go through the program."""
    return op.run(op.params[CALLS[op.name]], arrays)


@rule("scan")
def scan(op: Operation, *arrays: Value):
    """Steps are told apart; what a step hands on is tied to what it was given."""
    consts, carries = counts(op.params)
    fixed, stacked = arrays[: consts + carries], arrays[consts + carries :]
    steps = op.fixed(op.params["length"])
    for array in stacked:
        op.tie(array[0], steps)
    slices = [Value.of(array.path, array[1:]) for array in stacked]
    results = op.run(op.params["jaxpr"], [*fixed, *slices], (steps,))
    carry = fixed[consts:]
    _tie_all(op, carry, results[:carries])
    for array in carry:  # handed from step to step: the same order in all
        op.see(array)
    return [*carry, *([steps, *array] for array in results[carries:])]


@rule("while")
def while_loop(op: Operation, *arrays: Value):
    """What a step hands on is tied to what it was given."""
    tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
    carry = arrays[tests + consts :]
    _tie_all(op, carry, op.run(op.params["body_jaxpr"], arrays[tests:]))
    op.run(op.params["cond_jaxpr"], [*arrays[:tests], *carry])
    return carry


@rule("cond")
def branches(op: Operation, _: Value, *arrays: Value):
    """The results of all branches are tied."""
    first, *others = [op.run(branch, arrays) for branch in op.params["branches"]]
    for other in others:
        _tie_all(op, first, other)
    return first


def counts(params) -> tuple[int, int]:
    """How many arrays a scan is given that stay, and that its steps hand on."""
    if "ft_in" in params:  # since JAX 0.12
        consts, carry, _ = params["ft_in"].unpack()
        return len(consts), len(carry)
    return params["num_consts"], params["num_carry"]


def _tie_all(op: Operation, ours, theirs) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for axis, its in zip(one, other, strict=True):
            op.tie(axis, its)
