"""Bulk loading comes to what a projector's writer makes of the same log, however it is cut and whatever ends it."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.connection import KafkaSettings
from eventlog.planning import Identity
from projections.control.install import Wanted, administration, install
from projections.database import connect
from projections.documents import Documents
from projections.generations import loading
from projections.generations.lifecycle import Build
from projections.generations.loading import Stage
from projections.passages import Passages
from projections.port import Change, Entry, ReadModel
from projections.positions import Position
from projections.writer import Writer
from schemas import retries
from schemas.embedded import Embedded
from schemas.errors import TooManyParked
from services.replay import segments
from services.replay.filling import Job
from services.replay.loading import load
from services.replay.progress import Silent
from services.replay.reading import Stretch
from tests.projections import logs
from tests.projections.ledger import BUILD, Ledger
from tests.projections.logs import (
    DIMENSIONS,
    INCARNATION,
    PARTITIONS,
    TOPIC,
    added,
    embedded,
    nothing,
    refused,
    removed,
    unembedded,
)
from tests.replay.lists import Died, Log
from tests.running import Running, clone, execute, with_database

MODELS: tuple[tuple[ReadModel, Build], ...] = (
    (Documents(), BUILD),
    (Passages(), Build(TOPIC, PARTITIONS, INCARNATION, "an-encoder", DIMENSIONS)),
    (Ledger(), BUILD),
)
BEGIN = "DELETE FROM nenrin.decisions;" + "".join(
    f"DROP SCHEMA IF EXISTS {model.name}_g2 CASCADE; DELETE FROM nenrin.generations WHERE generation > 1;"
    f"TRUNCATE {model.name}_g1.parked, {model.name}_g1.digests;"
    + "".join(f"TRUNCATE {model.name}_g1.{table};" for table in model.tables)
    + f"UPDATE {model.name}_g1.positions SET next = 0, read_next = 0, epoch = 0, backend_pid = NULL;"
    for model, _ in MODELS
)


@pytest.fixture(scope="module")
def dsn(servers: Running, template: str) -> str:
    """A database with the three read models, one of whose events add up."""
    owner: str = servers.endpoints["postgres"]
    execute(owner, "DROP DATABASE IF EXISTS nenrin_filling WITH (FORCE)")  # what a killed run left
    clone(owner, "nenrin_filling", template)
    asyncio.run(install(with_database(owner, "nenrin_filling"), [Wanted(model, build) for model, build in MODELS]))
    return with_database(owner, "nenrin_filling")


async def held(connection: asyncpg.Connection, model: ReadModel, generation: int) -> dict[str, Any]:
    """All that a generation holds, but when it was parked and by which epoch it was written."""
    schema = f"{model.name}_g{generation}"
    found = {
        table: sorted(
            tuple(row) for row in await connection.fetch(f"SELECT {_named(model.columns(table))} FROM {schema}.{table}")
        )
        for table in model.tables
    }
    queries = {
        "digests": "SELECT * FROM {}.digests WHERE documents > 0",
        "positions": "SELECT partition, next, read_next FROM {}.positions",
        "parked": 'SELECT partition, "offset", key, reason, value, headers, resolved_by, skipped_at, rank'
        " FROM {}.parked",
    }
    for name, query in queries.items():
        found[name] = sorted(tuple(row) for row in await connection.fetch(query.format(schema) + " ORDER BY 1, 2"))
    return found


def _named(columns: Sequence[str]) -> str:
    # json has no order, and rows are told apart by their keys
    return ", ".join(f'"{name}"::text' if name == "metadata" else f'"{name}"' for name in columns)


async def written(dsn: str, model: ReadModel, log: Sequence[Sequence[Entry]], batch: int = 1) -> None:
    """Have the writer make generation 1 of it."""
    writer = Writer(model, 1, dsn)
    await writer.claim(TOPIC, range(PARTITIONS), INCARNATION, PARTITIONS)
    for partition, entries in enumerate(log):
        for first in range(0, len(entries), batch):
            await writer.apply(partition, entries[first : first + batch])
    await writer.release()


async def created(dsn: str, model: ReadModel, build: Build) -> loading.Loading:
    """Generation 2, to be loaded."""
    async with administration(dsn) as connection:
        return await loading.create(connection, model, 2, build)


def job(dsn: str, made: loading.Loading, log: Sequence[Sequence[Entry]], park_limit: int = 1000) -> Job:
    """What there is to load."""
    ends = {partition: len(log[partition]) for partition in range(PARTITIONS)}
    stretch = Stretch(Identity(TOPIC, PARTITIONS, INCARNATION), TOPIC, dict.fromkeys(ends, 0), ends)
    return Job(made, dsn, KafkaSettings(""), stretch, park_limit=park_limit)


def entry(model: ReadModel, partition: int, offset: int, kind: str, name: str) -> Entry:
    """An event of a random log, as one of the read models sees it."""
    document_id, text = f"{partition}/{name}", f"text {offset}"
    match kind:
        case "refused":
            made = refused(offset, document_id)
        case "nothing":
            made = nothing(offset)
        case "copy" if isinstance(model, Ledger) and offset > 1:
            made = _added(model, offset, document_id, text)
            made = msgspec.structs.replace(made, headers=(retries.header(offset - 2),))
        case "unstorable":
            made = _added(model, offset, document_id, "a\0b")
        case "removed" if isinstance(model, Documents):
            made = removed(offset, document_id)
        case "removed" if isinstance(model, Passages):
            made = unembedded(offset, document_id)
        case _:
            made = _added(model, offset, document_id, text)
    return _in(partition, made)


def _added(model: ReadModel, offset: int, document_id: str, text: str) -> Entry:
    return (
        embedded(offset, document_id, text, offset % 3)
        if isinstance(model, Passages)
        else added(offset, document_id, text)
    )


def _in(partition: int, made: Entry) -> Entry:
    content = made.content
    if isinstance(content, Change) and isinstance(content.event, Embedded):
        source = msgspec.structs.replace(content.event.source, partition=partition)
        content = Change(msgspec.structs.replace(content.event, source=source))
    return msgspec.structs.replace(made, place=logs.place(made.place.offset, partition=partition), content=content)


KINDS = st.sampled_from(["added"] * 4 + ["removed", "refused", "copy", "nothing"])
EVENTS = st.lists(st.tuples(KINDS, st.sampled_from("abcd")), max_size=14)


class Trial(msgspec.Struct, frozen=True):
    """A log, how it is cut, after which batches a load of it dies, and which offsets an operator has given up."""

    model: int
    log: tuple[list[tuple[str, str]], list[tuple[str, str]]]
    segment: int
    batch: int
    dies: list[int]
    skipped: set[tuple[int, int]]


TRIALS = st.builds(
    Trial,
    model=st.integers(0, 2),
    log=st.tuples(EVENTS, EVENTS),
    segment=st.integers(1, 12),
    batch=st.integers(1, 5),
    dies=st.lists(st.integers(0, 6), max_size=2),
    skipped=st.sets(st.tuples(st.integers(0, 1), st.integers(0, 13)), max_size=2),
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(TRIALS)
def test_it_holds_what_the_writer_holds(dsn: str, trial: Trial) -> None:
    """Rows, digests, parked events with what healed them, and positions; after loads that died anywhere, too."""
    asyncio.run(check(dsn, trial))


async def check(dsn: str, trial: Trial, *, elsewhere: bool = False) -> None:
    """Write it, load it, which may have to be done in other processes, and compare."""
    model, build = MODELS[trial.model]
    log = [[entry(model, p, n, *each) for n, each in enumerate(part)] for p, part in enumerate([*trial.log, [], []])]
    there = Log(log, trial.batch, home=os.getpid(), dies_at_home=elsewhere)
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    for place in trial.skipped:
        await connection.execute(SKIP, model.name, TOPIC, INCARNATION, *place)
    await written(dsn, model, log)
    made = await created(dsn, model, build)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "EVENTS", trial.segment)
        await loaded(patch, dsn, job(dsn, made, log), there, trial.dies)
    assert await held(connection, model, 2) == await held(connection, model, 1)
    assert await made.stage(connection) is Stage.LOADED
    assert await relations(connection, made.schema) == await relations(connection, f"{model.name}_g1")
    await connection.close()


async def relations(connection: asyncpg.Connection, schema: str) -> list[tuple[str, ...]]:
    """Tables and indexes: whether a crash would empty them, and what they are."""
    rows = await connection.fetch(RELATIONS, schema)
    return [(row[0], row[1].decode(), (row[2] or "").replace(schema, "")) for row in rows]


RELATIONS = """
SELECT relname, relpersistence, CASE WHEN relkind = 'i' THEN pg_get_indexdef(oid) END FROM pg_class
WHERE relnamespace = $1::text::regnamespace ORDER BY relname
"""


SKIP = """
INSERT INTO nenrin.decisions (projection, topic, incarnation, partition, "offset", skipped_at, skipped_by)
VALUES ($1, $2, $3, $4, $5, '2026-01-01', 'somebody')
"""


async def loaded(patch: pytest.MonkeyPatch, dsn: str, wanted: Job, log: Log, dies: Sequence[int] = ()) -> None:
    """Load it on one connection after the other, for each load but the last dies."""
    patch.setattr("services.replay.reading.entries", log.entries)
    for log.dies_after in [*dies, None]:
        connection = await connect(dsn, application="a loader")
        try:
            await load(connection, wanted, Silent())
        except Died:
            pass
        finally:
            connection.terminate()


async def test_what_postgres_refuses_is_parked(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad event among many: it is found, parked with the reason, and does not supersede the one before it."""
    model, build = MODELS[0]
    kinds = [("added", "a"), ("unstorable", "a"), *[("added", name) for name in "bcdefgh"], ("unstorable", "z")]
    log = [[entry(model, 0, n, *each) for n, each in enumerate(kinds)], [], [], []]
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    await written(dsn, model, log)
    await loaded(monkeypatch, dsn, job(dsn, await created(dsn, model, build), log), Log(log, 4))
    there = await held(connection, model, 2)
    assert there == await held(connection, model, 1)
    assert [row[1] for row in there["parked"]] == [1, 9]
    await connection.close()


async def test_it_stops_where_there_is_no_room(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the event that would be one too many, with all before it kept; and goes on once one of them is dealt with."""
    model, build = MODELS[0]
    kinds = [("added", "a"), ("refused", "b"), ("refused", "c"), ("added", "d"), ("refused", "e"), ("added", "f")]
    log = [[entry(model, 0, n, *each) for n, each in enumerate(kinds)], [], [], []]
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    made = await created(dsn, model, build)
    monkeypatch.setattr("services.replay.reading.entries", Log(log, 4).entries)
    with pytest.raises(TooManyParked, match="documents/0@4"):
        await load(connection, job(dsn, made, log, park_limit=2), Silent())
    assert (await made.resume(connection)).positions[0] == Position(4, 4)
    await connection.execute(SKIP, model.name, TOPIC, INCARNATION, 0, 1)
    await connection.execute('UPDATE documents_g2.parked SET skipped_at = now() WHERE "offset" = 1')
    await load(connection, job(dsn, made, log, park_limit=2), Silent())
    assert [row[1] for row in (await held(connection, model, 2))["parked"]] == [1, 2, 4]
    await connection.close()


async def test_a_crash_of_postgres_begins_it_anew(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlogged tables are empty after a crash, the positions of the load with its rows; parked events are not."""
    model, build = MODELS[1]
    kinds = [("added", "a"), ("refused", "b"), ("added", "c"), ("removed", "a"), ("added", "d")]
    log = [[entry(model, 0, n, *each) for n, each in enumerate(kinds)], [], [], []]
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    await written(dsn, model, log)
    made = await created(dsn, model, build)
    monkeypatch.setattr(segments, "EVENTS", 2)
    monkeypatch.setattr("services.replay.reading.entries", (dying := Log(log, 1)).entries)
    dying.dies_after = 4
    with pytest.raises(Died):
        await load(connection, job(dsn, made, log), Silent())
    unlogged = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'passages_g2'::regnamespace AND relpersistence = 'u'"
        " AND relkind = 'r'"
    )
    assert {row[0] for row in unlogged} == {"documents", "passages", "loading"}
    await connection.execute("TRUNCATE passages_g2.documents, passages_g2.passages, passages_g2.loading")
    await loaded(monkeypatch, dsn, job(dsn, made, log), Log(log, 3))
    assert await held(connection, model, 2) == await held(connection, model, 1)
    await connection.close()


async def test_an_index_is_built_where_memory_to_share_is_scarce(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres' workers share their memory in /dev/shm; where that is too small, one process builds it alone."""
    model, build = MODELS[1]
    connection = await connect(dsn, application="a test")
    await connection.execute(BEGIN)
    made = await created(dsn, model, build)
    monkeypatch.setattr(loading, "INDEX_MEMORY", "1500GB")
    await connection.execute("ALTER TABLE passages_g2.passages SET (parallel_workers = 2)")
    await made.build_indexes(connection)
    assert await connection.fetchval("SELECT to_regclass('passages_g2.passages_vector') IS NOT NULL")
    await connection.close()
