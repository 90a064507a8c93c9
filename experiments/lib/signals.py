"""Ctrl-C, SIGTERM and SIGHUP: leave at once, keep what is finished, say how to go on.

A thread of its own waits for the signals, since the main one may be inside a compiler
for minutes. Nothing has to be unwound: cells are whole files or none.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading

PATIENCE = 10.0  # seconds for a file that is being written
CHILDREN: list[subprocess.Popen] = []  # processes that end with this one


def watch() -> None:
    """From here on a signal to stop ends this process with 128 and its number."""
    stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    heeded = {stop for stop in stops if signal.getsignal(stop) != signal.SIG_IGN}
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)  # in threads to come as well
    threading.Thread(target=_leave, args=(heeded,), daemon=True).start()


def _leave(stops: set[signal.Signals]) -> None:
    number = signal.sigwait(stops)
    # Not imported here, which may take a second; an import under way may lack names.
    files = sys.modules.get("lmc_jax.results.files")
    devices = sys.modules.get("lmc_jax.sweep.devices")
    if writing := getattr(files, "WRITING", None):
        writing.acquire(timeout=PATIENCE)
    several = getattr(devices, "joined", bool)()
    again = "to go on" + " start all processes again, this one with" * several
    for child in CHILDREN:
        child.terminate()
    command = shlex.join(["python", *sys.orig_argv[1:]])
    line = f"stopped by {signal.Signals(number).name}, finished cells are kept; "
    bar = "\n" if os.isatty(2) else ""  # not into the line of a progress bar
    os.write(2, f"{bar}{line}{again}: {command}\n".encode())
    os._exit(128 + number)
