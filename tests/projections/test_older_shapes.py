"""After an upgrade that changes a read model's tables, the generation of the older shape goes on being read."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column, MetaData, Table, Text

from projections.catalogue import Generation
from projections.control.install import Wanted, administration, install
from projections.generations import tables
from projections.generations.lifecycle import Build, create
from projections.port import Entry, Folded, Order
from projections.reading import Question, Reader
from schemas.errors import GenerationOutdated
from tests.projections.logs import INCARNATION, TOPIC
from tests.running import Databases

BUILD = Build(TOPIC, 1, INCARNATION)


class Notes:
    """A read model of two columns, and of three since its second shape."""

    name = "notes"
    order = Order.UPSERT
    tables: tuple[str, ...] = ("notes",)
    tallied = "0, 0, 0"

    def __init__(self, shape: int) -> None:
        self.shape = shape

    def define(self, schema: str, dimensions: int | None) -> MetaData:
        """Its tables."""
        metadata = MetaData(schema=schema)
        tables.define(metadata)
        summary = [Column("summary", Text)] if self.shape > 1 else []
        Table("notes", metadata, Column("document_id", Text, primary_key=True), Column("text", Text), *summary)
        return metadata

    def columns(self, table: str) -> tuple[str, ...]:
        """Not written here."""
        return ()

    def evolve(self, entries: Sequence[Entry]) -> list[Folded]:
        """Not folded here."""
        return []

    def hashes(self, rows: Mapping[str, Sequence[Sequence[Any]]]) -> tuple[int, int]:
        """Not hashed here."""
        return 0, 0


def one(generation: Generation) -> str:
    """A note. Shape 1 has no summary: `null` until a generation of shape 2 is live."""
    return _one(generation, "summary" if generation.shape > 1 else "NULL::text")


def careless(generation: Generation) -> str:
    """The same by somebody who knows the newest shape alone."""
    return _one(generation, "summary")


def _one(generation: Generation, summary: str) -> str:
    return f"""rows AS (
        SELECT 1 AS n, json_build_object('text', text, 'summary', {summary}) AS body, NULL AS traceparent
        FROM {generation.schema}.notes
    )"""


@pytest.fixture
async def owner(postgres: Databases) -> AsyncIterator[asyncpg.Connection]:
    """A live generation of the older shape, and beside it one of the newer."""
    await install(postgres.owner, [Wanted(Notes(1), BUILD)])
    async with administration(postgres.owner) as administrator:
        await create(administrator, Notes(2), 2, BUILD)
    connection = await asyncpg.connect(postgres.owner)
    await connection.execute("INSERT INTO notes_g1.notes VALUES ('a', 'long text')")
    await connection.execute("INSERT INTO notes_g2.notes VALUES ('a', 'long text', 'short')")
    yield connection
    await connection.close()


async def test_a_question_goes_by_the_shape_of_whom_it_asks(owner: asyncpg.Connection, postgres: Databases) -> None:
    """The older one is read as it is, the newer one whole; a promotion between two reads changes which."""
    async with Reader(postgres.reader).reading() as reader:
        for number, summary in ((1, None), (2, "short"), (1, None)):
            await owner.execute("UPDATE nenrin.projections SET live = $1", number)
            answer = await reader.read("notes", lambda _: Question(one))
            assert answer.standing.generation == number
            assert json.loads(answer.rows[0]) == {"text": "long text", "summary": summary}


async def test_a_column_that_is_not_there_is_said(owner: asyncpg.Connection, postgres: Databases) -> None:
    """So is a table. It is no fault of the question, and no reason to look for another generation for ever."""
    async with Reader(postgres.reader).reading() as reader:
        with pytest.raises(GenerationOutdated, match="summary"):
            await reader.read("notes", lambda _: Question(careless))
        assert (await reader.read("notes", lambda _: Question(careless), 2)).rows
        await owner.execute("DROP TABLE notes_g1.notes")
        with pytest.raises(GenerationOutdated, match="notes_g1"):
            await reader.read("notes", lambda _: Question(one))
