"""Older versions of an event type are read as they were written, and brought up to date a step at a time."""

import base64
import json
from typing import Any

import msgspec
import pytest

from schemas import documents, embedded
from schemas.derived import decode
from schemas.documents import ADDED, DocumentAdded, key_of
from schemas.errors import UndecodableRecord
from schemas.events import STRUCTURED, Invalid, Judgement, Unknown, Valid, judge
from schemas.partitions import partition_of
from schemas.records import Record
from schemas.upcasting import DOCUMENTS, Known, Older, with_older
from tests.schemas.later import ADDED_2, ADDED_3, LATER, LATER_PASSAGES, REMOVED_0, AddedV3
from tests.schemas.test_embedded import EVENTS, SOURCE, record_of

KEY = key_of("c", "x")
HOME = partition_of(KEY, 4)
V1 = {"collection": "c", "document_id": "x", "text": "hi", "metadata": {"lang": "en"}}
V2 = {"collection": "c", "document_id": "x", "text": "hi", "title": "t", "language": "de"}
V3 = {"collection": "c", "document_id": "x", "text": "hi", "title": "t", "metadata": {"language": "fr"}}


def binary(type_: str, data: object) -> Record:
    """An event in headers and value."""
    headers = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/t", "ce_type": type_.encode()}
    return Record("documents", HOME, 0, 0, KEY, json.dumps(data).encode(), tuple(headers.items()))


def structured(type_: str, members: dict[str, Any]) -> Record:
    """An event whole in its value."""
    value = {"specversion": "1.0", "id": "1", "source": "/t", "type": type_, **members}
    return Record("documents", HOME, 0, 0, KEY, json.dumps(value).encode(), (("content-type", STRUCTURED),))


def later(record: Record) -> Judgement:
    """What the later version says of a record."""
    return judge(record, 4, LATER)


@pytest.mark.parametrize(
    ("type_", "data", "title", "language"),
    [(ADDED, V1, "hi", "en"), (ADDED_2, V2, "t", "de"), (ADDED_3, V3, "t", "fr")],
)
def test_each_version_becomes_the_newest(type_: str, data: dict[str, Any], title: str, language: str) -> None:
    """v1 takes both steps, v2 one, v3 none; in both modes, and as base64 too."""
    newest = Valid(AddedV3("c", "x", "hi", title, {"language": language}))
    encoded = base64.b64encode(json.dumps(data).encode()).decode()
    assert later(binary(type_, data)) == newest
    assert later(structured(type_, {"data": data})) == newest
    assert later(structured(type_, {"data_base64": encoded})) == newest


def test_a_version_that_is_not_known_yet_is_passed_over() -> None:
    """To today's Nenrin a v2 is an unknown type: counted, never parked, whatever its data are."""
    assert judge(binary(ADDED_2, V2), 4) == judge(binary(ADDED_2, None), 4) == Unknown(ADDED_2)


def test_an_event_is_judged_by_the_rules_of_its_own_version() -> None:
    """What was parked as a v1 stays parked, though the steps would have made something of it."""
    refused = binary(ADDED, V1 | {"metadata": {"lang": "en", "nested": {"a": 1}}})
    assert later(refused) == judge(refused, 4)
    assert isinstance(later(refused), Invalid)
    assert isinstance(later(binary(ADDED_2, V1)), Invalid)  # v2 demands a title
    assert isinstance(later(msgspec.structs.replace(binary(ADDED, V1), key=b"c/y")), Invalid)


def test_today_nothing_is_converted() -> None:
    """The newest versions have no steps."""
    assert all(DOCUMENTS[type_].steps == () for type_ in documents.DATA_OF)
    assert judge(binary(ADDED, V1), 4) == Valid(DocumentAdded("c", "x", "hi", None, {"lang": "en"}))


def test_the_derived_topic_s_types_have_versions_too() -> None:
    """An older removal beside a newer one; the others as they are."""
    old = Record("d", 2, 0, 0, b"c/x", msgspec.msgpack.encode({"source": SOURCE, "key": "c/x"}), (kind(REMOVED_0),))
    assert decode(old, LATER_PASSAGES) == embedded.Removed(SOURCE, "c", "x")
    assert [decode(record_of(event), LATER_PASSAGES) for event in EVENTS] == EVENTS
    with pytest.raises(UndecodableRecord, match=REMOVED_0):
        decode(old)


def kind(type_: str) -> tuple[str, bytes]:
    """The header that names a record's type."""
    return "ce_type", type_.encode()


def test_versions_are_listed_behind_the_one_that_is_next() -> None:
    """A chain that ends nowhere, or a version twice, is found when the module is imported."""
    one = Older("a.v1", dict, dict, "a.v2")
    with pytest.raises(KeyError, match=r"a\.v2"):
        with_older({}, [one])
    with pytest.raises(ValueError, match=r"a\.v1 is there twice"):
        with_older({"a.v2": Known(dict)}, [one, one])
    assert with_older({"a.v2": Known(dict)}, [one])["a.v1"].steps == (dict,)
