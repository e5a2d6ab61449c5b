"""Texts to passages: whole sentences up to a number of tokens, each passage an exact slice of its text.

Pure. Cutting has two steps, with the tokenizer between them, so that a text is tokenised once and many texts in
one go: `sentences` says where a text may be cut, `passages` fills passages with the tokenised sentences.
Tokenising sentences instead of texts also keeps every call into the tokenizer's results small.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.segments import Unit, segments
from schemas.encoders import Encoder

_STOPS = ".!?…‼⁇⁈⁉։؟۔।॥။።፧។៕᠃。．！？｡"
_WIDE_STOPS = frozenset("。！？｡")
"""Ends of a sentence that no space follows."""
_CLOSERS = "\"'”’»›)\\]}」』】）〕〉》］"
_SHORTEST = 16
"""Characters below which a sentence takes the next of its paragraph along: `1.`, `Dr.`, bare exclamation marks."""
_BREAKS = "\\n\\r\\v\\f\\x85\\u2028\\u2029"

# Neither alternative can fail once it has begun: a megabyte of dots or of line breaks is read only once.
_PAUSE = re.compile(rf"[{_STOPS}][{_STOPS}{_CLOSERS}]*\s*|[{_BREAKS}]\s*")
_SPACE = re.compile(r"\s*")


class Span(NamedTuple):
    """`text[start:end]`, in code points; never empty, no space at its ends."""

    start: int
    end: int


class Tokenised(Protocol):
    """What a fast tokenizer returns for one sentence, without special tokens (`tokenizers.Encoding`)."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def word_ids(self) -> list[int | None]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A passage before it has its vector: `text[start:end]`, and its tokens as the model will read them."""

    ordinal: int
    start: int
    end: int
    tokens: NDArray[np.int32]


def sentences(text: str, longest: int) -> list[Span]:
    """Cut a text into sentences of at most `longest` characters; together they hold all that isn't space."""
    return [span for start, end in _between_ends(text) for span in _cut(text, start, end, longest)]


def passages(text: str, spans: Iterable[Span], tokenised: Iterable[Tokenised], encoder: Encoder) -> list[Piece]:
    """Fill passages with sentences in order, one segment of the text after the other.

    Within a segment each passage begins with the last few sentences of the one before it.
    """
    units = [
        unit for span, tokens in zip(spans, tokenised, strict=True) for unit in _units(text, span, tokens, encoder)
    ]
    groups = (group for segment in segments(text, units, encoder) for group in _groups(segment, encoder))
    return [_piece(ordinal, group) for ordinal, group in enumerate(groups)]


def _between_ends(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for pause in _PAUSE.finditer(text):
        if _ends_paragraph(pause) or (pause.end() - start >= _SHORTEST and _ends_sentence(pause, text)):
            yield start, pause.end()
            start = pause.end()
    yield start, len(text)


def _ends_paragraph(pause: re.Match[str]) -> bool:
    return pause.group().count("\n") > 1


def _ends_sentence(pause: re.Match[str], text: str) -> bool:
    """Not in `3.14`, `e.g. this`, `"What?" she said`, nor where a line goes on in the next in small letters."""
    ending, after = pause.group(), text[pause.end() : pause.end() + 1]
    return not _WIDE_STOPS.isdisjoint(ending) or (ending[-1].isspace() and not after.islower())


def _cut(text: str, start: int, end: int, longest: int) -> Iterator[Span]:
    """Trim a sentence, and cut it where it is too long: at the last space within reach, if there is one."""
    end = start + len(text[start:end].rstrip())
    start = _after_space(text, start)
    while start < end:
        middle = end if end - start <= longest else _last_space(text, start, start + longest)
        yield Span(start, start + len(text[start:middle].rstrip()))
        start = _after_space(text, middle)


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _last_space(text: str, start: int, end: int) -> int:
    return next((at for at in range(end, start, -1) if text[at].isspace()), end)


def _units(text: str, span: Span, tokenised: Tokenised, encoder: Encoder) -> Iterator[Unit]:
    """A sentence as it is, or in runs of words about as long as the overlap, so that these can overlap too."""
    ids = tokenised.ids
    if len(ids) <= encoder.passage:
        yield Unit(span.start, span.end, ids)
        return
    offsets = tokenised.offsets
    firsts = [0, *_cuts(offsets, tokenised.word_ids, encoder.overlap or encoder.passage)]
    starts = [span.start, *(span.start + offsets[first][0] for first in firsts[1:])]
    for start, end, first, last in zip(starts, [*starts[1:], span.end], firsts, [*firsts[1:], len(ids)], strict=True):
        yield Unit(start, start + len(text[start:end].rstrip()), ids[first:last][: encoder.passage])


def _cuts(offsets: Sequence[tuple[int, int]], words: Sequence[int | None], most: int) -> list[int]:
    """The tokens that begin a run of at most `most`: before a word where possible, else between two characters.

    A character can be several tokens; a run of `most` that has no other cut in it becomes longer.
    """
    cuts: list[int] = []
    first = word = character = reached = 0
    for at, (start, end) in enumerate(offsets):
        if reached <= start < end:
            character = at
            word = at if words[at] != words[at - 1] else word
        reached = max(reached, end)
        if at - first >= most and character > first:
            first = word if word > first else character
            cuts.append(first)
    return cuts


def _groups(units: Iterable[Unit], encoder: Encoder) -> Iterator[list[Unit]]:
    group: list[Unit] = []
    size = 0
    for unit in units:
        if group and not _fits(size, group[0], unit, encoder):
            yield group
            group = _repeated(group, unit, encoder)
            size = sum(len(kept.ids) for kept in group)
        group.append(unit)
        size += len(unit.ids)
    if group:
        yield group


def _fits(size: int, first: Unit, last: Unit, encoder: Encoder) -> bool:
    return size + len(last.ids) <= encoder.passage and last.end - first.start <= encoder.characters


def _repeated(group: Sequence[Unit], following: Unit, encoder: Encoder) -> list[Unit]:
    """The end of a passage that the next one begins with: never all of it, and little even if it has no tokens."""
    kept: list[Unit] = []
    size = 0
    for unit in reversed(group[1:]):
        size += len(unit.ids)
        far = following.start - unit.start > encoder.characters // 8
        if far or size > encoder.overlap or not _fits(size, unit, following, encoder):
            break
        kept.append(unit)
    return kept[::-1]


def _piece(ordinal: int, group: Sequence[Unit]) -> Piece:
    tokens = np.fromiter(chain.from_iterable(unit.ids for unit in group), dtype=np.int32)
    return Piece(ordinal, group[0].start, group[-1].end, tokens)
