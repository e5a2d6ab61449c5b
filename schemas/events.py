"""CloudEvents in Kafka: reading one record of the `documents` topic, and writing one.

Binary mode keeps the attributes in headers and the data in the value; structured mode keeps all in the value.
The `cloudevents` package reads both too; ours is here because a record must be judged in microseconds, and because
what cannot be read must become a reason to park it, never an exception.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

import msgspec

from schemas import documents, traceparent
from schemas.documents import DocumentEvent
from schemas.errors import InvalidInput
from schemas.partitions import partition_of
from schemas.reading import read
from schemas.records import Record
from schemas.upcasting import DOCUMENTS, Types, newest

STRUCTURED = b"application/cloudevents+json"


class Valid(msgspec.Struct, frozen=True):
    """An event to fold."""

    event: DocumentEvent


class Invalid(msgspec.Struct, frozen=True):
    """An event of a known type, or of no readable type, that breaks the contract: to be parked."""

    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """An event of a type that Nenrin does not know: to be counted and passed over."""

    type: str


Judgement = Valid | Invalid | Unknown


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    data: bytes


class _Typed(msgspec.Struct):
    type: str


class _Traced(msgspec.Struct):
    traceparent: str = ""


class _Structured(_Typed):
    specversion: str = ""
    id: str = ""
    source: str = ""
    data: msgspec.Raw = msgspec.Raw()
    data_base64: str | None = None


def judge(record: Record, partitions: int, types: Types = DOCUMENTS, home: int | None = None) -> Judgement:
    """Decide what a record of the `documents` topic is. Never raises for anything that a producer can send.

    `partitions` is the number of partitions of the topic; `home` the one that the record's key belongs to, for whom
    knows it already (`homes`). Of an older version of a type, the event as it is in the newest.
    """
    try:
        envelope = _open(record, types)
        if isinstance(envelope, Unknown):
            return envelope
        known = types[envelope.type]
        data = read(envelope.data, known.shape)
        known.check(data)
        event: DocumentEvent = newest(data, known.steps) if known.steps else data
        _check_key(record, event)
        _check_partition(record, partition_of(record.key or b"", partitions) if home is None else home)
    except InvalidInput as error:
        return Invalid(str(error))
    return Valid(event)


def _open(record: Record, types: Types) -> _Envelope | Unknown:
    headers = dict(record.headers)  # of those that are there twice the last one counts
    if (headers.get("content-type") or b"").lower().startswith(STRUCTURED):
        return _open_structured(record.value or b"", types)
    type_ = _attribute(headers, "ce_type")
    if type_ not in types:
        return Unknown(type_)
    for name in ("ce_specversion", "ce_id", "ce_source"):
        _attribute(headers, name)
    if record.value is None:
        raise InvalidInput("value", "empty; to remove a document, send an event of type " + documents.REMOVED)
    return _Envelope(type_, record.value)


def _attribute(headers: Mapping[str, bytes | None], name: str) -> str:
    raw = headers.get(name)
    if not raw:
        raise InvalidInput(name, "header missing or empty")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(name, "header is not UTF-8") from error


def _open_structured(value: bytes, types: Types) -> _Envelope | Unknown:
    type_ = read(value, _Typed).type
    if not type_:
        raise InvalidInput("type", "empty")
    if type_ not in types:
        return Unknown(type_)
    event = read(value, _Structured)
    for name in ("specversion", "id", "source"):
        if not getattr(event, name):
            raise InvalidInput(name, "missing")
    return _Envelope(event.type, _structured_data(event))


def _structured_data(event: _Structured) -> bytes:
    if event.data_base64 is None:
        return bytes(event.data)
    try:
        return base64.b64decode(event.data_base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("data_base64", "not base64") from error


def _check_key(record: Record, event: DocumentEvent) -> None:
    if record.key != documents.key_of(event.collection, event.document_id):
        raise InvalidInput("key", "does not match the data: {collection}/{document_id} was expected")


def _check_partition(record: Record, home: int) -> None:
    if home != record.partition:
        raise InvalidInput(
            "partition", f"the key belongs to partition {home} by murmur2, but lies in {record.partition}"
        )


def traceparent_of(record: Record) -> str | None:
    """The span that a record came from: its header, or in structured mode the attribute; None where it isn't valid."""
    headers = dict(record.headers)
    if (sent := headers.get(traceparent.HEADER)) is not None:
        return traceparent.valid(sent)
    if (headers.get("content-type") or b"").lower().startswith(STRUCTURED):
        return _traceparent_inside(record.value or b"")
    return None


def _traceparent_inside(value: bytes) -> str | None:
    try:
        return traceparent.valid(msgspec.json.decode(value, type=_Traced).traceparent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def headers(event: DocumentEvent, event_id: str, source: str, time: datetime) -> list[tuple[str, bytes]]:
    """The binary-mode headers of an event. `time` must be aware."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", documents.TYPE_OF[type(event)].encode()),
        ("ce_time", time.isoformat().encode()),
        ("content-type", b"application/json"),
    ]
