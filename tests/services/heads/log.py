"""Writing the log as strangers do, and waiting for what comes of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from confluent_kafka import Producer

from schemas.topics import DOCUMENTS, SOURCE_RECORD_LIMIT
from services.settings import Settings

HEADS = "SELECT partition, head, incarnation, observed_at FROM nenrin.heads WHERE topic = 'documents'"


def produce(
    settings: Settings, partition: int, *values: bytes, codec: str = "none", at: int = 0
) -> list[tuple[int, int]]:
    """Write records one by one, each a batch of its own; return offset and time of each.

    The time is the broker's, unless the topic takes the producer's: that is `at`, in milliseconds.
    """
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka,
            "message.max.bytes": SOURCE_RECORD_LIMIT,
            "compression.codec": codec,
        }
    )
    found: list[tuple[int, int]] = []
    for value in values:
        producer.produce(
            settings.kafka_settings().real(DOCUMENTS),
            value,
            partition=partition,
            timestamp=at,
            on_delivery=lambda _, record: found.append((record.offset() or 0, record.timestamp()[1])),
        )
        producer.flush()
    return found


def transact(settings: Settings, partition: int, *, commit: bool) -> None:
    """Write one record in a transaction, which puts a marker behind it."""
    name = settings.kafka_settings().real(DOCUMENTS)
    producer = Producer({"bootstrap.servers": settings.kafka, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"in a transaction", partition=partition)
    producer.flush()
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


async def until(condition: Callable[[], Awaitable[Any]], within: float = 40.0) -> Any:
    """Wait until a condition yields something."""
    deadline = time.monotonic() + within
    while not (found := await condition()):
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.05)
    return found


async def observed(database: asyncpg.Connection, partition: int, head: int) -> None:
    """Wait until the probe has recorded a head."""

    async def recorded() -> bool:
        return any(row["partition"] == partition and row["head"] == head for row in await database.fetch(HEADS))

    await until(recorded)
