"""The fold of derived events into documents and passages. Pure."""

from collections.abc import Sequence

import msgspec

from projections.digests import hash_of, signed
from projections.port import Change, Entry, Folded
from schemas.embedded import Embedded, Removed


def evolve(entries: Sequence[Entry]) -> list[Folded]:
    """Fold a batch of one partition: only the last event of a document survives, so no row is written twice."""
    last: dict[tuple[str, str], tuple[Entry, Embedded | Removed]] = {}
    for entry in entries:
        if isinstance(entry.content, Change):
            event = entry.content.event
            last[event.collection, event.document_id] = (entry, event)
    return [_folded(entry, event) for entry, event in last.values()]


def _folded(entry: Entry, event: Embedded | Removed) -> Folded:
    if isinstance(event, Removed):
        return Folded(event.collection, event.document_id)
    metadata = msgspec.json.encode(event.metadata).decode()
    passages = tuple(
        (
            event.collection,
            event.document_id,
            passage.ordinal,
            passage.start,
            passage.end,
            event.title,
            event.text[passage.start : passage.end],
            passage.vector,
        )
        for passage in event.passages
    )
    content = hash_of(event.collection, event.document_id, event.title, metadata, [row[2:7] for row in passages])
    vectors = hash_of(event.collection, event.document_id, [row[7] for row in passages])
    document = (
        event.collection,
        event.document_id,
        event.source.partition,
        event.title,
        metadata,
        len(passages),
        signed(content),
        signed(vectors),
        entry.traceparent,
    )
    return Folded(
        event.collection,
        event.document_id,
        {"documents": (document,), "passages": passages},
        documents=1,
        passages=len(passages),
        content=content,
        vectors=vectors,
    )
