"""Events as anyone may write them who has read contract 1 and nothing else."""

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

ADDED, REMOVED = "nenrin.document.added.v1", "nenrin.document.removed.v1"
NUL, LONE_SURROGATE = "a\0b", "a\ud800b"


@dataclass(frozen=True)
class Event:
    """A record before it is sent; without a `partition` the producer's partitioner chooses one by the key."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    partition: int | None = None


@dataclass(frozen=True)
class Place:
    """Where Kafka put a record."""

    partition: int
    offset: int


def event(type_: str, data: dict[str, Any], **changes: Any) -> Event:
    """A binary-mode CloudEvent."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": "/tests",
        "ce_type": type_,
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    key = f"{data['collection']}/{data['document_id']}".encode(errors="replace")
    encoded = {name: value.encode() for name, value in headers.items()}
    return replace(Event(key, as_json(data), encoded), **changes)


def as_json(data: Any) -> bytes:
    """UTF-8 as it is, and escapes where a lone surrogate leaves no other way."""
    try:
        return json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(data).encode()


def added(collection: str, document_id: str, text: Any = "a text", **fields: Any) -> Event:
    """A whole document."""
    return event(ADDED, {"collection": collection, "document_id": document_id, "text": text, **fields})


def removed(collection: str, document_id: str) -> Event:
    """The end of a document."""
    return event(REMOVED, {"collection": collection, "document_id": document_id})


def structured(binary: Event) -> Event:
    """The same event in structured mode."""
    attributes = {name[3:]: value.decode() for name, value in binary.headers.items() if name.startswith("ce_")}
    envelope = attributes | {"datacontenttype": "application/json", "data": json.loads(binary.value or b"")}
    content_type = {"content-type": b"application/cloudevents+json; charset=utf-8"}
    return replace(binary, value=json.dumps(envelope).encode(), headers=content_type)


def in_base64(binary: Event) -> Event:
    """The same event in structured mode, its data as bytes; the media type as a producer of another taste writes it."""
    envelope = json.loads(structured(binary).value or b"")
    envelope["data_base64"] = base64.b64encode(json.dumps(envelope.pop("data")).encode()).decode()
    content_type = {"content-type": b"Application/CloudEvents+JSON;charset=UTF-8"}
    return replace(binary, value=json.dumps(envelope).encode(), headers=content_type)


def _enveloped(**members: Any) -> Callable[[str, str], Event]:
    def made(collection: str, name: str) -> Event:
        whole = in_base64(added(collection, name))
        return replace(whole, value=json.dumps(json.loads(whole.value or b"") | members).encode())

    return made


def without(header: str, whole: Event) -> Event:
    """The event less one header."""
    return replace(whole, headers={name: value for name, value in whole.headers.items() if name != header})


def _spoilt(**fields: Any) -> Callable[[str, str], Event]:
    return lambda collection, name: added(collection, name, **{"text": "a text", **fields})


def _valued(value: bytes | None) -> Callable[[str, str], Event]:
    return lambda collection, name: replace(added(collection, name), value=value)


def _keyed(key: bytes | None) -> Callable[[str, str], Event]:
    return lambda collection, name: replace(added(collection, name), key=key, partition=0)


def _with_metadata(raw: str) -> Callable[[str, str], Event]:
    def made(collection: str, name: str) -> Event:
        value = (
            f'{{"collection":{json.dumps(collection)},"document_id":{json.dumps(name)},"text":"t","metadata":{raw}}}'
        )
        return replace(added(collection, name), value=value.encode())

    return made


def _lacking(header: str) -> Callable[[str, str], Event]:
    return lambda collection, name: without(header, added(collection, name))


def _typed(type_: bytes) -> Callable[[str, str], Event]:
    def made(collection: str, name: str) -> Event:
        whole = added(collection, name)
        return replace(whole, headers=whole.headers | {"ce_type": type_})

    return made


def _naming(collection: str | None = None, name: str | None = None) -> Callable[[str, str], Event]:
    return lambda usual, one: added(usual if collection is None else collection, one if name is None else name)


# Every way to be invalid that doesn't depend on the partition; each keeps the key of the document where it can.
INVALID: dict[str, Callable[[str, str], Event]] = {
    "no specversion": _lacking("ce_specversion"),
    "no id": _lacking("ce_id"),
    "no source": _lacking("ce_source"),
    "no type": _lacking("ce_type"),
    "no headers": lambda collection, name: replace(added(collection, name), headers={}),
    "type not UTF-8": _typed(b"\xff\xfe"),
    "tombstone": _valued(None),
    "bare tombstone": lambda collection, name: Event(f"{collection}/{name}".encode(), None, {}),
    "empty value": _valued(b""),
    "not JSON": _valued(b"{"),
    "not UTF-8": _valued(b'{"text": "\xff\xfe"}'),
    "UTF-16": lambda collection, name: replace(
        added(collection, name), value=(added(collection, name).value or b"").decode().encode("utf-16")
    ),
    "not an object": _valued(b"[1, 2]"),
    "null": _valued(b"null"),
    "no text": lambda collection, name: event(ADDED, {"collection": collection, "document_id": name}),
    "text of a number": _spoilt(text=5),
    "text null": _spoilt(text=None),
    "text with U+0000": _spoilt(text=NUL),
    "text with a lone surrogate": _spoilt(text=LONE_SURROGATE),
    "text too long": _spoilt(text="é" * 500_001),
    "title of a number": _spoilt(title=5),
    "title with U+0000": _spoilt(title=NUL),
    "title with a lone surrogate": _spoilt(title=LONE_SURROGATE),
    "title too long": _spoilt(title="t" * 1001),
    "source_uri of a list": _spoilt(source_uri=[]),
    "source_uri with U+0000": _spoilt(source_uri=NUL),
    "metadata of a list": _spoilt(metadata=[]),
    "metadata of a text": _spoilt(metadata="{}"),
    "nested metadata": _spoilt(metadata={"a": {"b": 1}}),
    "metadata with a list of lists": _spoilt(metadata={"a": [[1]]}),
    "metadata with a list of objects": _spoilt(metadata={"a": [{"b": 1}]}),
    "metadata too long": _spoilt(metadata={"a": "m" * 16384}),
    "metadata key with U+0000": _spoilt(metadata={NUL: 1}),
    "metadata value with U+0000": _spoilt(metadata={"a": NUL}),
    "metadata item with U+0000": _spoilt(metadata={"a": ["b", NUL]}),
    "metadata value with a lone surrogate": _spoilt(metadata={"a": LONE_SURROGATE}),
    "metadata NaN": _with_metadata('{"a": NaN}'),
    "metadata Infinity": _with_metadata('{"a": -Infinity}'),
    "metadata beyond doubles": _with_metadata('{"a": 1e999}'),
    "collection in capitals": _naming(collection="Capitals"),
    "collection with a slash": _naming(collection="a/b"),
    "collection empty": _naming(collection=""),
    "collection too long": _naming(collection="c" * 64),
    "id empty": _naming(name=""),
    "id too long": _naming(name="i" * 513),
    "id with a control character": _naming(name="a\x7fb"),
    "id with a C1 control character": _naming(name="a\x85b"),
    "id with a newline": _naming(name="a\n"),
    "id with U+0000": _naming(name=NUL),
    "another key": _keyed(b"another/key"),
    "key not UTF-8": _keyed(b"\xff\xfe"),
    "empty key": _keyed(b""),
    "no key": _keyed(None),
    "removed without its id": lambda collection, name: replace(
        removed(collection, name), value=json.dumps({"collection": collection}).encode()
    ),
    "structured, not JSON": lambda collection, name: replace(structured(added(collection, name)), value=b"{"),
    "structured, without source": lambda collection, name: structured(without("ce_source", added(collection, name))),
    "structured, data not base64": _enveloped(data_base64="{}"),
    "structured, data not JSON": _enveloped(data_base64=base64.b64encode(b"{").decode()),
    "structured, data not bytes": _enveloped(data_base64=5),
    "structured, data as text": _enveloped(data_base64=None, data='{"text": ""}'),
    "structured, without data": _enveloped(data_base64=None),
    "structured, without type": lambda collection, name: structured(without("ce_type", added(collection, name))),
}


def unknown(collection: str, document_id: str) -> Event:
    """An event of a type that nobody knows, and whose data nobody may look at."""
    return replace(added(collection, document_id), headers={"ce_type": b"org.example.happened.v1"}, value=b"\0{")


class Straight:
    """A plain librdkafka producer into the source topic."""

    def __init__(self, kafka: str, prefix: str = "", **settings: Any) -> None:
        """Connect lazily, as librdkafka does."""
        self.topic = f"{prefix}documents"
        self.places: list[Place] = []
        self._failures: list[KafkaError] = []
        configuration: dict[str, Any] = {
            "bootstrap.servers": kafka,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "message.max.bytes": 2 * 1024 * 1024,
            "linger.ms": 2,
            "log_level": 2,  # a broker that goes before its clients is no news in tests
        }
        self.producer = Producer(configuration | settings)

    def hand(self, one: Event) -> None:
        """Give it to the client; `flush` says when it is in the log."""
        chosen = -1 if one.partition is None else one.partition  # -1 lets the partitioner choose
        headers: dict[str, str | bytes | None] = {**one.headers}
        self.producer.produce(self.topic, one.value, one.key, chosen, self._delivered, headers=headers)
        self.producer.poll(0)

    def flush(self) -> list[Place]:
        """Wait for Kafka's acks; the places of what was handed since the last flush, in order of the acks."""
        left = self.producer.flush(30)
        assert not left, f"{left} records without an ack"
        assert not self._failures, self._failures
        places, self.places = self.places, []
        return places

    def send(self, one: Event) -> Place:
        """Hand one event and wait for its ack."""
        self.hand(one)
        return self.flush()[-1]

    def _delivered(self, failure: KafkaError | None, message: Message) -> None:
        if failure is not None:
            self._failures.append(failure)
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self.places.append(Place(partition, offset))
