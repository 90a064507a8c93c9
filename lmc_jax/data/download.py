"""Downloads that survive cut connections: retries, resumes, checks, all or nothing.

What has arrived is kept beside the target as ``.NAME.part``, so that the next attempt,
or the next process, asks only for the rest. The target appears whole and checked.
"""

import contextlib
import fcntl
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

TRIES = 5  # of a mirror, without a byte more
TIMEOUT = 30.0  # seconds without a byte
PAUSE = 1.0  # seconds before the second try of a mirror, doubled before each further
PIECE = 1 << 16  # bytes between two reports
_FAULTS = (OSError, http.client.HTTPException)
_LONGEST = 200  # letters of what a server said


class DownloadError(Exception):
    """No mirror gave the file; says what each one did, in one line."""


def fetch(
    urls: Sequence[str],
    target: Path,
    right: Callable[[bytes], bool],
    progress: Callable[[int, int | None], object] = lambda done, total: None,
) -> None:
    """Downloads a file from the first mirror that gives the right one.

    A process that waits for another's download of the same file then finds it there.

    Args:
      urls: of the file, one a mirror.
      target: in a folder that exists.
      right: whether the whole content is what it should be.
      progress: told the bytes there are, and how many there will be, if known.

    Raises:
      DownloadError: when every mirror failed.
      OSError: when the folder cannot be written.
    """
    part = target.with_name(f".{target.name}.part")
    faults = []
    with _locked(part) as file:
        if target.exists():
            part.unlink()
            return
        for url in urls:
            if fault := _from_mirror(url, file, right, progress):
                faults.append(f"{url}: {fault}")
            else:
                os.fsync(file.fileno())
                part.replace(target)
                return
        if not part.stat().st_size:
            part.unlink()
    raise DownloadError("; ".join(faults))


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The partial file, open for this process alone."""
    while True:
        with part.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                same = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except FileNotFoundError:  # its last holder has finished the download
                same = False
            if same:
                yield file
                return


def _from_mirror(
    url: str,
    file: BinaryIO,
    right: Callable[[bytes], bool],
    progress: Callable[[int, int | None], object],
) -> str:
    """Fills the file from one mirror; returns what went wrong, or nothing."""
    fault, attempt, most = "", 0, 0
    while attempt < TRIES:
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        # Whether this try alone makes the file, and all of it: it is what they give.
        have = file.seek(0, os.SEEK_END)
        attempt, most = (1 if have > most else attempt + 1), max(most, have)
        sure = have == 0
        try:
            sure = _receive(url, file, progress) and sure
        except urllib.error.HTTPError as error:
            fault = f"HTTP status {error.code}"
            if error.code < 500 and error.code not in (408, 416, 429):
                return fault  # it will say the same again
            if error.code != 416:
                continue
            sure = False  # there is no rest: what is there is all, or wrong
        except urllib.error.URLError as error:
            fault = _line(error.reason)
            continue
        except _FAULTS as error:
            fault = _line(error) or type(error).__name__
            continue
        except ValueError as error:  # a redirect to no address, a length of no number
            return _line(error)
        file.seek(0)
        if right(file.read()):
            return ""
        file.truncate(0)
        fault = "what it gives is not the published file (wrong checksum)"
        if sure:  # else its beginning may be someone else's, or its end cut off
            return fault
    return fault


def _line(fault: object) -> str:
    """One line of a fault that may quote whatever a server sent."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(fault))
    return " ".join(text.split())[:_LONGEST]


def _receive(
    url: str, file: BinaryIO, progress: Callable[[int, int | None], object]
) -> bool:
    """Appends the rest of the file, or all of it where a server knows no ranges.

    Returns whether the server said how much that is.
    """
    have = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": "lmc_jax", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if have and answer.status != 206:
            have = 0
            file.truncate(0)
        length = answer.headers.get("Content-Length")
        if length and not length.isdecimal():
            raise ValueError(f"it announces {length!r} bytes")
        total = have + int(length) if length else None
        while piece := answer.read(PIECE):
            file.write(piece)
            have += len(piece)
            progress(have, total)
        file.flush()
        if total is not None and have < total:
            raise OSError(f"the connection was cut at {have} of {total} bytes")
    return total is not None
