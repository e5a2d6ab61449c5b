"""Writes that succeed: what is in the log, and what the caller is told."""

import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import quote

import httpx
import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from schemas.partitions import partition_of
from schemas.versions import parse
from tests.services.command.conftest import PARTITIONS, Command, record_at

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def headers_of(record: Message) -> Mapping[str, str]:
    """A record's headers as text."""
    found = cast(list[tuple[str, bytes]], record.headers())
    return {name: value.decode() for name, value in found}


def written(kafka: str, topic: str, answer: httpx.Response) -> Message:
    """The record that an answer's version covers last."""
    ((partition, following),) = parse(answer.json()["version"]).offsets["documents"].items()
    return record_at(kafka, topic, partition, following - 1)


def test_a_put_is_an_added_event(service: Command, kafka: str, topic: str) -> None:
    """The record is contract 1's to the letter, with absent members filled in."""
    answer = service.put("minimal", {"text": "tree rings"})
    assert answer.status_code == 202
    record = written(kafka, topic, answer)
    assert record.key() == b"c/minimal"
    assert json.loads(record.value() or b"") == {
        "collection": "c",
        "document_id": "minimal",
        "text": "tree rings",
        "title": None,
        "metadata": {},
        "source_uri": None,
    }
    headers = headers_of(record)
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "nenrin.document.added.v1"
    assert headers["ce_source"] == "/nenrin/command"
    assert headers["content-type"] == "application/json"
    assert datetime.fromisoformat(headers["ce_time"]).utcoffset() == timedelta(0)
    assert "traceparent" not in headers


def test_all_members_are_kept(service: Command, kafka: str, topic: str) -> None:
    """Title, metadata and source are in the event as they were sent."""
    body = {
        "text": "年輪 \U0001f333",
        "title": "Rings",
        "metadata": {"year": 1911, "ratio": 0.5, "tags": ["a", None], "big": 2**63 - 1, "none": None},
        "source_uri": "https://example.org/?a=b",
    }
    record = written(kafka, topic, service.put("whole", body))
    assert json.loads(record.value() or b"").items() >= body.items()


def test_a_delete_is_a_removed_event(service: Command, kafka: str, topic: str) -> None:
    """Also of a document that never was: past its version there is none."""
    answer = httpx.delete(f"{service.url}/v1/collections/c/documents/nobody")
    assert (answer.status_code, answer.json()["document_id"]) == (202, "nobody")
    record = written(kafka, topic, answer)
    assert headers_of(record)["ce_type"] == "nenrin.document.removed.v1"
    assert json.loads(record.value() or b"") == {"collection": "c", "document_id": "nobody"}


@pytest.mark.parametrize(
    "document_id", ["a/b", "a//b", "..", "%2F", "a b?#", "年輪", "get", "x" * 512, "\U0001f333" * 512]
)
def test_every_id_lies_in_its_partition(service: Command, kafka: str, topic: str, document_id: str) -> None:
    """The key names the document, and its partition is the one that any Java or librdkafka producer would choose."""
    # dots are encoded too, for clients resolve them
    answer = service.put(quote(document_id, safe="").replace(".", "%2E"), {"text": ""})
    assert answer.json()["document_id"] == document_id
    record = written(kafka, topic, answer)
    key = f"c/{document_id}".encode()
    assert (record.key(), record.partition()) == (key, partition_of(key, PARTITIONS))


def test_the_token_covers_the_write(service: Command, kafka: str, topic: str) -> None:
    """It says the same in body and header, and carries the topic's incarnation."""
    answer = service.put("token", {"text": ""})
    assert answer.headers["nenrin-version"] == answer.json()["version"]
    version = parse(answer.json()["version"])
    described = AdminClient({"bootstrap.servers": kafka}).list_topics(topic, timeout=10).topics[topic]
    assert set(version.offsets["documents"]) <= set(described.partitions)
    assert version.incarnations["documents"]


def test_a_trace_goes_on_in_the_log(service: Command, kafka: str, topic: str) -> None:
    """An inbound traceparent is put on the record."""
    answer = service.put("traced", {"text": ""}, headers={"traceparent": TRACE})
    assert headers_of(written(kafka, topic, answer))["traceparent"] == TRACE


@pytest.mark.parametrize("broken", ["nonsense", TRACE.replace("4bf9", "XXXX"), "00-" + "0" * 32 + TRACE[35:]])
def test_a_broken_trace_does_not(service: Command, kafka: str, topic: str, broken: str) -> None:
    """The standard has one start anew; it is no reason to refuse a write."""
    answer = service.put("untraced", {"text": ""}, headers={"traceparent": broken})
    assert "traceparent" not in headers_of(written(kafka, topic, answer))


def test_every_event_has_an_id_of_its_own(service: Command, kafka: str, topic: str) -> None:
    """Two writes of one document are two events."""
    ids = {headers_of(written(kafka, topic, service.put("twice", {"text": ""})))["ce_id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"text": "a" * 1_000_000, "title": "t" * 1000},
        {"text": '"\n' * 500_000},  # twice as long in JSON
        # six times as long, as many as a body can hold: over the topic's limit, were it not compressed
        {"text": "".join(random.Random(3).choices([chr(number) for number in range(1, 32)], k=690_000))},
        {"text": "é" * 500_000},
        {"text": "", "metadata": {"key": "x" * 16_000}},
    ],
    ids=["text", "escaped", "controls", "umlauts", "metadata"],
)
def test_what_the_contract_allows_fits_in_a_record(
    service: Command, kafka: str, topic: str, body: dict[str, object]
) -> None:
    """No valid document is too large for the log."""
    answer = service.put("large", body)
    assert answer.status_code == 202, answer.text
    assert json.loads(written(kafka, topic, answer).value() or b"")["text"] == body["text"]


def test_writes_are_counted(service: Command) -> None:
    """By what became of them."""
    service.put("counted", {"text": ""})
    assert 'nenrin_writes_total{outcome="acknowledged"}' in httpx.get(service.url + "/metrics").text
