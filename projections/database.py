"""The edge to Postgres: connections, codecs, and the one place where driver errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import numpy as np
from asyncpg.exceptions._base import DataError as UnfitParameter  # the exported one is the server's

from projections.control.revision import refuse_newer
from schemas.errors import DatabaseAway, DataRefused, GenerationMissing, GenerationOutdated, NenrinError

CHANNEL = "nenrin_positions"
"""Where a projection's moves are notified: "<projection> <partition> <next>"."""

CONNECT_WITHIN = 10.0
"""Seconds. A Postgres that is frozen takes a connection and says nothing."""

_HALFVEC_HEADER = 4  # two 16-bit integers: dimensions, and one that pgvector keeps for later

REFUSED = ("22", "23", "54")
"""SQLSTATE classes of values that Postgres will not take, however often it is asked: the fault of an event.

Data exceptions, integrity violations, program limits (a value too long for an index).
"""
AWAY = ("08", "25006", "25P03", "25P04", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX")
"""SQLSTATEs of a database that can't do now what it could at another time, whatever the values.

Connections, a standby, timeouts of sessions, no such role or database yet, deadlocks and serialization, disk or memory
full, locks, statement timeouts and shutdowns, I/O errors, and what Postgres calls internal: a damaged file, say.
"""
MISSING = ("42P01", "3F000")
"""SQLSTATEs of a table or schema that isn't there."""
OUTDATED = ("42703",)
"""The SQLSTATE of a column that isn't there: another version of Nenrin made the table."""

# the driver's own words for values that don't fit a COPY's columns or a statement's parameters
_UNFIT = (UnicodeEncodeError, OverflowError, UnfitParameter)
# its words for a connection that is closed, or that ends just as it is used; and the network's
_CLOSED = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into `DatabaseAway`, `DataRefused` and the two of generations; let others pass."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if (ours := _ours(error)) is None:
            raise
        raise ours from error
    except _UNFIT as error:
        raise DataRefused(str(error)) from error
    except _CLOSED as error:
        # a timeout has no words of its own
        raise DatabaseAway(f"Postgres: {str(error) or 'no answer in time'}") from error


def _ours(error: asyncpg.PostgresError) -> NenrinError | None:
    state: str = error.sqlstate or ""
    if state.startswith(REFUSED):
        return DataRefused(str(error))
    if state.startswith(AWAY):
        return DatabaseAway(f"Postgres: {error}")
    if state in MISSING:
        return GenerationMissing(f"the database lacks what was asked for: {error}")
    if state in OUTDATED:
        return GenerationOutdated(
            f"another version of Nenrin made these tables: {error}; `nenrin doctor` says what to do"
        )
    return None


async def connect(dsn: str, *, application: str) -> asyncpg.Connection:
    """One connection with our codecs. `application` is shown in pg_stat_activity.

    Raises `DatabaseAway`, and `NewerSchema` where a later version of Nenrin has been.
    """
    with translated():
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_WITHIN, server_settings={"application_name": application}
        )
        try:
            await prepare(connection)
        except BaseException:
            connection.terminate()
            raise
    return connection


async def prepare(connection: asyncpg.Connection) -> None:
    """Refuse a database of a later version, and teach a connection `halfvec` as little-endian float16 bytes.

    That is the form in which vectors travel. A database without pgvector yet is left as it is, so that `install` can
    connect to create it. Raises `NewerSchema`.
    """
    await refuse_newer(connection)
    schema = await connection.fetchval(
        "SELECT n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typname = 'halfvec'"
    )
    if schema is not None:
        await connection.set_type_codec(
            "halfvec", schema=schema, format="binary", encoder=halfvec_to_wire, decoder=halfvec_from_wire
        )


def halfvec_to_wire(vector: bytes) -> bytes:
    """Little-endian float16 bytes as pgvector's binary halfvec."""
    values = np.frombuffer(vector, dtype="<f2")
    return len(values).to_bytes(2, "big") + b"\0\0" + values.astype(">f2").tobytes()


def halfvec_from_wire(wire: bytes) -> bytes:
    """The inverse of `halfvec_to_wire`."""
    return np.frombuffer(wire[_HALFVEC_HEADER:], dtype=">f2").astype("<f2").tobytes()
