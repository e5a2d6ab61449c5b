"""A probe of this test's topics, and what it writes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
import pytest

from services.query.app import query_application
from services.settings import Settings
from tests.services.heads.lagging import Readers, Rows
from tests.services.heads.process import Process, heads
from tests.services.query.conftest import alive, by_letters


@pytest.fixture
def probe(installed: Settings, tmp_path: Path) -> Iterator[Process]:
    """A probe of this test's topics."""
    with heads(installed, tmp_path / "heads.log") as process:
        yield process


@pytest.fixture
async def database(installed: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to what the probe writes."""
    connection = await asyncpg.connect(installed.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def readers(installed: Settings) -> AsyncIterator[Readers]:
    """The query service, whole but for its socket."""
    app = query_application(installed.reader_dsn, by_letters())
    transport = httpx.ASGITransport(cast(Any, app))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://query", timeout=60) as http:
        yield Readers(http)


@pytest.fixture
def rows(installed: Settings, database: asyncpg.Connection) -> Rows:
    """The rows that the service reads."""
    return Rows(database, installed)
