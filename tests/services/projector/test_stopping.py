"""A log that can't be gone on with stops its own projection; the others go on meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from projections.control.install import install
from projections.documents import Documents
from projections.passages import Passages
from projections.writer import Writer
from schemas import documents, embedded
from schemas.embedded import Skipped
from schemas.partitions import partition_of
from schemas.records import Record
from services.projector.log import Source
from services.projector.metrics import Metrics, ProjectionMetrics
from services.projector.projection import Projection, from_derived, from_source
from tests.projections.logs import INCARNATION, PARTITIONS, TOPIC, WANTED
from tests.running import Databases
from web.registry import Registry

DERIVED = "derived"
HOME = partition_of(documents.key_of("c", "x"), PARTITIONS)


@pytest.fixture
async def projections(postgres: Databases) -> AsyncIterator[tuple[Projection, Projection]]:
    """Both projections, with one partition claimed."""
    await install(postgres.owner, WANTED)
    metrics, found = Metrics(Registry()), []
    for model, topic, read in ((Documents(), TOPIC, from_source), (Passages(), DERIVED, from_derived)):
        writer = Writer(model, 1, postgres.owner)
        each = Projection(Inbox(topic), writer, read, ProjectionMetrics(metrics, model.name, 1))
        place = TopicPartition(topic, HOME)
        each.inbox.begin(1, await each.claim(frozenset({place}), Source(INCARNATION, PARTITIONS)))
        found.append(each)
    yield found[0], found[1]
    for each in found:
        await each.release()


def good() -> Delivered:
    """The first event of the source."""
    value = json.dumps({"collection": "c", "document_id": "x", "text": "t"}).encode()
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/t"), ("ce_type", documents.ADDED.encode()))
    record = Record(TOPIC, HOME, 0, 1_700_000_000_000, documents.key_of("c", "x"), value, headers)
    return Delivered(TopicPartition(TOPIC, HOME), 1, 0, 1, record)


def torn(session: int = 1, since: int = 5) -> Delivered:
    """A derived record that covers offsets 5 to 7, where 0 comes next."""
    event = Skipped(embedded.Source(TOPIC, HOME, 7, INCARNATION, since, 8, 1_700_000_000_000))
    headers = tuple(embedded.headers(event, "e"))
    record = Record(DERIVED, HOME, 0, 0, None, embedded.encode(event), headers)
    return Delivered(TopicPartition(DERIVED, HOME), session, 0, 1, record)


async def test_a_gap_stops_one_projection_and_not_the_other(projections: tuple[Projection, Projection]) -> None:
    """It says why, and does not end the process under the other, which goes on."""
    own, broken = projections
    working = [asyncio.create_task(each.work()) for each in projections]
    broken.inbox.put(torn())
    async with asyncio.timeout(30):
        while broken.stopped is None:  # noqa: ASYNC110  # nothing announces it but the log
            await asyncio.sleep(0.01)
        own.inbox.put(good())
        while own.position(HOME) == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "the next record begins at 5" in broken.stopped
    assert broken.standing.startswith("stopped: ")
    assert own.stopped is None
    assert not any(task.done() for task in working)
    for task in working:
        task.cancel()


async def test_it_goes_on_when_it_is_claimed_again(projections: tuple[Projection, Projection]) -> None:
    """What stopped it may have been mended: another claim reads on from the position, without the old session."""
    broken = projections[1]
    working = asyncio.create_task(broken.work())
    broken.inbox.put(torn())
    async with asyncio.timeout(30):
        while broken.stopped is None:  # noqa: ASYNC110  # nothing announces it but the log
            await asyncio.sleep(0.01)
        place = TopicPartition(DERIVED, HOME)
        broken.inbox.begin(2, await broken.claim(frozenset({place}), Source(INCARNATION, PARTITIONS)))
        assert broken.stopped is None
        broken.inbox.put(torn(), torn(session=2, since=0))
        while broken.position(HOME) == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert broken.position(HOME) == 8
    working.cancel()


async def test_a_claim_that_cannot_go_on_stops_its_projection_alone(projections: tuple[Projection, Projection]) -> None:
    """It claims nothing, says why, and raises nothing that would end the process of the others."""
    broken = projections[1]
    place = TopicPartition(DERIVED, HOME)
    assert await broken.claim(frozenset({place}), Source("another-incarnation", PARTITIONS)) == {}
    assert "was recreated" in (broken.stopped or "")
    assert projections[0].stopped is None
