"""The fold of document events into rows. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from projections.digests import hash_of, signed
from projections.port import Change, Entry, Folded
from schemas.documents import DocumentAdded, DocumentEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HASHED = 9  # columns: those before the time, which is hashed in milliseconds


def evolve(entries: Sequence[Entry]) -> list[Folded]:
    """Fold a batch of one partition: only the last event of a document survives, so no row is written twice."""
    last: dict[tuple[str, str], tuple[Entry, DocumentEvent]] = {}
    for entry in entries:
        if isinstance(entry.content, Change):
            event = entry.content.event
            last[event.collection, event.document_id] = (entry, event)
    return [_folded(entry, event) for entry, event in last.values()]


def _folded(entry: Entry, event: DocumentEvent) -> Folded:
    if not isinstance(event, DocumentAdded):
        return Folded(event.collection, event.document_id)
    place = entry.place
    metadata = msgspec.json.encode(event.metadata).decode()
    values = (
        event.collection,
        event.document_id,
        place.topic,
        place.partition,
        place.offset,
        event.title,
        event.text,
        metadata,
        event.source_uri,
    )
    content = hash_of(*values, place.time)
    row = (*values, _EPOCH + timedelta(milliseconds=place.time), signed(content), entry.traceparent)
    return Folded(event.collection, event.document_id, {"documents": (row,)}, documents=1, content=content)


def content_of(row: Sequence[Any]) -> int:
    """The content hash of a row as it stands in the table."""
    return hash_of(*row[:_HASHED], (row[_HASHED] - _EPOCH) // timedelta(milliseconds=1))
