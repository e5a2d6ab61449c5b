"""A log and the projections that have parked some of it, followed by hand: nothing here waits for a process."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiokafka
import asyncpg
import pytest
from confluent_kafka import Producer

from eventlog.consumer import Consumer
from eventlog.topics import Topics
from projections.control.install import Wanted, install
from projections.database import connect
from projections.generations.lifecycle import Build
from projections.port import Entry, ReadModel
from projections.writer import Writer
from schemas.documents import ADDED
from schemas.records import Record, frozen_headers
from schemas.topics import DOCUMENTS
from services.entries import from_source
from services.settings import Settings
from tests.projections.ledger import Ledger

HEADERS: list[tuple[str, bytes | None]] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/t"),
    ("ce_type", ADDED.encode()),
    ("empty", b""),
    ("none", None),
    ("binary", b"\xff\x00"),
]
PARTITIONS = 4
Judge = Callable[[Entry], Entry]


class Log:
    """The source topic, and what reads it into a projection."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection, incarnation: str) -> None:
        self.settings = settings
        self.connection = connection
        self._incarnation = incarnation
        self.topic = settings.topic_prefix + DOCUMENTS
        self._producer = Producer({"bootstrap.servers": settings.kafka, "log_level": 2})

    def write(self, partition: int, key: bytes | None, value: bytes | None, **rest: Any) -> None:
        """Write a record; `headers` may be given."""
        rest.setdefault("headers", HEADERS)
        self._producer.produce(self.topic, value, key, partition, **rest)
        assert self._producer.flush(30) == 0

    async def read(self, partition: int) -> list[Record]:
        """All that a partition holds."""
        consumer = Consumer(bootstrap_servers=self.settings.kafka, enable_auto_commit=False, auto_offset_reset="none")
        await consumer.start()
        try:
            return await self._read(consumer, partition)
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any, partition: int) -> list[Record]:
        tp = aiokafka.TopicPartition(self.topic, partition)
        consumer.assign([tp])
        begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        consumer.seek(tp, begin)
        found: list[Record] = []
        while await consumer.position(tp) < end:
            for one in (await consumer.getmany(tp, timeout_ms=100)).get(tp, []):
                headers = frozen_headers(one.headers)
                found.append(Record(DOCUMENTS, partition, one.offset, one.timestamp, one.key, one.value, headers))
        return found

    async def follow(self, model: ReadModel, partition: int, judge: Judge = lambda entry: entry) -> None:
        """Have a projection apply what it lacks of a partition; `judge` may park what others would not."""
        writer = Writer(model, 1, self.settings.dsn)
        await writer.claim(DOCUMENTS, [partition], self._incarnation, PARTITIONS)
        records = await self.read(partition)
        await writer.apply(partition, [judge(from_source(record, record.offset, PARTITIONS)) for record in records])
        await writer.release()

    async def resolutions(self, projection: str = "documents") -> dict[tuple[int, int], int | None]:
        """What is parked, and which offset took its place."""
        rows = await self.connection.fetch(f'SELECT partition, "offset", resolved_by FROM {projection}_g1.parked')
        return {(row[0], row[1]): row[2] for row in rows}

    async def parked(self, projection: str = "documents") -> int:
        """How many wait."""
        sql = f"SELECT count(*) FROM {projection}_g1.parked WHERE resolved_by IS NULL AND skipped_at IS NULL"
        found: int = await self.connection.fetchval(sql)
        return found


@pytest.fixture
async def log(installed: Settings) -> AsyncIterator[Log]:
    """The log of a fresh installation, with a projection beside Nenrin's own whose events add up."""
    (found,) = await Topics(installed.kafka_settings()).identify(DOCUMENTS)
    await install(installed.dsn, [Wanted(Ledger(), Build(DOCUMENTS, PARTITIONS, found.incarnation))])
    connection = await connect(installed.dsn, application="a test")
    yield Log(installed, connection, found.incarnation)
    await connection.close()
