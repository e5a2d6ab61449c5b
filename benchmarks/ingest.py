"""Ingest: NDJSON over HTTP until all of it is acknowledged, against a bare aiokafka producer on the same values."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

import httpx
import msgspec
from aiokafka import AIOKafkaProducer

from benchmarks import corpus
from benchmarks.reporting import Figure
from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from schemas import events
from schemas.documents import DocumentAdded, key_of
from schemas.topics import DOCUMENTS, SOURCE_RECORD_LIMIT, Topic
from services.stack.supervisor import Stack

DOCUMENTS_A_ROUND = 50_000
TEXTS = 3_000
ROUNDS = 5
"""The machine's own speed drifts: both are measured in turn, and the median of the ratios counts."""
PARTITIONS = 4
PREFIX = "ingest-benchmark."
"""Topics that no projector follows: what is measured ends with the acknowledgement."""
COLLECTION = "bench"
START_WITHIN = 60.0

Message = tuple[bytes, bytes, list[tuple[str, bytes]]]


def documents() -> list[DocumentAdded]:
    """What is written: paragraphs with a title and a little metadata, about 900 bytes each."""
    texts = corpus.passages(TEXTS)
    return [
        DocumentAdded(COLLECTION, str(number), texts[number % TEXTS], f"Passage {number}", {"lang": "en", "n": number})
        for number in range(DOCUMENTS_A_ROUND)
    ]


def messages(written: Sequence[DocumentAdded]) -> list[Message]:
    """The records that carry these documents, as the command service makes them."""
    now = datetime.now(UTC)
    return [
        (
            key_of(COLLECTION, document.document_id),
            msgspec.json.encode(document),
            events.headers(document, f"{number:042}", "/nenrin/command", now),
        )
        for number, document in enumerate(written)
    ]


def lines(written: Sequence[DocumentAdded]) -> bytes:
    """The same documents as NDJSON."""
    members = ("document_id", "text", "title", "metadata")
    return b"".join(
        msgspec.json.encode({name: getattr(document, name) for name in members}) + b"\n" for document in written
    )


async def bare(kafka: str, topic: str, records: Sequence[Message]) -> float:
    """Records a second of aiokafka's producer: idempotent, acks=all, linger 20 ms, batches of 256 KiB."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=20, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        started = time.perf_counter()
        sent = [await producer.send(topic, value, key, headers=headers) for key, value, headers in records]
        await asyncio.gather(*sent)
        return len(records) / (time.perf_counter() - started)
    finally:
        await producer.stop()


def uploaded(port: int, body: bytes) -> float:
    """Documents a second of one upload, until its answer is there."""
    head = f"POST /v1/collections/{COLLECTION}/documents HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        started = time.perf_counter()
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n")
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        seconds = time.perf_counter() - started
    accepted = int(json.loads(answer.partition(b"\r\n\r\n")[2])["accepted"])
    if accepted != DOCUMENTS_A_ROUND:
        raise RuntimeError(f"{accepted} of {DOCUMENTS_A_ROUND} documents were accepted: {answer[:500]!r}")
    return accepted / seconds


@contextmanager
def serving(kafka: str) -> Iterator[int]:
    """A command service on topics of its own; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {"NENRIN_KAFKA": kafka, "NENRIN_TOPIC_PREFIX": PREFIX, "NENRIN_PORT": str(port)}
    process = subprocess.Popen((sys.executable, "-P", "-m", "nenrin", "command"), env=os.environ | settings)
    try:
        _wait_until_ready(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("the command service did not become ready")


def compare(kafka: str) -> list[tuple[float, float]]:
    """Both ways in turn: documents a second over HTTP, and of the bare producer."""
    topic = asyncio.run(_made(KafkaSettings(kafka, topic_prefix=PREFIX)))
    written = documents()
    records, body = messages(written), lines(written)
    with serving(kafka) as port:
        pairs = [(uploaded(port, body), asyncio.run(bare(kafka, topic, records))) for _ in range(ROUNDS + 1)]
    return pairs[1:]  # the first turn warms up


async def _made(settings: KafkaSettings) -> str:
    cluster = Topics(settings)
    await cluster.carry_out(await cluster.plan([Topic(DOCUMENTS, PARTITIONS, SOURCE_RECORD_LIMIT)]))
    return settings.real(DOCUMENTS)


async def measure(stack: Stack) -> list[Figure]:
    """The table's line."""
    pairs = await asyncio.to_thread(compare, stack.endpoints["kafka"])
    ratio = median(http / alone for http, alone in pairs)
    return [
        Figure(
            f"NDJSON ingest, {DOCUMENTS_A_ROUND:,} documents, acks=all",
            f"{median(http for http, _ in pairs):,.0f} documents/s, {ratio:.0%} of the baseline",
            f"bare aiokafka producer {median(alone for _, alone in pairs):,.0f}/s",
            "60 %",
            ratio >= 0.6,
        )
    ]
