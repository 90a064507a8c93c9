"""Entrypoints: flags → cells → sweep → store → figure."""

import sys

if sys.argv[0] == "-m":  # of `python -m experiments.NAME`, before any slow import
    from experiments.lib import memory, signals

    memory.require()
    signals.watch()
