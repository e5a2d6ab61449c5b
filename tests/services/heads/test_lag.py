"""Lag that cannot lie, through the query service: whatever part is dead, slow or behind, what is said is so."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs forget to re-export three of them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from eventlog.topics import Topics
from schemas.topics import DOCUMENTS
from services.embedder.app import Embedder
from services.projector.app import project
from services.settings import Settings
from tests.laws.events import Straight, added, unknown
from tests.running import Running
from tests.services.heads.lagging import NONE, UNKNOWN, Readers, Rows, Said, shown
from tests.services.heads.log import HEADS, observed, produce, until
from tests.services.heads.process import Process, heads

HOUR = 3600.0
PROJECTIONS = ("documents", "passages")


def dated_by_producers(settings: Settings) -> int:
    """Let records have the times that their producers give them; returns how many partition 3 has got meanwhile."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    by_producers = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(
        ResourceType.TOPIC, settings.kafka_settings().real(DOCUMENTS), incremental_configs=[by_producers]
    )
    admin.incremental_alter_configs([topic])[topic].result()
    deadline = time.monotonic() + 10
    while True:
        ((offset, at),) = produce(settings, 3, b"has the broker heard?", at=1)
        if at == 1:
            return offset + 1
        assert time.monotonic() < deadline, "the topic still dates records itself"


async def ends(settings: Settings) -> dict[str, int]:
    """The log's ends, by Kafka itself."""
    topics = Topics(settings.kafka_settings())
    heads = await topics.heads(await topics.identify(DOCUMENTS))
    return {str(partition): head for (_, partition), head in heads.items()}


@pytest.mark.usefixtures("probe")
async def test_a_projection_is_unknown_until_it_is_claimed(
    installed: Settings, readers: Readers, rows: Rows, database: asyncpg.Connection
) -> None:
    """Fresh, with heads observed: nobody has begun to apply anything. Claimed, an empty log is no lag."""
    await observed(database, 0, 0)
    assert shown(await readers.said()) == UNKNOWN
    produce(installed, 0, b"one")
    await observed(database, 0, 1)
    assert shown(await readers.said()) == UNKNOWN
    await rows.move(1)
    await rows.claim()
    assert await readers.become("live") == NONE
    assert shown(await readers.said("passages")) == UNKNOWN


async def test_a_probe_that_is_slow_or_dead(
    installed: Settings, readers: Readers, rows: Rows, probe: Process, database: asyncpg.Connection
) -> None:
    """Its last observation counts for 5 s, with its own time beside it, and for nothing after that."""
    await rows.claim()
    await observed(database, 0, 0)
    probe.kill()
    probe.wait()
    last = (await readers.said())["head_observed_at"]
    produce(installed, 0, b"not seen")
    said = await readers.said()
    assert (shown(said), said["head_observed_at"]) == (NONE, last)
    await rows.passed(4.0)
    assert shown(await readers.said()) == NONE
    await rows.passed(1.0)
    assert shown(await readers.said()) == UNKNOWN
    assert (await readers.said())["head_observed_at"] < last


async def test_a_dead_projector(
    installed: Settings, readers: Readers, rows: Rows, database: asyncpg.Connection, tmp_path: Path
) -> None:
    """The lag grows by what is written; its age is that of the oldest event, and not the probe's, which starts late."""
    await rows.claim()
    await rows.move(0, committed=HOUR)
    await rows.move(dated_by_producers(installed), partition=3)
    written_at = time.time() - 2 * HOUR
    produce(installed, 0, b"one", b"two", at=round(written_at * 1000))
    with heads(installed, tmp_path / "heads.log"):
        now = await database.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        said = await readers.until(lambda said: said["state"] != "unknown")
        age = said["lag_seconds"]
        assert (said["state"], said["lag_events"]) == ("stalled", 2)
        assert now - written_at <= age <= now - written_at + 30
        await rows.move(0, committed=29)
        assert (await readers.said())["state"] == "catching_up"
        produce(installed, 0, b"three")
        await observed(database, 0, 3)
        said = await readers.said()
        assert (said["state"], said["lag_events"], said["lag_seconds"] > age) == ("catching_up", 3, True)
        await rows.move(3)
        assert await readers.become("live") == NONE


@pytest.mark.usefixtures("probe")
async def test_a_topic_that_is_idle_for_minutes(
    installed: Settings, readers: Readers, rows: Rows, database: asyncpg.Connection
) -> None:
    """Nothing is missing, so nothing ages; the next event is as old as it is, not as the silence before it."""
    await rows.claim()
    produce(installed, 0, b"one")
    await observed(database, 0, 1)
    await rows.move(1)
    await rows.passed(600)
    await rows.move(1, committed=600)
    assert await readers.become("live") == NONE
    began = time.monotonic()
    produce(installed, 0, b"two")
    await observed(database, 0, 2)
    said = await readers.said()
    assert said["lag_events"] == 1
    assert 0 < said["lag_seconds"] <= time.monotonic() - began + 0.25
    assert said["state"] == ("live" if said["lag_seconds"] < 2 else "catching_up")


@pytest.mark.usefixtures("probe")
async def test_kafka_away(servers: Running, readers: Readers, rows: Rows, database: asyncpg.Connection) -> None:
    """Its end is as it was when last seen, for 5 s; then nobody knows. It comes back, and so does the lag."""
    await rows.claim()
    await observed(database, 0, 0)
    os.kill(servers.pids["kafka"], signal.SIGSTOP)
    try:
        await asyncio.sleep(0.5)
        last = await database.fetch(HEADS)
        assert shown(await readers.said()) == NONE
        await asyncio.sleep(1.0)
        assert await database.fetch(HEADS) == last
        await rows.passed(5.0)
        assert shown(await readers.said()) == UNKNOWN
    finally:
        os.kill(servers.pids["kafka"], signal.SIGCONT)
    assert await readers.become("live") == NONE


@pytest.mark.usefixtures("probe")
async def test_a_log_that_lost_its_end(installed: Settings, readers: Readers, rows: Rows) -> None:
    """A position beyond the end of the log is no lag of 0; one behind it is again a lag."""
    await rows.claim()
    produce(installed, 0, b"one")
    assert (await readers.until(lambda said: said["state"] != "unknown"))["lag_events"] == 1
    await rows.move(50)
    assert await readers.become("unknown") == UNKNOWN
    await rows.move(1)
    assert await readers.become("live") == NONE


@pytest.mark.usefixtures("probe")
async def test_a_topic_that_got_more_partitions(installed: Settings, readers: Readers, rows: Rows) -> None:
    """Nobody folds the new ones: of what lies in them no lag can be told."""
    await rows.claim()
    assert await readers.become("live") == NONE
    name = installed.kafka_settings().real(DOCUMENTS)
    admin = AdminClient({"bootstrap.servers": installed.kafka})
    admin.create_partitions([NewPartitions(name, installed.partitions + 1)])[name].result()
    assert await readers.become("unknown") == UNKNOWN


@asynccontextmanager
async def projecting(settings: Settings) -> AsyncIterator[None]:
    """A projector in this process."""
    stop = asyncio.Event()
    running = asyncio.create_task(project(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def embedding(settings: Settings) -> AsyncIterator[None]:
    """An embedder in this process."""
    stop = asyncio.Event()
    running = asyncio.create_task(Embedder(settings).run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def test_a_real_pipeline_from_end_to_end(
    installed: Settings, readers: Readers, rows: Rows, probe: Process
) -> None:
    """Only what is unapplied is a lag: nothing at the end of the log, be it markers, aborted or of unknown types."""
    log = Straight(installed.kafka, installed.topic_prefix)
    transactions = Straight(installed.kafka, installed.topic_prefix, **{"transactional.id": installed.topic_prefix})
    transactions.producer.init_transactions(30)
    async with projecting(installed):
        for projection in PROJECTIONS:
            assert await readers.become("live", projection) == NONE
        # the embedder is dead: documents go on, passages lag
        log.send(added("c", "a"))
        await lags(installed, readers, "passages")
        await readers.until(lambda said: shown(said) == NONE)
        await stalls(probe, rows, readers, "passages")
        async with embedding(installed):
            await readers.until(lambda said: shown(said) == NONE, "passages")
            log.send(unknown("c", "b"))
            await all_applied(installed, readers)
            for end in ("commit_transaction", "abort_transaction"):
                transactions.producer.begin_transaction()
                transactions.hand(added("c", "d"))
                transactions.producer.flush(30)
                for projection in PROJECTIONS:
                    await lags(installed, readers, projection)
                unmarked = await ends(installed)
                getattr(transactions.producer, end)(30)
                await until(partial(grown, installed, unmarked))
                await all_applied(installed, readers)
    # the projector is dead too
    log.send(added("c", "a"))
    for projection in PROJECTIONS:
        await lags(installed, readers, projection)
        await stalls(probe, rows, readers, projection)


async def grown(settings: Settings, before: dict[str, int]) -> bool:
    """Whether the log has grown: a broker answers the end of a transaction before it writes the marker."""
    return await ends(settings) != before


async def lags(settings: Settings, readers: Readers, projection: str) -> None:
    """One event is unapplied as of the log's end, and stays so; it grows older."""
    end = await ends(settings)
    first = await readers.until(lambda said: at(said, end), projection)
    later = await readers.until(newer(first), projection)
    for said in (first, later):
        assert (said["state"], said["lag_events"]) == ("live" if said["lag_seconds"] < 2 else "catching_up", 1)
    assert later["lag_seconds"] > first["lag_seconds"] > 0


async def stalls(probe: Process, rows: Rows, readers: Readers, projection: str) -> None:
    """The same half a minute later."""
    probe.send_signal(signal.SIGSTOP)  # it would date the event rightly
    await rows.passed(31, observed=False)
    said = await readers.said(projection)
    await rows.passed(-31, observed=False)
    probe.send_signal(signal.SIGCONT)
    assert (said["state"], said["lag_events"], said["lag_seconds"] > 31) == ("stalled", 1, True)


async def all_applied(settings: Settings, readers: Readers) -> None:
    """Both projections reach the log's end, and no lag."""
    end = await ends(settings)
    for projection in PROJECTIONS:
        await readers.until(lambda said: at(said, end) and shown(said) == NONE, projection)


def at(said: Said, end: dict[str, int]) -> bool:
    """Whether the probe has seen this end of the log."""
    seen: dict[str, int] = said["heads"][DOCUMENTS]
    return seen == end


def newer(first: Said) -> Callable[[Said], bool]:
    """Whether the log was looked at again since."""
    return lambda said: bool(said["head_observed_at"] > first["head_observed_at"])
