"""The pipeline: from events in Kafka to committed rows, against the bare encoder on the same texts."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

import asyncpg
import msgspec
from confluent_kafka import Producer

from benchmarks import corpus
from benchmarks.reporting import Figure
from encoders.batching import Backlog
from encoders.encoder import TextEncoder
from schemas import events
from schemas.documents import DocumentAdded, key_of
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS
from services.embedder.pipeline import TURN
from services.stack.supervisor import Stack

PASSAGES = 3000
ROUNDS = 5
"""The machine's own speed drifts: both are measured in turn, and the median of the ratios counts."""
WARM = 100


def bare(encoder: TextEncoder, texts: Sequence[str]) -> float:
    """Documents a second of the encoder alone, in the slices that the embedder uses."""
    started = time.perf_counter()
    backlog: Backlog[int] = Backlog(TURN)
    for number, pieces in enumerate(encoder.prepare(texts)):
        backlog.add(number, pieces)
    while len(backlog):
        encoder.encode([piece for _, piece in backlog.take(encoder.slice_tokens)])
    return len(texts) / (time.perf_counter() - started)


async def through(connection: asyncpg.Connection, kafka: str, texts: Sequence[str]) -> float:
    """Documents a second from Kafka to committed rows, all processes on this machine."""
    there = await rows(connection)
    started = time.perf_counter()
    await asyncio.to_thread(produce, kafka, texts, there)
    await until(connection, there + len(texts))
    return len(texts) / (time.perf_counter() - started)


def produce(kafka: str, texts: Sequence[str], first: int) -> None:
    """Write documents straight to the topic."""
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for number, text in enumerate(texts, first):
        event = DocumentAdded("bench", str(number), text)
        headers = dict[str, str | bytes | None](
            events.headers(event, str(number), "/nenrin/benchmarks", datetime.now(UTC))
        )
        producer.produce(DOCUMENTS, key=key_of("bench", str(number)), value=msgspec.json.encode(event), headers=headers)
    producer.flush()


async def rows(connection: asyncpg.Connection) -> int:
    """Documents that `passages` holds."""
    return int(await connection.fetchval("SELECT coalesce(sum(documents), 0) FROM passages_g1.digests"))


async def until(connection: asyncpg.Connection, count: int) -> None:
    """Wait until so many are committed."""
    async with asyncio.timeout(600):
        while await rows(connection) < count:
            await asyncio.sleep(0.05)


async def measure(stack: Stack) -> list[Figure]:
    """The table's line."""
    texts = corpus.passages(WARM + PASSAGES)
    encoder = await asyncio.to_thread(TextEncoder, MINILM)
    connection = await asyncpg.connect(stack.endpoints["postgres"])
    kafka = stack.endpoints["kafka"]
    await through(connection, kafka, texts[:WARM])
    bare(encoder, texts[:WARM])
    size = PASSAGES // ROUNDS
    pairs = []
    for first in range(WARM, WARM + PASSAGES, size):
        some = texts[first : first + size]
        pairs.append((await through(connection, kafka, some), await asyncio.to_thread(bare, encoder, some)))
    await connection.close()
    ratio = median(whole / alone for whole, alone in pairs)
    return [
        Figure(
            f"pipeline, {PASSAGES:,} passages",
            f"{median(whole for whole, _ in pairs):.0f} documents/s, {ratio:.0%} of the baseline",
            f"bare encoder {median(alone for _, alone in pairs):.0f}/s",
            "90 %",
            ratio >= 0.9,
        )
    ]
