"""A stream of bytes, cut into numbered lines. Pure, and never holding more than one unfinished line."""

from collections.abc import Iterator

import msgspec

_WHITESPACE = b" \t\r"


class Line(msgspec.Struct, frozen=True):
    """A line that is not blank. `raw` is None where there was more of it than a line may have."""

    number: int
    raw: bytes | None


class Lines:
    """Cuts what it is fed at each newline. Lines count from 1, blank ones count too but are passed over."""

    def __init__(self, limit: int) -> None:
        """`limit` is the most bytes that a line may have, its end aside."""
        self._limit = limit
        self.number = 0
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk. `number` is that of the last one handed out, blank ones included."""
        first, *others = chunk.split(b"\n")
        self._keep(first)
        for piece in others:
            yield from self._end()
            self._keep(piece)

    def end(self) -> Iterator[Line]:
        """The last line, where nothing ends it but the end of all."""
        if self._size:
            yield from self._end()

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit + 1:  # a carriage return at its end is none of the line's
            self._begun.append(piece)
        else:
            self._begun = []

    def _end(self) -> Iterator[Line]:
        raw, size = b"".join(self._begun), self._size
        self._begun, self._size = [], 0
        self.number += 1
        if size > self._limit + 1 or len(raw.removesuffix(b"\r")) > self._limit:
            yield Line(self.number, None)
        elif stripped := raw.strip(_WHITESPACE):
            yield Line(self.number, stripped)
