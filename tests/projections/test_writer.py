"""The writer's transaction, on a real Postgres: exact, fenced, and patient with bad data."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import asyncpg
import numpy as np
import pytest

from projections import writer as writing
from projections.control.install import install, plan
from projections.documents import Documents
from projections.passages import Passages
from projections.positions import Position
from projections.writer import Writer
from schemas.errors import (
    DatabaseAway,
    Fenced,
    Gap,
    GenerationOutdated,
    NotClaimed,
    OtherIncarnation,
    TopicMismatch,
)
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, WANTED, added, embedded, nothing, refused, removed, unembedded


@pytest.fixture
async def reader(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database in which Nenrin has just been installed."""
    await install(dsn, WANTED)
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def documents(reader: asyncpg.Connection, dsn: str) -> AsyncIterator[Writer]:
    """The writer of `documents`, with partitions 0 and 1 claimed."""
    writer = Writer(Documents(), 1, dsn)
    await writer.claim(TOPIC, [0, 1], INCARNATION, logs.PARTITIONS)
    yield writer
    await writer.release()


@pytest.fixture
async def passages(reader: asyncpg.Connection, dsn: str) -> AsyncIterator[Writer]:
    """The writer of `passages`, with partition 0 claimed."""
    writer = Writer(Passages(), 1, dsn)
    await writer.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    yield writer
    await writer.release()


async def texts(reader: asyncpg.Connection) -> dict[str, str]:
    """What `documents` holds."""
    return dict(await reader.fetch("SELECT document_id, text FROM documents_g1.documents"))


async def test_installing_twice_changes_nothing(reader: asyncpg.Connection, dsn: str) -> None:
    """The second init has an empty plan, and leaves generations and positions alone."""
    assert await plan(dsn, WANTED) == []
    await install(dsn, WANTED)
    assert await reader.fetchval("SELECT count(*) FROM nenrin.generations") == 2


async def test_rows_and_position_move_together(documents: Writer, reader: asyncpg.Connection) -> None:
    """After a batch the rows are those of its last events, and the position is behind it."""
    assert await documents.apply(
        0, [added(0, "a", "1"), added(1, "b"), added(2, "a", "2"), removed(3, "b")]
    ) == Position(4, 4)
    assert await texts(reader) == {"a": "2"}
    assert await reader.fetchval("SELECT next FROM documents_g1.positions WHERE partition = 0") == 4


async def test_what_was_applied_is_not_applied_again(documents: Writer, reader: asyncpg.Connection) -> None:
    """A redelivered event falls away, even when a later one has replaced what it wrote."""
    await documents.apply(0, [added(0, text="old"), added(1, text="new")])
    await documents.apply(0, [added(0, text="old")])
    assert await texts(reader) == {"a": "new"}


async def test_a_gap_writes_nothing(documents: Writer, reader: asyncpg.Connection) -> None:
    """A batch that begins behind the position is refused whole."""
    with pytest.raises(Gap):
        await documents.apply(0, [added(5)])
    assert await texts(reader) == {}
    assert documents.position(0) == Position(0, 0)


async def test_markers_move_the_position(documents: Writer) -> None:
    """A quiet end of transaction markers is passed over, so that lag reaches 0."""
    assert await documents.apply(0, [nothing(3, since=0)]) == Position(4, 4)


async def test_an_owner_that_lost_its_partition_cannot_write(
    documents: Writer, reader: asyncpg.Connection, dsn: str
) -> None:
    """The claim of a successor ends the old owner's backend; the old owner's batch changes nothing."""
    successor = Writer(Documents(), 1, dsn)
    await successor.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    with pytest.raises((DatabaseAway, Fenced)):
        await documents.apply(0, [added(0)])
    assert await texts(reader) == {}
    await successor.release()


async def test_the_epoch_alone_fences(documents: Writer, reader: asyncpg.Connection) -> None:
    """Even with its connection alive, an owner whose epoch is over is fenced by the compare-and-set."""
    await reader.execute("UPDATE documents_g1.positions SET epoch = epoch + 1")
    with pytest.raises(Fenced):
        await documents.apply(0, [added(0)])
    assert await texts(reader) == {}


async def test_the_position_alone_fences(documents: Writer, reader: asyncpg.Connection) -> None:
    """A writer whose idea of the position is not the database's writes nothing."""
    await reader.execute("UPDATE documents_g1.positions SET next = 1")
    with pytest.raises(Fenced):
        await documents.apply(0, [added(0)])
    assert await texts(reader) == {}


async def test_a_claim_does_not_wait_for_a_frozen_owner(
    documents: Writer, reader: asyncpg.Connection, dsn: str
) -> None:
    """An owner that holds its row lock in the middle of a transaction is ended, not waited for."""
    frozen = await asyncpg.connect(dsn)
    await frozen.execute("BEGIN")
    await frozen.execute(
        "UPDATE documents_g1.positions SET backend_pid = pg_backend_pid(), backend_start = "
        "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) WHERE partition = 0"
    )
    await frozen.execute("COMMIT; BEGIN; UPDATE documents_g1.positions SET next = next WHERE partition = 0")
    successor = Writer(Documents(), 1, dsn)
    async with asyncio.timeout(2):
        assert await successor.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS) == {0: Position(0, 0)}
    await successor.release()
    frozen.terminate()


async def test_a_claim_anew_does_not_hit_what_the_old_owner_still_has(documents: Writer, dsn: str) -> None:
    """When partitions are shared out again, the owner that claims first goes on undisturbed by the other's claim."""
    newcomer = Writer(Documents(), 1, dsn)
    await documents.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    await newcomer.claim(TOPIC, [1], INCARNATION, logs.PARTITIONS)
    await documents.apply(0, [added(0)])
    await newcomer.release()


async def test_claims_of_what_does_not_exist_are_refused(documents: Writer) -> None:
    """Another number of partitions, or another incarnation of the topic, stops the projection with a reason."""
    with pytest.raises(TopicMismatch, match="has 5 partitions"):
        await documents.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS + 1)
    with pytest.raises(OtherIncarnation, match="recreated"):
        await documents.claim(TOPIC, [0], "incarnation-2", logs.PARTITIONS)


async def test_a_partition_that_was_let_go_is_not_written(documents: Writer, reader: asyncpg.Connection) -> None:
    """A batch whose turn comes after its partition was let go changes nothing."""
    await documents.release()
    with pytest.raises(NotClaimed):
        await documents.apply(0, [added(0)])
    assert await texts(reader) == {}


async def test_letting_go_breaks_off_what_postgres_does_not_finish(
    documents: Writer, reader: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that hangs holds up neither a rebalance nor SIGTERM; nothing of it is written."""
    monkeypatch.setattr(writing, "FINISH_WITHIN", 0.2)
    async with reader.transaction():
        await reader.execute("LOCK TABLE documents_g1.documents")
        hanging = asyncio.create_task(documents.apply(0, [added(0)]))
        waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
        while not await reader.fetchval(waits):  # noqa: ASYNC110  # Postgres announces none
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await documents.release()
        with pytest.raises(DatabaseAway):
            await hanging
    with pytest.raises(NotClaimed):
        await documents.renew()
    assert await texts(reader) == {}
    assert await reader.fetchval("SELECT sum(next) FROM documents_g1.positions") == 0


async def test_what_postgres_refuses_is_parked_alone(documents: Writer, reader: asyncpg.Connection) -> None:
    """An event that only Postgres finds fault with is found inside its batch; its neighbours are written."""
    batch = [added(n, f"d{n}", "bad\0" if n in (3, 4, 9) else "good") for n in range(12)]
    assert await documents.apply(0, batch) == Position(12, 12)
    assert sorted(await texts(reader)) == sorted(f"d{n}" for n in range(12) if n not in (3, 4, 9))
    parked = await reader.fetch('SELECT "offset", reason FROM documents_g1.parked ORDER BY 1')
    assert [row["offset"] for row in parked] == [3, 4, 9]
    assert all("0x00" in row["reason"] for row in parked)


async def test_a_parked_event_is_healed_by_the_next_good_one(documents: Writer, reader: asyncpg.Connection) -> None:
    """It stays on record, resolved by the offset that superseded it; other keys are not touched."""
    await documents.apply(0, [refused(0, "a"), refused(1, "b")])
    await documents.apply(0, [added(2, "a")])
    rows = await reader.fetch("SELECT key, resolved_by FROM documents_g1.parked ORDER BY 1")
    assert [tuple(row) for row in rows] == [(b"c/a", 2), (b"c/b", None)]


async def test_passages_follow_their_document(passages: Writer, reader: asyncpg.Connection) -> None:
    """An update replaces all passages, a removal leaves none, a document without any still counts."""
    await passages.apply(0, [embedded(0, "a", pieces=3), embedded(1, "b", pieces=0), embedded(2, "z", pieces=2)])
    assert await count(reader) == (3, 5)
    await passages.apply(0, [embedded(3, "a", pieces=1), unembedded(4, "z")])
    assert await count(reader) == (2, 1)
    assert await reader.fetchval("SELECT count(*) FROM passages_g1.passages") == 1


async def count(reader: asyncpg.Connection) -> tuple[int, int]:
    """Documents and passages, as the digest counts them."""
    return tuple(await reader.fetchrow("SELECT documents, passages FROM passages_g1.digests"))


async def test_vectors_are_kept_bit_by_bit(passages: Writer, reader: asyncpg.Connection) -> None:
    """What the derived topic carries is what Postgres holds."""
    await passages.apply(0, [embedded(0)])
    kept = await reader.fetchval("SELECT vector::real[] FROM passages_g1.passages")
    assert np.array(kept, dtype="<f2").tobytes() == logs.vector(0)


async def test_the_digest_does_not_depend_on_history(documents: Writer, reader: asyncpg.Connection, dsn: str) -> None:
    """A generation that saw updates and removals has the digest of one that saw only the outcome."""
    await documents.apply(0, [added(0, "a", "old"), added(1, "b")])
    await documents.apply(0, [removed(2, "b"), added(3, "a", "new")])
    digest = await reader.fetchrow("SELECT documents, content FROM documents_g1.digests")
    await reader.execute(
        "TRUNCATE documents_g1.documents, documents_g1.digests; UPDATE documents_g1.positions SET next = 0"
    )
    await documents.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    await documents.apply(0, [nothing(2, since=0), added(3, "a", "new")])
    assert await reader.fetchrow("SELECT documents, content FROM documents_g1.digests") == digest
    assert digest["content"] != Decimal(0)


async def test_readers_are_notified_on_commit(documents: Writer, reader: asyncpg.Connection) -> None:
    """The notification names projection, partition and next offset."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    await reader.add_listener("nenrin_positions", lambda *message: heard.put_nowait(message[3]))
    await documents.apply(1, [nothing(4, since=0)])
    async with asyncio.timeout(5):
        assert await heard.get() == "documents 1 5"


async def test_the_reader_role_can_only_select(reader: asyncpg.Connection) -> None:
    """The query service's role reads every table and writes none."""
    await reader.execute("SET ROLE nenrin_reader")
    assert await reader.fetchval("SELECT count(*) FROM passages_g1.passages") == 0
    for statement in (
        "DELETE FROM documents_g1.documents",
        "UPDATE nenrin.projections SET live = 2",
        "CREATE TABLE x ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)


async def test_tables_of_another_version_are_refused(reader: asyncpg.Connection, dsn: str) -> None:
    """A generation that lacks a column can't be claimed, and the message says what to do."""
    await reader.execute("ALTER TABLE passages_g1.documents DROP COLUMN traceparent")
    with pytest.raises(GenerationOutdated, match=r"no column traceparent.*`nenrin projections rebuild passages`"):
        await Writer(Passages(), 1, dsn).claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    assert await reader.fetchval("SELECT max(epoch) FROM passages_g1.positions") == 0
