"""Lists as flags give them."""

import itertools
import math
import random

import pytest

from experiments.lib.lists import Refusal, integers, multiples, numbers, refusing, words

SOURCES = ("gd", "sgd", "uniform")


def refused(function, *arguments):
    """The line of a refusal."""
    with pytest.raises(Refusal) as caught:
        function(*arguments)
    line = str(caught.value)
    assert line.strip()
    assert len(line.splitlines()) == 1
    return line


# --- lists of integers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5", [5]),
        ("20,5,10", [20, 5, 10]),
        ("5:8", [5, 6, 7, 8]),
        ("5:100:5", list(range(5, 101, 5))),
        ("5:12:5", [5, 10]),
        ("5:5", [5]),
        ("-3:1", [-3, -2, -1, 0, 1]),
        ("5,6:8,7,20", [5, 6, 7, 8, 20]),
        ("1:4:x4", [1, 2, 3, 4]),
        ("1:1024:x11", [2**n for n in range(11)]),
        ("3,1:16:x5", [3, 1, 2, 4, 8, 16]),
    ],
)
def test_integer_lists_are_read_in_their_order_ends_included_without_doubles(
    text, values
):
    assert integers(text, "m") == values


def test_the_widths_of_figure_2_are_even_on_a_log_axis():
    widths = integers("5:400:x25", "m")
    even = math.log(400 / 5) / 24
    for a, b in itertools.pairwise(widths):
        if a > 20:  # below, rounding to integers counts
            assert math.log(b / a) == pytest.approx(even, rel=0.2)


@pytest.mark.parametrize(
    ("text", "k", "widths"),
    [
        ("1,1.5,2", 5, [5, 8, 10]),
        ("1:2:0.1", 10, list(range(10, 21))),
        ("1:2:0.1", 2, [2, 3, 4]),
        ("1:3", 7, [7, 14, 21]),
        ("1:64:x7", 3, [3, 6, 12, 24, 48, 96, 192]),
        ("2,1:4:x3", 5, [10, 5, 20]),
    ],
)
def test_multiples_are_rounded_to_neurons_and_doubles_dropped(text, k, widths):
    assert multiples(text, "m_over_k", k) == widths


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-1", "a", "1,,2", "2:1", "1:2:0", "1:2:-1", "1:2:x1", "1:2:xa"),
        *("nan", "inf", "1:inf", "1:2:nan", "1:2:3:4", "1:1e9:1e-3", "0:2:x3"),
    ],
)
def test_multiples_that_are_none_are_refused_with_what_is_right(text):
    with pytest.raises(
        Refusal, match=r"--m_over_k=.* is not a multiple of k like 1\.5"
    ):
        multiples(text, "m_over_k", 5)


def ranges():
    """Geometric ranges: the narrowest, the fullest, and any."""
    choose = random.Random(0)
    yield from ((1, 2, 2), (1, 300, 300), (5, 400, 25))
    for _ in range(200):
        low = choose.randint(1, 500)
        high = choose.randint(low + 1, 2000)
        yield low, high, choose.randint(2, min(high - low + 1, 300))


def test_geometric_range_has_the_count_distinct_rising_and_both_ends():
    for low, high, count in ranges():
        values = integers(f"{low}:{high}:x{count}", "m")
        assert len(values) == count
        assert (values[0], values[-1]) == (low, high)
        assert all(a < b for a, b in itertools.pairwise(values))


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "5,,10", "5,10,", ",5", "10:5", "10:5:1", "10:5:x3", "5:10:0"),
        *("5:10:-1", "5:10:x", "5:10:x1", "5:10:x0", "5:10:x-3", "5:10:x7", "5:5:x2"),
        *("0:10:x3", "-5:10:x3", "5:10:x2:3", "5:10:1:1", "5:", ":5", ":", "::"),
        *("5.0", "1e2", "five", "5;10", "5 10", "x5", "nan"),
    ],
)
def test_malformed_integer_lists_are_refused_in_one_line(text):
    assert refused(integers, text, "m").startswith("--m=")


# --- numbers and words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [("2", [2.0]), ("0.5,2,4", [0.5, 2.0, 4.0]), ("4,1e-3,4.0", [4.0, 1e-3])],
)
def test_numbers_are_read_in_their_order_without_doubles(text, values):
    assert numbers(text, "lr") == values


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "1,,2", "1,", "0", "-1", "1,-2", "nan", "inf", "-inf"),
        *("1e999", "1e-999", "a", "1:2", "1 2", "0x1"),
    ],
)
def test_malformed_numbers_are_refused_in_one_line(text):
    assert refused(numbers, text, "lr").startswith("--lr=")


def test_words_are_read_in_their_order():
    assert words("gd", "source", SOURCES) == ["gd"]
    assert words("uniform,gd", "source", SOURCES) == ["uniform", "gd"]


def test_doubled_words_are_refused():
    assert "twice" in refused(words, "uniform,gd,uniform", "source", SOURCES)


@pytest.mark.parametrize("text", ["", "gd,", "GD", "gd uniform", "all", "gd,,sgd"])
def test_unknown_words_are_refused_with_the_known_ones(text):
    line = refused(words, text, "source", SOURCES)
    for name in ("--source", *SOURCES):
        assert name in line


def test_library_errors_become_refusals_and_others_pass():
    with pytest.raises(Refusal, match="one line"), refusing():
        raise ValueError("one line")
    with pytest.raises(KeyError), refusing():
        raise KeyError("m")
