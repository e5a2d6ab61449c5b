"""Owners that are frozen in the middle of their work, and woken when others have gone on with it."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import asyncpg
import pytest

from services.settings import Settings
from tests.laws.derived import check_coverage, read_whole
from tests.laws.events import Event, Straight, added, removed
from tests.laws.freezing import FILE, KEY
from tests.laws.processes import Process, ended, ending, judging, until
from tests.laws.reading import CountCollections, GetDocuments, ListDocuments, SearchText
from tests.oracle import partition_of
from tests.running import Databases

SESSION = 6.0  # seconds after which the group does without a member that says nothing
HEARD = 1.0  # and those in which the others hear of that
CLAIM = 1.0
LARGE = "0123456789abcdef" * 55_000
COPYING = """
SELECT pid FROM pg_stat_progress_copy JOIN pg_stat_activity a USING (pid)
WHERE a.datname = current_database() AND a.wait_event = 'transactionid'
"""


def ids(partition: int, partitions: int, name: str) -> Iterator[str]:
    """Ids of documents that belong to a partition."""
    return (id_ for n in count() if partition_of(f"c/{(id_ := f'{name}{n}')}".encode(), partitions) == partition)


def write(producer: Straight, events: Sequence[Event]) -> None:
    """All of them or none, so that a reader gets them in one piece."""
    producer.producer.begin_transaction()
    for event in events:
        producer.hand(event)
    producer.flush()
    producer.producer.commit_transaction(30)


@pytest.fixture
def producer(installed: Settings) -> Straight:
    """A producer of transactions."""
    name = {"transactional.id": installed.topic_prefix}
    producer = Straight(installed.kafka, installed.topic_prefix, **name)
    producer.producer.init_transactions(30)
    return producer


@pytest.mark.alone
async def test_a_projector_frozen_in_mid_copy_is_succeeded_and_never_writes_again(
    installed: Settings, postgres: Databases, producer: Straight, tmp_path: Path
) -> None:
    """The successor claims within a second of its assignment, which comes when the frozen one's session is over.

    Woken, the old one changes nothing, neither rows nor position; it lets go, and begins anew with what it is given.
    """
    old, new = (Process(installed, tmp_path / f"{name}.log", "nenrin", "projector") for name in ("old", "new"))
    with ending(old, new):
        owner = await asyncpg.connect(postgres.owner)
        blocker = await asyncpg.connect(postgres.owner)
        await until(lambda: len(old.owned()) == len(new.owned()) == 4 and not old.owned() & new.owned())
        place = min(place for place in old.owned() if place.startswith("documents/"))
        partition = int(place.removeprefix("documents/"))
        large = list(islice(ids(partition, installed.partitions, "large"), 4))
        # a row of nobody's, not committed: the COPY of the same document waits for how it ends
        await blocker.execute("BEGIN")
        await blocker.execute(
            "INSERT INTO documents_g1.documents VALUES "
            "('c', $1, 'documents', 0, 0, NULL, '', '{}', NULL, now(), 0, NULL)",
            large[0],
        )
        events = [added("c", name, LARGE) for name in large] + [added("c", f"small{n}", "s") for n in range(20)]
        await asyncio.to_thread(write, producer, events)
        backend = await copying(owner)
        old.freeze()
        frozen_at = time.time()
        before = await position(owner, partition)
        assert (before["next"], before["backend_pid"]) == (0, backend)
        seen = len(new.times("reading", place))
        await until(lambda: len(new.times("reading", place)) > seen)
        claimed = await position(owner, partition)
        await blocker.execute("ROLLBACK")
        assigned_at = new.times("assigned", place)[-1]
        assert claimed["epoch"] == before["epoch"] + 1
        assert 0 <= claimed["claimed_at"].timestamp() - assigned_at < CLAIM
        assert assigned_at - frozen_at < SESSION + HEARD
        assert await owner.fetch("SELECT FROM pg_stat_activity WHERE pid = $1", backend) == []
        everything = (GetDocuments("c", [*large, "small0"]), ListDocuments("c", 1000))
        async with judging(installed, postgres) as judge:
            await judge.at_the_end(*everything)
            changes = [added("c", large[0], "after"), removed("c", large[1]), added("c", large[2], "after")]
            await asyncio.to_thread(write, producer, changes)
            await judge.at_the_end(*everything)
            written = await position(owner, partition)
            read = len(old.times("reading", "documents/"))
            old.wake()
            # it gets partitions anew, once it knows that its session was over
            await until(lambda: len(old.times("reading", "documents/")) > read)
            assert "another projector" in old.said() or f"was let go place={place}" in old.said()
            after = await position(owner, partition)
            assert (after["next"], after["committed_at"]) == (written["next"], written["committed_at"])
            await judge.at_the_end(*everything)
            await asyncio.to_thread(write, producer, [added("c", large[3], "at last")])
            await judge.at_the_end(*everything)
        await owner.close()
        await blocker.close()


async def copying(owner: asyncpg.Connection) -> int:
    """The backend that is in the middle of a COPY, once one is, and waits."""
    async with asyncio.timeout(30):
        while not (found := await owner.fetchval(COPYING)):  # noqa: ASYNC110  # Postgres tells nobody
            await asyncio.sleep(0.005)
        return int(found)


async def position(owner: asyncpg.Connection, partition: int) -> asyncpg.Record:
    """Where `documents` stands in a partition, and whose it is."""
    return await owner.fetchrow("SELECT * FROM documents_g1.positions WHERE partition = $1", partition)


async def test_an_embedder_woken_behind_its_successor_leaves_the_derived_topic_readable(
    installed: Settings, postgres: Databases, producer: Straight, tmp_path: Path
) -> None:
    """Two embedders think that they own a partition: what the old one sends late is dropped by every reader.

    It has encoded a batch, and freezes before it sends it; another covers the same events and more; then it is woken.
    """
    one, other = (Process(installed, tmp_path / f"{name}.log", "tests.laws.freezing", "embedder") for name in "ab")
    projector = Process(installed, tmp_path / "projector.log", "nenrin", "projector")
    partition = partition_of(KEY, installed.partitions)
    names = list(islice(ids(partition, installed.partitions, "near"), 3))
    everything = (CountCollections(), SearchText("c", "old", 100), SearchText("c", "new", 100))
    with ending(one, other, projector):
        async with judging(installed, postgres) as judge:
            await until(lambda: all(len(each.owned()) == 2 for each in (one, other)))
            await asyncio.to_thread(write, producer, [added("c", f"d{n}", "old") for n in range(12)])
            await judge.at_the_end(*everything)
            behind = [added("c", "freeze", "old"), *(added("c", name, "old") for name in names)]
            await asyncio.to_thread(write, producer, behind)
            await until((tmp_path / FILE).exists)
            # only when the successor has gone on behind it
            await judge.at_the_end(*everything)
            await asyncio.to_thread(write, producer, [added("c", names[0], "new"), removed("c", "freeze")])
            await judge.at_the_end(*everything)
            frozen = one if int((tmp_path / FILE).read_text()) == one.popen.pid else other
            owned = len(frozen.times("assigned", f"documents/{partition}"))
            frozen.wake()
            await until(lambda: len(frozen.times("assigned", "documents")) > owned or ended(frozen))
            await asyncio.to_thread(write, producer, [added("c", f"d{n}", "new") for n in range(12)])
            version = await judge.at_the_end(*everything)
            records = await asyncio.to_thread(read_whole, installed.kafka, installed.topic_prefix)
            offsets = Counter(one.source["offset"] for one in records[partition])
            assert max(offsets.values()) > 1, "the woken embedder sent nothing: the test proves nothing"
            check_coverage(judge.oracle, version, records)
