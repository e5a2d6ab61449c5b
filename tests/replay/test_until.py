"""Time travel: a generation of the past holds the fold at a version or a time, and nothing later."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, TopicPartition

from projections.generations.following import followed
from schemas.errors import InvalidInput, OtherIncarnation
from schemas.topics import DOCUMENTS
from schemas.versions import Version
from services.replay import times, waiting
from services.replay.rebuilding import rebuild
from services.replay.waiting import Uncovered
from tests.replay.commands import run
from tests.replay.conftest import World


@pytest.mark.parametrize("projection", ["documents", "passages"])
async def test_a_token_names_a_fold(world: World, projection: str) -> None:
    """It ends exactly there, partitions that the token leaves out are empty, and no projector takes it on."""
    world.history(300)
    await world.embed()
    ends = {0: (await world.ends())[0] // 2, 1: 7}
    report = await rebuild(world.settings, projection, by="a test", until=Version({DOCUMENTS: ends}))
    assert not report.promoted
    assert await world.positions(projection, 2) == {0: ends[0], 1: 7, 2: 0, 3: 0}
    if projection == "documents":
        await world.agrees(2)
    row = await world.connection.fetchrow("SELECT until, ended_at FROM nenrin.generations WHERE generation = 2")
    assert row["until"] == report.version
    assert row["ended_at"] is not None
    assert [each.generation for each in await followed(world.connection) if each.projection == projection] == [1]
    again = await rebuild(world.settings, projection, by="a test", until=Version({DOCUMENTS: ends}))
    assert again.generation == 2


async def test_a_time_includes_what_was_written_at_it(world: World) -> None:
    """The records at exactly that broker time are in, the next millisecond is not; a zone may be named or not."""
    for number in range(40):
        world.add("c", f"d{number}")
        await asyncio.to_thread(world.flush)
    stamps = await asyncio.to_thread(_stamps, world)
    middle = sorted(time for times_ in stamps.values() for time in times_)[20]
    text = datetime.fromtimestamp(middle / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    status, out, err = await asyncio.to_thread(
        run, world.settings, "projections", "rebuild", "documents", "--json", "--until", text
    )
    assert status == 0, err
    assert f"{text} names no zone: UTC is taken" in err
    report = json.loads(out)
    wanted = {partition: sum(time <= middle for time in found) for partition, found in stamps.items()}
    assert await world.positions("documents", report["generation"]) == wanted
    await world.agrees(report["generation"])
    assert not report["promoted"]


def _stamps(world: World) -> dict[int, list[int]]:
    """The broker's time of every record, by partition."""
    consumer = Consumer({"bootstrap.servers": world.settings.kafka, "group.id": "stamps", "enable.auto.commit": False})
    topic = world.settings.topic_prefix + DOCUMENTS
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
    found: dict[int, list[int]] = {partition: [] for partition in range(4)}
    while sum(map(len, found.values())) < 40:
        message = consumer.poll(10)
        assert message is not None
        found[message.partition() or 0].append(message.timestamp()[1])
    consumer.close()
    return found


async def test_what_the_log_does_not_have_is_refused(world: World) -> None:
    """Beyond its end, another partition, another incarnation, a time to come: refused, and nothing is written."""
    world.history(5)
    ends = await world.ends()
    cases: list[tuple[times.Until, type[Exception], str]] = [
        (Version({DOCUMENTS: {0: ends[0] + 1}}), InvalidInput, f"ends at offset {ends[0]}"),
        (Version({DOCUMENTS: {4: 0}}), InvalidInput, "no partition 4"),
        (Version({DOCUMENTS: {0: 0}}, {DOCUMENTS: "older"}), OtherIncarnation, "made anew"),
        (datetime(2999, 1, 1, tzinfo=UTC), InvalidInput, "yet to come"),
    ]
    for until, error, words in cases:
        with pytest.raises(error, match=words):
            await rebuild(world.settings, "documents", by="a test", until=until)
    for text in ("yesterday", "2026-13-01T00:00:00Z", Version({"responses": {0: 1}}).token()):
        with pytest.raises(InvalidInput):
            times.read(text)
    assert await world.connection.fetchval("SELECT count(*) FROM nenrin.generations") == 2


async def test_passages_of_a_version_without_vectors_wait_for_the_embedder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one embeds it is waited for; where none does that is said, and nothing is written."""
    monkeypatch.setattr(waiting, "STUCK_AFTER", 1.0)
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.1)
    world.history(30)
    version = Version({DOCUMENTS: await world.ends()})
    with pytest.raises(Uncovered, match=re.escape("is an embedder running")):
        await rebuild(world.settings, "passages", by="a test", until=version)
    assert await world.connection.fetchval("SELECT count(*) FROM nenrin.generations") == 2
    monkeypatch.setattr(waiting, "STUCK_AFTER", 60.0)
    waiting_for_it = asyncio.create_task(rebuild(world.settings, "passages", by="a test", until=version))
    await world.embed()
    report = await waiting_for_it
    assert await world.positions("passages", report.generation) == version.offsets[DOCUMENTS]
