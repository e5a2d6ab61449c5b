"""Writing while a topic is not what it was."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from schemas.documents import DocumentAdded
from schemas.errors import LogAway
from schemas.topics import DOCUMENTS
from services.command.publisher import Publisher
from tests.doctor.accidents import Log
from tests.doctor.conftest import PATIENCE

EVENT = DocumentAdded("c", "a", "text")


async def until(publisher: Publisher, part: str) -> None:
    """Wait for what `/readyz` says of Kafka."""
    async with asyncio.timeout(PATIENCE):
        while part not in publisher.state:  # noqa: ASYNC110  # as a monitor would ask
            await asyncio.sleep(0.05)


async def test_nothing_is_written_once_partitions_were_added(log: Log) -> None:
    """A document's events would lie in two of them; the refusal says so, and that nothing was written."""
    publisher = Publisher(log.settings.kafka_settings(), "/test", CollectorRegistry())
    publisher.partitions = 4
    running = asyncio.create_task(publisher.run())
    await until(publisher, "ok")
    await publisher.publish(EVENT)
    await asyncio.to_thread(log.widen, DOCUMENTS, 6)
    await until(publisher, "documents has 6 partitions")
    with pytest.raises(LogAway, match="Nothing was written") as refusal:
        await publisher.publish(EVENT)
    assert refusal.value.outcome == "not_written"
    assert sum((await asyncio.to_thread(log.ends, DOCUMENTS)).values()) == 1
    running.cancel()
    await publisher.aclose()
