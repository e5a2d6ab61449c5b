"""The fold of derived events into documents and passages. Pure."""

from collections.abc import Sequence
from typing import Any

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
    content = _content(event.collection, event.document_id, event.title, metadata, passages)
    vectors = _vectors(event.collection, event.document_id, passages)
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


def hashes(document: Sequence[Any], passages: Sequence[Sequence[Any]]) -> tuple[int, int]:
    """The content and vector hashes of rows as they stand in the tables, passages in order."""
    collection, document_id, _, title, metadata, *_ = document
    content = _content(collection, document_id, title, metadata, passages)
    return content, _vectors(collection, document_id, passages)


def _content(
    collection: str, document_id: str, title: str | None, metadata: str, passages: Sequence[Sequence[Any]]
) -> int:
    return hash_of(collection, document_id, title, metadata, [tuple(row[2:7]) for row in passages])


def _vectors(collection: str, document_id: str, passages: Sequence[Sequence[Any]]) -> int:
    return hash_of(collection, document_id, [row[7] for row in passages])
