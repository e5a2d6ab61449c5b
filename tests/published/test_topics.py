"""What is really in the topics follows the published schemas, whoever wrote it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from nenrin import Draft, Session
from schemas import embedded
from schemas.documents import ADDED, REMOVED
from schemas.events import STRUCTURED
from schemas.published import FILES
from schemas.versions import Version
from tests.published.answers import API
from tests.running import Running

FOLDER = API / "events"
SCHEMAS: dict[str, Any] = {path.name: json.loads(path.read_text()) for path in Path(FOLDER).glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
C = "topics"


def check(value: object, name: str) -> None:
    """Fail unless a value follows a published schema."""
    validator = Draft202012Validator(SCHEMAS[f"{name}.schema.json"], registry=REGISTRY)
    assert not (faults := [error.message for error in validator.iter_errors(value)]), (name, faults, value)


@pytest.fixture(scope="module")
def written(whole_stack: Running) -> Running:
    """Documents written in every way there is, all of them embedded."""
    ends = whole_stack.endpoints
    by_http = httpx.put(
        f"{ends['command']}/v1/collections/{C}/documents/h", json={"text": "By HTTP.", "metadata": {"n": 1}}
    )
    by_kafka = produce(ends["kafka"])
    with Session(ends["command"], ends["query"], token=by_http.headers["Nenrin-Version"], wait=30.0) as session:
        session.cover(by_kafka)
        session.add(C, "client/年輪", "By the client.", title="Rings", source_uri="https://example.org/")
        session.add_many(C, [Draft("bulk/1", "One."), Draft("bulk/2", "Two. " * 400)])
        session.add(C, "gone", "Soon.")
        session.remove(C, "gone")
        session.search(C, "client", mode="text")  # waits for all of it
    return whole_stack


def produce(kafka: str) -> str:
    """Both modes, a removal, an invalid event and one of a strange type; returns the token of all."""
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    next_offsets: dict[int, int] = {}

    def acknowledged(_: object, message: Message) -> None:
        next_offsets[message.partition() or 0] = (message.offset() or 0) + 1

    def send(document_id: str, value: object, headers: dict[str, str | bytes | None]) -> None:
        producer.produce(
            "documents", key=f"{C}/{document_id}", value=json.dumps(value), headers=headers, on_delivery=acknowledged
        )

    binary: dict[str, str | bytes | None] = {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/tests",
        "ce_type": ADDED,
        "content-type": "x/y",
    }
    data = {"collection": C, "document_id": "raw", "text": "Raw.", "strange": {"member": [1]}}
    send("raw", data, binary)
    send("raw", {"collection": C, "document_id": "raw"}, binary | {"ce_type": REMOVED})
    whole = {"specversion": "1.0", "id": "2", "source": "/tests", "type": ADDED}
    send("structured", whole | {"data": data | {"document_id": "structured"}}, {"content-type": STRUCTURED.decode()})
    send("invalid", {"collection": C, "document_id": "another"}, binary)
    send("unknown", {}, binary | {"ce_type": "somebody.elses.v1"})
    assert producer.flush(10) == 0
    return Version({"documents": next_offsets}).token()


def records(kafka: str, topic: str) -> Iterator[Message]:
    """All that is in a topic now."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "tests", "enable.partition.eof": True})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    ended = 0
    while ended < len(partitions):
        message = consumer.poll(10)
        assert message is not None, f"{topic} cannot be read"
        if message.error():
            ended += 1
        else:
            yield message
    consumer.close()


def headers_of(message: Message) -> dict[str, str]:
    """The headers of a record as the schemas take them."""
    headers: list[tuple[str, bytes | None]] = message.headers() or []  # type: ignore[assignment]
    return {name: value.decode() for name, value in headers if value is not None}


def test_source_events_follow_their_schemas(written: Running) -> None:
    """All but those that are meant to be wrong: what HTTP, the client and Kafka's clients wrote of this collection."""
    seen: dict[str, int] = {}
    for message in records(written.endpoints["kafka"], "documents"):
        key = (message.key() or b"").decode(errors="replace")  # other tests write what is no text on purpose
        if not key.startswith(f"{C}/") or key.endswith(("/invalid", "/unknown")):
            continue
        value, headers = json.loads(message.value() or b"null"), headers_of(message)
        if headers.get("content-type") == STRUCTURED.decode():
            check(value, "structured")
            seen["structured"] = seen.get("structured", 0) + 1
        else:
            check(headers, "headers")
            check(value, FILES[headers["ce_type"]])
            seen[headers["ce_type"]] = seen.get(headers["ce_type"], 0) + 1
    assert seen == {"structured": 1, ADDED: 6, REMOVED: 2}


def test_derived_events_follow_their_schemas(written: Running) -> None:
    """Every record of the whole topic, of all four types."""
    kafka = written.endpoints["kafka"]
    (topic,) = [
        name
        for name in Consumer({"bootstrap.servers": kafka, "group.id": "t"}).list_topics().topics
        if name.startswith("documents.embedded.")
    ]
    seen = set()
    for message in records(kafka, topic):
        headers = headers_of(message)
        check(headers, "passages-headers")
        # as JSON writers do, binary becomes base64
        value = msgspec.to_builtins(msgspec.msgpack.decode(message.value() or b""), builtin_types=())
        check(value, f"passages-{headers['ce_type'].split('.')[2]}")
        seen.add(headers["ce_type"])
    assert seen == {shape.kind.value for shape in embedded.SHAPES}
