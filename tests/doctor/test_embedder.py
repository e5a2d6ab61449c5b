"""An embedder's claim, held against source and output: it stops and says why, and writes nothing untrue."""

import asyncio

import pytest

from eventlog.delivery import TopicPartition
from schemas.topics import DOCUMENTS
from services.embedder import app
from services.embedder.app import Embedder
from tests.doctor.accidents import DERIVED, Log

PLACES = frozenset(TopicPartition(DOCUMENTS, partition) for partition in range(4))
DOCUMENT_IDS = tuple(f"document-{number}" for number in range(24))


@pytest.fixture
async def embedder(log: Log) -> Embedder:
    """An embedder behind 24 documents that are embedded, some in every partition."""
    log.add(*DOCUMENT_IDS)
    await asyncio.to_thread(log.embed)
    return Embedder(log.settings)


async def refused(embedder: Embedder) -> str:
    """Why nothing is claimed."""
    assert await embedder.claim(PLACES) == {}
    return embedder.readiness().notes["embedding"]


async def test_it_goes_on_behind_its_tails(log: Log, embedder: Embedder) -> None:
    """Without an accident."""
    ends = log.ends(DOCUMENTS)
    assert await embedder.claim(PLACES) == {place: ends[place.partition] for place in PLACES}
    assert embedder.readiness().notes["embedding"] == "going on"


async def test_a_recreated_source_is_not_embedded_on(log: Log, embedder: Embedder) -> None:
    """Its records would follow those of the old one in the same topic."""
    await embedder.claim(PLACES)
    await asyncio.to_thread(log.recreate, DOCUMENTS)
    with pytest.raises(Exception, match="recreated while this process ran"):
        await embedder.confirm()
    assert "documents was recreated" in await refused(embedder)


async def test_a_source_that_begins_behind_the_tail_is_a_loss(log: Log, embedder: Embedder) -> None:
    """What lies between was never embedded."""
    log.add(*(f"later-{number}" for number in range(24)))
    ends = await asyncio.to_thread(log.ends, DOCUMENTS)
    await asyncio.to_thread(log.lose_beginning, DOCUMENTS, ends)
    assert "what lies between is gone" in await refused(embedder)


async def test_a_source_that_ends_before_the_tail_is_a_loss(
    log: Log, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tail tells of events that the log has lost."""
    monkeypatch.setattr(app, "END_PATIENCE", 0.2)
    lost = await asyncio.to_thread(log.ends, DOCUMENTS)
    await asyncio.to_thread(log.embed_beyond, lost)
    assert "but the log ends at" in await refused(embedder)


async def test_an_output_that_lost_all_its_records_is_no_beginning(log: Log, embedder: Embedder) -> None:
    """Beginning at 0 would embed everything twice, beginning at the end would leave a hole."""
    ends = await asyncio.to_thread(log.ends, DERIVED)
    await asyncio.to_thread(log.lose_beginning, DERIVED, ends)
    assert "`nenrin projections reset passages --embed-again`" in await refused(embedder)


async def test_added_partitions_are_refused(log: Log, embedder: Embedder) -> None:
    """The derived topic has the partitions of its source, and both are fixed."""
    await asyncio.to_thread(log.widen, DOCUMENTS, 6)
    assert "documents has 6 partitions, but NENRIN_PARTITIONS is 4" in await refused(embedder)


async def test_a_source_that_lost_its_beginning_before_it_was_embedded_begins_there(log: Log) -> None:
    """An empty output begins where the source does, and its first record says so."""
    log.add(*DOCUMENT_IDS)
    await asyncio.to_thread(log.lose_beginning, DOCUMENTS, dict.fromkeys(range(4), 1))
    assert await Embedder(log.settings).claim(PLACES) == dict.fromkeys(PLACES, 1)
