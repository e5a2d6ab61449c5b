"""Which revision the control schema is at, and whether this version of Nenrin knows it.

Every new connection asks. An older process would neither see what a later version keeps, nor keep it itself: so it
refuses, and writes nothing.
"""

import asyncpg

from schemas.errors import NewerSchema

REVISIONS = ("0001", "0002", "0003")
"""Every migration of the control schema, the oldest first."""
CURRENT = "SELECT version_num FROM nenrin.alembic_version"


def check(found: str | None) -> None:
    """Raise `NewerSchema` unless this version of Nenrin knows the revision; None: nothing is installed yet."""
    if found is not None and found not in REVISIONS:
        raise NewerSchema(
            f"a later version of Nenrin has brought the control schema to revision {found}, and this one knows it up "
            f"to {REVISIONS[-1]}: it reads and writes nothing there; run the version that made it, or a later one"
        )


async def refuse_newer(connection: asyncpg.Connection) -> None:
    """Ask over a connection. Raises `NewerSchema`, and the driver's errors."""
    try:
        found = await connection.fetchval(CURRENT)
    except asyncpg.UndefinedTableError:
        found = None
    check(found)
