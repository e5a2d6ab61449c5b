"""The edge to Postgres: connections, codecs, and the one place where driver errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import numpy as np

from schemas.errors import DatabaseAway, DataRefused, GenerationMissing

CHANNEL = "nenrin_positions"
"""Where a projection's moves are notified: "<projection> <partition> <next>"."""

_HALFVEC_HEADER = 4  # two 16-bit integers: dimensions, and one that pgvector keeps for later


_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's word for a connection that ends just as it is used
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidCatalogNameError,  # no such database, yet
    asyncpg.InvalidAuthorizationSpecificationError,  # no such role or another password, yet
    asyncpg.exceptions.OperatorInterventionError,  # shutdown, terminated backend
    asyncpg.exceptions.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.exceptions.TransactionRollbackError,  # deadlock, serialization
)
_MISSING = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
_REFUSED = (asyncpg.DataError, asyncpg.exceptions.ProgramLimitExceededError)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into `DatabaseAway`, `GenerationMissing` or `DataRefused`; let others pass."""
    try:
        yield
    except _MISSING as error:
        raise GenerationMissing(f"the database lacks what was asked for: {error}") from error
    except _REFUSED as error:
        raise DataRefused(str(error)) from error
    except _AWAY as error:
        # a timeout has no words of its own
        raise DatabaseAway(f"Postgres: {str(error) or 'no answer in time'}") from error


async def connect(dsn: str, *, application: str) -> asyncpg.Connection:
    """One connection with our codecs. `application` is shown in pg_stat_activity."""
    with translated():
        connection = await asyncpg.connect(dsn, server_settings={"application_name": application})
        await prepare(connection)
    return connection


async def prepare(connection: asyncpg.Connection) -> None:
    """Teach a connection `halfvec` as little-endian float16 bytes, the form in which vectors travel.

    A database without pgvector yet is left as it is, so that `install` can connect to create it.
    """
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
