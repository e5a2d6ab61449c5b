"""The reader's connections: few, used again, replaced when they break, and never in the middle of a query."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from projections import connections
from projections.connections import Connections
from schemas.errors import DatabaseAway, DataRefused
from tests.running import Databases

MOST = 2
PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def pool(postgres: Databases) -> AsyncIterator[Connections]:
    """Two at most; a statement may take a second."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(postgres.reader, command_timeout=1)

    pool = Connections(connect, MOST)
    yield pool
    pool.terminate()


async def backend(pool: Connections) -> int:
    """Which backend answers next."""
    pid: int = (await pool.fetch(PID))[0][0]
    return pid


async def active(owner: asyncpg.Connection) -> int:
    """How many queries sleep in Postgres."""
    count: int = await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
    return count


async def test_the_one_used_last_is_used_again(pool: Connections) -> None:
    """One after the other needs one connection only; two at once need two, and more wait for those."""
    first = await backend(pool)
    assert await backend(pool) == first
    answers = await asyncio.gather(*(pool.fetch("SELECT pg_backend_pid(), pg_sleep(0.02)") for _ in range(6)))
    assert len({answer[0][0] for answer in answers}) == MOST


async def test_an_error_of_the_statement_keeps_the_connection(pool: Connections) -> None:
    """Postgres has answered; nothing is wrong with the connection."""
    first = await backend(pool)
    with pytest.raises(DataRefused):
        await pool.fetch("SELECT 1 / $1::int", 0)
    assert await backend(pool) == first


async def test_a_connection_that_ended_while_idle_is_not_noticed(postgres: Databases) -> None:
    """The next read opens another and succeeds."""
    ended = asyncio.Event()

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(postgres.reader)
        connection.add_termination_listener(lambda _: ended.set())
        return connection

    pool = Connections(connect, MOST)
    first = await backend(pool)
    owner = await asyncpg.connect(postgres.owner)
    await owner.execute("SELECT pg_terminate_backend($1, 5000)", first)
    await owner.close()
    await ended.wait()
    assert await backend(pool) != first
    pool.terminate()


async def test_a_query_that_is_given_up_does_not_go_on(pool: Connections, postgres: Databases) -> None:
    """Cancelled, or too slow: it ends in Postgres too, its connection is not used again, its place is free at once."""
    owner = await asyncpg.connect(postgres.owner)
    reads = [asyncio.ensure_future(pool.fetch("SELECT pg_sleep(60)")) for _ in range(MOST)]
    while await active(owner) < MOST:
        pass
    reads[0].cancel()
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(error) for error in found] == [asyncio.CancelledError, DatabaseAway]
    await asyncio.gather(*(backend(pool) for _ in range(MOST)))
    async with asyncio.timeout(10):
        while await active(owner):
            pass
    await owner.close()


async def test_waiting_for_a_connection_ends(pool: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the caller can do something about: the database is not there for it."""
    monkeypatch.setattr(connections, "WITHIN", 0.05)
    busy = [asyncio.ensure_future(pool.fetch("SELECT pg_sleep(0.3)")) for _ in range(MOST)]
    await asyncio.sleep(0)
    with pytest.raises(DatabaseAway, match="came free"):
        await pool.fetch(PID)
    await asyncio.gather(*busy)
