"""Lists as flags give them: ``5,10``, ``5:100:5``, ``5:400:x25``, names."""

import contextlib
import math
from collections.abc import Collection, Iterator, Sequence

from lmc_jax.sweep.cell import MAX_WIDTH


class Refusal(ValueError):
    """Bad input: one line for the user, exit status 2."""


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns the one-line ValueErrors of the library into refusals."""
    try:
        yield
    except ValueError as error:
        raise Refusal(str(error)) from error


MOST_CELLS = 100_000  # of a grid
MOST_VALUES = 10_000  # of one list
MOST = 2**53  # of a geometric range: floats hold every integer up to it


def integers(text: str, name: str) -> list[int]:
    """Reads ``5,10,20``, ranges ``5:100:5`` and geometric ``5:400:x25`` (25 widths).

    Range ends are included; parts may be mixed with commas. Doubles are dropped.

    Raises:
      Refusal: for anything else, saying what is right.
    """
    values: list[int] = []
    for part in text.split(","):
        try:
            values += _range(part)
        except ValueError:
            raise Refusal(
                f"--{name}={text}: {part!r} is not a number like 5, a range like "
                "5:100:5 or a geometric range like 5:400:x25, ends in rising order"
            ) from None
    return _distinct(values, text, name)


def _range(part: str) -> list[int]:
    if ":" not in part:
        return [int(part)]
    first, last, *step = part.split(":")
    low, high = int(first), int(last)
    if len(step) > 1 or high < low:
        raise ValueError
    if not step or not step[0].startswith("x"):
        stride = int(step[0]) if step else 1
        if stride < 1 or (high - low) // stride > MOST_VALUES:
            raise ValueError
        return list(range(low, high + 1, stride))
    return _geometric(low, high, int(step[0][1:]))


def _distinct(values: Sequence[int], text: str, name: str) -> list[int]:
    """The values without doubles, in order."""
    if len(values) > MOST_VALUES:
        raise Refusal(f"--{name}={text}: give at most {MOST_VALUES} values")
    return list(dict.fromkeys(values))


def _geometric(low: int, high: int, count: int) -> list[int]:
    """``count`` distinct integers from low to high, evenly spaced on a log axis."""
    if low < 1 or high > MOST or not 2 <= count <= min(high - low + 1, MOST_VALUES):
        raise ValueError
    values = [low]
    for left in range(count - 1, 0, -1):
        # Where rounding would repeat a width, take the next one and respace the rest.
        step = (high / values[-1]) ** (1 / left)
        values.append(max(values[-1] + 1, round(values[-1] * step)))
    return values


def multiples(text: str, name: str, k: int) -> list[int]:
    """Widths in units of k: ``1,1.5,2``, ``1:8:0.5`` or ``1:64:x12``.

    Each is rounded to a whole neuron, and doubles are dropped: a narrow teacher may
    have fewer widths than a wide one.

    Raises:
      Refusal: for anything else, saying what is right.
    """
    ratios: list[float] = []
    for part in text.split(","):
        try:
            ratios += _ratios(part)
        except ValueError:
            raise Refusal(
                f"--{name}={text}: {part!r} is not a multiple of k like 1.5, a range "
                "like 1:8:0.5 or a geometric range like 1:64:x12, ends in rising order "
                f"and at most {MAX_WIDTH}"
            ) from None
    widths = [math.floor(k * ratio + 0.5) for ratio in ratios]
    return _distinct(widths, text, name)


def _ratios(part: str) -> list[float]:
    first, *rest = part.split(":")
    low = float(first)
    high = float(rest[0]) if rest else low
    if len(rest) > 2 or not 1 / MAX_WIDTH <= low <= high <= MAX_WIDTH:
        raise ValueError
    if len(rest) < 2 or not rest[1].startswith("x"):
        stride = float(rest[1]) if len(rest) == 2 else 1.0
        if not 0 < stride < math.inf or (high - low) / stride > MOST_VALUES:
            raise ValueError
        # Half a millionth of a stride: 1:2:0.1 ends at 2 whatever rounding does.
        return [low + stride * i for i in range(int((high - low) / stride + 5e-7) + 1)]
    count = int(rest[1][1:])
    if not 2 <= count <= MOST_VALUES:
        raise ValueError
    step = (high / low) ** (1 / (count - 1))
    return [*(low * step**i for i in range(count - 1)), high]


def numbers(text: str, name: str) -> list[float]:
    """Reads positive numbers ``0.5,1,2``.

    Raises:
      Refusal: for anything else.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(0 < value < math.inf for value in values):
        raise Refusal(f"--{name}={text}: give positive numbers like 0.5,1,2")
    return list(dict.fromkeys(values))


def words(text: str, name: str, known: Collection[str]) -> list[str]:
    """Reads names from a known list, in the order given.

    Raises:
      Refusal: for an unknown name.
    """
    values = text.split(",")
    right = ", ".join(known)
    for value in values:
        if value not in known:
            raise Refusal(f"--{name}: unknown {value!r}, choose among {right}")
    if len(set(values)) < len(values):
        raise Refusal(f"--{name}={text}: names one twice, give each once")
    return values
