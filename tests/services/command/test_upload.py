"""NDJSON: every valid line becomes an event, every other one is named, and nothing is held in memory."""

import base64
import http.client
import json
import random
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from confluent_kafka import Message

from schemas.versions import Version, parse
from services.command.publisher import STREAMS
from tests.services.command.conftest import Command, records
from tests.services.command.test_bad_input import WRONG
from tests.services.command.test_writes import TRACE, headers_of

MIB = 1024 * 1024


@pytest.fixture
def collection() -> str:
    """A collection of this test's own."""
    return f"u{secrets.token_hex(4)}"


def line(document_id: str, **members: object) -> bytes:
    """A document as a line."""
    return json.dumps({"document_id": document_id, "text": "", **members}, ensure_ascii=False).encode() + b"\n"


def events_of(kafka: str, topic: str, collection: str) -> list[Message]:
    """The records of a collection, partition by partition."""
    return [record for record in records(kafka, topic) if (record.key() or b"").startswith(collection.encode() + b"/")]


def ids_of(messages: Iterable[Message]) -> list[str]:
    """The ids of the documents in these records."""
    return [json.loads(message.value() or b"")["document_id"] for message in messages]


def test_every_line_becomes_an_event(service: Command, kafka: str, topic: str, collection: str) -> None:
    """To the letter of contract 1, as a PUT would write it; the version in body and header covers all of them."""
    whole = {"title": "Rings", "metadata": {"year": 1911, "tags": ["a", None]}, "source_uri": "https://example.org/"}
    body = line("a/b", text="年輪 \U0001f333", **whole) + b"".join(line(f"plain-{number}") for number in range(50))
    answer = service.upload(body, collection, headers={"traceparent": TRACE})
    assert (answer.status_code, answer.headers["nenrin-version"]) == (200, answer.json()["version"])
    assert answer.json() | {"version": ""} == {"accepted": 51, "rejected_count": 0, "rejected": [], "version": ""}
    found = events_of(kafka, topic, collection)
    assert sorted(ids_of(found)) == sorted(["a/b", *(f"plain-{number}" for number in range(50))])
    data = {record.key(): json.loads(record.value() or b"") for record in found}
    expected = {"collection": collection, "document_id": "a/b", "text": "年輪 \U0001f333", **whole}
    assert data[f"{collection}/a/b".encode()] == expected
    assert data[f"{collection}/plain-0".encode()]["metadata"] == {}
    assert data[f"{collection}/plain-0".encode()]["title"] is None
    check_headers(found)
    assert parse(answer.json()["version"]).offsets == ends_of(found)


def check_headers(found: list[Message]) -> None:
    """CloudEvents with ids of their own, in the caller's trace."""
    headers = [headers_of(record) for record in found]
    assert len({each["ce_id"] for each in headers}) == len(found)
    for each in headers:
        assert (each["ce_specversion"], each["ce_source"]) == ("1.0", "/nenrin/command")
        assert (each["ce_type"], each["content-type"]) == ("nenrin.document.added.v1", "application/json")
        assert datetime.fromisoformat(each["ce_time"]).utcoffset() == timedelta(0)
        assert each["traceparent"].startswith(TRACE[:35]), "the same trace"


def ends_of(messages: list[Message]) -> dict[str, dict[int, int]]:
    """The least version that covers these records."""
    ends: dict[int, int] = {}
    for message in messages:
        partition = message.partition() or 0
        ends[partition] = max(ends.get(partition, 0), (message.offset() or 0) + 1)
    return {"documents": ends}


def test_lines_end_as_they_like(service: Command, kafka: str, topic: str, collection: str) -> None:
    """Blank lines are skipped but counted, a carriage return is none of a line's, the last line needs no end."""
    body = b"\n" + line("a") + b"  \r\n" + line("b").replace(b"\n", b"\r\n") + b"nonsense\r\n\n" + line("c").rstrip()
    answer = service.upload(body, collection).json()
    assert (answer["accepted"], answer["rejected_count"]) == (3, 1)
    assert [each["line"] for each in answer["rejected"]] == [5]
    assert sorted(ids_of(events_of(kafka, topic, collection))) == ["a", "b", "c"]


def test_a_body_without_length(service: Command, kafka: str, topic: str, collection: str) -> None:
    """Chunks may be cut anywhere, in the middle of a character too."""
    body = b"".join(line(f"é-{number}", text="年輪") for number in range(20))
    answer = service.upload((body[place : place + 7] for place in range(0, len(body), 7)), collection).json()
    assert answer["accepted"] == 20
    assert sorted(ids_of(events_of(kafka, topic, collection))) == sorted(f"é-{number}" for number in range(20))


@pytest.mark.parametrize("body", [b"", b"\n\n", b"nonsense\n"])
def test_nothing_accepted(service: Command, collection: str, body: bytes) -> None:
    """The version of nothing, which any reader has reached."""
    answer = service.upload(body, collection)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
    assert parse(answer.headers["nenrin-version"]) == Version()


def test_each_bad_line_is_named(service: Command, kafka: str, topic: str, collection: str) -> None:
    """The rules are those of a PUT, the field is named, and the lines between are accepted."""
    bodies = {name: body for name, (body, _, _) in WRONG.items() if name not in ("empty", "names belong in the path")}
    bad = [body.replace(b"{", b'{"document_id": "bad", ', 1) for body in bodies.values()]
    answer = service.upload(b"".join(each + b"\n" + line("good") for each in bad), collection).json()
    assert (answer["accepted"], answer["rejected_count"]) == (len(bad), len(bad))
    for number, (name, said) in enumerate(zip(bodies, answer["rejected"], strict=True)):
        field = WRONG[name][2]
        assert said["line"] == 2 * number + 1, name
        assert field == "body" or said["error"].startswith(f"{field}: "), (name, said)
        assert 0 < len(said["error"]) <= 500
    assert set(ids_of(events_of(kafka, topic, collection))) == {"good"}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "document_id"),
        ({"document_id": ""}, "document_id"),
        ({"document_id": "a\n"}, "document_id"),
        ({"document_id": "a" * 513}, "document_id"),
        ({"document_id": 1}, "document_id"),
        ({"document_id": "a", "collection": "c"}, "collection"),
        ({"document_id": "a", "x" * 100_000: 1}, "x"),
    ],
)
def test_names_in_a_line(service: Command, collection: str, members: dict[str, object], field: str) -> None:
    """The id keeps the contract as it does in a path; the collection is in the path alone."""
    answer = service.upload(json.dumps({"text": "", **members}).encode(), collection).json()
    ((said,), accepted) = answer["rejected"], answer["accepted"]
    assert (accepted, said["line"], said["error"].startswith(field)) == (0, 1, True)


def test_a_line_that_is_too_long(service: Command, kafka: str, topic: str, collection: str) -> None:
    """It is one rejected line; those behind it are accepted."""

    def body() -> Iterator[bytes]:
        yield line("before") + b'{"document_id": "long", "text": "'
        for _ in range(20):
            yield b"a" * MIB
        yield b'"}\n' + line("after")

    answer = service.upload(body(), collection).json()
    assert (answer["accepted"], answer["rejected"][0]["line"]) == (2, 2)
    assert "4,194,304 bytes" in answer["rejected"][0]["error"]
    assert sorted(ids_of(events_of(kafka, topic, collection))) == ["after", "before"]


def test_only_the_first_rejected_lines_are_listed(service: Command, collection: str) -> None:
    """All of them are counted."""
    answer = service.upload(b"{}\n" * 2_500, collection).json()
    assert (answer["rejected_count"], len(answer["rejected"])) == (2_500, 1_000)
    assert [each["line"] for each in answer["rejected"]] == list(range(1, 1_001))


def test_lines_of_one_document_stay_in_order(service: Command, kafka: str, topic: str, collection: str) -> None:
    """The last line wins, as the last PUT would; a record that only fits compressed keeps its place among them."""
    controls = "".join(random.Random(3).choices([chr(number) for number in range(1, 32)], k=600_000))
    texts = [str(number) for number in range(3_000)]
    texts[1_500] = controls  # six times as long in JSON: over the topic's limit, were it not compressed
    answer = service.upload(b"".join(line("one", text=text) for text in texts), collection).json()
    assert answer["accepted"] == len(texts)
    found = events_of(kafka, topic, collection)
    assert [json.loads(record.value() or b"")["text"] for record in found] == texts
    assert parse(answer["version"]).offsets == ends_of(found)


def test_a_record_that_no_topic_takes_is_a_rejected_line(
    service: Command, kafka: str, topic: str, collection: str
) -> None:
    """The contract sets no limit for a source_uri; the topic's limit for a record does."""
    giant = base64.b64encode(secrets.token_bytes(2_600_000)).decode()  # does not compress below the limit
    answer = service.upload(line("a") + line("b", source_uri=giant) + line("c"), collection).json()
    assert (answer["accepted"], [each["line"] for each in answer["rejected"]]) == (2, [2])
    assert "Kafka record" in answer["rejected"][0]["error"]
    assert sorted(ids_of(events_of(kafka, topic, collection))) == ["a", "c"]


def test_a_wrong_call_is_refused(service: Command, kafka: str, topic: str, collection: str) -> None:
    """Before any line is read; a client that sends all before it looks for an answer gets the answer all the same."""
    many = (line("a", text="x" * MIB) for _ in range(24))
    encoded = service.upload(many, collection, headers={"Content-Encoding": "gzip"})
    assert (encoded.status_code, encoded.json()["field"]) == (415, "Content-Encoding")
    named = service.upload(line("a"), "Upper")
    assert (named.status_code, named.json()["field"]) == (422, "collection")
    assert events_of(kafka, topic, collection) == []


def test_a_client_that_goes_away(service: Command, kafka: str, topic: str, collection: str) -> None:
    """Whole lines that had arrived may be in the log; of the one that was cut there is nothing."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port)) as client:
        head = f"POST /v1/collections/{collection}/documents HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        client.sendall(head.encode() + line("whole") + line("cut").rstrip())
        while ids_of(events_of(kafka, topic, collection)) != ["whole"]:
            pass  # it is written as it comes, not at the end
    after = service.upload(line("after"), collection)
    assert after.status_code == 200
    assert sorted(ids_of(events_of(kafka, topic, collection))) == ["after", "whole"]


def test_uploads_are_so_many_at_once(service: Command, kafka: str, topic: str, collection: str) -> None:
    """The next one is refused, with nothing of it written, until one of them has ended."""
    with ExitStack() as stack:
        begun = [stack.enter_context(unfinished_upload(service, collection)) for _ in range(STREAMS)]
        while (refused := service.upload(line("beside"), collection)).status_code == 200:
            pass  # the service has not seen all the others yet
        said = refused.json()
        assert (refused.status_code, said["accepted"], said["outcome"]) == (503, 0, "not_written")
        assert int(refused.headers["retry-after"]) > 0
        assert service.put("beside", {"text": ""}).status_code == 202
        begun[0].sendall(line("whole"))
        assert begun[0].recv(100).startswith(b"HTTP/1.1 200")
        assert service.upload(line("after"), collection).status_code == 200
    assert {"whole", "after"} <= set(ids_of(events_of(kafka, topic, collection)))


def unfinished_upload(service: Command, collection: str) -> socket.socket:
    """A client that has announced one line, `whole`, and sent nothing of it."""
    address = urlsplit(service.url)
    client = socket.create_connection((address.hostname, address.port), timeout=30)
    length = len(line("whole"))
    client.sendall(f"POST /v1/collections/{collection}/documents HTTP/1.1\r\nHost: x\r\n".encode())
    client.sendall(f"Content-Length: {length}\r\n\r\n".encode())
    return client


def test_a_long_upload_does_not_grow_memory(service: Command, collection: str) -> None:
    """120 MB through a process that never holds more than a few of them."""
    text = "tree rings " * 900
    lines = [line(str(number), text=text) for number in range(1_000)]
    warm = service.upload(b"".join(lines[:300]), collection)
    assert warm.status_code == 200
    before = highest(service)
    answer = sent_again_and_again(service, collection, b"".join(lines))
    assert answer["accepted"] == 12_000
    assert highest(service) - before < 40 * MIB


def sent_again_and_again(service: Command, collection: str, block: bytes) -> dict[str, int]:
    """Upload a block again and again in one request."""
    address = urlsplit(service.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    connection.putrequest("POST", f"/v1/collections/{collection}/documents")
    connection.putheader("Content-Length", str(12 * len(block)))
    connection.endheaders()
    for _ in range(12):
        connection.send(block)
    answer: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def highest(service: Command) -> int:
    """The most memory that the process has had, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return 1024 * next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM"))


def test_it_is_documented(service: Command) -> None:
    """The OpenAPI document says what a line is, and what a cut-off looks like."""
    document = httpx.get(service.url + "/openapi.json").json()
    call = document["paths"]["/v1/collections/{collection}/documents"]["post"]
    schema = call["requestBody"]["content"]["application/x-ndjson"]["schema"]
    assert schema["required"] == ["document_id", "text"]
    assert {"200", "415", "422", "503"} <= call["responses"].keys()
    assert "last_line" in call["description"]
