"""The fold of document events into rows. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from projections.digests import hash_of, signed
from projections.port import Change, Entry, Folded
from schemas.documents import DocumentAdded, DocumentEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
