"""The pipeline: from events in Kafka to committed rows, against the bare encoder on the same texts."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

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
from services.stack.supervisor import Stack

PASSAGES = 3000
WARM = 300
"""Documents that pass through before the clock starts: a model's first batches are slow everywhere."""


def bare(texts: Sequence[str]) -> float:
    """Documents a second of the encoder alone, in the slices that the embedder uses."""
    encoder = TextEncoder(MINILM)
    encoder.encode([piece for pieces in encoder.prepare(texts[:WARM]) for piece in pieces])
    started = time.perf_counter()
    backlog: Backlog[int] = Backlog()
    for number, pieces in enumerate(encoder.prepare(texts[WARM:])):
        backlog.add(number, pieces)
    while len(backlog):
        encoder.encode([piece for _, piece in backlog.take(encoder.slice_tokens)])
    return (len(texts) - WARM) / (time.perf_counter() - started)


async def through(stack: Stack, texts: Sequence[str]) -> float:
    """Documents a second from Kafka to committed rows, all processes on this machine."""
    await stack.stop("embedder")
    produce(stack.endpoints["kafka"], texts)
    connection = await asyncpg.connect(stack.endpoints["postgres"])
    await stack.start("embedder")
    await until(connection, WARM)
    first, started = await rows(connection), time.perf_counter()
    await until(connection, len(texts))
    rate = (len(texts) - first) / (time.perf_counter() - started)
    await connection.close()
    return rate


def produce(kafka: str, texts: Sequence[str]) -> None:
    """Write documents straight to the topic."""
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for number, text in enumerate(texts):
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
    texts = corpus.passages(PASSAGES)
    whole = await through(stack, texts)
    await stack.stop("embedder")
    alone = await asyncio.to_thread(bare, texts)
    await stack.start("embedder")
    return [
        Figure(
            f"pipeline, {PASSAGES:,} passages",
            f"{whole:.0f} documents/s",
            f"bare encoder {alone:.0f}/s",
            "90 %",
            whole >= 0.9 * alone,
        )
    ]
