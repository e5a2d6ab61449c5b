"""The probe as a process: what Postgres knows of the log's end, and what it does not claim to know."""

import asyncio
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient

from eventlog.topics import Topics
from schemas.topics import DOCUMENTS, SOURCE_RECORD_LIMIT, Topic
from services.settings import Settings
from tests.services.heads.log import HEADS, observed, produce, transact, until
from tests.services.heads.process import Process, heads

OLDEST = "SELECT position, produced_at FROM nenrin.oldest WHERE projection = 'documents' AND partition = $1"
UNOBSERVED = "SELECT extract(epoch FROM clock_timestamp() - min(observed_at))::float8 FROM nenrin.heads"
BLOCKED = """
SELECT clock_timestamp() FROM pg_stat_activity
WHERE application_name = 'nenrin-heads' AND datname = current_database() AND wait_event_type = 'Lock'
"""
CANDIDATE = "SELECT 1 FROM nenrin.oldest WHERE projection = 'documents' AND generation = 2"
# every observation that was ever written, in order
JOURNAL = """
CREATE TABLE seen (number bigserial, partition int, head bigint, observed_at timestamptz);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen (partition, head, observed_at) VALUES (NEW.partition, NEW.head, NEW.observed_at); RETURN NEW;
END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON nenrin.heads FOR EACH ROW EXECUTE FUNCTION note();
"""


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


@pytest.mark.alone
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
    began = int(time.time() * 1000)
    transact(installed, 2, commit=True)
    await observed(database, 2, 2)
    await move(database, 2, 1)
    first = await oldest(database, 2, 1)
    assert began <= first <= time.time() * 1000
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


@pytest.mark.alone
@pytest.mark.usefixtures("probe")
async def test_a_rebuild_holds_nothing_up(installed: Settings, database: asyncpg.Connection) -> None:
    """A candidate whose positions are locked, or gone, while it is dropped, loaded or logged: others are observed."""
    await database.execute(
        "CREATE SCHEMA documents_g2; CREATE TABLE documents_g2.positions (LIKE documents_g1.positions);"
        "INSERT INTO documents_g2.positions SELECT * FROM documents_g1.positions;"
        "INSERT INTO nenrin.generations (projection, generation, loaded_at) VALUES ('documents', 2, now())"
    )
    produce(installed, 0, b"one")
    await observed(database, 0, 1)
    assert await until(lambda: database.fetchval(CANDIDATE))
    other = await asyncpg.connect(installed.dsn)
    async with other.transaction():
        await other.execute("DROP SCHEMA documents_g2 CASCADE")
        ages = [await aged(database) for _ in range(40)]
    ages += [await aged(database) for _ in range(10)]
    assert max(ages) < 0.5
    assert sorted(ages)[45] < 0.25
    await other.close()


async def aged(database: asyncpg.Connection) -> float:
    """Seconds since the heads were observed, a moment later."""
    await asyncio.sleep(0.02)
    return float(await database.fetchval(UNOBSERVED))


@pytest.mark.usefixtures("probe")
async def test_what_nobody_feeds_is_not_looked_at(installed: Settings, database: asyncpg.Connection) -> None:
    """A generation that is being loaded has no tables that others may read, and one that has ended lags for ever."""
    await database.execute(
        "INSERT INTO nenrin.generations (projection, generation, loaded_at, ended_at) VALUES "
        "('documents', 2, NULL, NULL), ('documents', 3, now(), now());"
        "CREATE SCHEMA documents_g3; CREATE TABLE documents_g3.positions (LIKE documents_g1.positions);"
        "INSERT INTO documents_g3.positions SELECT * FROM documents_g1.positions"
    )
    await observed(database, 0, 0)
    produce(installed, 0, b"one")
    await oldest(database, 0, 0)
    assert await database.fetch("SELECT DISTINCT projection, generation FROM nenrin.oldest ORDER BY 1") == [
        ("documents", 1),
        ("passages", 1),
    ]


async def test_an_observation_is_never_younger_than_it_says(
    installed: Settings, database: asyncpg.Connection, probe: Process
) -> None:
    """A probe that is held up, and frozen, between looking and writing writes the time at which it began to look."""
    await observed(database, 0, 0)
    await database.execute(JOURNAL)
    other = await asyncpg.connect(installed.dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE nenrin.heads IN EXCLUSIVE MODE")
        await until(lambda: database.fetchval(BLOCKED))
        probe.send_signal(signal.SIGSTOP)
        produce(installed, 0, b"meanwhile")
        written_at = await database.fetchval("SELECT clock_timestamp()")
    await other.close()
    probe.send_signal(signal.SIGCONT)
    await observed(database, 0, 1)
    old = await database.fetch("SELECT head, observed_at FROM seen WHERE partition = 0 ORDER BY number LIMIT 1")
    assert [row["head"] for row in old] == [0]
    assert await database.fetchval(
        "SELECT every(head = 1) FROM seen WHERE partition = 0 AND observed_at > $1", written_at
    )


async def test_two_probes_never_take_back_what_the_other_saw(
    installed: Settings, database: asyncpg.Connection, probe: Process, tmp_path: Path
) -> None:
    """One of them frozen ever again: neither heads nor times go back, and neither fails."""
    await observed(database, 0, 0)
    await database.execute(JOURNAL)
    with heads(installed, tmp_path / "other.log"):
        for number in range(1, 9):
            probe.send_signal(signal.SIGSTOP)
            produce(installed, 0, b"one more")
            await observed(database, 0, number)
            probe.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.05)
    back = """
        SELECT count(*) FILTER (WHERE head < before OR observed_at <= at), count(*) FROM (
            SELECT head, observed_at, lag(head) OVER seen AS before, lag(observed_at) OVER seen AS at
            FROM seen WINDOW seen AS (PARTITION BY partition ORDER BY number)
        ) AS each
    """
    wrong, all_of_them = await database.fetchrow(back)
    assert (wrong, all_of_them > 20) == (0, True)
    assert "not observing" not in (tmp_path / "other.log").read_text()


@pytest.mark.usefixtures("probe")
async def test_an_observation_from_the_future_is_replaced(database: asyncpg.Connection) -> None:
    """The database's clock may be set back, or another machine take over: the probe goes on by the clock that is."""
    await observed(database, 0, 0)
    await database.execute("UPDATE nenrin.heads SET observed_at = observed_at + interval '1 hour'")

    async def mended() -> bool:
        return bool(await database.fetchval("SELECT every(observed_at < clock_timestamp()) FROM nenrin.heads"))

    await until(mended)
