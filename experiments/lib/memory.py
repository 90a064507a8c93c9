"""The memory that a command cannot do without: said before JAX, which would abort."""

import resource
import sys

LEAST = 2 * 2**30  # bytes of address space; with less JAX cannot start its threads


def require() -> None:
    """Ends this process with a line where it may not use enough address space."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST:
        sys.exit(
            f"error: {limit / 2**30:.2g} GiB of address space, and JAX needs "
            f"{LEAST / 2**30:.2g}: raise the limit, see ulimit -v"
        )
