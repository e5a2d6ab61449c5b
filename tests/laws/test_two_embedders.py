"""Two embedders that both think they own a partition: their records interleave, and the coverage rule reads them."""

import json
import random
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.control.install import install
from projections.passages import Passages
from projections.passages import read as passages
from projections.port import Entry, Nothing
from projections.positions import Position, after, continuing
from projections.reading import Reader
from projections.writer import Writer
from tests.laws.test_two_writers import HISTORY, LOGS, fold
from tests.projections import logs
from tests.projections.logs import INCARNATION, TOPIC, WANTED, added, nothing
from tests.running import Databases


@pytest.fixture
async def owner(postgres: Databases) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection to a database in which Nenrin has just been installed."""
    await install(postgres.owner, WANTED)
    connection = await asyncpg.connect(postgres.owner)
    yield connection
    await connection.close()


def interleaved(chance: random.Random) -> list[Entry]:
    """The derived topic as two embedders write it, each in order, in any order of the two."""
    whole = LOGS["passages"]
    turns = [0] * len(whole) + [1] * len(whole)
    chance.shuffle(turns)
    left = [iter(whole), iter(whole)]
    found = [next(left[turn]) for turn in turns]
    return [
        msgspec.structs.replace(entry, place=msgspec.structs.replace(entry.place, read_next=at + 1))
        for at, entry in enumerate(found)
    ]


def cut(entries: Sequence[Entry], chance: random.Random) -> list[Sequence[Entry]]:
    """The same in batches of one to four."""
    batches: list[Sequence[Entry]] = []
    while entries:
        size = chance.randrange(1, 5)
        batches.append(entries[:size])
        entries = entries[size:]
    return batches


async def test_each_event_is_applied_once_and_in_order(owner: asyncpg.Connection, postgres: Databases) -> None:
    """Whatever the order, after every batch the answer is the fold of its version; at the end, of all.

    What was derived a second time is passed over, so that no document goes back to what it was.
    """
    writer = Writer(Passages(), 1, postgres.owner)
    async with Reader(postgres.reader).reading() as reader:
        for seed in range(12):
            chance = random.Random(seed)
            await owner.execute(
                "TRUNCATE passages_g1.documents, passages_g1.passages, passages_g1.digests; "
                "UPDATE passages_g1.positions SET next = 0, read_next = 0"
            )
            await writer.claim(TOPIC, [0], INCARNATION, logs.PARTITIONS)
            for batch in cut(interleaved(chance), chance):
                await writer.apply(0, batch)
                answer = await reader.read("passages", lambda _: passages.lexical("c", 100, "text"))
                version = answer.version.next(TOPIC, 0)
                shown = {row["document_id"]: row["passage"]["text"] for row in map(json.loads, answer.rows)}
                texts = {name: text for name, text in dict(HISTORY[:version]).items() if text}
                assert (set(shown), shown) == (fold(version), texts), (seed, version)
            assert writer.position(0) == Position(len(HISTORY), 2 * len(HISTORY)), seed
    await writer.release()


def test_a_duplicate_before_what_continues_is_passed_over() -> None:
    """One that was applied long ago can lie between records that are new."""
    entries = [added(0), added(2), added(1), added(3)]
    assert continuing(Position(2, 2), entries) == [entries[1], entries[3]]


def written(kinds: Sequence[bool], chance: random.Random) -> list[Entry]:
    """A derived topic of events, and of offsets that hold nothing; of those, neighbours may share a record."""
    found: list[Entry] = []
    for offset, is_event in enumerate(kinds):
        if is_event:
            found.append(added(offset))
        elif found and found[-1].content == Nothing() and chance.random() < 0.5:
            found[-1] = nothing(offset, since=found[-1].place.since)
        else:
            found.append(nothing(offset))
    return found


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_position_lies_behind_what_was_applied(kinds: list[bool], chance: random.Random, writers: int) -> None:
    """After every batch, wherever duplicates lie in it: each event is applied once, in order, and none is left out."""
    topics = [written(kinds, chance) for _ in range(writers)]
    turns = [writer for writer, log in enumerate(topics) for _ in log]
    chance.shuffle(turns)
    left = [iter(log) for log in topics]
    position, applied = Position(0, 0), list[int]()
    for batch in cut([next(left[turn]) for turn in turns], chance):
        fresh = continuing(position, batch)
        applied += [entry.place.offset for entry in fresh if entry.content != Nothing()]
        position = after(position, batch)
        assert position.next == (fresh[-1].place.next if fresh else position.next)
        assert applied == [offset for offset, is_event in enumerate(kinds[: position.next]) if is_event]
    assert position.next == len(kinds)
