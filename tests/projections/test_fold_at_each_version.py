"""The folds against the simplest one there is: a dictionary, event by event."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projections.documents import Documents
from projections.passages import Passages
from projections.port import Entry, ReadModel
from tests.projections.logs import added, embedded, nothing, refused, removed, unembedded

KINDS = st.sampled_from(["added", "added", "removed", "refused", "nothing"])
HISTORIES = st.lists(st.tuples(KINDS, st.sampled_from(["a", "b", "c"])), max_size=20)


def source(offset: int, kind: str, document_id: str) -> Entry:
    """An event as `documents` sees it; its text says where it came from."""
    if kind == "added":
        return added(offset, document_id, f"text {offset}")
    return removed(offset, document_id) if kind == "removed" else neither(offset, kind, document_id)


def derived(offset: int, kind: str, document_id: str) -> Entry:
    """The same event as `passages` sees it; every third text has no passage."""
    if kind == "added":
        return embedded(offset, document_id, f"text {offset}", pieces=offset % 3)
    return unembedded(offset, document_id) if kind == "removed" else neither(offset, kind, document_id)


def neither(offset: int, kind: str, document_id: str) -> Entry:
    """What changes nothing."""
    return refused(offset, document_id) if kind == "refused" else nothing(offset)


def expected(history: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The offset of the event that each document is of."""
    held: dict[str, int] = {}
    for offset, (kind, document_id) in enumerate(history):
        if kind == "added":
            held[document_id] = offset
        elif kind == "removed":
            held.pop(document_id, None)
    return held


def rows_after(model: ReadModel, entries: Sequence[Entry], cut: int) -> dict[str, dict[str, Sequence[tuple[Any, ...]]]]:
    """What is held after two batches: each word on a document replaces all that stood there."""
    held: dict[str, dict[str, Sequence[tuple[Any, ...]]]] = {}
    for batch in (entries[:cut], entries[cut:]):
        for item in model.evolve(batch):
            held.pop(item.document_id, None)
            if item.documents:
                held[item.document_id] = dict(item.rows)
    return held


@given(HISTORIES, st.integers(0, 20))
def test_documents_are_their_last_events(history: list[tuple[str, str]], cut: int) -> None:
    """The last good event of each document, whole; none after a removal; what was refused changed nothing."""
    entries = [source(offset, *event) for offset, event in enumerate(history)]
    held = rows_after(Documents(), entries, cut)
    shown = {name: rows["documents"][0] for name, rows in held.items()}
    assert {name: (row[4], row[6]) for name, row in shown.items()} == {
        name: (offset, f"text {offset}") for name, offset in expected(history).items()
    }


@given(HISTORIES, st.integers(0, 20))
def test_passages_are_those_of_the_last_events(history: list[tuple[str, str]], cut: int) -> None:
    """All passages of the last good event of each document, and no other; none after a removal."""
    entries = [derived(offset, *event) for offset, event in enumerate(history)]
    held = rows_after(Passages(), entries, cut)
    shown = {name: [(row[2], row[6]) for row in rows["passages"]] for name, rows in held.items()}
    assert shown == {
        name: [(ordinal, f"text {offset}") for ordinal in range(offset % 3)]
        for name, offset in expected(history).items()
    }
