"""Removing a collection: an event for each of its documents."""

import uuid
from collections.abc import AsyncIterator, Callable

import msgspec

from schemas.documents import DocumentRemoved
from services.command.producing import Outgoing
from services.command.stream import Stream


class Removed(msgspec.Struct, frozen=True):
    """How far a removal is: so many documents, in the order of their ids, up to `last_document_id`."""

    removed: int = 0
    last_document_id: str | None = None


class Removal:
    """Removes the documents of a collection. Its stream's marks are `Removed`."""

    def __init__(
        self, collection: str, stream: Stream[Removed], record: Callable[[DocumentRemoved, str | None, str], Outgoing]
    ) -> None:
        """`record` makes the record of an event, with its `traceparent` and its id."""
        self._collection = collection
        self._stream = stream
        self._record = record
        self._name = uuid.uuid4().hex
        self._done = Removed()

    @property
    def progress(self) -> Removed:
        """How far it is for certain: every document so far is removed in the log."""
        return self._stream.ledger.reached(self._done)

    async def take(self, pages: AsyncIterator[list[str]], trace: str | None) -> None:
        """Remove what is listed, page by page. Raises `LogAway`, and whatever `pages` raises."""
        async for page in pages:
            for document_id in page:
                await self._remove(document_id, trace)

    async def _remove(self, document_id: str, trace: str | None) -> None:
        event = DocumentRemoved(self._collection, document_id)
        await self._stream.write(self._record(event, trace, f"{self._name}-{self._done.removed}"), self._done)
        self._done = Removed(self._done.removed + 1, document_id)
        await self._stream.let_others()
