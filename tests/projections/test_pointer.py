"""The pointer of a projection moves in one statement that no reader waits for; what nobody needs goes as quietly."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from projections.control.install import administration
from projections.documents import Documents
from projections.generations import lifecycle
from projections.generations.lifecycle import Build, Decision, Moved, NotMoved
from tests.projections.logs import INCARNATION, PARTITIONS, TOPIC

BY = Decision("ana")
_LOCKS = """
SELECT c.relnamespace::regnamespace || '.' || c.relname AS relation, l.mode
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.oid >= 16384  -- what Postgres has of its own lies below
"""


async def make(dsn: str) -> int:
    """Another generation of documents, made and followed like any other."""
    async with administration(dsn) as connection:
        number = await lifecycle.next_number(connection, "documents")
        await lifecycle.create(connection, Documents(), number, Build(TOPIC, PARTITIONS, INCARNATION))
    return number


async def pointer(owner: asyncpg.Connection) -> tuple[int, int | None]:
    """Live and previous."""
    row = await owner.fetchrow("SELECT live, previous FROM nenrin.projections WHERE name = 'documents'")
    return row["live"], row["previous"]


async def ended(owner: asyncpg.Connection) -> list[int]:
    """The generations that no projector feeds."""
    rows = await owner.fetch(
        "SELECT generation FROM nenrin.generations WHERE projection = 'documents' AND ended_at IS NOT NULL ORDER BY 1"
    )
    return [row[0] for row in rows]


@pytest.fixture
async def reader(owner: asyncpg.Connection, dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who reads, in the same database."""
    connection = await asyncpg.connect(dsn)
    yield connection
    connection.terminate()


async def test_a_promotion_keeps_one_way_back_and_ends_what_lies_behind_it(owner: asyncpg.Connection, dsn: str) -> None:
    """The one that was live is the previous one and goes on; the one previous to that has ended."""
    second, third = await make(dsn), await make(dsn)
    assert await lifecycle.promote(owner, "documents", second, 1, BY) == Moved(second, 1)
    assert (await pointer(owner), await ended(owner)) == ((second, 1), [])
    assert await lifecycle.promote(owner, "documents", third, second, BY) == Moved(third, second, ended=1)
    assert (await pointer(owner), await ended(owner)) == ((third, second), [1])
    assert await lifecycle.promote(owner, "documents", second, third, BY) == Moved(second, third)
    assert (await pointer(owner), await ended(owner)) == ((second, third), [1])


async def test_a_promotion_over_another_generation_than_is_live_changes_nothing(
    owner: asyncpg.Connection, dsn: str
) -> None:
    """Somebody rolled back, or promoted, since the two were compared; and what is not whole is never promoted."""
    second, third = await make(dsn), await make(dsn)
    await lifecycle.promote(owner, "documents", second, 1, BY)
    for generation, over, why in ((third, 1, "live by now"), (second, second, "live already"), (9, second, "has no")):
        with pytest.raises(NotMoved, match=why):
            await lifecycle.promote(owner, "documents", generation, over, BY)
    for column, value, why in (
        ("loaded_at", "NULL", "not whole"),
        ("ended_at", "now()", "ended"),
        ("until", "'t'", "ended"),
    ):
        await owner.execute("UPDATE nenrin.generations SET loaded_at = now(), ended_at = NULL")
        await owner.execute(f"UPDATE nenrin.generations SET {column} = {value} WHERE generation = $1", third)
        with pytest.raises(NotMoved, match=why):
            await lifecycle.promote(owner, "documents", third, second, BY)
    assert await pointer(owner) == (second, 1)
    assert await owner.fetchval("SELECT count(*) FROM nenrin.promotions") == 1


async def test_a_rollback_swaps_the_two_and_is_undone_by_another(owner: asyncpg.Connection, dsn: str) -> None:
    """It needs a previous generation that has followed the log; every move is on record, with who and why."""
    with pytest.raises(NotMoved, match="no previous generation"):
        await lifecycle.rollback(owner, "documents", BY)
    second = await make(dsn)
    await lifecycle.promote(owner, "documents", second, 1, Decision("ana", "gates were wrong", '{"gates": []}'))
    assert await lifecycle.rollback(owner, "documents", Decision("ben", "bad answers")) == Moved(1, second)
    assert await lifecycle.rollback(owner, "documents", BY) == Moved(second, 1)
    await lifecycle.end(owner, "documents", 1)
    with pytest.raises(NotMoved, match="documents_g1 has ended"):
        await lifecycle.rollback(owner, "documents", BY)
    rows = await owner.fetch("SELECT kind, generation, replaced, decided_by, forced_because FROM nenrin.promotions")
    assert [tuple(row) for row in rows] == [
        ("promote", second, 1, "ana", "gates were wrong"),
        ("rollback", 1, second, "ben", "bad answers"),
        ("rollback", second, 1, "ana", None),
    ]


async def test_moving_the_pointer_takes_no_lock_that_a_reader_waits_for(owner: asyncpg.Connection, dsn: str) -> None:
    """Rows of three tables of the control schema, and nothing of any generation."""
    second = await make(dsn)
    async with owner.transaction():
        await lifecycle.promote(owner, "documents", second, 1, BY)
        await lifecycle.rollback(owner, "documents", BY)
        locks = {(row["relation"], row["mode"]) for row in await owner.fetch(_LOCKS)}
    assert {mode for _, mode in locks} <= {"AccessShareLock", "RowExclusiveLock"}
    assert {name for name, _ in locks} >= {"nenrin.projections", "nenrin.generations", "nenrin.promotions"}
    assert all(name.startswith("nenrin.") for name, _ in locks)


async def test_the_one_that_is_live_is_neither_ended_nor_forgotten(owner: asyncpg.Connection, dsn: str) -> None:
    """Whoever asks for it was mistaken."""
    await lifecycle.end(owner, "documents", 1)
    assert not await lifecycle.forget(owner, "documents", 1)
    assert await ended(owner) == []
    second = await make(dsn)
    await lifecycle.promote(owner, "documents", second, 1, BY)
    assert await lifecycle.forget(owner, "documents", 1)
    assert await pointer(owner) == (second, None)


async def test_a_drop_waits_for_its_readers_and_lets_others_pass(
    owner: asyncpg.Connection, reader: asyncpg.Connection, dsn: str
) -> None:
    """One reads it in a transaction that stays open: those who come after the drop has begun are not kept waiting."""
    second = await make(dsn)
    table = f"documents_g{second}.documents"
    async with reader.transaction():
        await reader.execute(f"SELECT FROM {table}")
        dropping = await asyncpg.connect(dsn)
        drop = asyncio.create_task(lifecycle.drop(dropping, "documents", second))
        for _ in range(5):
            async with asyncio.timeout(10):
                await owner.execute(f"SELECT FROM {table}")
                while not await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    assert not drop.done()
                    await asyncio.sleep(0.005)
    assert await drop
    assert not await lifecycle.drop(dropping, "documents", second)
    await dropping.close()


async def test_a_drop_that_readers_never_let_through_can_be_done_again(
    owner: asyncpg.Connection, reader: asyncpg.Connection, dsn: str
) -> None:
    """It gives up after a while, says what to call, and what it left is dropped then."""
    second = await make(dsn)
    async with reader.transaction():
        await reader.execute(f"SELECT FROM documents_g{second}.documents")
        with pytest.raises(NotMoved, match=f"nenrin projections retire documents {second}"):
            await lifecycle.drop(owner, "documents", second, within=0.1)
    assert await lifecycle.drop(owner, "documents", second)


async def test_a_number_is_never_given_twice(owner: asyncpg.Connection, dsn: str) -> None:
    """Not after a retirement, nor while tables are left of one that is off the list."""
    second = await make(dsn)
    await lifecycle.promote(owner, "documents", second, 1, BY)
    await lifecycle.rollback(owner, "documents", BY)
    await lifecycle.forget(owner, "documents", second)
    assert await make(dsn) == second + 1
    await lifecycle.drop(owner, "documents", second)
    await lifecycle.forget(owner, "documents", second + 1)
    assert await make(dsn) == second + 2


async def test_a_reset_is_on_record_too(owner: asyncpg.Connection, dsn: str) -> None:
    """It moves the pointer like a promotion, and ends the generation before it, so that there is no way back."""
    async with administration(dsn) as connection:
        number = await lifecycle.replace(connection, Documents(), Build(TOPIC, PARTITIONS, INCARNATION))
    (row,) = await owner.fetch("SELECT kind, generation, replaced FROM nenrin.promotions")
    assert tuple(row) == ("reset", number, 1)
    with pytest.raises(NotMoved, match="documents_g1 has ended"):
        await lifecycle.rollback(owner, "documents", BY)
