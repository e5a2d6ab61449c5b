"""Cutting a stream of bytes into lines, however it arrives."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.command.lines import Line, Lines

LIMIT = 8


def cut(*chunks: bytes) -> list[Line]:
    """The lines of these chunks."""
    lines = Lines(LIMIT)
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.end())


@given(st.text("ab \r\n", max_size=60), st.lists(st.integers(0, 60)))
def test_the_chunks_make_no_difference(text: str, cuts: list[int]) -> None:
    """However a body is cut on its way, the lines are those of the whole."""
    body = text.encode()
    places = sorted({0, len(body), *(place for place in cuts if place < len(body))})
    assert cut(*(body[start:end] for start, end in pairwise(places))) == cut(body)


@given(st.text("ab \r\n", max_size=60))
def test_every_line_has_its_number(text: str) -> None:
    """Lines count from 1, the blank ones too, which are passed over; one that is too long has no content."""
    whole = [line.removesuffix("\r") for line in text.split("\n")]
    expected = [
        Line(number, line.strip(" \r").encode() if len(line) <= LIMIT else None)
        for number, line in enumerate(whole, 1)
        if line.strip(" \r") or len(line) > LIMIT
    ]
    assert cut(text.encode()) == expected


def test_a_line_without_end_is_not_kept() -> None:
    """What is over the limit is let go as it comes; the line behind it is read."""
    lines = Lines(LIMIT)
    for _ in range(1000):
        assert list(lines.feed(b"x" * 1000)) == []
        assert sum(map(len, lines._begun)) <= LIMIT + 1
    assert list(lines.feed(b"\nnext\n")) == [Line(1, None), Line(2, b"next")]
