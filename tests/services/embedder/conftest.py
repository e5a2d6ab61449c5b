"""Topics, embedders and a producer of events for one test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from schemas.encoders import MINILM
from schemas.topics import wanted
from tests.services.embedder.derived_log import PARTITIONS, Writer
from tests.services.embedder.process import Process, Start


@pytest.fixture
def installed(kafka: str, topic_prefix: str) -> str:
    """Both topics, made as `nenrin init` does; their prefix."""

    async def make() -> None:
        topics = Topics(KafkaSettings(kafka, topic_prefix=topic_prefix))
        await topics.carry_out(await topics.plan(wanted(PARTITIONS, MINILM.name)))

    asyncio.run(make())
    return topic_prefix


@pytest.fixture
def start(kafka: str, installed: str, tmp_path: Path) -> Iterator[Start]:
    """Start an embedder, all with one state folder; those that still run at the end are killed."""
    processes: list[Process] = []

    def start() -> Process:
        log = tmp_path / f"embedder-{len(processes)}.log"
        processes.append(Process(kafka, installed, log, tmp_path / "state"))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
def writer(kafka: str, installed: str) -> Writer:
    """A producer of events."""
    return Writer(kafka, installed)
