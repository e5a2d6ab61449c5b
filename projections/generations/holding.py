"""Holding: for a while one process, and no other, replays in a database and may write the generation that it names.

A session's advisory lock: it goes with its holder, however that ends, so there is nothing to clean up. Projectors leave
a held generation alone, and follow it once nobody holds it; epochs fence whoever hasn't noticed yet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from projections.database import connect, translated
from projections.generations.tables import schema_of
from schemas.errors import Held

REPLAY = 0x6E656E72
"""The first key of the locks; the second is a hash of what is held."""
WHOLE = "replay"
"""What whoever replays holds first: one at a time in a database."""

GONE_WITHIN = 3.0
"""Seconds that a hold is waited for: that of a process which was killed in a long statement is noticed within one."""

_TAKE = "SELECT pg_try_advisory_lock($1, hashtext($2))"
_LOCKED = f"""
l.locktype = 'advisory' AND l.granted AND l.classid::bigint = {REPLAY} AND l.objsubid = 2
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND l.objid::bigint = hashtext({{name}})::bigint & 4294967295
"""
_HOLDER = f"""
SELECT a.application_name, a.pid, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE {_LOCKED.format(name="$1")}
"""
_NAMED = "g.projection || '_g' || g.generation"
HELD = f"EXISTS (SELECT FROM pg_locks l WHERE {_LOCKED.format(name=_NAMED)})"
"""SQL: whether somebody holds the generation `g` of `nenrin.generations`."""


@asynccontextmanager
async def holding(dsn: str, what: str) -> AsyncIterator[asyncpg.Connection]:
    """Be the one that replays, and say so to those who ask: `what`, as in "rebuild of passages by ana, pid 7 on host".

    The connection keeps the hold, and `hold` adds generations to it. Raises `Held`, `DatabaseAway`.
    """
    connection = await connect(dsn, application=f"nenrin {what}")
    try:
        with translated():
            # a statement that runs for long would otherwise outlive whoever asked for it, and the hold with it
            await connection.execute("SET client_connection_check_interval = 1000")
        await _take(connection, WHOLE)
        yield connection
    finally:
        connection.terminate()


async def hold(connection: asyncpg.Connection, projection: str, generation: int) -> None:
    """Hold a generation too: from now on projectors leave it alone."""
    await _take(connection, schema_of(projection, generation))


async def let_go(connection: asyncpg.Connection, projection: str, generation: int) -> None:
    """Give a generation back to the projectors."""
    with translated():
        await connection.execute(
            "SELECT pg_advisory_unlock($1, hashtext($2))", REPLAY, schema_of(projection, generation)
        )


async def holder(connection: asyncpg.Connection) -> str | None:
    """Who replays now, since when, and by which backend; None where nobody does. Raises `DatabaseAway`."""
    with translated():
        return _named(await connection.fetchrow(_HOLDER, WHOLE))


def _named(row: asyncpg.Record | None) -> str | None:
    if row is None:
        return None
    since = f"{row['backend_start']:%Y-%m-%d %H:%M:%S} UTC (Postgres backend {row['pid']})"
    return f"{row['application_name']} holds it since {since}"


async def _take(connection: asyncpg.Connection, name: str) -> None:
    clock = asyncio.get_running_loop()
    until = clock.time() + GONE_WITHIN
    with translated():
        while not await connection.fetchval(_TAKE, REPLAY, name):
            said = _named(await connection.fetchrow(_HOLDER, name))  # None: it ended between the two looks
            if said is not None and clock.time() > until:
                raise Held(f"{said}: wait for its end, or stop it")
            await asyncio.sleep(0.1)
