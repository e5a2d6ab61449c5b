"""Kafka away: an answer within five seconds, and the truth about each write."""

import http.client
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from schemas.versions import parse
from tests.running import Running, running
from tests.services.command.conftest import (
    Command,
    command,
    delete_topic,
    ends,
    free_port,
    make_topic,
    reader,
    records,
)

WITHIN = 5.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Kafka of this module's own, to freeze and to kill; its supervisor starts it again."""
    with running(tmp_path_factory.mktemp("broker"), "services.stack.dev") as program:
        yield program


@contextmanager
def closed() -> Iterator[int]:
    """A port where nobody listens."""
    yield free_port()


@contextmanager
def silent() -> Iterator[int]:
    """A port where somebody takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def outcome(answer: httpx.Response) -> str:
    """Either "written" or what the refusal says, which must keep the contract."""
    if answer.status_code == 202:
        return "written"
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.elapsed.total_seconds() < WITHIN
    said: str = answer.json()["outcome"]
    return said


@pytest.mark.parametrize("port", [closed, silent])
def test_a_start_without_kafka(tmp_path: Path, port: Callable[[], AbstractContextManager[int]]) -> None:
    """The service lives, says what is missing, and writes nothing."""
    with port() as number, command(f"127.0.0.1:{number}", "", tmp_path) as service:
        assert outcome(service.put("a", {"text": ""})) == "not_written"
        upload = service.upload(document("a"))
        assert outcome(upload) == "not_written"
        said = upload.json()
        assert (said["accepted"], said["last_line"], parse(said["version"]).offsets) == (0, 0, {})
        assert httpx.get(service.url + "/healthz").status_code == 200
        answer = service.ready()
        assert (answer.status_code, list(answer.json()["missing"])) == (503, ["kafka"])
        assert service.put("", {"text": ""}).status_code == 422, "bad input is bad input, Kafka or not"


def test_a_topic_that_comes_later(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    """Without the topic nothing is written, and `nenrin init` is named; once it is there, writes work by themselves."""
    with command(kafka, topic_prefix, tmp_path) as service:
        answer = service.put("a", {"text": ""})
        assert (outcome(answer), "nenrin init" in answer.json()["detail"]) == ("not_written", True)
        make_topic(kafka, topic_prefix)
        service.until_ready()
        assert outcome(service.put("a", {"text": ""})) == "written"


def test_a_topic_made_anew(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    """Tokens carry the new incarnation, for the offsets count in that one."""
    topic = make_topic(kafka, topic_prefix)
    with command(kafka, topic_prefix, tmp_path) as service:
        service.until_ready()
        old = parse(service.put("a", {"text": ""}).json()["version"])
        delete_topic(kafka, topic)
        make_topic(kafka, topic_prefix)
        deadline = time.monotonic() + 30
        while (answer := service.put("a", {"text": ""})).status_code != 202 or parse(
            answer.json()["version"]
        ).incarnations == old.incarnations:
            assert time.monotonic() < deadline, answer.text
        assert len(records(kafka, topic)) == parse(answer.json()["version"]).next("documents", _only(answer))


def _only(answer: httpx.Response) -> int:
    (partition,) = parse(answer.json()["version"]).offsets["documents"]
    return partition


def test_a_frozen_broker(tmp_path: Path, broker: Running) -> None:
    """What was handed over is "unknown", what came later "not_written"; then it all works again by itself."""
    kafka, prefix = broker.endpoints["kafka"], f"f{secrets.token_hex(4)}."
    make_topic(kafka, prefix)
    with command(kafka, prefix, tmp_path) as service, ThreadPoolExecutor(8) as pool:
        service.until_ready()
        assert outcome(service.put("before", {"text": ""})) == "written"
        with frozen(broker.pids["kafka"]):
            doubtful = pool.map(lambda number: outcome(service.put(f"doubtful-{number}", {"text": ""})), range(8))
            assert set(doubtful) == {"unknown"}
            assert outcome(service.put("refused", {"text": ""})) == "not_written"
            assert list(service.ready().json()["missing"]) == ["kafka"]
        service.until_ready()
        assert outcome(service.put("after", {"text": ""})) == "written"


def test_an_upload_while_kafka_is_frozen(tmp_path: Path, broker: Running) -> None:
    """Cut off within five seconds, though its client neither sends nor ends: all valid lines up to `last_line` are in
    the log, the lines behind it once or never, and going on behind it completes the upload."""
    kafka, prefix = broker.endpoints["kafka"], f"b{secrets.token_hex(4)}."
    topic = make_topic(kafka, prefix)
    lines = [b"{}" if number % 10 == 0 else document(f"d-{number}") for number in range(1, 3_001)]
    with command(kafka, prefix, tmp_path) as service:
        service.until_ready()
        with uploading(service) as connection:
            connection.send(b"%x\r\n%b\r\n" % chunked(lines[:1_000]))
            until_written(kafka, topic, 900)
            with frozen(broker.pids["kafka"]):
                since = time.monotonic()
                connection.send(b"%x\r\n%b\r\n" % chunked(lines[1_000:2_000]))
                answer = connection.getresponse()
                said = json.loads(answer.read())
                assert time.monotonic() - since < WITHIN
        assert (answer.status, said["outcome"], said["last_line"] < 2_000) == (503, "unknown", True)
        assert int(answer.headers["retry-after"]) > 0
        assert (said["accepted"], said["rejected_count"]) == (
            len(valid(1, said["last_line"])),
            said["last_line"] // 10,
        )
        service.until_ready()
        written = Counter((record.key() or b"").decode() for record in records(kafka, topic))
        assert covered(kafka, topic, said["version"]) >= {f"c/d-{n}" for n in valid(1, said["last_line"])}
        assert all(written[f"c/d-{number}"] == 1 for number in valid(1, said["last_line"]))
        assert {written[f"c/d-{number}"] for number in valid(said["last_line"] + 1, 2_000)} <= {0, 1}
        rest = service.upload(b"\n".join(lines[said["last_line"] :])).json()
        assert rest["accepted"] == len(valid(said["last_line"] + 1, 3_000))


def document(document_id: str) -> bytes:
    """A document as a line, without its end."""
    return json.dumps({"document_id": document_id, "text": ""}).encode()


def chunked(lines: list[bytes]) -> tuple[int, bytes]:
    """The lines, each with its end, and how many bytes they are."""
    body = b"".join(line + b"\n" for line in lines)
    return len(body), body


def valid(first: int, last: int) -> list[int]:
    """The valid ones of the frozen upload's lines."""
    return [number for number in range(first, last + 1) if number % 10]


@contextmanager
def uploading(service: Command) -> Iterator[http.client.HTTPConnection]:
    """An upload of the collection `c` whose head is sent; chunks are to follow."""
    address = urlsplit(service.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    connection.putrequest("POST", "/v1/collections/c/documents")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        yield connection
    finally:
        connection.close()


def until_written(kafka: str, topic: str, count: int) -> None:
    """Wait until so many records are in a topic."""
    deadline = time.monotonic() + 30
    with reader(kafka) as consumer:
        while ends(consumer, topic) < count:
            assert time.monotonic() < deadline


def covered(kafka: str, topic: str, token: str) -> set[str]:
    """The keys of the records that a version covers."""
    version = parse(token)
    return {
        (record.key() or b"").decode()
        for record in records(kafka, topic)
        if (record.offset() or 0) < version.next("documents", record.partition() or 0)
    }


def test_a_service_that_stops_amid_an_upload(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    """It says how far it came, truthfully, before it goes."""
    topic = make_topic(kafka, topic_prefix)
    with command(kafka, topic_prefix, tmp_path) as service:
        service.until_ready()
        with uploading(service) as connection:
            connection.send(b"%x\r\n%b\r\n" % chunked([document(f"d-{number}") for number in range(100)]))
            until_written(kafka, topic, 100)
            service.process.terminate()
            answer = connection.getresponse()
            said = json.loads(answer.read())
    assert (answer.status, said["accepted"], said["last_line"], said["outcome"]) == (503, 100, 100, "not_written")
    assert len(covered(kafka, topic, said["version"])) == 100


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process, and let it go on at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_outcome_is_the_truth(tmp_path: Path, broker: Running) -> None:
    """Through freezes and kills: what was acknowledged is in the log once, what was not written never, and nothing
    that is unknown is there twice."""
    kafka, prefix = broker.endpoints["kafka"], f"k{secrets.token_hex(4)}."
    topic = make_topic(kafka, prefix)
    outcomes: dict[str, str] = {}
    over = threading.Event()
    with command(kafka, prefix, tmp_path) as service, ThreadPoolExecutor(5) as pool:
        service.until_ready()
        writers = [pool.submit(_write, service, writer, outcomes, over) for writer in range(4)]
        writers.append(pool.submit(_upload, service, outcomes, over))
        try:
            time.sleep(0.5)
            _freeze(broker, seconds=1.0)  # shorter than the deadline: the writes just take longer
            _freeze(broker, seconds=6.0)
            os.kill(broker.pids["kafka"], signal.SIGKILL)
            time.sleep(1.0)
            service.until_ready(60)
            time.sleep(0.5)
        finally:
            over.set()
        for writer in writers:
            writer.result()
    _check(outcomes, Counter((record.key() or b"").decode() for record in records(kafka, topic)))


def _freeze(broker: Running, seconds: float) -> None:
    with frozen(broker.pids["kafka"]):
        time.sleep(seconds)
    time.sleep(1.0)


def _write(service: Command, writer: int, outcomes: dict[str, str], over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        document = f"{writer}-{number}"
        outcomes[f"c/{document}"] = outcome(service.put(document, {"text": ""}))
        number += 1
        time.sleep(0.01)


def _upload(service: Command, outcomes: dict[str, str], over: threading.Event) -> None:
    """Uploads of 300 lines each, that take a while."""
    number = 0
    while not over.is_set():
        names = [f"u{number}-{line}" for line in range(300)]
        answer = service.upload(_slowly(names))
        done = len(names) if answer.status_code == 200 else answer.json()["last_line"]
        assert answer.json()["accepted"] == done
        behind = "" if answer.status_code == 200 else answer.json()["outcome"]
        outcomes |= {f"c/{name}": "written" if at < done else behind for at, name in enumerate(names)}
        number += 1


def _slowly(names: list[str]) -> Iterator[bytes]:
    for name in names:
        yield document(name) + b"\n"
        time.sleep(0.001)


def _check(outcomes: dict[str, str], found: Counter[str]) -> None:
    times: dict[str, set[int]] = defaultdict(set)
    for key, said in outcomes.items():
        times[said].add(found[key])
    assert times["written"] == {1}
    assert times["unknown"]
    assert times["unknown"] <= {0, 1}
    assert times["not_written"] <= {0}
    assert found.keys() <= outcomes.keys()
