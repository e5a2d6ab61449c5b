"""Parking on a real Postgres: who is parked, who is healed, what holds up whom, and what is never parked."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime

import asyncpg
import msgspec
import pytest

from projections import decisions, parking
from projections.control.install import Wanted, install
from projections.database import connect, translated
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.passages import Passages
from projections.port import Change, Entry
from projections.positions import Position
from projections.writer import Writer
from schemas import retries
from schemas.documents import DocumentRemoved
from schemas.errors import (
    DatabaseAway,
    DataRefused,
    Fenced,
    GenerationMissing,
    GenerationOutdated,
    NotClaimed,
    TooManyParked,
)
from tests.projections import logs
from tests.projections.ledger import BUILD, Ledger
from tests.projections.logs import INCARNATION, PARTITIONS, TOPIC, added, embedded, nothing, refused, removed
from tests.running import Running, clone, execute, with_database

Parked = dict[int, int | None]
"""The offsets of what is parked, and what took its place."""


# one database for all of them: making one takes longer than any of these tests
BEGIN = """
DROP SCHEMA IF EXISTS documents_g2 CASCADE;
DELETE FROM nenrin.generations WHERE generation > 1;
DELETE FROM nenrin.decisions;
ALTER TABLE documents_g1.parked DROP CONSTRAINT IF EXISTS parked_value_check;
""" + "".join(
    f"DELETE FROM {projection}_g1.parked; DELETE FROM {projection}_g1.digests; DELETE FROM {projection}_g1.{table};"
    f"UPDATE {projection}_g1.positions SET next = 0, read_next = 0, epoch = 0, backend_pid = NULL;"
    for projection, table in (("documents", "documents"), ("ledger", "entries"), ("passages", "documents"))
)


@pytest.fixture(scope="module")
def dsn(servers: Running, template: str) -> Iterator[str]:
    """A database with two upsert projections and one that adds up; as its owner."""
    owner: str = servers.endpoints["postgres"]
    clone(owner, "nenrin_parking", template)
    passages = Wanted(Passages(), Build(TOPIC, PARTITIONS, INCARNATION, "an-encoder", logs.DIMENSIONS))
    wanted = [Wanted(Documents(), BUILD), Wanted(Ledger(), BUILD), passages]
    asyncio.run(install(with_database(owner, "nenrin_parking"), wanted))
    yield with_database(owner, "nenrin_parking")
    execute(owner, "DROP DATABASE nenrin_parking WITH (FORCE)")


@pytest.fixture
async def reader(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner's; nothing is applied or parked yet."""
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    yield connection
    await connection.close()


@pytest.fixture
async def documents(reader: asyncpg.Connection, dsn: str) -> AsyncIterator[Writer]:
    """The writer of `documents`, with partition 0 claimed and room for three parked events."""
    async for writer in _claimed(Writer(Documents(), 1, dsn, park_limit=3)):
        yield writer


@pytest.fixture
async def ledger(reader: asyncpg.Connection, dsn: str) -> AsyncIterator[Writer]:
    """The writer of the ledger, with partition 0 claimed."""
    async for writer in _claimed(Writer(Ledger(), 1, dsn)):
        yield writer


async def _claimed(writer: Writer, partition: int = 0) -> AsyncIterator[Writer]:
    await writer.claim(TOPIC, [partition], INCARNATION, PARTITIONS)
    yield writer
    await writer.release()


async def parked(reader: asyncpg.Connection, projection: str = "documents") -> Parked:
    """What is parked, and what took its place."""
    rows = await reader.fetch(f'SELECT "offset", resolved_by FROM {projection}_g1.parked ORDER BY 1')
    return {row[0]: row[1] for row in rows}


async def reasons(reader: asyncpg.Connection, projection: str = "documents") -> dict[int, str]:
    """Why each was parked."""
    rows = await reader.fetch(f'SELECT "offset", reason FROM {projection}_g1.parked ORDER BY 1')
    return {row[0]: row[1] for row in rows}


async def texts(reader: asyncpg.Connection) -> dict[str, str]:
    """What `documents` holds."""
    return dict(await reader.fetch("SELECT document_id, text FROM documents_g1.documents"))


async def entries(reader: asyncpg.Connection) -> list[tuple[str, str]]:
    """What the ledger holds, in the order in which it was added."""
    rows = await reader.fetch('SELECT account, text FROM ledger_g1.entries ORDER BY "offset"')
    return [(row[0], row[1]) for row in rows]


async def skip(reader: asyncpg.Connection, projection: str, *offsets: int) -> None:
    """Give events of partition 0 up."""
    places = [(TOPIC, 0, offset) for offset in offsets]
    found = await decisions.find(reader, projection, places)
    await decisions.skip(reader, [event for event in found if event.offset in offsets], "somebody", "a test")


def copy(entry: Entry, offset: int) -> Entry:
    """The entry appended again at another offset, with the word on what it is a copy of."""
    return msgspec.structs.replace(
        entry, place=logs.place(offset), headers=(*entry.headers, retries.header(entry.place.offset))
    )


# --- What is whose fault ---


@pytest.mark.parametrize(
    ("state", "ours"),
    [
        *((state, DataRefused) for state in ("22000", "22003", "22021", "22P02", "22P05", "23502", "23505", "23514")),
        *((state, DataRefused) for state in ("54000", "54001")),
        *((state, DatabaseAway) for state in ("08000", "08003", "08006", "08P01", "25006", "25P03", "25P04", "28P01")),
        *((state, DatabaseAway) for state in ("3D000", "40001", "40P01", "53000", "53100", "53200", "53300", "53400")),
        *((state, DatabaseAway) for state in ("55000", "55006", "55P03", "57000", "57014", "57P01", "57P02", "57P03")),
        *((state, DatabaseAway) for state in ("57P04", "57P05", "58000", "58030", "58P01", "F0001")),
        *((state, DatabaseAway) for state in ("XX000", "XX001", "XX002")),
        *((state, GenerationMissing) for state in ("42P01", "3F000")),
        ("42703", GenerationOutdated),
        *((state, asyncpg.PostgresError) for state in ("42601", "42501", "25P02", "0A000", "P0001")),
    ],
)
def test_every_class_of_error_is_somebodys_fault(state: str, ours: type[Exception]) -> None:
    """Values that are refused, a machine that can't now, tables that aren't there; all else is a fault of ours."""
    with pytest.raises(ours), translated():
        raise asyncpg.PostgresError.new({"C": state, "M": "said so", "S": "ERROR"})


async def _deadlock(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    async with one.transaction(), other.transaction():
        await one.execute("SELECT pg_advisory_xact_lock(1)")
        await other.execute("SELECT pg_advisory_xact_lock(2)")
        both = one.execute("SELECT pg_advisory_xact_lock(2)"), other.execute("SELECT pg_advisory_xact_lock(1)")
        await asyncio.gather(*both)


async def _serialization(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    async with one.transaction(isolation="repeatable_read"):
        await one.fetch("SELECT * FROM nenrin.projections")
        await other.execute("UPDATE nenrin.projections SET previous = 1")
        await one.execute("UPDATE nenrin.projections SET previous = 2")


async def _lock_timeout(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    async with other.transaction():
        await other.execute("LOCK TABLE nenrin.projections")
        await one.execute("SET lock_timeout = '10ms'; UPDATE nenrin.projections SET previous = 1")


async def _statement_timeout(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    await one.execute("SET statement_timeout = '10ms'; SELECT pg_sleep(10)")


async def _shutdown(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    await other.execute("SELECT pg_terminate_backend($1)", one.get_server_pid())
    await one.execute("SELECT 1")


async def _standby(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    await one.execute("SET default_transaction_read_only = on")
    await one.execute("UPDATE nenrin.projections SET previous = 1")


async def _temporary_files_full(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    await one.execute("SET temp_file_limit = '64kB'; SET work_mem = '64kB'")
    await one.execute("CREATE TEMP TABLE t AS SELECT n, repeat('x', 90) FROM generate_series(1, 20000) n ORDER BY 2, 1")


async def _closed(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    await one.close()
    await one.execute("SELECT 1")


@pytest.mark.parametrize(
    "happen",
    [
        _deadlock,
        _serialization,
        _lock_timeout,
        _statement_timeout,
        _shutdown,
        _standby,
        _temporary_files_full,
        _closed,
    ],
    ids=lambda happen: happen.__name__.strip("_"),
)
async def test_what_is_not_the_events_fault(
    reader: asyncpg.Connection,
    dsn: str,
    happen: Callable[[asyncpg.Connection, asyncpg.Connection], Awaitable[None]],
) -> None:
    """Each of them made to happen in Postgres: it is said to be away, whatever it calls the reason."""
    one = await asyncpg.connect(dsn)
    other = await asyncpg.connect(dsn)
    with pytest.raises(DatabaseAway), translated():
        await happen(one, other)
    one.terminate()
    other.terminate()


def _incompressible(characters: int) -> str:
    return "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=characters))


BAD = {
    "unicode": added(1, "bad", "a\0b"),
    "surrogate": added(1, "bad", "a\ud800b"),
    "parameter": msgspec.structs.replace(removed(1, "bad"), content=Change(DocumentRemoved("c", "a\ud800b"))),
    "index": added(1, _incompressible(9000)),
    "json": added(1, "bad", metadata={"n": msgspec.Raw(b"{")}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_what_is_the_events_fault(documents: Writer, reader: asyncpg.Connection, bad: Entry) -> None:
    """Text that Postgres or its driver can't hold, an id too long for an index: parked alone, its neighbours go on."""
    assert await documents.apply(0, [added(0, "a"), bad, added(2, "b")]) == Position(3, 3)
    assert sorted(await texts(reader)) == ["a", "b"]
    assert await parked(reader) == {1: None}


async def test_a_number_out_of_range_is_the_events_fault(reader: asyncpg.Connection, dsn: str) -> None:
    """Of the vectors' records, too, each is judged alone."""
    event = embedded(1, "b")
    assert isinstance(event.content, Change)
    passage = msgspec.structs.replace(event.content.event.passages[0], ordinal=2**40)
    bad = msgspec.structs.replace(
        event, content=Change(msgspec.structs.replace(event.content.event, passages=(passage,)))
    )
    async for passages in _claimed(Writer(Passages(), 1, dsn)):
        assert await passages.apply(0, [embedded(0, "a"), bad, embedded(2, "c")]) == Position(3, 3)
    assert await parked(reader, "passages") == {1: None}
    assert "out of int32 range" in (await reasons(reader, "passages"))[1]


async def test_what_cannot_even_be_parked_is_parked_without_its_bytes(
    documents: Writer, reader: asyncpg.Connection
) -> None:
    """The log has them. Here Postgres is made to refuse any parked value; the next event goes on."""
    await reader.execute("ALTER TABLE documents_g1.parked ADD CHECK (value IS NULL)")
    assert await documents.apply(0, [refused(0), added(1, "b")]) == Position(2, 2)
    row = await reader.fetchrow("SELECT key, value, headers FROM documents_g1.parked")
    assert tuple(row) == (b"c/a", None, b"\x90")


async def test_a_reason_is_stored_whatever_it_quotes(documents: Writer, reader: asyncpg.Connection) -> None:
    """U+0000 and lone surrogates, which Postgres' text doesn't have, are spelt out."""
    await documents.apply(0, [parking.refused(refused(0), "no: \0 \ud800")])
    assert await reasons(reader) == {0: "no: \\0 \\ud800"}


# --- Healing ---


@pytest.mark.parametrize("good", [added, removed])
async def test_the_next_good_event_heals_across_batches(
    documents: Writer, reader: asyncpg.Connection, good: Callable[[int, str], Entry]
) -> None:
    """A document or its removal, of the same key; what came later than it is not healed by it."""
    await documents.apply(0, [refused(0, "a"), refused(1, "a"), refused(2, "b")])
    await documents.apply(0, [good(3, "a"), added(4, "a"), refused(5, "a")])
    assert await parked(reader) == {0: 3, 1: 3, 2: None, 5: None}


async def test_a_replayed_batch_parks_and_heals_nothing_twice(documents: Writer, reader: asyncpg.Connection) -> None:
    """It lies below the position."""
    batch = [refused(0, "a"), added(1, "a"), refused(2, "a")]
    await documents.apply(0, batch)
    before = await reader.fetch("SELECT * FROM documents_g1.parked ORDER BY 3")
    await documents.apply(0, batch)
    await documents.apply(0, [*batch, nothing(3)])
    assert await reader.fetch("SELECT * FROM documents_g1.parked ORDER BY 3") == before


async def test_what_postgres_refuses_is_healed_like_the_rest(documents: Writer, reader: asyncpg.Connection) -> None:
    """Found by halving in the middle of a batch, healed by a later one."""
    await documents.apply(0, [added(0, "x"), added(1, "a", "bad\0"), added(2, "y")])
    assert await parked(reader) == {1: None}
    await documents.apply(0, [added(3, "a", "good")])
    assert await parked(reader) == {1: 3}
    assert (await texts(reader))["a"] == "good"


async def test_an_event_that_postgres_refuses_heals_nothing(documents: Writer, reader: asyncpg.Connection) -> None:
    """It looked good until it was written: what it would have healed waits on, with it."""
    await documents.apply(0, [refused(0, "a")])
    await documents.apply(0, [added(1, "a", "bad\0"), added(2, "b")])
    assert await parked(reader) == {0: None, 1: None}


# --- The limit ---


async def test_the_limit_is_exact(documents: Writer, reader: asyncpg.Connection) -> None:
    """With room for three, the fourth stops the projection: all before it is applied, it and what follows is not."""
    batch = [added(0, "x"), *(refused(n, f"d{n}") for n in range(1, 4)), added(4, "y"), refused(5, "z"), added(6, "q")]
    with pytest.raises(TooManyParked, match=r"documents has parked 3 events .* documents/0@5 .*NENRIN_PARK_LIMIT"):
        await documents.apply(0, batch)
    assert documents.position(0) == Position(5, 5)
    assert sorted(await texts(reader)) == ["x", "y"]
    with pytest.raises(TooManyParked):
        await documents.apply(0, batch)
    assert len(await parked(reader)) == 3


async def test_the_limit_holds_for_what_postgres_refuses(documents: Writer, reader: asyncpg.Connection) -> None:
    """Those are found one by one, and are counted like the rest."""
    with pytest.raises(TooManyParked, match="documents/0@3"):
        await documents.apply(0, [*(added(n, f"d{n}", "bad\0") for n in range(5)), added(5, "x")])
    assert list(await parked(reader)) == [0, 1, 2]
    assert documents.position(0) == Position(3, 3)


@pytest.mark.parametrize("dealt_with", ["skipped", "retried"])
async def test_it_goes_on_when_one_is_dealt_with(
    documents: Writer, reader: asyncpg.Connection, dealt_with: str
) -> None:
    """Skipped, or appended again: then its copy lies behind the event that waits, and could not heal it otherwise."""
    batch = [refused(n, f"d{n}") for n in range(5)]
    with pytest.raises(TooManyParked):
        await documents.apply(0, batch)
    if dealt_with == "skipped":
        await skip(reader, "documents", 1)
    else:
        (event,) = [event for event in await decisions.find(reader, "documents") if event.offset == 1]
        await decisions.intend(reader, [event], "somebody", 0, 7)
        await decisions.appended(reader, [event], 7)
    with pytest.raises(TooManyParked, match="documents/0@4"):
        await documents.apply(0, batch)
    assert documents.position(0) == Position(4, 4)


async def test_the_limit_is_one_for_all_partitions(documents: Writer, reader: asyncpg.Connection, dsn: str) -> None:
    """Two projectors that park at the same moment take turns: never more than the limit."""
    others = [Writer(Documents(), 1, dsn, park_limit=3) for _ in range(3)]
    for partition, writer in enumerate(others, 1):
        await writer.claim(TOPIC, [partition], INCARNATION, PARTITIONS)

    def bad(partition: int, offset: int) -> Entry:
        entry = refused(offset, f"d{offset}")
        return msgspec.structs.replace(entry, place=logs.place(offset, partition=partition))

    async def park(partition: int, writer: Writer) -> None:
        for offset in range(3):
            await writer.apply(partition, [bad(partition, offset)])

    done = await asyncio.gather(*(park(n, each) for n, each in enumerate([documents, *others])), return_exceptions=True)
    assert len(await reader.fetch("SELECT 1 FROM documents_g1.parked")) == 3
    assert sum(isinstance(each, TooManyParked) for each in done) >= 3
    for writer in others:
        await writer.release()


# --- Events that add up ---


async def test_later_events_of_the_key_are_parked_behind_it(ledger: Writer, reader: asyncpg.Connection) -> None:
    """In order, across batches, naming the one that is in the way; another key's go on, and are what is counted."""
    await ledger.apply(0, [added(0, "a", "1"), refused(1, "a"), added(2, "b", "1")])
    await ledger.apply(0, [added(3, "a", "2"), added(4, "b", "2")])
    assert await entries(reader) == [("a", "1"), ("b", "1"), ("b", "2")]
    assert await parked(reader, "ledger") == {1: None, 3: None}
    assert (await reasons(reader, "ledger"))[3] == "behind documents/0@1 of the same key, which is parked"
    assert await reader.fetchval("SELECT documents FROM ledger_g1.digests") == 3


async def test_what_holds_up_survives_a_restart(ledger: Writer, reader: asyncpg.Connection, dsn: str) -> None:
    """It stands in Postgres, and is read in the transaction that goes by it."""
    await ledger.apply(0, [refused(0, "a")])
    async for successor in _claimed(Writer(Ledger(), 1, dsn)):
        await successor.apply(0, [added(1, "a"), added(2, "b", "1")])
    assert await entries(reader) == [("b", "1")]


async def test_copies_bring_the_key_back_in_order(ledger: Writer, reader: asyncpg.Connection) -> None:
    """Mended or not, each takes its original's turn; what came meanwhile stays behind until it is retried too."""
    await ledger.apply(0, [refused(0, "a"), added(1, "a", "2"), added(2, "a", "3")])
    mended = msgspec.structs.replace(added(0, "a", "1"))
    await ledger.apply(
        0, [copy(mended, 3), copy(added(1, "a", "2"), 4), copy(added(2, "a", "3"), 5), added(6, "a", "4")]
    )
    assert await entries(reader) == [("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")]
    assert await parked(reader, "ledger") == {0: 3, 1: 4, 2: 5}


async def test_a_copy_that_is_bad_again_keeps_the_order(ledger: Writer, reader: asyncpg.Connection) -> None:
    """Those behind it wait behind its copy; what came between has its turn last. Across batches and restarts."""
    await ledger.apply(0, [refused(0, "a"), added(1, "a", "2")])
    await ledger.apply(0, [added(2, "a", "3")])
    await ledger.apply(0, [copy(refused(0, "a"), 3), copy(added(1, "a", "2"), 4)])
    assert await entries(reader) == []
    found = await decisions.find(reader, "ledger")
    assert [(event.offset, event.rank) for event in found] == [(3, 0), (4, 1), (2, 2)]
    originals = [added(3, "a", "1"), added(4, "a", "2"), added(2, "a", "3")]
    await ledger.apply(0, [copy(each, 5 + n) for n, each in enumerate(originals)])
    assert [text for _, text in await entries(reader)] == ["1", "2", "3"]
    assert await parked(reader, "ledger") == {0: 3, 1: 4, 2: 7, 3: 5, 4: 6}


async def test_after_a_skip_the_rest_of_the_key_can_be_retried(ledger: Writer, reader: asyncpg.Connection) -> None:
    """The skipped event holds nothing up any more, and its own copy, should there be one, changes nothing."""
    await ledger.apply(0, [refused(0, "a"), added(1, "a", "2")])
    await skip(reader, "ledger", 0)
    await ledger.apply(0, [copy(added(0, "a", "1"), 2), copy(added(1, "a", "2"), 3), added(4, "a", "3")])
    assert [text for _, text in await entries(reader)] == ["2", "3"]


async def test_another_build_comes_to_the_same(ledger: Writer, reader: asyncpg.Connection, dsn: str) -> None:
    """Folding the same log again, with a judge that has been mended: what was retried counts once, skipped never."""
    log: Sequence[Entry] = [refused(0, "a"), added(1, "a", "2"), refused(2, "b")]
    await ledger.apply(0, log)
    await skip(reader, "ledger", 2)
    copies = [copy(added(0, "a", "1"), 3), copy(added(1, "a", "2"), 4)]
    await ledger.apply(0, [*copies, added(5, "b", "x")])
    first, digest = await entries(reader), await reader.fetch("SELECT * FROM ledger_g1.digests")
    await reader.execute("TRUNCATE ledger_g1.entries, ledger_g1.digests, ledger_g1.parked")
    await reader.execute("UPDATE ledger_g1.positions SET next = 0, read_next = 0")
    mended = [added(0, "a", "1"), log[1], added(2, "b", "never")]
    async for again in _claimed(Writer(Ledger(), 1, dsn)):
        await again.apply(0, [*mended, *copies, added(5, "b", "x")])
    assert sorted(await entries(reader)) == sorted(first)
    assert await reader.fetch("SELECT * FROM ledger_g1.digests") == digest
    assert await reader.fetchval('SELECT skipped_at FROM ledger_g1.parked WHERE "offset" = 2') is not None


# --- Skipping ---


async def test_a_skipped_event_counts_no_longer(documents: Writer, reader: asyncpg.Connection) -> None:
    """Who, when and why stand in the control schema; skipping it again changes none of it, and nothing heals it."""
    await documents.apply(0, [refused(0, "a"), refused(1, "b")])
    await skip(reader, "documents", 0)
    (left,) = await decisions.find(reader, "documents")
    assert left.offset == 1
    (skipped,) = [event for event in await decisions.find(reader, "documents", [(TOPIC, 0, 0)]) if event.offset == 0]
    assert (skipped.skipped_by, skipped.skipped_because) == ("somebody", "a test")
    assert isinstance(skipped.skipped_at, datetime)
    await documents.apply(0, [added(2, "a")])
    assert await parked(reader) == {0: None, 1: None}


async def test_a_skip_holds_in_every_generation(documents: Writer, reader: asyncpg.Connection) -> None:
    """In those that are there already too, as far as they have come."""
    await documents.apply(0, [refused(0, "a")])
    await reader.execute("INSERT INTO nenrin.generations (projection, generation) VALUES ('documents', 2)")
    await reader.execute("CREATE SCHEMA documents_g2")
    for table in ("positions", "parked"):
        await reader.execute(f"CREATE TABLE documents_g2.{table} AS SELECT * FROM documents_g1.{table}")
    await skip(reader, "documents", 0)
    assert await reader.fetchval("SELECT count(*) FROM documents_g2.parked WHERE skipped_at IS NULL") == 0


# --- Connections that are lost ---


async def _end_backend(reader: asyncpg.Connection) -> None:
    await reader.execute(
        "SELECT pg_terminate_backend(backend_pid, 5000) FROM documents_g1.positions WHERE backend_pid IS NOT NULL"
    )


async def test_a_lost_connection_is_claimed_anew(documents: Writer, reader: asyncpg.Connection) -> None:
    """The batch goes through then, and nothing was parked for it."""
    await _end_backend(reader)
    with pytest.raises(DatabaseAway):
        await documents.apply(0, [added(0)])
    with pytest.raises(DatabaseAway):
        await documents.apply(0, [added(0)])
    await documents.renew()
    assert await documents.apply(0, [added(0)]) == Position(1, 1)
    assert await parked(reader) == {}
    assert await reader.fetchval("SELECT epoch FROM documents_g1.positions WHERE partition = 0") == 2


async def test_a_transaction_that_was_committed_unheard_is_not_repeated(
    documents: Writer, reader: asyncpg.Connection
) -> None:
    """The position tells: of the same batch, only what lies behind it is applied."""
    await reader.execute("UPDATE documents_g1.positions SET next = 1, read_next = 1 WHERE partition = 0")
    await _end_backend(reader)
    await documents.renew()
    assert documents.position(0) == Position(1, 1)
    await documents.apply(0, [added(0, "a"), added(1, "b")])
    assert list(await texts(reader)) == ["b"], "the first stands for what the unheard commit wrote"


async def test_a_partition_that_somebody_else_claimed_is_left_alone(
    documents: Writer, reader: asyncpg.Connection, dsn: str
) -> None:
    """Renewing takes nothing from its new owner, not even the connection."""
    async for successor in _claimed(Writer(Documents(), 1, dsn)):
        with pytest.raises(Fenced, match="belong to another projector"):
            await documents.renew()
        await successor.apply(0, [added(0)])
    await documents.release()
    with pytest.raises(NotClaimed):
        await documents.renew()


async def test_a_position_that_went_back_is_not_gone_on_from(documents: Writer, reader: asyncpg.Connection) -> None:
    """A database was restored meanwhile: what this process has read is ahead of it, and it has to begin anew."""
    await documents.apply(0, [added(0), added(1)])
    await reader.execute("UPDATE documents_g1.positions SET next = 1, read_next = 1 WHERE partition = 0")
    await _end_backend(reader)
    with pytest.raises(Fenced, match="went back from 2 to 1"):
        await documents.renew()
