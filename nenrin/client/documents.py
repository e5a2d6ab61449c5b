"""Documents on their way in: one as JSON, many as NDJSON."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import msgspec

BLOCK_BYTES = 64 * 1024
"""Lines travel in blocks of about this size: one at a time would cost a system call each."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Draft(msgspec.Struct, frozen=True):
    """A document that is not in the log yet."""

    document_id: str
    text: str
    title: str | None = None
    metadata: Mapping[str, Any] | None = None
    source_uri: str | None = None


NewDocument = Draft | Mapping[str, Any]
"""A draft, or a mapping with the same members."""


def encoded(value: object) -> bytes:
    """JSON with whatever is in there: what JSON doesn't have (NaN, lone surrogates) the service refuses by field.

    (msgspec is faster, but writes NaN as null: a number that is missing would become one that was never there.)
    """
    written = _encode(value)
    try:
        return written.encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()  # escapes a lone surrogate, which UTF-8 cannot hold


def members(document: NewDocument) -> dict[str, Any]:
    """What is said of a document; what is absent stays so."""
    given = msgspec.structs.asdict(document) if isinstance(document, Draft) else document
    return {name: value for name, value in given.items() if value is not None}


class _Block:
    """Lines that will travel together."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = 0

    def add(self, document: NewDocument) -> bytes | None:
        """Add a line; the block, once it is large enough."""
        line = encoded(members(document))
        self._lines.append(line)
        self._bytes += len(line) + 1
        return self.taken() if self._bytes >= BLOCK_BYTES else None

    def taken(self) -> bytes | None:
        """The lines so far, of which it is then free."""
        if not self._lines:
            return None
        block = b"\n".join([*self._lines, b""])
        self._lines, self._bytes = [], 0
        return block


def blocks(documents: Iterable[NewDocument]) -> Iterator[bytes]:
    """Documents as blocks of NDJSON, none taken from `documents` before it is needed."""
    block = _Block()
    for document in documents:
        if full := block.add(document):
            yield full
    if rest := block.taken():
        yield rest


async def blocks_of(documents: AsyncIterable[NewDocument] | Iterable[NewDocument]) -> AsyncIterator[bytes]:
    """The same for an event loop. An ordinary iterable is read in the loop: it should not block."""
    block = _Block()
    if isinstance(documents, AsyncIterable):
        async for document in documents:
            if full := block.add(document):
                yield full
    else:
        for full in blocks(documents):
            yield full
    if rest := block.taken():
        yield rest
