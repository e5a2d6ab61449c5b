"""Those who wait: woken by what they wait for, and by nothing else; never more of them than there is room for."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from projections.reading import Reader
from services.query.waiting import TooManyWaiters, Waiter, Waiters


async def is_woken(waiter: Waiter) -> bool:
    """Whether a waiter would go on now."""
    try:
        await asyncio.wait_for(waiter.woken(), 0.01)
    except TimeoutError:
        return False
    return True


def alone() -> Waiter:
    """One whose generation is the only one that notifies."""
    return Waiter(lambda: None, wary=False)


def waiters(limit: int = 10) -> Waiters:
    """Waiters without a database: nothing polls here."""
    return Waiters(Reader("postgresql://unused"), CollectorRegistry(), limit)


async def test_a_waiter_needs_every_partition() -> None:
    """All offsets that it expects, or more; other partitions don't matter."""
    waiter = alone()
    waiter.listen()
    waiter.expect({0: 5, 1: 3})
    for partition, offset in ((0, 4), (1, 3), (2, 99)):
        waiter.moved(partition, offset)
    assert not await is_woken(waiter)
    waiter.moved(0, 7)
    assert await is_woken(waiter)


async def test_what_moves_during_the_read_counts() -> None:
    """A notification between the snapshot and the wait is not lost."""
    waiter = alone()
    waiter.listen()
    waiter.moved(0, 5)
    waiter.expect({0: 5})
    assert await is_woken(waiter)


async def test_a_new_look_forgets_what_was_heard() -> None:
    """Otherwise another generation's move would make it read without pause."""
    waiter = alone()
    waiter.listen()
    waiter.moved(0, 5)
    waiter.listen()
    waiter.expect({0: 5})
    assert not await is_woken(waiter)


async def test_offsets_of_a_poll_do_not_hide_later_ones() -> None:
    """A poll that read before a notification is told after it: the higher offset counts."""
    waiter = alone()
    waiter.listen()
    waiter.notified(0, 5)
    waiter.moved(0, 4)
    waiter.expect({0: 5})
    assert await is_woken(waiter)


async def test_who_was_woken_in_vain_has_somebody_look_first() -> None:
    """Another generation's projector may be ahead, and would make 500 waiters read at each of its batches."""
    looks: list[str] = []
    waiter = Waiter(lambda: looks.append("look"), wary=False)
    waiter.listen()
    waiter.expect({0: 5})
    waiter.notified(0, 7)
    assert await is_woken(waiter)
    waiter.listen()
    waiter.expect({0: 5})
    assert looks == []
    waiter.notified(0, 8)
    assert looks == ["look"]
    assert not await is_woken(waiter)
    waiter.moved(0, 5)
    assert await is_woken(waiter)


async def test_where_several_generations_notify_each_wake_is_true() -> None:
    """Notifications are a reason to look: those that could be what is waited for, during the read as well."""
    looks: list[str] = []
    waiter = Waiter(lambda: looks.append("look"), wary=True)
    waiter.listen()
    waiter.notified(0, 5)
    waiter.expect({0: 5, 1: 3})
    assert looks == ["look"]
    for partition, offset in ((0, 4), (2, 99), (1, 2)):
        waiter.notified(partition, offset)
    assert looks == ["look"]
    waiter.notified(1, 3)
    assert looks == ["look", "look"]
    assert not await is_woken(waiter)
    for partition, offset in ((0, 5), (1, 3)):
        waiter.moved(partition, offset)
    assert await is_woken(waiter)


async def test_a_move_reaches_its_projection_only() -> None:
    """Of whatever generation."""
    waiting = waiters()
    with (
        waiting.waiter("documents", None) as live,
        waiting.waiter("documents", 2) as other,
        waiting.waiter("passages", None) as elsewhere,
    ):
        for waiter in (live, other, elsewhere):
            waiter.listen()
            waiter.expect({0: 1})
        waiting.moved("documents", 0, 1)
        assert [await is_woken(waiter) for waiter in (live, other, elsewhere)] == [True, True, False]


async def test_places_are_limited_and_come_free() -> None:
    """Over the limit a request is refused at once; one that leaves, however it does, frees its place."""
    waiting = waiters(limit=1)
    with waiting.waiter("documents", None), pytest.raises(TooManyWaiters), waiting.waiter("passages", None):
        pass
    with pytest.raises(RuntimeError), waiting.waiter("documents", None):
        raise RuntimeError
    with waiting.waiter("documents", None):
        pass
