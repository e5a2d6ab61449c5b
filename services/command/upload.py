"""NDJSON: documents without end, a line each, judged as they come and written as fast as Kafka takes them."""

import uuid
from collections.abc import AsyncIterator, Callable

import msgspec

from schemas import documents
from schemas.documents import DocumentAdded, DocumentId, Metadata, SourceUri, Text, Title
from schemas.errors import InvalidInput
from schemas.reading import read
from services.command.lines import Line, Lines
from services.command.producing import Outgoing
from services.command.stream import Stream

LINE_LIMIT = 4 * 1024 * 1024
REJECTED_SHOWN = 1_000
ERROR_SHOWN = 500
"""Characters of a line's error; the name of an unknown member can be as long as a line."""


class DocumentLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document and its id; the collection is in the path."""

    document_id: DocumentId
    text: Text
    title: Title | None = None
    metadata: Metadata = {}
    source_uri: SourceUri | None = None


class Rejected(msgspec.Struct, frozen=True):
    """A line that breaks the contract, counted from 1; nothing of it was written."""

    line: int
    error: str


class Progress(msgspec.Struct, frozen=True):
    """How far an upload is: of the lines up to `last_line`, so many were accepted, and so many rejected."""

    accepted: int = 0
    last_line: int = 0
    rejected: int = 0


class Upload:
    """One upload into a collection. Its stream's marks are `Progress`."""

    def __init__(
        self, collection: str, stream: Stream[Progress], record: Callable[[DocumentAdded, str | None, str], Outgoing]
    ) -> None:
        """`record` makes the record of an event, with its `traceparent` and its id."""
        self._collection = collection
        self._stream = stream
        self._record = record
        self._lines = Lines(LINE_LIMIT)
        self._name = uuid.uuid4().hex
        self._accepted = 0
        self._last_line = 0
        self._rejected_count = 0
        self._rejected: list[Rejected] = []

    @property
    def progress(self) -> Progress:
        """How far it is for certain: every valid line so far is in the log."""
        return self._stream.ledger.reached(self._done())

    def rejected(self, progress: Progress) -> list[Rejected]:
        """The first rejected lines of those that `progress` covers."""
        return [line for line in self._rejected if line.line <= progress.last_line]

    async def take(self, chunks: AsyncIterator[bytes], trace: str | None) -> None:
        """Write the lines of a body. Raises `LogAway`, and whatever `chunks` raises."""
        async for chunk in chunks:
            for line in self._lines.feed(chunk):
                await self._take(line, trace)
        for line in self._lines.end():
            await self._take(line, trace)
        self._last_line = self._lines.number

    async def _take(self, line: Line, trace: str | None) -> None:
        try:
            event = self._judge(line)
            mark = Progress(self._accepted, line.number - 1, self._rejected_count)
            await self._stream.write(self._record(event, trace, f"{self._name}-{line.number}"), mark)
            self._accepted += 1
        except InvalidInput as error:
            self._reject(line.number, str(error))
        self._last_line = line.number
        await self._stream.let_others()

    def _judge(self, line: Line) -> DocumentAdded:
        if line.raw is None:
            raise InvalidInput("", f"a line has at most {LINE_LIMIT:,} bytes; split the document")
        sent = read(line.raw, DocumentLine)
        event = DocumentAdded(self._collection, sent.document_id, sent.text, sent.title, sent.metadata, sent.source_uri)
        documents.check(event)
        return event

    def _reject(self, number: int, error: str) -> None:
        self._rejected_count += 1
        if len(self._rejected) < REJECTED_SHOWN:
            self._rejected.append(Rejected(number, error[:ERROR_SHOWN]))

    def _done(self) -> Progress:
        return Progress(self._accepted, self._last_line, self._rejected_count)
