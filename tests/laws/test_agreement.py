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
# Mostly what is allowed, so that what isn't stands alone often enough.
PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
LETTERS = st.sampled_from(
    ["a", "é", "年", "😀", "\0", "\n", "\x7f", "\x85", "\xa0", "\u2028", "\ud800", "\udfff", "/", " "]
)
LENGTHS = st.sampled_from(["", "a" * 512, "a" * 513, "é" * 1000, "é" * 1001])
TEXTS = st.one_of(PLAIN, PLAIN, PLAIN, st.text(LETTERS, max_size=4), LENGTHS)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, PLAIN)
NASTY = st.one_of(TEXTS, st.floats(), st.integers())
JSON = st.recursive(
    NASTY, lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXTS, one, max_size=3), max_leaves=6
)
METADATA = st.dictionaries(PLAIN, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=4)
EDGES = st.sampled_from(["0", "-", "_a", "a-_9", "A", "", "c" * 63, "c" * 64, "a\n", "é", "٣"])
COLLECTIONS = st.one_of(st.just("c"), st.just("c"), st.just("c"), EDGES, TEXTS)
NAMES = st.one_of(st.just("one"), st.just("a/b"), TEXTS)
FIELDS = st.fixed_dictionaries(
    {"text": st.one_of(PLAIN, PLAIN, TEXTS, JSON)},
    optional={
        "title": st.one_of(PLAIN, PLAIN, TEXTS, JSON),
        "source_uri": st.one_of(PLAIN, PLAIN, TEXTS, JSON),
        "metadata": st.one_of(METADATA, METADATA, METADATA, st.dictionaries(TEXTS, JSON, max_size=3), JSON),
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


@st.composite
def document_events(draw: st.DrawFn) -> Event:
    """An event whose envelope is right; what it says of a document is anything."""
    collection, name = draw(COLLECTIONS), draw(NAMES)
    event = added(collection, name, **draw(FIELDS)) if draw(st.integers(0, 9)) else removed(collection, name)
    return structured(event) if draw(st.booleans()) else event


@settings(max_examples=500, deadline=None)
@given(document_events())
def test_both_read_the_same_documents(event: Event) -> None:
    """Whatever a document holds, they agree whether it is one, and on each of its fields."""
    mine, theirs = both(event, in_its_partition(event))
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


@pytest.mark.parametrize("changes", [{"id": None}, {"specversion": 1.0}, {"data": 5}, {"source": []}, {}])
def test_both_skip_what_they_do_not_know(changes: dict[str, Any]) -> None:
    """Before any other check, in either mode."""
    whole = structured(added("c", "one"))
    envelope = json.loads(whole.value or b"") | {"type": "org.example.happened.v1"} | changes
    for event in (unknown("c", "one"), replace(whole, value=as_json(envelope))):
        for at in range(PARTITIONS):
            assert both(event, at) == (("unknown", None), ("unknown", None))
