"""The registry of encoders: what was added is found as it was, and what a generation needs is embedded."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from projections.encoders import Use, embedded, find, forget, register, registered, used
from schemas.encoders import MINILM
from schemas.errors import EncoderMissing
from tests.running import Databases

OTHER = replace(MINILM, model="models/other", dimensions=64, passage=100)
THIRD = replace(MINILM, overlap=16)


@pytest.fixture
async def connection(postgres: Databases) -> AsyncIterator[asyncpg.Connection]:
    """A database with the control schema, and nothing in it."""
    connection = await asyncpg.connect(postgres.owner)
    yield connection
    await connection.close()


async def generation(connection: asyncpg.Connection, number: int, encoder: str | None, *, ended: bool = False) -> None:
    """Write a generation of passages down, without its tables."""
    await connection.execute(
        "INSERT INTO nenrin.generations (projection, generation, encoder, ended_at) "
        "VALUES ('passages', $1, $2, CASE WHEN $3 THEN now() END)",
        number,
        encoder,
        ended,
    )


async def test_an_encoder_is_found_as_it_was_added(connection: asyncpg.Connection) -> None:
    """Every setting comes back, for each of them is part of its name; its folder is what was said last."""
    await register(connection, OTHER, Path("/models/old"))
    await register(connection, OTHER, Path("/models/other"))
    found = await find(connection, OTHER.name)
    assert (found.encoder, found.folder) == (OTHER, Path("/models/other"))
    assert await registered(connection) == [found]
    await forget(connection, OTHER.name)
    with pytest.raises(EncoderMissing, match=f"no encoder '{OTHER.name}' here"):
        await find(connection, OTHER.name)


async def test_the_default_encoder_is_always_known(connection: asyncpg.Connection) -> None:
    """Its package comes with Nenrin, so no row has to say where it is."""
    assert (await find(connection, MINILM.name)).encoder == MINILM
    assert await registered(connection) == []


async def test_an_encoder_of_another_version_is_not_taken_for_this_ones(connection: asyncpg.Connection) -> None:
    """Settings that this version names otherwise would embed under a name that stands for something else."""
    await register(connection, OTHER, None)
    await connection.execute("UPDATE nenrin.encoders SET name = 'other-00000000'")
    with pytest.raises(EncoderMissing, match="another version of Nenrin"):
        await find(connection, "other-00000000")


async def test_what_is_used_or_added_is_embedded_and_the_live_generations_first(connection: asyncpg.Connection) -> None:
    """A generation that ended needs no more vectors; an encoder in use twice is embedded once."""
    await register(connection, OTHER, None)
    await register(connection, THIRD, None)
    await generation(connection, 1, "ended-12345678", ended=True)
    await generation(connection, 2, MINILM.name)
    await generation(connection, 3, THIRD.name)
    await generation(connection, 4, THIRD.name)
    await connection.execute("INSERT INTO nenrin.projections (name, live, previous) VALUES ('passages', 3, 2)")
    assert await embedded(connection) == [THIRD.name, MINILM.name, OTHER.name]
    assert (await used(connection))[0] == Use("passages", 3, THIRD.name, True)
    assert {use.generation for use in await used(connection)} == {2, 3, 4}
