"""Postgres is away when it is silent, and then only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from projections import pulse
from projections.database import connect
from projections.pulse import Pulse
from schemas.errors import DatabaseAway
from tests.running import Databases

NAME = "pulse"
END = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1"
Told = asyncio.Queue[DatabaseAway | None]


@asynccontextmanager
async def felt(dsn: str) -> AsyncIterator[Told]:
    """What a pulse tells, from the first word on."""
    told: Told = asyncio.Queue()
    feeling = asyncio.create_task(Pulse(lambda: connect(dsn, application=NAME), told.put_nowait).feel())
    try:
        yield told
    finally:
        feeling.cancel()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "EVERY", 0.02)


async def test_a_connection_that_is_ended_says_nothing_of_the_server(
    postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator ends it, and nobody else: those who read are left alone, and it is made anew."""
    monkeypatch.setattr(pulse, "WITHIN", 60.0)  # this machine may be busy
    owner = await asyncpg.connect(postgres.owner)
    async with felt(postgres.owner) as told:
        for _ in range(3):
            while not await owner.fetch(END, NAME):
                assert await told.get() is None
        for _ in range(told.qsize() + 3):
            assert await told.get() is None
    await owner.close()


async def test_a_long_silence_is_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes connections and says no word is away; one that refuses them says so itself."""
    monkeypatch.setattr(pulse, "WITHIN", 0.2)
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with felt(f"postgresql://nobody@127.0.0.1:{port}/none") as told:
        assert isinstance(await told.get(), DatabaseAway)
        silent.close()
        while await told.get() is not None:
            pass
