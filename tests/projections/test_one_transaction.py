"""Rows, digest, parked events, position and notification: one transaction, all of a batch or nothing of it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from projections.documents import Documents
from projections.passages import Passages
from projections.port import Entry
from projections.positions import Position
from projections.writer import Writer
from schemas.errors import DatabaseAway, Fenced, NotClaimed
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, added, embedded, nothing, refused, removed, unembedded

FAILING = """
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'made to fail'; END $$;
CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION public.fail();
"""
# stands in for Postgres' own, and notes in which transaction it was called
NOTING = """
CREATE TABLE public.told (transaction xid8, payload text);
CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO public.told VALUES (pg_current_xact_id(), $2) $$;
"""
BATCHES: dict[str, list[Entry]] = {
    "documents": [added(2, "a", "new"), removed(3, "b"), refused(4, "z"), added(5, "healed")],
    "passages": [embedded(2, "a", "new"), unembedded(3, "b"), refused(4, "z"), embedded(5, "healed")],
}
TABLES = {
    "documents": ("documents", "digests", "parked", "positions"),
    "passages": ("documents", "passages", "digests", "parked", "positions"),
}


@pytest.fixture
async def writers(owner: asyncpg.Connection, dsn: str) -> AsyncIterator[dict[str, Writer]]:
    """The writers of both projections, with partition 0 claimed."""
    found = {"documents": Writer(Documents(), 1, dsn), "passages": Writer(Passages(), 1, dsn)}
    for writer in found.values():
        await writer.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    yield found
    for writer in found.values():
        await writer.release()


async def contents(owner: asyncpg.Connection, projection: str) -> list[list[asyncpg.Record]]:
    """All that a generation holds."""
    return [await owner.fetch(f"SELECT * FROM {projection}_g1.{table} ORDER BY 1, 2") for table in TABLES[projection]]


async def prepared(writer: Writer) -> None:
    """Something to replace, to remove and to heal."""
    first = {"documents": [added(0, "b"), refused(1, "healed")], "passages": [embedded(0, "b"), refused(1, "healed")]}
    await writer.apply(0, first[writer.name])


@pytest.mark.parametrize("projection", TABLES)
async def test_a_table_that_cannot_be_written_leaves_all_as_it_was(
    owner: asyncpg.Connection, writers: dict[str, Writer], projection: str
) -> None:
    """Whichever of them Postgres can't write now: no row, no position, no parked event, no word to readers.

    It is the machine's fault, so nothing is parked for it, and the same batch goes through once it is mended.
    """
    writer = writers[projection]
    await prepared(writer)
    before = await contents(owner, projection)
    heard: list[str] = []
    await owner.add_listener("nenrin_positions", lambda *message: heard.append(message[3]))
    for table in TABLES[projection]:
        await owner.execute(FAILING.format(table=f"{projection}_g1.{table}"))
        with pytest.raises(DatabaseAway, match="made to fail"):
            await writer.apply(0, BATCHES[projection])
        assert await contents(owner, projection) == before, table
        assert writer.position(0) == Position(2, 2), table
        await owner.execute("DROP FUNCTION public.fail CASCADE")
    assert await writer.apply(0, BATCHES[projection]) == Position(6, 6)
    await owner.execute("SELECT 1")  # whatever was notified has come by now
    assert heard == [f"{projection} 0 6"]


@pytest.mark.parametrize("projection", TABLES)
async def test_one_transaction_wrote_everything(
    owner: asyncpg.Connection, writers: dict[str, Writer], projection: str
) -> None:
    """Postgres keeps who wrote a row: it is the same transaction for all of a batch, the notification included."""
    writer = writers[projection]
    await prepared(writer)
    database = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"{NOTING} ALTER DATABASE {database} SET search_path = public, pg_catalog")
    await writer.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    await writer.apply(0, BATCHES[projection])
    ((payload, *wrote),) = await owner.fetch(
        f"SELECT payload, ARRAY[transaction::xid] || ARRAY(SELECT xmin FROM {projection}_g1.positions "
        f"WHERE partition = 0) || ARRAY(SELECT xmin FROM {projection}_g1.digests) "
        f"|| ARRAY(SELECT xmin FROM {projection}_g1.documents) || ARRAY(SELECT xmin FROM {projection}_g1.parked) "
        "FROM public.told"
    )
    assert payload == f"{projection} 0 6"
    assert len(wrote[0]) == 1 + 1 + 1 + 2 + 2
    assert len(set(wrote[0])) == 1


async def test_nobody_is_told_of_what_was_fenced(owner: asyncpg.Connection, writers: dict[str, Writer]) -> None:
    """A transaction that was rolled back moved nothing."""
    heard: list[str] = []
    await owner.add_listener("nenrin_positions", lambda *message: heard.append(message[3]))
    await owner.execute("UPDATE documents_g1.positions SET epoch = epoch + 1")
    with pytest.raises(Fenced):
        await writers["documents"].apply(0, [added(0)])
    await owner.execute("SELECT 1")
    assert heard == []


async def test_each_claim_begins_an_epoch(owner: asyncpg.Connection, writers: dict[str, Writer]) -> None:
    """One more than before, for what is claimed and for nothing else; the claim is of this very backend."""
    for epoch in (2, 3):
        await writers["documents"].claim(TOPIC, [0, 2], INCARNATION, logs.PARTITIONS)
        found = await owner.fetch("SELECT epoch FROM documents_g1.positions ORDER BY partition")
        assert [row["epoch"] for row in found] == [epoch, 0, epoch - 1, 0]
    backends = await owner.fetch(
        "SELECT application_name FROM pg_stat_activity JOIN documents_g1.positions p ON pid = p.backend_pid "
        "AND pg_stat_activity.backend_start = p.backend_start"
    )
    assert [row[0] for row in backends] == ["nenrin projector documents_g1"] * 2


async def test_a_claim_ends_no_stranger(owner: asyncpg.Connection, writers: dict[str, Writer], dsn: str) -> None:
    """A process id is used again: a backend that began at another time than the recorded one is not the owner's."""
    stranger = await asyncpg.connect(dsn)
    await owner.execute(
        "UPDATE documents_g1.positions SET backend_pid = $1 WHERE partition = 0", stranger.get_server_pid()
    )
    await writers["documents"].claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
    assert await stranger.fetchval("SELECT 1") == 1
    await stranger.close()


async def test_letting_go_waits_for_what_is_being_written(
    owner: asyncpg.Connection, writers: dict[str, Writer], dsn: str
) -> None:
    """A rebalance in the middle of a batch: its transaction ends first, and only then the claim."""
    blocking = await asyncpg.connect(dsn)
    async with asyncio.timeout(60):
        async with blocking.transaction():
            await blocking.execute("SELECT FROM documents_g1.positions WHERE partition = 0 FOR UPDATE")
            writing = asyncio.create_task(writers["documents"].apply(0, [added(0)]))
            await until_someone_waits(owner)
            releasing = asyncio.create_task(writers["documents"].release())
            await asyncio.wait({releasing}, timeout=0.2)
            assert not releasing.done()
        assert await writing == Position(1, 1)
        await releasing
    assert await owner.fetchval("SELECT next FROM documents_g1.positions WHERE partition = 0") == 1
    await blocking.close()


async def until_someone_waits(owner: asyncpg.Connection) -> None:
    """Until a backend of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await owner.fetchval(waiting):  # noqa: ASYNC110  # Postgres sets no event
        await asyncio.sleep(0.005)


async def test_a_claim_gives_up_what_it_does_not_name(writers: dict[str, Writer]) -> None:
    """A claim is of all that the process owns from now on: a batch of another partition is of its past."""
    writer = writers["documents"]
    await writer.claim(TOPIC, [1, 2], INCARNATION, logs.PARTITIONS)
    with pytest.raises(NotClaimed):
        await writer.apply(0, [added(0)])
    assert await writer.apply(1, [nothing(0)]) == Position(1, 1)


async def test_a_batch_of_nothing_moves_nothing(writers: dict[str, Writer]) -> None:
    """As of a derived topic in which only its own markers arrived."""
    assert await writers["documents"].apply(0, []) == Position(0, 0)
