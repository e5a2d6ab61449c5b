"""What a producer's reports mean: no version without an offset, and nothing written long after its caller has gone."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import Message
from prometheus_client import CollectorRegistry

from eventlog.connection import KafkaSettings
from schemas.documents import DocumentAdded
from schemas.errors import LogAway
from services.command import producing, stream
from services.command.bulk import BulkLife
from services.command.producing import Outgoing, Place, place_of
from services.command.publisher import Publisher
from services.command.stream import Stream
from tests.services.command.conftest import free_port, make_topic

EVENT = DocumentAdded("c", "a", "text")


def nowhere(_: Message) -> None:
    """What a record comes to whose acknowledgement says no offset."""


@pytest.fixture
async def publisher(kafka: str) -> AsyncIterator[Publisher]:
    """A publisher at work."""
    prefix = f"{secrets.token_hex(4)}."
    await asyncio.to_thread(make_topic, kafka, prefix)
    found = Publisher(KafkaSettings(kafka, topic_prefix=prefix), "/test", CollectorRegistry())
    running = asyncio.create_task(found.run())
    yield found
    running.cancel()
    await found.aclose()


def test_a_place_is_known_or_it_is_none() -> None:
    """Offset 0 is one; that of a batch sent twice, whose first answer was lost, is not told."""
    assert place_of(Message(topic="t", partition=0, offset=0)) == Place(0, 0)
    assert place_of(Message(topic="t", partition=1)) is None
    assert place_of(Message(topic="t", partition=1, offset=-1001)) is None


async def test_a_write_without_an_offset_is_unknown(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller gets no token, for none would cover it; the next write is as good as ever."""
    with monkeypatch.context() as patched:
        patched.setattr(producing, "place_of", nowhere)
        with pytest.raises(LogAway, match="did not say where") as refusal:
            await publisher.publish(EVENT)
    assert refusal.value.outcome == "unknown"
    assert max((await publisher.publish(EVENT)).offsets["documents"].values()) == 2


async def test_a_stream_without_an_offset_is_cut_off(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies behind the acknowledged records is unknown, and in no version."""
    monkeypatch.setattr(stream, "place_of", nowhere)
    cut: Stream[int] = publisher.stream()
    with pytest.raises(LogAway, match="did not say where"):
        async with publisher.streaming(cut, None):
            await cut.write(publisher.record(EVENT, None), 0)
    assert (cut.outcome, cut.version.offsets) == ("unknown", {})


async def test_what_a_broken_stream_left_is_not_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its producer is discarded, with all that it holds, when nothing was acknowledged in time."""
    monkeypatch.setattr(stream, "GOODBYE", 0.05)
    monkeypatch.setattr(stream, "DEADLINE", 0.3)
    life = BulkLife(KafkaSettings(f"127.0.0.1:{free_port()}"), "incarnation", lambda _: None)

    async def find() -> BulkLife:
        return life

    async def alone(_: Outgoing) -> None:
        raise AssertionError

    broken: Stream[int] = Stream(find, BulkLife.discard, alone)  # type: ignore[arg-type]  # there is no giant

    async def be_broken_off() -> None:
        async with broken.writing():
            await broken.write(Outgoing(b"key", b"value", []), 0)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await be_broken_off()
    assert broken.outcome == "unknown"
    async with asyncio.timeout(20):
        while life.usable:  # noqa: ASYNC110  # its own look is what this waits for
            await asyncio.sleep(0.02)
