"""Lists as flags give them: ``5,10``, ``5:100:5``, ``5:400:x25``, names."""

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any


class Refusal(ValueError):
    """Bad input: one line for the user, exit status 2."""


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns the one-line ValueErrors of the library into refusals."""
    try:
        yield
    except ValueError as error:
        raise Refusal(str(error)) from error


MOST_CELLS = 20_000  # of a grid
MOST_CURVES = 200  # of a study
MOST_VALUES = 10_000  # of one list
EXACT = 2**53  # of widths: floats hold every integer up to it


def joined(grids: Iterable[Iterable[Any]]) -> list[Any]:
    """The cells of grids that are made one after another.

    Raises:
      Refusal: once they are too many.
    """
    cells: list[Any] = []
    for grid in grids:
        cells += grid
        if len(cells) > MOST_CELLS:
            raise Refusal(f"more than {MOST_CELLS} cells: give shorter lists")
    return cells


def integers(text: str, name: str, most: int = MOST_VALUES) -> list[int]:
    """Reads ``5,10,20``, ranges ``5:9``, ``5:100:5``, geometric ones ``5:400:x25``.

    Range ends are included; parts may be mixed with commas. Doubles are dropped.

    Raises:
      Refusal: for anything else, saying what is right.
    """
    right = (
        "a number like 5, a range like 5:9 or 5:100:5 (in steps of 5), or a geometric "
        "range like 5:400:x25, ends in rising order"
    )
    return _listed(text, name, right, _widths, most)


def multiples(text: str, name: str, k: int) -> list[int]:
    """Widths in units of k, rounded: ``1,1.5,2``, ``1:8:0.5`` or ``1:64:x12``.

    Raises:
      Refusal: for anything else, saying what is right.
    """
    right = (
        "a multiple of k like 1.5, a range like 1:8:0.5 or a geometric range like "
        "1:64:x12, ends in rising order"
    )

    def rounded(part: str) -> list[int]:
        return [math.floor(k * ratio + 0.5) for ratio in _ratios(part)]

    return _listed(text, name, right, rounded, MOST_VALUES)


def numbers(text: str, name: str) -> list[float]:
    """Reads positive numbers ``0.5,1,2``, no more than a figure can show.

    Raises:
      Refusal: for anything else.
    """

    def positive(part: str) -> list[float]:
        if not 0 < float(part) < math.inf:
            raise ValueError
        return [float(part)]

    return _listed(text, name, "a positive number like 0.5", positive, MOST_CURVES)


def _listed(
    text: str | None, name: str, right: str, read: Callable[[str], list], most: int
) -> list:
    """The values of all parts in order, without doubles; ``right`` says what a part is.

    ``read`` raises a ValueError for a part that is none.
    """
    values: list[Any] = []
    if text is None:
        raise Refusal(f"--{name} is missing: give it, or name it in the presets")
    for part in text.split(","):
        try:
            values += read(part)
        except ValueError:
            raise Refusal(f"--{name}={text}: {part!r} is not {right}") from None
    if len(values) > most:
        shown = text if len(text) < 80 else f"{text[:60]}..."
        raise Refusal(f"--{name}={shown}: give at most {most} values")
    return list(dict.fromkeys(values))


def _range(part: str, number: type) -> tuple[Any, Any, Any, int | None]:
    """Both ends, stride and count of ``5``, ``5:9``, ``5:9:2`` or ``5:9:x3``."""
    ends, step = part.split(":"), "1"
    if len(ends) == 3:
        step = ends.pop()
    low, high = map(number, ends * 2 if len(ends) == 1 else ends)
    if not low <= high:
        raise ValueError
    if step.startswith("x"):
        if not 2 <= int(step[1:]) <= MOST_VALUES:
            raise ValueError
        return low, high, None, int(step[1:])
    stride = number(step)
    if not 0 < stride < math.inf or not (high - low) // stride <= MOST_VALUES:
        raise ValueError
    return low, high, stride, None


def _widths(part: str) -> list[int]:
    low, high, stride, count = _range(part, int)
    if count is None:
        return list(range(low, high + 1, stride))
    if low < 1 or high > EXACT or count > high - low + 1:
        raise ValueError
    values = [low]
    for left in range(count - 1, 0, -1):
        # Where rounding would repeat a width, take the next one and respace the rest.
        step = (high / values[-1]) ** (1 / left)
        values.append(max(values[-1] + 1, round(values[-1] * step)))
    return values


def _ratios(part: str) -> list[float]:
    low, high, stride, count = _range(part, float)
    if not 1 / EXACT <= low <= high <= EXACT:
        raise ValueError
    if count is None:
        # Half a millionth of a stride: 1:2:0.1 ends at 2 whatever rounding does.
        return [low + stride * i for i in range(int((high - low) / stride + 5e-7) + 1)]
    step = (high / low) ** (1 / (count - 1))
    return [*(low * step**i for i in range(count - 1)), high]


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
