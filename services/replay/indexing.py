"""How far Postgres is with an index, seen from another connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from projections.database import connect, translated
from schemas.errors import DatabaseAway
from services.replay.progress import Phase, Progress

LOOK_EVERY = 0.5
_PROGRESS = """
SELECT i.tuples_done, i.tuples_total, i.blocks_done, i.blocks_total FROM pg_stat_progress_create_index i
JOIN pg_class c ON c.oid = i.relid WHERE c.relnamespace = to_regnamespace($1)
"""


@asynccontextmanager
async def shown(dsn: str, schema: str, progress: Progress) -> AsyncIterator[None]:
    """Show how far indexes in a schema are, while the context lasts and some are built."""
    watching = asyncio.create_task(_watch(dsn, schema, progress))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError, DatabaseAway):
            await watching


async def _watch(dsn: str, schema: str, progress: Progress) -> None:
    connection = await connect(dsn, application="nenrin rebuild progress")
    try:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            with translated():
                row = await connection.fetchrow(_PROGRESS, schema)
            if row is not None:
                tuples, all_tuples, blocks, all_blocks = row
                progress.show(Phase.INDEXING, *((tuples, all_tuples) if all_tuples else (blocks, all_blocks)))
    finally:
        connection.terminate()
