"""The published schemas and the code that judges events agree, as far as JSON Schema can say it."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from schemas import events, upcasting
from schemas.documents import ADDED, REMOVED, DocumentAdded, DocumentRemoved, check, key_of
from schemas.errors import InvalidInput
from schemas.events import Invalid, Valid
from schemas.partitions import partition_of
from schemas.published import FILES, event_schemas
from schemas.reading import read
from schemas.records import Record

SCHEMAS = event_schemas()
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)

BEYOND = ("surrogate", "bytes of UTF-8", "bytes of compact JSON", "64 bits", "not JSON", "nested too deeply")
"""Why an event may be refused that its schema lets pass."""


def follows(value: object, name: str) -> bool:
    """Whether a schema lets a value pass."""
    return bool(Draft202012Validator(SCHEMAS[name], registry=REGISTRY).is_valid(value))


def refusal(value: object, shape: type[DocumentAdded | DocumentRemoved]) -> str | None:
    """Why our code refuses the data of an event, if it does."""
    try:
        check(read(json.dumps(value).encode(), shape))
    except InvalidInput as error:
        return str(error)
    return None


near = st.sampled_from(["", "a", "é", "年輪", "\0", "a\n", "\x85", "x" * 512, "x" * 513, "x" * 1001, "A b", "\ud800"])
names = st.one_of(near, st.text(max_size=5), st.sampled_from(["handbook", "a" * 63, "a" * 64, "-a", "a\n"]))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), names, st.just(2**63)
)
anything = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(names, scalars, max_size=2))
metadata = st.one_of(anything, st.dictionaries(names, st.one_of(anything, st.lists(anything, max_size=2)), max_size=3))
added = st.fixed_dictionaries(
    {"collection": st.one_of(st.just("notes"), names), "document_id": names, "text": st.one_of(names, scalars)},
    optional={
        "title": st.one_of(names, scalars),
        "metadata": metadata,
        "source_uri": st.one_of(names, scalars),
        "unknown": anything,
    },
)


@given(st.one_of(added, anything))
@example({"collection": "a", "document_id": "b", "text": "c" * 1_000_001})
@example({"collection": "a", "document_id": "b", "text": "é" * 999_999})
@example({"collection": "a", "document_id": "b", "text": "", "metadata": {"n": 1e300, "f": [1.0, 10**20]}})
def test_the_schema_of_added_is_what_is_checked(value: object) -> None:
    """Never stricter; and laxer only in what JSON Schema cannot say."""
    why = refusal(value, DocumentAdded)
    if why is None:
        assert follows(value, "document-added")
    elif not any(reason in why for reason in BEYOND):
        # Python takes "$" for the end before a last line break too, other languages do not
        assert not follows(value, "document-added") or "\\n" in why, why


@given(st.one_of(st.fixed_dictionaries({"collection": names, "document_id": names}), anything))
def test_the_schema_of_removed_is_what_is_checked(value: object) -> None:
    """The same for removals."""
    why = refusal(value, DocumentRemoved)
    if why is None:
        assert follows(value, "document-removed")
    elif not any(reason in why for reason in BEYOND):
        assert not follows(value, "document-removed") or "\\n" in why, why


attributes = st.fixed_dictionaries(
    {},
    optional={
        "ce_specversion": st.sampled_from(["1.0", "0.3", ""]),
        "ce_id": st.sampled_from(["1", "", "é"]),
        "ce_source": st.sampled_from(["/here", ""]),
        "ce_type": st.just(ADDED),
        "ce_time": st.sampled_from(["now", ""]),
        "content-type": st.sampled_from(["application/json", "text/plain", ""]),
    },
)


@given(attributes)
def test_the_schema_of_headers_is_what_is_judged(headers: dict[str, str]) -> None:
    """Binary mode, and an event whose data is good: its headers alone decide."""
    data = {"collection": "notes", "document_id": "a", "text": ""}
    judged = judgement(json.dumps(data).encode(), headers)
    assert follows(headers, "headers") == isinstance(judged, Valid)


structured = st.fixed_dictionaries(
    {},
    optional={
        "specversion": st.sampled_from(["1.0", ""]),
        "id": st.sampled_from(["1", "", 1]),
        "source": st.sampled_from(["/here", ""]),
        "type": st.sampled_from([ADDED, REMOVED]),
        "data": st.sampled_from(
            [{"collection": "notes", "document_id": "a", "text": ""}, {"collection": "notes", "document_id": "a"}, 1]
        ),
        "data_base64": st.none(),
        "extension": st.just("kept by nobody"),
    },
)


@given(structured)
def test_the_schema_of_structured_events_is_what_is_judged(event: dict[str, object]) -> None:
    """Structured mode, its data as JSON."""
    judged = judgement(json.dumps(event).encode(), {"content-type": "application/cloudevents+json"})
    assert follows(event, "structured") == isinstance(judged, Valid)


def judgement(value: bytes, headers: dict[str, str]) -> events.Judgement:
    """What our code says of a record of the document notes/a."""
    key = key_of("notes", "a")
    sent = tuple((name, content.encode()) for name, content in headers.items())
    judged = events.judge(Record("documents", partition_of(key, 4), 0, 0, key, value, sent), 4)
    assert isinstance(judged, Valid | Invalid)
    return judged


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    """They are valid JSON Schema of the dialect that they name."""
    assert SCHEMAS[name]["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_every_type_of_event_has_a_schema() -> None:
    """A type that is added to the contract gets one, and so does each older version that is still read."""
    assert SCHEMAS["headers"]["properties"]["ce_type"]["enum"] == list(upcasting.DOCUMENTS) == list(FILES)
