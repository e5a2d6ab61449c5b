"""The encoders of an installation: which there are, and where their models lie.

The default one needs no row: a package carries it wherever Nenrin is.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

from projections.database import translated
from schemas.encoders import MINILM, Encoder
from schemas.errors import EncoderMissing

_REGISTERED = "SELECT name, settings, folder, added_at FROM nenrin.encoders"
_REGISTER = """
INSERT INTO nenrin.encoders (name, settings, folder) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET folder = excluded.folder
"""
_USED = """
SELECT g.projection, g.generation, g.encoder, g.generation = p.live AS live
FROM nenrin.generations g JOIN nenrin.projections p ON p.name = g.projection
WHERE g.encoder IS NOT NULL AND g.ended_at IS NULL
ORDER BY live DESC, g.projection, g.generation
"""
_EMBEDDED = f"""
WITH used AS ({_USED})
SELECT name FROM (
    SELECT encoder AS name, 0 AS kind, NOT live AS rank, generation::float8 AS turn FROM used
    UNION ALL SELECT name, 1, true, extract(epoch FROM added_at) FROM nenrin.encoders
) AS wanted
GROUP BY name ORDER BY min(rank::int), min(kind), min(turn)
"""


class Fetches(Protocol):
    """A connection, or a pool of them."""

    async def fetch(self, sql: str, /, *values: Any) -> Sequence[asyncpg.Record]:
        """Run a statement."""


class Registered(msgspec.Struct, frozen=True):
    """An encoder that can be used here. `folder` is None where a package carries its model."""

    encoder: Encoder
    folder: Path | None = None
    added_at: datetime | None = None


class Use(msgspec.Struct, frozen=True):
    """A generation that has not ended, and the encoder whose vectors it keeps."""

    projection: str
    generation: int
    encoder: str
    live: bool


async def registered(connection: Fetches) -> list[Registered]:
    """The encoders that somebody added, the oldest first. Raises `EncoderMissing`, `DatabaseAway`."""
    with translated():
        return [_registered(row) for row in await connection.fetch(f"{_REGISTERED} ORDER BY added_at, name")]


async def find(connection: Fetches, name: str) -> Registered:
    """The encoder of this name; the default one is always known. Raises `EncoderMissing`, `DatabaseAway`."""
    if name == MINILM.name:
        return Registered(MINILM)
    with translated():
        rows = await connection.fetch(f"{_REGISTERED} WHERE name = $1", name)
    if not rows:
        raise EncoderMissing(
            f"there is no encoder {name!r} here: `nenrin encoders list` shows those there are, "
            "`nenrin encoders add MODEL` adds one"
        )
    return _registered(rows[0])


async def register(connection: asyncpg.Connection, encoder: Encoder, folder: Path | None) -> None:
    """Make an encoder known; one that is known already has its model in this folder from now on."""
    with translated():
        await connection.execute(_REGISTER, encoder.name, msgspec.json.encode(encoder).decode(), _text(folder))


async def forget(connection: asyncpg.Connection, name: str) -> None:
    """Remove an encoder's row, if it has one."""
    with translated():
        await connection.execute("DELETE FROM nenrin.encoders WHERE name = $1", name)


async def used(connection: Fetches) -> list[Use]:
    """The generations that have not ended and keep vectors, the live ones first. Raises `DatabaseAway`."""
    with translated():
        return [Use(*row) for row in await connection.fetch(_USED)]


async def embedded(connection: Fetches) -> list[str]:
    """The names of the encoders whose topics are to be kept up with the log, the live generation's first.

    Those that a generation uses which has not ended, and those that are registered. Raises `DatabaseAway`.
    """
    with translated():
        return [row["name"] for row in await connection.fetch(_EMBEDDED)]


def _registered(row: asyncpg.Record) -> Registered:
    encoder = msgspec.json.decode(row["settings"], type=Encoder)
    if encoder.name != row["name"]:
        raise EncoderMissing(
            f"encoder {row['name']} was registered by another version of Nenrin, for which its settings add up to "
            f"another name than {encoder.name}: add its model again with `nenrin encoders add MODEL`"
        )
    return Registered(encoder, None if row["folder"] is None else Path(row["folder"]), row["added_at"])


def _text(folder: Path | None) -> str | None:
    return None if folder is None else str(folder)
