"""Lists as flags give them."""

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
        ("5,10,20", [5, 10, 20]),
        ("20,5,10", [20, 5, 10]),
        ("5:8", [5, 6, 7, 8]),
        ("5:100:5", list(range(5, 101, 5))),
        ("5:12:5", [5, 10]),
        ("5:5", [5]),
        ("5,6:8,7,20", [5, 6, 7, 8, 20]),
        ("1:4:x4", [1, 2, 3, 4]),
        ("1:1024:x11", [2**n for n in range(11)]),
        ("3,1:16:x5", [3, 1, 2, 4, 8, 16]),
    ],
)
def test_integer_lists_are_read_in_their_order_ends_included(text, values):
    assert integers(text, "m") == values


def test_the_widths_of_figure_2_are_25_distinct_ones():
    widths = integers("5:400:x25", "m")
    assert len(widths) == len(set(widths)) == 25
    assert (widths[0], widths[-1]) == (5, 400)
    assert widths == sorted(widths)
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


@st.composite
def geometric(draw):
    low = draw(st.integers(1, 500))
    high = draw(st.integers(low + 1, 2000))
    return low, high, draw(st.integers(2, min(high - low + 1, 300)))


@given(geometric())
@example((1, 2, 2))
@example((1, 300, 300))
@example((5, 400, 25))
def test_geometric_range_has_the_count_distinct_rising_and_both_ends(case):
    low, high, count = case
    values = integers(f"{low}:{high}:x{count}", "m")
    assert len(values) == count
    assert (values[0], values[-1]) == (low, high)
    assert all(a < b for a, b in itertools.pairwise(values))


@given(st.integers(-50, 500), st.integers(0, 300), st.integers(1, 60))
def test_range_is_python_range_with_the_end_included(low, length, stride):
    expected = list(range(low, low + length + 1, stride))
    assert integers(f"{low}:{low + length}:{stride}", "m") == expected


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=8))
def test_lists_of_integers_keep_order_and_drop_doubles(values):
    text = ",".join(map(str, values))
    assert integers(text, "m") == list(dict.fromkeys(values))


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
    line = refused(integers, text, "m")
    assert line.startswith("--m=")


@given(st.text("0123456789,:x-. abc", max_size=12))
@settings(max_examples=300)
def test_any_text_is_a_list_of_integers_or_refused_in_one_line(text):
    if any(len(part) > 4 for part in text.replace(",", ":").split(":")):
        text = text[:4]  # no ranges of millions
    try:
        values = integers(text, "k")
    except Refusal:
        assert refused(integers, text, "k")
    else:
        assert values
        assert all(type(value) is int for value in values)
        assert len(set(values)) == len(values)


# --- numbers and words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [("2", [2.0]), ("0.5,2,4", [0.5, 2.0, 4.0]), ("4,1e-3,4.0", [4.0, 1e-3])],
)
def test_numbers_are_read_in_their_order_without_doubles(text, values):
    assert numbers(text, "lr") == values


@given(
    st.lists(
        st.floats(0, exclude_min=True, allow_infinity=False), min_size=1, max_size=6
    )
)
def test_positive_numbers_are_read_exactly(values):
    text = ",".join(map(repr, values))
    assert numbers(text, "lr") == list(dict.fromkeys(values))


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
    line = refused(words, "uniform,gd,uniform", "source", SOURCES)
    assert "twice" in line


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
