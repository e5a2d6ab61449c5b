"""Where a text is divided whatever stands elsewhere in it, so that a change in one paragraph stays local. Pure.

Passages that are filled from the beginning of a text all shift when something near its beginning changes, and no
vector can be used again. So a text is first divided at seams between its paragraphs that are chosen by what stands
around them: a seam is a division when no better seam is near. (Chunking by local extremes, as in Bjørner, Blass and
Gurevich, "Content-dependent chunking for differential compression", 2010.) What lies further from a change than the
reach is divided as before.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from schemas.encoders import Encoder

_LINE_BREAK = re.compile("[\\n\\r\\v\\f\\x85\\u2028\\u2029]")
_STOPPED = re.compile(r"[^\w\s]\s*\Z")
_AROUND = 64
"""Characters on each side of a seam that its rank depends on."""

Rank = tuple[bool, bool, bool, bytes] | tuple[()]
"""The least is best; the empty one is of the two ends of a text."""


class Unit(NamedTuple):
    """What is never divided between two passages: a sentence, or a run of words of one too long for a passage."""

    start: int
    end: int
    ids: list[int]


class Seam(NamedTuple):
    """A line break between two units: the number of the second, and the tokens before it."""

    unit: int
    tokens: int
    rank: Rank


def segments(text: str, units: Sequence[Unit], encoder: Encoder) -> Iterator[Sequence[Unit]]:
    """Divide a text's units into runs, each a passage or more; no passage has parts of two.

    What a change can touch are the run that it lies in, and those with an end within half a passage's tokens of it.
    """
    if not units:
        return
    seams = _seams(text, units)
    reach = encoder.passage // 2
    for first, last in pairwise(_best(seams, reach)):
        for start, end in _halves(seams, first, last, units, encoder):
            yield units[seams[start].unit : seams[end].unit]


def _seams(text: str, units: Sequence[Unit]) -> list[Seam]:
    """All places where the text may be divided, its two ends among them."""
    before = list(accumulate((len(unit.ids) for unit in units), initial=0))
    inner = (
        Seam(number, before[number], _rank(text, one, two, breaks))
        for number, (one, two) in enumerate(pairwise(units), 1)
        if (breaks := _LINE_BREAK.findall(text, one.end, two.start))
    )
    return [Seam(0, 0, ()), *inner, Seam(len(units), before[-1], ())]


def _rank(text: str, one: Unit, two: Unit, breaks: list[str]) -> Rank:
    """Before a heading is best; then after a blank line, and after a sentence that ended. A hash decides the rest."""
    heading = text.startswith("#", two.start)
    blank = breaks.count("\n") > 1 or "\u2029" in breaks
    stopped = _STOPPED.search(text, max(one.start, one.end - 2), one.end) is not None
    around = text[max(one.start, one.end - _AROUND) : one.end] + text[two.start : min(two.end, two.start + _AROUND)]
    hashed = hashlib.blake2b(around.encode(errors="surrogatepass"), digest_size=8).digest()
    return not heading, not blank, not stopped, hashed


def _best(seams: Sequence[Seam], reach: int) -> list[int]:
    """The seams that have no better one nearer than `reach` tokens; of equals in reach, only the first."""
    best = [True] * len(seams)
    rising: list[int] = []
    for number, seam in enumerate(seams):
        while rising and seams[rising[-1]].rank > seam.rank:
            worse = rising.pop()
            best[worse] &= seam.tokens - seams[worse].tokens >= reach
        if rising:
            best[number] = seam.tokens - seams[rising[-1]].tokens >= reach
        rising.append(number)
    best[0] = best[-1] = True
    return [number for number, is_best in enumerate(best) if is_best]


def _halves(
    seams: Sequence[Seam], first: int, last: int, units: Sequence[Unit], encoder: Encoder
) -> Iterator[tuple[int, int]]:
    """Divide what is too long for a passage at the seam next to its middle, unless that leaves a crumb."""
    start, end = seams[first], seams[last]
    fits = (
        end.tokens - start.tokens <= encoder.passage
        and units[end.unit - 1].end - units[start.unit].start <= encoder.characters
    )
    middle = None if fits else _middle(seams, first, last, encoder.passage // 4)
    if middle is None:
        yield first, last
    else:
        yield from _halves(seams, first, middle, units, encoder)
        yield from _halves(seams, middle, last, units, encoder)


def _middle(seams: Sequence[Seam], first: int, last: int, least: int) -> int | None:
    """The seam with about as many tokens before as after it, and at least so many on each side."""
    low, high = seams[first].tokens, seams[last].tokens
    half = (low + high) / 2
    at = bisect_left(seams, half, first + 1, last, key=lambda seam: seam.tokens)
    near = [
        number
        for number in (at - 1, at)
        if first < number < last and low + least <= seams[number].tokens <= high - least
    ]
    return min(near, key=lambda number: abs(seams[number].tokens - half), default=None)
