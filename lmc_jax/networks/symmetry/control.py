"""Rules of operations that run other programs: calls, loops, branches."""

from lmc_jax.networks.symmetry.rules import Operation, Value, rule

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
    steps = op.new_axis(op.params["length"])
    for array in stacked:
        op.tie(array[0], steps)
    slices = [Value.of(array.path, array[1:]) for array in stacked]
    results = op.run(op.params["jaxpr"], [*fixed, *slices], (steps,))
    carry = fixed[consts:]
    for array, result in zip(carry, results[:carries], strict=True):
        op.tie_all(array, result)
    for array in carry:  # handed from step to step: the same order in all
        op.see(array)
    return [*carry, *([steps, *array] for array in results[carries:])]


@rule("while")
def while_loop(op: Operation, *arrays: Value):
    """What a step hands on is tied to what it was given."""
    tests, consts = op.params["cond_nconsts"], op.params["body_nconsts"]
    carry = arrays[tests + consts :]
    results = op.run(op.params["body_jaxpr"], arrays[tests:])
    for array, result in zip(carry, results, strict=True):
        op.tie_all(array, result)
    op.run(op.params["cond_jaxpr"], [*arrays[:tests], *carry])
    return carry


@rule("cond")
def branches(op: Operation, _: Value, *arrays: Value):
    """The results of all branches are tied."""
    results = [op.run(branch, arrays) for branch in op.params["branches"]]
    for alternatives in zip(*results, strict=True):
        op.tie_all(*alternatives)
    return results[0]


def counts(params) -> tuple[int, int]:
    """How many arrays a scan is given that stay, and that its steps hand on."""
    if "ft_in" in params:  # since JAX 0.12
        consts, carry, _ = params["ft_in"].unpack()
        return len(consts), len(carry)
    return params["num_consts"], params["num_carry"]
