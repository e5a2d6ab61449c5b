"""Reading: rows, version and lag of one snapshot, from the generation that the pointer names."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from projections.catalogue import Generation
from projections.control.install import administration
from projections.documents import Documents
from projections.documents import read as documents
from projections.generations import parked
from projections.generations import read as generations
from projections.generations.lifecycle import create
from projections.generations.read import Lifecycle
from projections.lag import State
from projections.reading import Answer, Question, Reader
from projections.writer import Writer
from schemas.errors import DatabaseAway, GenerationMissing
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, WANTED, added, refused, removed
from tests.running import Databases


@pytest.fixture
async def writer(owner: asyncpg.Connection, postgres: Databases) -> AsyncIterator[Writer]:
    """The writer of `documents`, with partition 0 claimed."""
    writer = Writer(Documents(), 1, postgres.owner)
    await writer.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    yield writer
    await writer.release()


@pytest.fixture
async def reader(owner: asyncpg.Connection, postgres: Databases) -> AsyncIterator[Reader]:
    """A reader in the role that can only select."""
    async with Reader(postgres.reader).reading() as reader:
        yield reader


async def ask(reader: Reader, question: Question, projection: str = "documents", number: int | None = None) -> Answer:
    """The answer to a question that doesn't depend on the generation."""
    return await reader.read(projection, lambda _: question, number)


def rows(answer: Answer) -> list[Any]:
    """The rows of an answer."""
    return [json.loads(row) for row in answer.rows]


async def test_a_document_comes_back_as_it_was_written(reader: Reader, writer: Writer) -> None:
    """Every member, numbers as they were written, and where it comes from."""
    metadata = {"n": 1.0, "m": 1, "tags": ["a", None, True], "big": 9223372036854775807}
    await writer.apply(0, [added(0, "a/b", 'te"xt\n\u2028', title="T", metadata=metadata, source_uri="file:///x")])
    answer = await ask(reader, documents.one("c", "a/b"))
    assert rows(answer) == [
        {
            "collection": "c",
            "document_id": "a/b",
            "title": "T",
            "metadata": metadata,
            "source_uri": "file:///x",
            "added_at": "2023-11-14T22:13:20.000Z",
            "source": {"topic": "documents", "partition": 0, "offset": 0},
            "text": 'te"xt\n\u2028',
        }
    ]
    assert b'"n":1.0' in answer.rows[0]
    assert answer.version.offsets == {"documents": {0: 1, 1: 0, 2: 0, 3: 0}}
    assert answer.version.incarnations == {"documents": INCARNATION}


async def test_what_is_not_there_has_a_version_too(reader: Reader, writer: Writer) -> None:
    """A removed document, an unknown one and an unknown collection: no rows, and the version that says so."""
    await writer.apply(0, [added(0), removed(1)])
    for question in (documents.one("c", "a"), documents.one("c", "z"), documents.page("nowhere", "", 10)):
        answer = await ask(reader, question)
        assert (answer.rows, answer.version.next("documents", 0)) == ((), 2)


async def test_many_keep_the_order_that_was_asked_for(reader: Reader, writer: Writer) -> None:
    """One row an id, twice for an id that is there twice, null for what isn't there."""
    await writer.apply(0, [added(0, "a"), added(1, "b")])
    found = rows(await ask(reader, documents.many("c", ["b", "nope", "a", "b"])))
    assert [each and each["document_id"] for each in found] == ["b", None, "a", "b"]
    assert rows(await ask(reader, documents.many("c", []))) == []


async def test_pages_follow_code_points(reader: Reader, writer: Writer) -> None:
    """Lists are ordered as code points are, and a page begins after the id it is given."""
    ids = ["b", "Z", "é", "a", "\U0001f600", "\uffee", "aa", "0"]
    await writer.apply(0, [added(offset, document_id) for offset, document_id in enumerate(ids)])
    listed = await ask(reader, documents.page("c", "", 100))
    assert [each["document_id"] for each in rows(listed)] == sorted(ids)
    assert "text" not in rows(listed)[0]
    assert [each["document_id"] for each in rows(await ask(reader, documents.page("c", "a", 2)))] == ["aa", "b"]


async def test_the_reader_can_only_select(reader: Reader) -> None:
    """Nothing that the query service runs could change anything."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.fetch("DELETE FROM documents_g1.documents")


async def observe(owner: asyncpg.Connection, head: int, oldest: int | None = None, age: float = 0.0) -> None:
    """What the probe would have seen: every partition's head, and a record of that age at `oldest` of partition 0."""
    await owner.execute(
        "INSERT INTO nenrin.heads SELECT topic, partition, CASE partition WHEN 0 THEN $1::bigint ELSE 0 END, "
        "incarnation, clock_timestamp() FROM documents_g1.positions "
        "ON CONFLICT (topic, partition) DO UPDATE SET head = excluded.head, observed_at = excluded.observed_at",
        head,
    )
    if oldest is not None:
        await owner.execute(
            "INSERT INTO nenrin.oldest VALUES ('documents', 1, 'documents', 0, $1, "
            "clock_timestamp() - make_interval(secs => $2)) ON CONFLICT DO NOTHING",
            oldest,
            age,
        )


async def test_lag_comes_with_every_answer(reader: Reader, writer: Writer, owner: asyncpg.Connection) -> None:
    """Unknown until the heads are observed, then counted against them."""
    await writer.apply(0, [added(0)])
    unknown = (await ask(reader, generations.nothing())).standing
    assert (unknown.state, unknown.lag_events, unknown.lag_seconds) == ("unknown", None, None)
    await observe(owner, head=1)
    caught_up = (await ask(reader, generations.nothing())).standing
    assert (caught_up.state, caught_up.lag_events, caught_up.lag_seconds) == ("live", 0, 0.0)
    await observe(owner, head=4, oldest=1, age=10)
    behind = await ask(reader, generations.nothing())
    assert (behind.lag.state, behind.lag.events) == (State.CATCHING_UP, 3)
    assert behind.lag.seconds is not None
    assert 10 <= behind.lag.seconds < 15
    assert behind.standing.head_observed_at is not None


async def test_parked_events_are_counted_until_they_heal(reader: Reader, writer: Writer) -> None:
    """The count is of the same snapshot as the version, and the events themselves can be read."""
    await writer.apply(0, [refused(0, "a"), refused(1, "b")])
    answer = await ask(reader, parked.page(parked.FIRST, 10))
    assert answer.standing.parked == 2
    first = parked.rows(answer.rows)[0]
    assert (first.offset, first.key, first.reason) == (0, b"c/a", "text: missing")
    (whole,) = (await ask(reader, parked.one((TOPIC, 0, 0)))).rows
    assert parked.whole(whole).value == b"\xff"
    await writer.apply(0, [added(2, "a")])
    answer = await ask(reader, parked.page(parked.FIRST, 10))
    assert [row.offset for row in parked.rows(answer.rows)] == [1]
    assert answer.standing.parked == 1


async def build(dsn: str, number: int) -> None:
    """Another generation of `documents`, empty."""
    async with administration(dsn) as connection:
        await create(connection, Documents(), number, WANTED[0].build)


async def promote(owner: asyncpg.Connection, number: int) -> None:
    """Move the pointer."""
    await owner.execute("UPDATE nenrin.projections SET live = $1 WHERE name = 'documents'", number)


async def test_a_promotion_is_seen_by_the_next_read(
    reader: Reader, writer: Writer, owner: asyncpg.Connection, postgres: Databases
) -> None:
    """The statement of the old generation returns the new pointer, so it is run again on the new one."""
    await writer.apply(0, [added(0)])
    assert (await ask(reader, documents.one("c", "a"))).standing.generation == 1
    await build(postgres.owner, 2)
    await promote(owner, 2)
    answer = await ask(reader, documents.one("c", "a"))
    assert (answer.standing.generation, answer.rows) == (2, ())
    again = await ask(reader, documents.one("c", "a"), number=1)
    assert (again.standing.generation, len(again.rows)) == (1, 1)


async def test_a_dropped_generation_is_left_for_the_live_one(
    reader: Reader, writer: Writer, owner: asyncpg.Connection, postgres: Databases
) -> None:
    """Its tables are gone: the reader looks again, once."""
    await ask(reader, documents.one("c", "a"))
    await build(postgres.owner, 2)
    await promote(owner, 2)
    await owner.execute("DROP SCHEMA documents_g1 CASCADE")
    await owner.execute("DELETE FROM nenrin.generations WHERE projection = 'documents' AND generation = 1")
    assert (await ask(reader, documents.one("c", "a"))).standing.generation == 2
    with pytest.raises(GenerationMissing, match="no generation 1"):
        await ask(reader, documents.one("c", "a"), number=1)


async def test_an_overview_has_every_generation(
    reader: Reader, writer: Writer, owner: asyncpg.Connection, postgres: Databases
) -> None:
    """Live, building, previous and past, each with its digest and its own positions."""
    await writer.apply(0, [added(0), refused(1, "b")])
    for number in (2, 3, 4):
        await build(postgres.owner, number)
    await owner.execute("UPDATE nenrin.projections SET live = 3, previous = 2 WHERE name = 'documents'")
    await owner.execute("UPDATE nenrin.generations SET ended_at = clock_timestamp() WHERE generation = 1")
    found = await generations.overview(reader, "documents")
    assert [each.lifecycle for each in found] == [
        Lifecycle.PAST,
        Lifecycle.PREVIOUS,
        Lifecycle.LIVE,
        Lifecycle.BUILDING,
    ]
    first, second = found[0], found[1]
    assert [each.digest and each.digest.documents for each in (first, second)] == [1, 0]
    assert (first.answer.version.next("documents", 0), second.answer.version.next("documents", 0)) == (2, 0)
    assert (first.answer.standing.parked, second.answer.standing.parked) == (1, 0)
    assert {each.answer.standing.name for each in await generations.overview(reader)} == {"documents", "passages"}


async def test_an_answer_is_of_one_snapshot(reader: Reader, writer: Writer) -> None:
    """While documents are added and removed, rows and version always belong together (the law)."""

    async def write() -> None:
        for offset in range(0, 200, 2):
            await writer.apply(0, [added(offset)])
            await writer.apply(0, [removed(offset + 1)])

    async def look() -> None:
        while not writing.done():
            answer = await ask(reader, documents.one("c", "a"))
            assert len(answer.rows) == answer.version.next("documents", 0) % 2

    writing = asyncio.ensure_future(write())
    await asyncio.gather(writing, *(look() for _ in range(4)))


async def test_postgres_away_is_said_and_passes(reader: Reader, owner: asyncpg.Connection) -> None:
    """A broken connection is an error of its own kind, and the next read makes a new one."""
    await ask(reader, generations.nothing())
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nenrin query' "
        "AND datname = current_database()"
    )
    for _ in range(3):
        try:
            await ask(reader, generations.nothing())
        except DatabaseAway:
            continue
        return
    pytest.fail("the reader did not recover")


async def test_no_postgres_at_all_is_database_away() -> None:
    """Nothing listens there: said so, when asked and not before."""
    async with Reader("postgresql://nobody@127.0.0.1:1/none").reading() as reader:
        with pytest.raises(DatabaseAway):
            await ask(reader, generations.nothing())


async def test_a_projection_that_is_not_installed(reader: Reader) -> None:
    """The error names it."""
    with pytest.raises(GenerationMissing, match="'responses'"):
        await ask(reader, generations.nothing(), "responses")


def shape_of_two(_: Generation) -> str:
    """Rows in no particular order."""
    return "rows AS (SELECT * FROM (VALUES (2, '2'::json, ''), (1, '1'::json, NULL)) AS v (n, body, traceparent))"


async def test_rows_are_put_in_their_order(reader: Reader) -> None:
    """Rows carry their number; the statement promises no order."""
    numbers: Sequence[int] = rows(await ask(reader, Question(shape_of_two)))
    assert numbers == [1, 2]
