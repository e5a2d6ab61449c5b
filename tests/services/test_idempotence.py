"""Both producers are idempotent: what a client repeats for want of an answer is in the log once.

Whether they are, the log itself tells: a batch names its producer, and that of one without an id is -1.
"""

from pathlib import Path
from struct import unpack_from

import pytest

from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from schemas.embedded import Kind
from schemas.topics import DERIVED_RECORD_LIMIT, Topic
from services.embedder.producer import Producer
from services.embedder.work import Output
from tests.running import Running
from tests.services.command.conftest import PARTITIONS, command, make_topic

LENGTH, PRODUCER, SEQUENCE = 8, 43, 53
"""Where a record batch (KIP-98, magic 2) has its length, its producer's id and its first sequence number."""


def batches(state: Path, topic: str, partition: int) -> list[tuple[int, int]]:
    """Producer's id and first sequence number of each batch in a partition's first segment."""
    (segment,) = state.glob(f"**/{topic}-{partition}/00000000000000000000.log")
    raw, at, found = segment.read_bytes(), 0, []
    while at + SEQUENCE + 4 <= len(raw):
        found.append((*unpack_from(">q", raw, at + PRODUCER), *unpack_from(">i", raw, at + SEQUENCE)))
        at += 12 + unpack_from(">i", raw, at + LENGTH)[0]
    return found


async def test_the_embedders_producer_is_idempotent(servers: Running, kafka: str, topic_prefix: str) -> None:
    """Its batches have a producer's id, and count on from one to the next."""
    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    topics = Topics(settings)
    await topics.carry_out(await topics.plan([Topic("derived", 1, DERIVED_RECORD_LIMIT)]))
    producer = Producer(settings, "derived")
    await producer.start()
    for _ in range(2):
        await producer.send(0, [Output(Kind.SKIPPED, b"k", b"v", [])])
    await producer.stop()
    found = batches(servers.state, topic_prefix + "derived", 0)
    assert [sequence for _, sequence in found] == [0, 1]
    assert len({producer for producer, _ in found}) == 1
    assert found[0][0] >= 0


@pytest.mark.parametrize("call", ["a write", "an upload"])
def test_the_command_services_producers_are_idempotent(
    servers: Running, kafka: str, topic_prefix: str, tmp_path: Path, call: str
) -> None:
    """Single writes and streams have a producer each: both have an id in the log."""
    topic = make_topic(kafka, topic_prefix)
    with command(kafka, topic_prefix, tmp_path) as service:
        service.until_ready()
        if call == "a write":
            assert service.put("a", {"text": "t"}).status_code == 202
        else:
            assert service.upload(b'{"document_id": "a", "text": "t"}\n').json()["accepted"] == 1
    ((producer, sequence),) = [one for at in range(PARTITIONS) for one in batches(servers.state, topic, at)]
    assert producer >= 0
    assert sequence == 0
