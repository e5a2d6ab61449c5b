"""A database for each test of the projections."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from projections.control.install import install
from tests.projections.logs import WANTED
from tests.running import Databases


@pytest.fixture
def dsn(postgres: Databases) -> str:
    """A database of the test's own, with the control schema and no generation yet; as its owner."""
    return postgres.owner


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection to a database in which Nenrin has just been installed."""
    await install(dsn, WANTED)
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()
