"""The command service as a process of its own, and the log that it writes to."""

import asyncio
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from schemas.topics import DOCUMENTS, SOURCE_RECORD_LIMIT, Topic
from services.stack.program import launched
from tests.running import environment

PARTITIONS = 4
NOBODY = "postgresql://127.0.0.1:1/nobody"
RUN = "from services.command import run; from services.settings import Settings; run(Settings.load())"


@dataclass(frozen=True)
class Command:
    """A running command service."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def put(self, document_id: str, body: object = None, **options: object) -> httpx.Response:
        """PUT a document of the collection `c`; the id is taken as a path segment, encoded already."""
        return httpx.put(f"{self.url}/v1/collections/c/documents/{document_id}", json=body, timeout=15, **options)  # type: ignore[arg-type]

    def upload(self, body: bytes | Iterable[bytes], collection: str = "c", **options: object) -> httpx.Response:
        """POST NDJSON to a collection; an iterable goes out chunked."""
        return httpx.post(f"{self.url}/v1/collections/{collection}/documents", content=body, timeout=60, **options)  # type: ignore[arg-type]

    def remove(self, collection: str) -> httpx.Response:
        """DELETE a collection."""
        return httpx.delete(f"{self.url}/v1/collections/{collection}", timeout=60)

    def ready(self) -> httpx.Response:
        """Ask whether it is ready."""
        return httpx.get(f"{self.url}/readyz", timeout=15)

    def until_ready(self, within: float = 30.0) -> None:
        """Wait until it is."""
        deadline = time.monotonic() + within
        while (answer := self.ready()).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.02)


@contextmanager
def command(kafka: str, prefix: str, folder: Path, postgres: str = NOBODY) -> Iterator[Command]:
    """Run the service until the end of the block; it must then end cleanly, unless it was killed in it."""
    port = free_port()
    settings = {
        "NENRIN_KAFKA": kafka,
        "NENRIN_TOPIC_PREFIX": prefix,
        "NENRIN_PORT": str(port),
        "NENRIN_POSTGRES_READER": postgres,
    }
    log = folder / "command.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launched((sys.executable, "-P", "-c", RUN)), env=environment(settings), stdout=output, stderr=output
        )
    service = Command(process, f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_alive(service)
        yield service
    finally:
        killed = process.poll() == -signal.SIGKILL
        process.terminate()
        status = process.wait(20)
    assert killed or status == 0, log.read_text()


def _wait_until_alive(service: Command) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert service.process.poll() is None, service.log.read_text()
        try:
            httpx.get(service.url + "/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(service.log.read_text())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_topic(kafka: str, prefix: str) -> str:
    """Make the topic `documents` as `nenrin init` does; returns its real name."""
    settings = KafkaSettings(kafka, topic_prefix=prefix)

    async def make() -> None:
        topics = Topics(settings)
        await topics.carry_out(await topics.plan([Topic(DOCUMENTS, PARTITIONS, SOURCE_RECORD_LIMIT)]))

    asyncio.run(make())
    return settings.real(DOCUMENTS)


def delete_topic(kafka: str, name: str) -> None:
    """Delete a topic, and wait until it is gone."""
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([name])[name].result()
    while name in admin.list_topics(timeout=10).topics:
        time.sleep(0.05)


def records(kafka: str, topic: str) -> list[Message]:
    """Everything in a topic, partition by partition."""
    with reader(kafka) as consumer:
        return [record for partition in range(PARTITIONS) for record in _from(consumer, topic, partition, 0)]


def record_at(kafka: str, topic: str, partition: int, offset: int) -> Message:
    """One record."""
    with reader(kafka) as consumer:
        return next(_from(consumer, topic, partition, offset))


@contextmanager
def reader(kafka: str) -> Iterator[Consumer]:
    """A consumer that does not dally at the end of a partition."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "tests", "fetch.wait.max.ms": 10})
    try:
        yield consumer
    finally:
        consumer.close()


def ends(consumer: Consumer, topic: str) -> int:
    """How many offsets a topic has."""
    consumer.list_topics(topic, timeout=10)  # a client that has only just begun knows no partition by itself
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    return sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)


def _from(consumer: Consumer, topic: str, partition: int, offset: int) -> Iterator[Message]:
    place = TopicPartition(topic, partition, offset)
    _, end = consumer.get_watermark_offsets(place, timeout=10)
    consumer.assign([place])
    while offset < end:
        record = consumer.poll(10)
        assert record is not None, f"nothing at {offset} of {topic}/{partition}"
        assert record.error() is None, record.error()
        offset = (record.offset() or 0) + 1
        yield record


@pytest.fixture(scope="module")
def prefix() -> str:
    """What the topics of this module begin with."""
    return f"c{secrets.token_hex(4)}."


@pytest.fixture(scope="module")
def topic(kafka: str, prefix: str) -> str:
    """The real name of the topic `documents`."""
    return make_topic(kafka, prefix)


@pytest.fixture(scope="module")
def service(kafka: str, prefix: str, topic: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """One service for all tests of a module, ready to write."""
    assert topic
    with command(kafka, prefix, tmp_path_factory.mktemp("command")) as running:
        running.until_ready()
        yield running
