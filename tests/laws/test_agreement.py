"""Two readings of contract 1, written apart: the oracle's and the product's judge must say the same."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Invalid, Unknown, Valid, judge
from schemas.records import Record, frozen_headers
from tests.laws.events import INVALID, Event, added, as_json, removed, structured, unknown
from tests.oracle import partition_of, read

PARTITIONS = 4
LETTERS = st.sampled_from(
    ["a", "é", "年", "😀", "\0", "\n", "\x7f", "\x85", "\xa0", "\u2028", "\ud800", "\udfff", "/", " "]
)
TEXTS = st.one_of(
    st.text(), st.text(LETTERS, max_size=4), st.sampled_from(["", "a" * 512, "a" * 513, "é" * 1000, "é" * 1001])
)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.sampled_from([0, -0.0, 1e308, 5e-324, -(2**63), 2**63 - 1])
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
METADATA = st.dictionaries(TEXTS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=4)
COLLECTIONS = st.one_of(
    st.sampled_from(["c", "0", "-", "_a", "a-_9", "A", "", "c" * 63, "c" * 64, "a\n", "é", "٣"]), TEXTS
)
FIELDS = st.fixed_dictionaries(
    {"text": st.one_of(TEXTS, TEXTS, JSON)},
    optional={
        "title": st.one_of(TEXTS, JSON),
        "source_uri": st.one_of(TEXTS, JSON),
        "metadata": st.one_of(METADATA, METADATA, st.dictionaries(TEXTS, JSON, max_size=3), JSON.filter(bool)),
        "another": st.integers(),
    },
)


def both(event: Event, at: int) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """What the oracle and what the product make of a record in a partition."""
    record = Record("documents", at, 0, 0, event.key, event.value, frozen_headers(event.headers.items()))
    kind, data = read(event.key, event.value or b"", event.headers, at, PARTITIONS)
    shown = {name: data.get(name) for name in ("collection", "document_id", "text", "title", "source_uri")}
    shown["metadata"] = data.get("metadata", {})
    return (kind, shown if kind == "added" else None), judged(record)


def judged(record: Record) -> tuple[str, Any]:
    """The product's judgement in the oracle's words."""
    judgement = judge(record, PARTITIONS)
    if isinstance(judgement, Valid):
        event = judgement.event
        names = ("collection", "document_id", "text", "title", "source_uri", "metadata")
        is_added = hasattr(event, "text")
        return "added" if is_added else "removed", {name: getattr(event, name) for name in names} if is_added else None
    kinds: dict[type, str] = {Invalid: "invalid", Unknown: "unknown"}
    return kinds[type(judgement)], None


def in_its_partition(event: Event) -> int:
    """Where murmur2 puts an event."""
    return partition_of(event.key or b"", PARTITIONS)


@pytest.mark.parametrize("how", INVALID)
def test_both_refuse_the_same(how: str) -> None:
    """Every known way to be invalid, in every partition."""
    event = INVALID[how]("c", "one")
    for at in range(PARTITIONS):
        assert both(event, at) == (("invalid", None), ("invalid", None))


@settings(max_examples=400, deadline=None)
@given(COLLECTIONS, TEXTS, FIELDS, st.booleans(), st.booleans(), st.integers(0, 20))
def test_both_read_the_same_documents(
    collection: str, name: str, fields: dict[str, Any], enveloped: bool, removes: bool, elsewhere: int
) -> None:
    """Whatever a document holds, they agree whether it is one, and on each of its fields."""
    event = removed(collection, name) if removes else added(collection, name, **fields)
    event = replace(event, key=f"{collection}/{name}".encode(errors="replace"))
    if enveloped:
        event = structured(event)
    at = in_its_partition(event) if elsewhere else 0
    mine, theirs = both(event, at)
    assert json.dumps(mine) == json.dumps(theirs)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"]),
        st.one_of(
            st.none(), st.sampled_from([b"", b"1.0", b"\xff", b"application/cloudevents+json", b"application/json"])
        ),
    ),
    st.one_of(st.binary(), JSON.map(as_json)),
    st.booleans(),
)
def test_both_read_the_same_envelopes(changes: dict[str, bytes | None], value: bytes, keeps_value: bool) -> None:
    """Headers that are missing, empty, no text, or say another mode; values that are anything."""
    whole = added("c", "one")
    headers: Any = {**whole.headers, **changes}
    event = replace(whole, headers=headers, value=whole.value if keeps_value else value)
    mine, theirs = both(event, in_its_partition(event))
    assert json.dumps(mine) == json.dumps(theirs)


def test_both_skip_what_they_do_not_know() -> None:
    """Before any other check."""
    for at in range(PARTITIONS):
        assert both(unknown("c", "one"), at) == (("unknown", None), ("unknown", None))
