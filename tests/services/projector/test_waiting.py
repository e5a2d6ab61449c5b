"""What Postgres can't do now is tried again, and a projection that has parked too much waits: neither ends anything."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import asyncpg
import pytest

from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from projections import decisions
from projections.control.install import Wanted, install
from projections.database import connect
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.writer import Writer
from schemas import documents
from schemas.partitions import partition_of
from schemas.records import Record
from services.projector.log import Source
from services.projector.metrics import Metrics, ProjectionMetrics
from services.projector.projection import Projection, from_source
from tests.projections.logs import INCARNATION, PARTITIONS, TOPIC
from tests.running import Databases, Running, execute
from web.registry import Registry

HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/t"), ("ce_type", documents.ADDED.encode()))
KEY = documents.key_of("c", "x")
HOME = partition_of(KEY, PARTITIONS)
PLACE = TopicPartition(TOPIC, HOME)


@pytest.fixture
def registry() -> Registry:
    """Where the projection's metrics are."""
    return Registry()


@pytest.fixture
async def projection(postgres: Databases, registry: Registry) -> AsyncIterator[Projection]:
    """`documents` at work on one partition, with room for two parked events."""
    await install(postgres.owner, [Wanted(Documents(), Build(TOPIC, PARTITIONS, INCARNATION))])
    writer = Writer(Documents(), 1, postgres.owner, park_limit=2)
    made = Projection(Inbox(TOPIC), writer, from_source, ProjectionMetrics(Metrics(registry), "documents", 1))
    await claimed(made)
    working = asyncio.create_task(made.work())
    yield made
    assert not working.done(), "it ends for nothing of this"
    working.cancel()
    await made.release()


async def claimed(projection: Projection) -> bool:
    """Claim the partition, and begin to read it; False where that can't be done now."""
    positions = await projection.claim(frozenset({PLACE}), Source(INCARNATION, PARTITIONS))
    if positions:
        projection.inbox.begin(1, positions)
    return bool(positions)


def good(offset: int) -> Delivered:
    """A document."""
    return delivered(offset, json.dumps({"collection": "c", "document_id": "x", "text": str(offset)}).encode())


def delivered(offset: int, value: bytes = b"no JSON") -> Delivered:
    """A record of one key; a bad one where nothing else is said."""
    return Delivered(PLACE, 1, offset, offset + 1, Record(TOPIC, HOME, offset, 1, KEY, value, HEADERS))


async def until(reached: Callable[[], bool]) -> None:
    """Wait for what nothing announces but a log line."""
    async with asyncio.timeout(30):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def metric(registry: Registry, name: str) -> float:
    """The value of one of the projection's metrics."""
    return registry.get_sample_value(f"nenrin_projector_{name}", {"projection": "documents", "generation": "1"}) or 0.0


async def parked(dsn: str) -> list[int]:
    """The offsets of what is parked."""
    connection = await asyncpg.connect(dsn)
    found = [row[0] for row in await connection.fetch('SELECT "offset" FROM documents_g1.parked ORDER BY 1')]
    await connection.close()
    return found


def away(servers: Running, dsn: str) -> None:
    """Let nobody into the database, and end whoever is in it."""
    name, owner = urlsplit(dsn).path[1:], servers.endpoints["postgres"]
    execute(owner, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    execute(owner, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def back(servers: Running, dsn: str) -> None:
    """Let everybody in again."""
    execute(servers.endpoints["postgres"], f"ALTER DATABASE {urlsplit(dsn).path[1:]} ALLOW_CONNECTIONS true")


async def test_a_dropped_connection_costs_a_moment(projection: Projection, postgres: Databases) -> None:
    """The next batch finds it gone, claims anew and goes through; nothing is parked for it."""
    ending = "SELECT pg_terminate_backend(backend_pid, 5000) FROM documents_g1.positions"
    await asyncio.to_thread(execute, postgres.owner, ending)
    projection.inbox.put(good(0))
    await until(lambda: projection.position(HOME) == 1)
    assert (projection.standing, await parked(postgres.owner)) == ("going on", [])


async def test_postgres_may_be_away_for_as_long_as_it_likes(
    projection: Projection, postgres: Databases, servers: Running, registry: Registry
) -> None:
    """Tried again with pauses that grow, saying why; bad events among the batch are parked only when it is back."""
    await asyncio.to_thread(away, servers, postgres.owner)
    projection.inbox.put(good(0), delivered(1), good(2), delivered(3))
    began = asyncio.get_running_loop().time()
    await until(lambda: metric(registry, "retries_total") >= 6)
    assert asyncio.get_running_loop().time() - began > 0.05 + 0.1 + 0.2 + 0.4 + 0.8
    assert "not currently accepting connections" in projection.standing
    assert metric(registry, "stopped") == 0
    await asyncio.to_thread(back, servers, postgres.owner)
    await until(lambda: projection.position(HOME) == 4 and projection.standing == "going on")
    assert await parked(postgres.owner) == [1, 3]


async def test_a_claim_that_postgres_cannot_take_is_made_again(
    projection: Projection, postgres: Databases, servers: Running
) -> None:
    """Nothing is read meanwhile, and the process doesn't end: it is due for another claim soon."""
    await projection.release()
    await asyncio.to_thread(away, servers, postgres.owner)
    assert not await claimed(projection)
    assert projection.standing.startswith("waiting: ")
    await asyncio.to_thread(back, servers, postgres.owner)
    await until(lambda: projection.due)
    assert await claimed(projection)
    assert (projection.standing, projection.due) == ("going on", False)


async def test_too_much_parked_waits_for_somebody_to_look(
    projection: Projection, postgres: Databases, registry: Registry
) -> None:
    """It says why in its log, `/readyz` and metrics; when one is skipped it goes on by itself."""
    projection.inbox.put(*(delivered(offset) for offset in range(3)), good(3))
    await until(lambda: metric(registry, "stopped") == 1)
    assert projection.standing.startswith("stopped: documents has parked 2 events")
    assert (projection.position(HOME), await parked(postgres.owner)) == (2, [0, 1])
    connection = await connect(postgres.owner, application="a test")
    await decisions.skip(connection, (await decisions.find(connection, "documents"))[:1], "somebody", "a test")
    await connection.close()
    await until(lambda: projection.position(HOME) == 4)
    assert (projection.standing, metric(registry, "stopped")) == ("going on", 0)


async def test_a_partition_can_be_let_go_while_it_waits(projection: Projection, postgres: Databases) -> None:
    """Its batch is dropped then: the next owner reads it again."""
    projection.inbox.put(*(delivered(offset) for offset in range(3)))
    await until(lambda: projection.waiting is not None)
    await projection.release()
    await claimed(projection)
    projection.inbox.put(delivered(2))
    await until(lambda: projection.waiting is not None)
    assert (projection.position(HOME), await parked(postgres.owner)) == (2, [0, 1])
