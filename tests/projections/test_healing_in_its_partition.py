"""A parked event is resolved by a later good event of the same key in the same partition, and by nothing else."""

import asyncpg
import msgspec

from projections.documents import Documents
from projections.port import Entry
from projections.writer import Writer
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, added, refused


def elsewhere(entry: Entry) -> Entry:
    """The same event in partition 1."""
    return msgspec.structs.replace(entry, place=msgspec.structs.replace(entry.place, partition=1))


async def test_an_event_in_another_partition_heals_nothing(owner: asyncpg.Connection, dsn: str) -> None:
    """As when a producer with another partitioner wrote the first: only its own partition's log can resolve it.

    Nor does it resolve what lies at the same offset of its own partition.
    """
    writer = Writer(Documents(), 1, dsn)
    await writer.claim(TOPIC, [0, 1], INCARNATION, logs.PARTITIONS)
    await writer.apply(0, [refused(0, "a"), refused(1, "b"), refused(2, "c")])
    await writer.apply(1, [elsewhere(refused(0, "a")), elsewhere(refused(1, "z"))])
    await writer.apply(1, [elsewhere(added(2, "a")), elsewhere(added(3, "b"))])
    assert await resolved(owner) == [(0, 0, None), (0, 1, None), (0, 2, None), (1, 0, 2), (1, 1, None)]
    await writer.apply(0, [added(3, "b"), refused(4, "b"), added(5, "d")])
    await writer.apply(1, [elsewhere(added(4, "a"))])
    found = await resolved(owner)
    assert found == [(0, 0, None), (0, 1, 3), (0, 2, None), (0, 4, None), (1, 0, 2), (1, 1, None)]
    await writer.release()


async def resolved(owner: asyncpg.Connection) -> list[tuple[int, int, int | None]]:
    """Partition and offset of each parked event, and the offset of what resolved it: the first good one stays."""
    rows = await owner.fetch('SELECT partition, "offset", resolved_by FROM documents_g1.parked ORDER BY 1, 2')
    return [(row[0], row[1], row[2]) for row in rows]
