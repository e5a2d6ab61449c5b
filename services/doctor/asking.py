"""Asking Kafka and Postgres. Whoever is away is an error of ours, and the other one is asked all the same."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import asyncpg

from eventlog.delivery import TopicPartition
from eventlog.planning import Described
from eventlog.tail import read_firsts, read_from, read_tails
from eventlog.topics import Topics
from projections.control import install
from projections.database import connect, translated
from projections.generations.holding import HELD, holder
from projections.generations.shapes import look, outdated
from projections.generations.tables import UNRESOLVED, schema_of
from schemas import embedded
from schemas.derived import decode
from schemas.encoders import MINILM
from schemas.errors import GenerationMissing, NenrinError, UndecodableRecord
from schemas.records import Record
from schemas.topics import DOCUMENTS
from services.doctor.facts import Cover, Database, Generation, Log, Other, Place, Position
from services.settings import Settings

ANSWER_WITHIN = 5.0
"""Seconds after which a server counts as away."""
GONE = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)

_LIVE = """
SELECT p.name, p.live, g.encoder FROM nenrin.projections p
JOIN nenrin.generations g ON g.projection = p.name AND g.generation = p.live ORDER BY p.name
"""
_POSITIONS = """
SELECT p.topic, p.partition, p.next, p.read_next, p.incarnation, p.epoch, p.claimed_at, p.committed_at,
    a.pid IS NOT NULL AS owned
FROM {schema}.positions p LEFT JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
ORDER BY p.topic, p.partition
"""
_OTHERS = f"""
SELECT g.projection, g.generation, p.live, g.loaded_at IS NOT NULL AS loaded, {HELD} AS held
FROM nenrin.generations g JOIN nenrin.projections p ON p.name = g.projection
WHERE g.generation <> p.live AND g.ended_at IS NULL ORDER BY g.projection, g.generation
"""
_FOLLOWING = """
SELECT coalesce(array_agg(o.partition ORDER BY o.partition) FILTER (WHERE a.pid IS NULL), '{{}}'),
    coalesce(sum(greatest(l.next - o.next, 0)), 0)::bigint
FROM {schema}.positions o JOIN {live}.positions l USING (topic, partition)
LEFT JOIN pg_stat_activity a ON a.pid = o.backend_pid AND a.backend_start = o.backend_start
"""
_PARKED = f"SELECT count(*) FROM {{schema}}.parked WHERE {UNRESOLVED}"
_HEADS = "SELECT topic, partition, observed_at FROM nenrin.heads"


async def log(settings: Settings, derived: str) -> Log:
    """Kafka as it is now. Raises `LogAway`."""
    topics = Topics(settings.kafka_settings(), within=ANSWER_WITHIN)
    found = await topics.find([DOCUMENTS, derived])
    bounds = await topics.bounds(found.values())
    covers, damaged = await _covers(settings, found.get(derived))
    return Log(found, bounds, covers, damaged, await _dated(settings, found.get(DOCUMENTS)))


async def _covers(settings: Settings, topic: Described | None) -> tuple[dict[int, Cover], dict[int, str]]:
    covers: dict[int, Cover] = {}
    damaged: dict[int, str] = {}
    for place in _places(topic):
        try:
            first = (await read_firsts(settings.kafka_settings(), [place]))[place]
            last = (await read_tails(settings.kafka_settings(), [place]))[place]
            if first is not None and last is not None:
                covers[place.partition] = Cover(decode(first).source, decode(last).source)
        except NenrinError as error:
            damaged[place.partition] = str(error)
    return covers, damaged


async def _dated(settings: Settings, topic: Described | None) -> dict[int, float]:
    dated: dict[int, float] = {}
    for place in _places(topic):
        try:
            last = (await read_tails(settings.kafka_settings(), [place]))[place]
        except NenrinError:
            continue  # its beginning and end say more about such a partition
        if last is not None:
            dated[place.partition] = last.time / 1000
    return dated


async def following(settings: Settings, derived: str, found: Log, database: Database) -> dict[int, embedded.Source]:
    """What the record of the derived topic covers that a live generation reads next, by partition."""
    wanted = {
        TopicPartition(derived, each.partition): each.read_next
        for generation in database.live
        if generation.encoder is not None
        for each in generation.positions
        if (bounds := found.bounds.get((derived, each.partition))) and bounds.begin <= each.read_next < bounds.end
    }
    records = await read_from(settings.kafka_settings(), wanted)
    return {place.partition: source for place, record in records.items() if record and (source := _source(record))}


def _source(record: Record) -> embedded.Source | None:
    try:
        return decode(record).source
    except UndecodableRecord:
        return None  # the projection that reads it says so itself


def _places(topic: Described | None) -> list[TopicPartition]:
    return [] if topic is None else [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]


async def database(settings: Settings) -> Database:
    """Postgres as it is now. Raises `DatabaseAway`, `GenerationMissing` where Nenrin was never installed."""
    revision, newest = await install.revisions(settings.dsn)
    connection = await connect(settings.dsn, application="nenrin doctor")
    try:
        with translated():
            live = [await _generation(connection, row) for row in await connection.fetch(_LIVE)]
            now = await connection.fetchval("SELECT clock_timestamp()")
            heads, encoders = await _heads(connection), await _encoders(connection)
            others = await _others(connection) if revision == newest else ()
            due = tuple(outdated(await look(connection))) if revision == newest else ()
            return Database(now, revision, newest, tuple(live), heads, encoders, others, due)
    finally:
        connection.terminate()


async def _generation(connection: asyncpg.Connection, row: Mapping[str, object]) -> Generation:
    name, number, encoder = str(row["name"]), int(str(row["live"])), row["encoder"]
    schema = schema_of(name, number)
    positions = [Position(*each) for each in await connection.fetch(_POSITIONS.format(schema=schema))]
    parked = await connection.fetchval(_PARKED.format(schema=schema))
    return Generation(name, number, None if encoder is None else str(encoder), tuple(positions), parked)


async def _others(connection: asyncpg.Connection) -> tuple[Other, ...]:
    """The generations beside the live ones, but for those that are dropped meanwhile."""
    found: list[Other] = []
    for row in await connection.fetch(_OTHERS):
        name, number = row["projection"], row["generation"]
        held_by = await holder(connection) if row["held"] else None
        follows = _FOLLOWING.format(schema=schema_of(name, number), live=schema_of(name, row["live"]))
        with suppress(*GONE):
            unowned, behind = await connection.fetchrow(follows) if row["loaded"] else ((), 0)
            found.append(Other(name, number, row["loaded"], held_by, tuple(unowned), behind))
    return tuple(found)


async def _encoders(connection: asyncpg.Connection) -> frozenset[str]:
    """Those that are known here; the table is younger than a schema that has yet to be migrated."""
    try:
        with translated():
            added = await connection.fetch("SELECT name FROM nenrin.encoders")
    except GenerationMissing:
        added = []
    return frozenset({MINILM.name, *(row["name"] for row in added)})


async def _heads(connection: asyncpg.Connection) -> dict[Place, datetime]:
    return {(row["topic"], row["partition"]): row["observed_at"] for row in await connection.fetch(_HEADS)}
