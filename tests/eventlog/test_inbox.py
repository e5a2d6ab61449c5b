"""The inbox: order, bounds, sessions."""

import asyncio
from contextlib import aclosing

import pytest

from eventlog.delivery import Delivered, PartitionBatch, TopicPartition
from eventlog.inbox import Inbox
from schemas.errors import Gap, PositionLost
from schemas.records import Record

FIRST = TopicPartition("documents", 0)
SECOND = TopicPartition("documents", 1)


def delivery(offset: int, place: TopicPartition = FIRST, *, session: int = 1, value: bytes = b"") -> Delivered:
    """The delivery of one record that follows its neighbour without a hole."""
    record = Record(place.topic, place.partition, offset, 0, b"k", value)
    return Delivered(place, session, offset, offset + 1, record)


def inbox_with(*deliveries: Delivered, **limits: int) -> Inbox:
    """An inbox in session 1 on both partitions, with these fetched and arrived."""
    inbox = Inbox("documents", **limits)
    inbox.begin(1, {FIRST: 0, SECOND: 0})
    arrive(inbox, *deliveries)
    return inbox


def arrive(inbox: Inbox, *deliveries: Delivered) -> None:
    """Both steps of an arrival."""
    for delivered in deliveries:
        inbox.fetched(delivered)
    inbox.put(*deliveries)


async def test_what_arrives_is_taken_in_order_of_its_partition() -> None:
    """Deliveries of all partitions come at once, each partition's in its own order."""
    inbox = inbox_with(delivery(0), delivery(0, SECOND), delivery(1))
    taken = await inbox.take(10, 1_000_000)
    assert [d.next for d in taken if d.place == FIRST] == [1, 2]
    assert [d.next for d in taken if d.place == SECOND] == [1]


async def test_a_take_is_bounded_in_number_and_in_bytes() -> None:
    """However large the records, a take holds no more than it was asked for, and at least one."""
    inbox = inbox_with(*(delivery(offset, value=bytes(1000)) for offset in range(10)))
    assert len(await inbox.take(3, 1_000_000)) == 3
    assert len(await inbox.take(10, 4000)) == 2
    assert len(await inbox.take(10, 1)) == 1


def test_an_inbox_is_full_by_number_or_by_bytes_until_its_deliveries_are_done() -> None:
    """Fetching stops while too much is on its way, and goes on when it has been dealt with."""
    few = inbox_with(delivery(0), delivery(1), records=2)
    assert not few.has_room
    few.done([delivery(0)])
    assert few.has_room
    large = inbox_with(delivery(0, value=bytes(5000)), size=5000)
    assert not large.has_room


async def test_a_new_session_drops_what_an_older_one_left() -> None:
    """What was buffered before a claim never reaches the process, nor does it take up room."""
    inbox = inbox_with(delivery(0), delivery(1), records=2)
    inbox.begin(2, {FIRST: 5})
    assert inbox.has_room
    arrive(inbox, delivery(2, session=1), delivery(5, session=2), delivery(0, SECOND, session=2))
    assert [d.next for d in await inbox.take(10, 1_000_000)] == [6]
    inbox.done([delivery(0, session=1)])
    assert len(inbox) == 2  # 5, and the one of a partition that isn't ours


def test_a_delivery_that_leaves_a_hole_is_an_error() -> None:
    """Should a record get lost between consumer and agent, nothing behind it is applied."""
    inbox = inbox_with(delivery(0))
    with pytest.raises(Gap, match="documents/0: a delivery covers offsets 2 to 2, but 1 comes next"):
        inbox.put(delivery(2))


async def test_no_partition_is_in_two_hands_at_once() -> None:
    """Tasks that share the work get different partitions; one is free again when its batch is done."""
    inbox = inbox_with(delivery(0), delivery(1))
    one, other = inbox.batches(1, 1_000_000), inbox.batches(1, 1_000_000)
    held = await anext(one)
    waiting = asyncio.create_task(_next(other))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    arrive(inbox, delivery(0, SECOND))
    assert (await waiting).place == SECOND
    assert (held.since, held.next) == (0, 1)
    assert (await anext(one)).since == 1
    assert len(inbox) == 2


async def _next(batches: object) -> PartitionBatch:
    batch = await anext(batches)  # type: ignore[call-overload]
    assert isinstance(batch, PartitionBatch)
    return batch


async def test_partitions_take_turns() -> None:
    """A partition with much to do does not hold up another."""
    inbox = inbox_with(delivery(0), delivery(1), delivery(2), delivery(0, SECOND))
    batches = inbox.batches(1, 1_000_000)
    assert [(await anext(batches)).place for _ in range(4)] == [FIRST, SECOND, FIRST, FIRST]


async def test_an_error_of_the_log_comes_behind_what_was_read_and_once() -> None:
    """Whoever takes the deliveries hears of it; one of another session is not theirs, a new session begins without."""
    inbox = inbox_with(delivery(0))
    inbox.fail(7, PositionLost("another session's"))
    inbox.fail(1, PositionLost("gone"))
    assert await inbox.take(10, 1_000_000) == [delivery(0)]
    with pytest.raises(PositionLost, match="gone"):
        await inbox.take(10, 1_000_000)
    waiting = asyncio.create_task(inbox.take(10, 1_000_000))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    inbox.fail(1, PositionLost("again"))
    inbox.begin(2, {FIRST: 1})
    arrive(inbox, delivery(1, session=2))
    assert (await waiting)[0].session == 2


async def test_who_gives_up_in_the_middle_of_a_batch_leaves_its_partition_free() -> None:
    """A projection that stopped goes on in its next session with every partition."""
    inbox = inbox_with(delivery(0))
    async with aclosing(inbox.batches(1, 1_000_000)) as batches:
        await anext(batches)
    inbox.begin(2, {FIRST: 0})
    arrive(inbox, delivery(0, session=2))
    assert (await anext(inbox.batches(1, 1_000_000))).place == FIRST
