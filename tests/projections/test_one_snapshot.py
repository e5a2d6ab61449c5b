"""The law at its narrowest: whatever part of an answer is held up, all of it is of one snapshot."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from projections.documents import Documents
from projections.documents import read as documents
from projections.generations import parked
from projections.passages import Passages
from projections.passages import read as passages
from projections.reading import Question, Reader
from projections.writer import Writer
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, added, embedded, refused
from tests.projections.test_one_transaction import until_someone_waits
from tests.running import Databases

VECTOR = logs.vector(0)
QUESTIONS: dict[str, tuple[str, Question, tuple[str, ...]]] = {
    "a document": ("documents", documents.one("c", "a"), ("documents",)),
    "documents by id": ("documents", documents.many("c", ["b", "a"]), ("documents",)),
    "a list": ("documents", documents.page("c", "", 10), ("documents",)),
    "text search": ("passages", passages.lexical("c", 10, "text"), ("passages", "documents", "digests")),
    "dense search": ("passages", passages.dense("c", 10, VECTOR), ("passages", "documents", "digests")),
    "hybrid search": ("passages", passages.hybrid("c", 10, VECTOR, "text"), ("passages", "documents", "digests")),
    "collections": ("passages", passages.collections(), ("digests",)),
    "parked events": ("documents", parked.page(parked.FIRST, 10), ()),
}
# what a batch does that removes the only document, and heals the only parked event
REMOVED = """
UPDATE {projection}_g1.positions SET next = next + 2 WHERE partition = 0;
UPDATE {projection}_g1.parked SET resolved_by = 99;
UPDATE {projection}_g1.digests SET documents = 0, passages = 0;
UPDATE nenrin.heads SET head = head + 2 WHERE partition = 0;
DELETE FROM {projection}_g1.documents;
"""


@pytest.fixture
async def blocking(owner: asyncpg.Connection, postgres: Databases) -> AsyncIterator[asyncpg.Connection]:
    """Another one, to hold a table with."""
    connection = await asyncpg.connect(postgres.owner)
    yield connection
    await connection.close()


async def filled(writer: Writer, owner: asyncpg.Connection) -> int:
    """A document and a parked event, and heads that were seen just behind them. Returns the position."""
    at = (await writer.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS))[0].next
    await writer.apply(0, [added(at) if writer.name == "documents" else embedded(at), refused(at + 1, "z")])
    await owner.execute(
        "INSERT INTO nenrin.heads SELECT topic, partition, next, incarnation, clock_timestamp() "
        f"FROM {writer.name}_g1.positions ON CONFLICT (topic, partition) "
        "DO UPDATE SET head = excluded.head, observed_at = excluded.observed_at"
    )
    return at + 2


@pytest.mark.parametrize("asked", QUESTIONS)
async def test_an_answer_is_of_one_snapshot_whatever_is_held_up(
    owner: asyncpg.Connection, blocking: asyncpg.Connection, postgres: Databases, asked: str
) -> None:
    """A batch is committed while a read waits for one of its tables: rows, version, lag and parked change together.

    Two statements would see the one before it and the other behind it.
    """
    projection, question, tables = QUESTIONS[asked]
    writer = Writer(Documents() if projection == "documents" else Passages(), 1, postgres.owner)
    held_up = [f"{projection}_g1.{table}" for table in (*tables, "positions", "parked")]
    async with asyncio.timeout(60), Reader(postgres.reader).reading() as reader:
        await reader.read(projection, lambda _: of_nobody(projection))
        for table in (*held_up, "nenrin.heads", *held_up):  # at the end with a statement that was prepared long ago
            before = await filled(writer, owner)
            async with blocking.transaction():
                await blocking.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                reading = asyncio.create_task(reader.read(projection, lambda _: question))
                await until_someone_waits(owner)
                await blocking.execute(REMOVED.format(projection=projection) + emptied(projection))
            answer = await reading
            rows: list[Any] = [row for row in map(json.loads, answer.rows) if row is not None]
            shown = (answer.version.next(TOPIC, 0), answer.frame.parked, len(rows), answer.lag.events)
            assert shown in ((before, 1, 1, 0), (before + 2, 0, 0, 0)), f"{table} held up"
    await writer.release()


@pytest.mark.parametrize("asked", QUESTIONS)
async def test_a_commit_after_a_statement_changes_no_answer(
    owner: asyncpg.Connection, postgres: Databases, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Whatever a read asks Postgres is followed by a commit: only what one statement returned belongs together."""
    projection, question, _ = QUESTIONS[asked]
    writer = Writer(Documents() if projection == "documents" else Passages(), 1, postgres.owner)
    async with asyncio.timeout(60), Reader(postgres.reader).reading() as reader:
        await reader.read(projection, lambda _: of_nobody(projection))
        before = await filled(writer, owner)
        for name in ("fetch", "fetchrow", "fetchval"):
            _followed_by(monkeypatch, name, owner, REMOVED.format(projection=projection) + emptied(projection))
        answer = await reader.read(projection, lambda _: question)
        monkeypatch.undo()
        rows = [row for row in map(json.loads, answer.rows) if row is not None]
        shown = (answer.version.next(TOPIC, 0), answer.frame.parked, len(rows), answer.lag.events)
        assert shown == (before, 1, 1, 0)
        again = await reader.read(projection, lambda _: question)
        assert (again.version.next(TOPIC, 0), again.frame.parked) == (before + 2, 0)
    await writer.release()


def _followed_by(monkeypatch: pytest.MonkeyPatch, name: str, owner: asyncpg.Connection, then: str) -> None:
    ask = getattr(asyncpg.Connection, name)

    async def asked(connection: asyncpg.Connection, *arguments: Any, **options: Any) -> Any:
        found = await ask(connection, *arguments, **options)
        await owner.execute(then)
        return found

    monkeypatch.setattr(asyncpg.Connection, name, asked)


def of_nobody(projection: str) -> Question:
    """A question whose answer is empty: with it the reader has found its generation."""
    return documents.one("nobody", "") if projection == "documents" else passages.lexical("nobody", 1, "")


def emptied(projection: str) -> str:
    """The rest of a removal, where there are passages."""
    return "DELETE FROM passages_g1.passages" if projection == "passages" else ""
