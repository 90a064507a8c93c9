"""The edge of every command: flags in, exit status and one line of error out."""

import contextlib
import errno
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from absl import app, flags, logging

from experiments.lib import machine
from experiments.lib.compute import Done
from experiments.lib.lists import Refusal
from lmc_jax import environment
from lmc_jax.results import store
from lmc_jax.sweep import devices
from lmc_jax.sweep.run import OutOfMemory

FAILURES = (store.StoreError, environment.UnsoundJax, OutOfMemory, devices.Lost)


def run(main: Callable[..., None], *arguments: str) -> None:
    """Parses the flags and runs ``main``; exits 2 on bad input, 1 on a failure.

    ``arguments`` name what must be given beside flags, which goes to ``main``; a last
    "..." stands for any number more.
    """
    # --help lists the flags of the main module only; its neighbours' belong to it.
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith("experiments."):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def parse(argv: Sequence[str]) -> list[str]:
        for text in argv:
            try:
                text.encode()
            except UnicodeEncodeError:
                _leave(2, f"{text!r} is not UTF-8, as files and figures are written")
        try:
            with _read_by_someone():
                try:
                    rest = flags.FLAGS(argv)
                except SystemExit as end:  # of --help, to which absl gives the status 1
                    raise SystemExit(0) from end
        except (flags.Error, ValueError) as error:  # ValueError: of absl's own flags
            _leave(2, str(error))
        if arguments[-1:] == ("...",):
            return rest if rest[1:] else _leave(2, f"{arguments[0]} is missing")
        if len(rest) > 1 + len(arguments):
            other = rest[1 + len(arguments)]
            _leave(2, f"unexpected argument {other!r}: settings are given as --flags")
        if len(rest) < 1 + len(arguments):
            _leave(2, f"{arguments[len(rest) - 1]} is missing: see --help")
        return rest

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8"))
    # What is imported stays: to look at it, and often, costs a tenth of a redraw.
    gc.freeze()
    gc.set_threshold(100_000)
    # JAX and font libraries log through absl; their notes are not the user's.
    logging.set_verbosity(logging.WARNING)
    app.run(lambda argv: _guarded(main, argv[1:]), flags_parser=parse)


def _guarded(main: Callable[..., None], arguments: Sequence[str]) -> None:
    try:
        with _read_by_someone():
            try:
                main(*arguments)
            except Done as end:
                if str(end):
                    print(end)
    except Refusal as error:
        _leave(2, str(error))
    except FAILURES as error:
        _leave(1, str(error))
    except Exception:
        if devices.several():  # which would wait for this process at its end
            traceback.print_exc()
            machine.leave(1)
        raise


@contextlib.contextmanager
def _read_by_someone() -> Iterator[None]:
    """Ends this process where what is printed inside cannot be, or nobody reads it."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        # Of standard output: where files do not fit there is a StoreError.
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # What is left to print goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            machine.leave(128 + signal.SIGPIPE)
        _leave(1, f"cannot print: {error.strerror}")


def _leave(status: int, message: str) -> NoReturn:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    machine.leave(status)
