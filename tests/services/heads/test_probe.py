"""The probe as a process: what Postgres knows of the log's end, and what it does not claim to know."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from eventlog.topics import Topics
from schemas.topics import DOCUMENTS, SOURCE_RECORD_LIMIT, Topic
from services.settings import Settings
from services.stack.program import launched
from tests.running import Running, environment

RUN = "from services.heads import run; from services.settings import Settings; run(Settings.load())"
HEADS = "SELECT partition, head, incarnation, observed_at FROM nenrin.heads WHERE topic = 'documents'"
OLDEST = "SELECT position, produced_at FROM nenrin.oldest WHERE projection = 'documents' AND partition = $1"
UNOBSERVED = "SELECT extract(epoch FROM clock_timestamp() - min(observed_at))::float8 FROM nenrin.heads"


@contextmanager
def heads(settings: Settings, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the probe until the end of the block; it must then end cleanly."""
    told = {
        "NENRIN_KAFKA": settings.kafka,
        "NENRIN_POSTGRES": settings.dsn,
        "NENRIN_TOPIC_PREFIX": settings.topic_prefix,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            launched((sys.executable, "-P", "-c", RUN)), env=environment(told), stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        status = process.wait(10)
    assert status == 0, log.read_text()


@pytest.fixture
def probe(installed: Settings, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A probe of this test's topics."""
    with heads(installed, tmp_path / "heads.log") as process:
        yield process


@pytest.fixture
async def database(installed: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to what the probe writes."""
    connection = await asyncpg.connect(installed.dsn)
    yield connection
    await connection.close()


def produce(settings: Settings, partition: int, *values: bytes, codec: str = "none") -> list[tuple[int, int]]:
    """Write records one by one, each a batch of its own; return offset and broker's time of each."""
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


async def until(condition: Callable[[], Awaitable[Any]], within: float = 30.0) -> Any:
    """Wait until a condition yields something."""
    deadline = time.monotonic() + within
    while not (found := await condition()):
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.02)
    return found


async def observed(database: asyncpg.Connection, partition: int, head: int) -> None:
    """Wait until the probe has recorded a head."""

    async def recorded() -> bool:
        return any(row["partition"] == partition and row["head"] == head for row in await database.fetch(HEADS))

    await until(recorded)


async def move(database: asyncpg.Connection, partition: int, position: int) -> None:
    """Put the projection `documents` at a position."""
    await database.execute("UPDATE documents_g1.positions SET next = $2 WHERE partition = $1", partition, position)


async def oldest(database: asyncpg.Connection, partition: int, position: int) -> int:
    """The age that the probe recorded for a position, as broker's milliseconds."""

    async def recorded() -> Any:
        row = await database.fetchrow(OLDEST, partition)
        return row if row is not None and row["position"] == position else None

    produced_at: datetime = (await until(recorded))["produced_at"]
    return round(produced_at.timestamp() * 1000)


@pytest.mark.usefixtures("probe")
async def test_heads_are_observed_again_and_again(installed: Settings, database: asyncpg.Connection) -> None:
    """Every partition, empty ones too, every 250 ms; the head is the high watermark."""
    await observed(database, 3, 0)
    produce(installed, 1, b"one", b"two")
    await observed(database, 1, 2)
    ages = []
    for _ in range(100):
        ages.append(await database.fetchval(UNOBSERVED))
        await asyncio.sleep(0.02)
    assert sorted(ages)[95] < 0.25, "other tests may take the cores for a moment, not more"


@pytest.mark.usefixtures("probe")
async def test_the_age_is_the_brokers_time_of_the_record_at_the_position(
    installed: Settings, database: asyncpg.Connection
) -> None:
    """And follows the position, whatever lies around."""
    written = produce(installed, 0, *(bytes([number]) for number in range(5)))
    for offset, produced_at in (written[0], written[3], written[1]):
        await move(database, 0, offset)
        assert await oldest(database, 0, offset) == produced_at


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_records_are_dated(installed: Settings, database: asyncpg.Connection, codec: str) -> None:
    """Any Kafka client may write, and many compress by default."""
    ((offset, produced_at),) = produce(installed, 0, b"compressible " * 100, codec=codec)
    assert await oldest(database, 0, offset) == produced_at


@pytest.mark.usefixtures("probe")
async def test_large_records_are_dated_in_every_partition(installed: Settings, database: asyncpg.Connection) -> None:
    """A batch that is larger than what the probe fetches comes all the same."""
    written = {partition: produce(installed, partition, b"x" * 2_000_000) for partition in range(4)}
    for partition, ((offset, produced_at),) in written.items():
        assert await oldest(database, partition, offset) == produced_at


@pytest.mark.usefixtures("probe")
async def test_markers_alone_are_a_lag_with_an_age(installed: Settings, database: asyncpg.Connection) -> None:
    """Behind the record there is only the marker: no record to date, so the time it was first seen at stays."""
    transact(installed, 2, commit=True)
    await observed(database, 2, 2)
    before = time.time() * 1000
    await move(database, 2, 1)
    first = await oldest(database, 2, 1)
    assert abs(first - before) < 5_000
    await asyncio.sleep(0.6)
    assert await oldest(database, 2, 1) == first


@pytest.mark.usefixtures("probe")
async def test_aborted_records_are_unapplied_too(installed: Settings, database: asyncpg.Connection) -> None:
    """Heads count them, so their age counts."""
    transact(installed, 2, commit=False)
    await observed(database, 2, 2)
    assert abs(await oldest(database, 2, 0) - time.time() * 1000) < 10_000


@pytest.mark.usefixtures("probe")
async def test_a_lost_database_connection_is_made_anew(installed: Settings, database: asyncpg.Connection) -> None:
    """Postgres may restart whenever it likes."""
    await observed(database, 0, 0)
    ended = await database.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'nenrin-heads' AND datname = current_database()"
    )
    assert len(ended) == 1
    produce(installed, 0, b"later")
    await observed(database, 0, 1)


@pytest.mark.usefixtures("probe")
async def test_a_topic_made_anew_is_told(installed: Settings, database: asyncpg.Connection) -> None:
    """Heads of another incarnation say so: positions in the old one are not compared with them."""
    produce(installed, 0, b"old", b"old")
    await observed(database, 0, 2)
    old = {row["incarnation"] for row in await database.fetch(HEADS)}
    topics = Topics(installed.kafka_settings())
    name = installed.kafka_settings().real(DOCUMENTS)
    admin = AdminClient({"bootstrap.servers": installed.kafka})
    admin.delete_topics([name])[name].result()

    async def gone() -> bool:
        return not await topics.find([DOCUMENTS])

    await until(gone)
    await topics.carry_out(await topics.plan([Topic(DOCUMENTS, installed.partitions, SOURCE_RECORD_LIMIT)]))
    await observed(database, 0, 0)
    assert old.isdisjoint({row["incarnation"] for row in await database.fetch(HEADS)})


async def test_nothing_is_observed_while_kafka_is_frozen(
    servers: Running, installed: Settings, database: asyncpg.Connection, tmp_path: Path
) -> None:
    """The observation grows old, so lag becomes unknown; a head that was not seen is not recorded."""
    with heads(installed, tmp_path / "heads.log"):
        await observed(database, 0, 0)
        os.kill(servers.pids["kafka"], signal.SIGSTOP)
        try:
            await asyncio.sleep(0.5)
            last = await database.fetch(HEADS)
            await asyncio.sleep(6.0)
            assert await database.fetch(HEADS) == last
        finally:
            os.kill(servers.pids["kafka"], signal.SIGCONT)
        produce(installed, 0, b"thawed")
        await observed(database, 0, 1)
