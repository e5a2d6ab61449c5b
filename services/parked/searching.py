"""Finding what projections have parked."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg

from projections import decisions
from projections.database import connect
from projections.decisions import Parked
from schemas.errors import InvalidInput
from services.parked.planning import Chosen


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner's. Raises `DatabaseAway`."""
    connection = await connect(dsn, application="nenrin parked")
    try:
        yield connection
    finally:
        connection.terminate()


async def parked_by(connection: asyncpg.Connection, names: Iterable[str], chosen: Chosen) -> list[Parked]:
    """What these projections have parked that nothing has resolved, and whatever lies at the chosen places."""
    known = list(names)
    if chosen.projection is not None and chosen.projection not in known:
        raise InvalidInput("--projection", f"there is no {chosen.projection!r}; there are {', '.join(known)}")
    return [event for name in known for event in await decisions.find(connection, name, chosen.places)]
