"""Events: the one judgement of validity, as the contract words it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import documents, events
from schemas.documents import DocumentAdded, DocumentRemoved
from schemas.events import Invalid, Unknown, Valid
from schemas.homes import homes
from schemas.partitions import partition_of
from schemas.records import Record

PARTITIONS = 4
KEY = b"c/x"
HOME = partition_of(KEY, PARTITIONS)
DATA: dict[str, Any] = {"collection": "c", "document_id": "x", "text": "hi"}
HEADERS = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/test", "ce_type": documents.ADDED.encode()}


def judged(
    value: bytes | None = None,
    *,
    headers: dict[str, bytes | None] | None = None,
    key: bytes | None = KEY,
    partition: int = HOME,
    **changes: Any,
) -> events.Judgement:
    """The judgement of a good record with some of it changed."""
    if value is None:
        value = json.dumps({**DATA, **changes}).encode()
    record = Record("documents", partition, 0, 0, key, value, tuple({**HEADERS, **(headers or {})}.items()))
    found = events.judge(record, PARTITIONS)
    assert events.judge(record, PARTITIONS, home=homes([key], PARTITIONS)[0]) == found
    return found


def test_a_document_is_read_whole() -> None:
    """Every field arrives as it was written, numbers included."""
    metadata = {"n": 1.0, "i": 2**63 - 1, "tags": ["a", None, True]}
    judgement = judged(text="é𝄞", title="t", metadata=metadata, source_uri="file:///x", unknown={"a": [{}]})
    assert judgement == Valid(DocumentAdded("c", "x", "é𝄞", "t", metadata, "file:///x"))


def test_a_removal_needs_only_its_key() -> None:
    """A removal is valid without a text."""
    value = json.dumps({"collection": "c", "document_id": "x"}).encode()
    removal = judged(value, headers={"ce_type": documents.REMOVED.encode()})
    assert removal == Valid(DocumentRemoved("c", "x"))


def test_structured_mode_says_the_same() -> None:
    """A structured-mode event is judged as its binary twin."""
    event = {"specversion": "1.0", "id": "1", "source": "/t", "type": documents.ADDED, "data": DATA}
    record = Record(
        "documents",
        HOME,
        0,
        0,
        KEY,
        json.dumps(event).encode(),
        (("content-type", events.STRUCTURED + b"; charset=utf-8"),),
    )
    assert events.judge(record, PARTITIONS) == judged()


@pytest.mark.parametrize("name", HEADERS)
def test_each_attribute_must_be_there(name: str) -> None:
    """Without any one of the four attributes the event is invalid, and the reason names it."""
    for missing in (None, b""):
        judgement = judged(headers={name: missing})
        assert isinstance(judgement, Invalid)
        assert name in judgement.reason


def test_an_unknown_type_is_passed_over_before_anything_else_is_looked_at() -> None:
    """An event of another type is skipped even if all the rest of it is broken."""
    assert judged(b"\xff", headers={"ce_type": b"other", "ce_id": None}, key=None, partition=9) == Unknown("other")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("collection", {"collection": "C"}),
        ("collection", {"collection": "a" * 64}),
        ("collection", {"collection": ""}),
        ("document_id", {"document_id": ""}),
        ("document_id", {"document_id": "a" * 513}),
        ("document_id", {"document_id": "a\x85b"}),
        ("document_id", {"document_id": 5}),
        ("text", {"text": None}),
        ("text", {"text": "é" * 500_001}),
        ("text", {"text": "a\0"}),
        ("text", {"text": "\ud800"}),
        ("title", {"title": "a" * 1001}),
        ("title", {"title": "\udfff"}),
        ("source_uri", {"source_uri": "a\0"}),
        ("metadata", {"metadata": []}),
        ("metadata.a", {"metadata": {"a": {}}}),
        ("metadata.a", {"metadata": {"a": [[]]}}),
        ("metadata.a", {"metadata": {"a": 2**63}}),
        ("metadata.a", {"metadata": {"a": ["\0"]}}),
        ("metadata", {"metadata": {"a": "x" * 17_000}}),
        ("NaN", {"metadata": {"a": float("nan")}}),
    ],
)
def test_a_bad_field_is_named(field: str, change: dict[str, Any]) -> None:
    """Whatever breaks the contract is refused with the name of the member at fault."""
    judgement = judged(**change)
    assert isinstance(judgement, Invalid)
    assert field in judgement.reason


@pytest.mark.parametrize(
    "value",
    [
        b'{"collection":"c","document_id":"x","text":"hi","x":"\xff"}',
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_an_unreadable_value_is_invalid(value: bytes) -> None:
    """Undecodable values become a reason, never an exception."""
    assert isinstance(judged(value), Invalid)


def test_the_limits_themselves_are_allowed() -> None:
    """The contract's limits are inclusive."""
    assert isinstance(judged(text="a" * 1_000_000, title="é" * 1_000, metadata={"k": "v" * (16 * 1024 - 8)}), Valid)
    long_id = "é" * 512
    key = documents.key_of("c", long_id)
    place = partition_of(key, PARTITIONS)
    assert isinstance(judged(document_id=long_id, key=key, partition=place), Valid)


def test_an_event_lies_where_its_key_says() -> None:
    """Another key, no key or another partition would break the order of a document's events."""
    assert isinstance(judged(key=b"c/y"), Invalid)
    assert isinstance(judged(key=None), Invalid)
    assert isinstance(judged(partition=(HOME + 1) % PARTITIONS), Invalid)


@given(
    st.none() | st.binary(max_size=80),
    st.none() | st.binary(max_size=30),
    st.lists(st.tuples(st.sampled_from([*HEADERS, "content-type"]), st.none() | st.binary(max_size=40)), max_size=6),
)
def test_any_bytes_are_judged(value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    """No record, however broken, makes the judge raise."""
    judgement = events.judge(Record("documents", 0, 0, 0, key, value, tuple(headers)), PARTITIONS)
    assert isinstance(judgement, Valid | Invalid | Unknown)
