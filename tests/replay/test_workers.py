"""Folding a log in several processes comes to the same, whatever becomes of these, and leaves nothing behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

import asyncpg
import psutil
import pytest
from hypothesis import HealthCheck, given, settings

from projections.database import connect
from projections.documents import Documents
from projections.generations.loading import Loading
from projections.port import Entry
from schemas.errors import TooManyParked
from services.replay import segments, workers
from services.replay.loading import Loaded, load
from services.replay.progress import Silent
from tests.projections.ledger import BUILD
from tests.projections.logs import INCARNATION, TOPIC
from tests.replay import test_filling as filling
from tests.replay.lists import Log
from tests.replay.test_filling import BEGIN, SKIP, TRIALS, Trial, check, created, held, job, loaded, written

MODEL = Documents()
WITHIN = 60.0
"""Seconds in which a load of a few events ends, if it does."""
dsn = filling.dsn


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little there is to read, and however many cores there are, two processes read it."""
    monkeypatch.setattr(workers, "LITTLE", 0)
    monkeypatch.setattr(workers, "_cores", lambda: 2)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """To a database that is as at the beginning."""
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    yield connection
    await connection.close()


def log_of(*partitions: Sequence[tuple[str, str]]) -> list[list[Entry]]:
    """A log of documents, by kinds of event and names."""
    found = [[filling.entry(MODEL, p, n, *each) for n, each in enumerate(part)] for p, part in enumerate(partitions)]
    return found + [[] for _ in range(4 - len(found))]


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(TRIALS)
def test_it_holds_what_the_writer_holds(dsn: str, trial: Trial) -> None:
    """Rows, digests, parked events with what healed them, and positions; after loads that died anywhere, too."""
    asyncio.run(check(dsn, trial, elsewhere=all(trial.log) and not trial.dies))


ADDED = [("added", name) for name in "abcdefgh"]


async def test_a_worker_is_killed(dsn: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a segment: what was written stays, and the process that writes folds the rest by itself."""
    log = log_of(ADDED, ADDED)
    await written(dsn, MODEL, log)
    made, loading = await begun(dsn, connection, monkeypatch, Log(log, 2, home=os.getpid(), stands_after=3))
    (first, *_) = await working(dsn, made, loading)
    first.kill()
    assert (await asyncio.wait_for(loading, WITHIN)).events == 16
    assert await held(connection, MODEL, 2) == await held(connection, MODEL, 1)
    assert not first.is_running()
    assert not running()


async def test_a_load_is_broken_off(dsn: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers end with it."""
    log = log_of(ADDED, ADDED)
    made, loading = await begun(dsn, connection, monkeypatch, Log(log, 2, stands_after=3))
    assert len(await working(dsn, made, loading)) == 2
    loading.cancel()
    await asyncio.wait({loading})
    assert loading.cancelled()
    assert not running()


async def begun(
    dsn: str, connection: asyncpg.Connection, patch: pytest.MonkeyPatch, log: Log
) -> tuple[Loading, asyncio.Task[Loaded]]:
    """A load, under way, in segments of four events."""
    made = await created(dsn, MODEL, BUILD)
    patch.setattr(segments, "EVENTS", 4)
    patch.setattr("services.replay.reading.entries", log.entries)
    return made, asyncio.create_task(load(connection, job(dsn, made, log.partitions), Silent()))


BESIDE = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'nenrin load of documents_g2' AND datname = current_database()
"""


async def working(dsn: str, made: Loading, loading: asyncio.Task[Loaded]) -> list[psutil.Process]:
    """The workers, once each of the two partitions has a segment written; there is a second connection for these."""
    looking = await connect(dsn, application="a test")
    while (await made.resume(looking)).events < 8:
        assert not loading.done(), loading
        await asyncio.sleep(0.05)
    assert await looking.fetchval(BESIDE) == 1
    await looking.close()
    return running()


def running() -> list[psutil.Process]:
    """The workers of this process; other tests may have left children that nobody has waited for yet."""
    children = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in children if "services.replay.worker" in each.cmdline()]


async def test_what_postgres_refuses_is_parked(
    dsn: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found among what workers have folded, and parked as the writer parks it."""
    log = log_of([*ADDED, ("unstorable", "a"), *ADDED[1:]], ADDED)
    await written(dsn, MODEL, log)
    await loaded(monkeypatch, dsn, job(dsn, await created(dsn, MODEL, BUILD), log), Log(log, 4))
    there = await held(connection, MODEL, 2)
    assert there == await held(connection, MODEL, 1)
    assert [row[1] for row in there["parked"]] == [8]


async def test_there_is_one_room_for_what_all_park(
    dsn: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker parks too many, but all of them do: the rest is folded alone, and stops at the one too many."""
    log = log_of([("refused", "a"), ("refused", "b"), ("added", "c")], [("added", "d"), ("refused", "e")])
    made = await created(dsn, MODEL, BUILD)
    monkeypatch.setattr("services.replay.reading.entries", Log(log, 4).entries)
    with pytest.raises(TooManyParked, match=r"documents/[01]@1"):  # in whichever partition is folded last
        await load(connection, job(dsn, made, log, park_limit=2), Silent())
    assert len((await held(connection, MODEL, 2))["parked"]) == 2
    await connection.execute(SKIP, MODEL.name, TOPIC, INCARNATION, 0, 0)
    await connection.execute('UPDATE documents_g2.parked SET skipped_at = now() WHERE (partition, "offset") = (0, 0)')
    assert (await load(connection, job(dsn, made, log, park_limit=2), Silent())).events == 5
    assert [row[:2] for row in (await held(connection, MODEL, 2))["parked"]] == [(0, 0), (0, 1), (1, 1)]
