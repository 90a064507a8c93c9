"""Entrypoints: flags → cells → sweep → store → figure."""

import resource
import sys

LEAST = 2 * 2**30  # bytes of address space; with less JAX cannot start its threads

if sys.argv[0] == "-m":  # of `python -m experiments.NAME`, before any slow import
    from experiments.lib import signals

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST:  # JAX would abort
        sys.exit(
            f"error: {limit // 2**10} KiB of address space, and JAX needs "
            f"{LEAST // 2**10}: raise the limit, see ulimit -v"
        )
    signals.watch()
