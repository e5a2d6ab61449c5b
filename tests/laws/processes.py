"""Single processes of Nenrin, to be frozen and woken, and the query service inside the test."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from schemas.encoders import MINILM
from services.query.app import query_application
from services.query.encoder import QueryEncoder
from services.query.encoders import QueryEncoders
from services.settings import Settings
from services.stack.program import launched
from tests.laws.reading import Answer, Question, ask, written_token
from tests.oracle import Oracle, Version
from tests.running import Databases, environment
from tests.services.query.conftest import alive

ROOT = Path(__file__).parents[2]
LINE = re.compile(
    r"^(\S+) \[info +\] (assigned|reading) +group=(\S+) (?:partitions|positions)=[\[{](.*?)[\]}]", re.MULTILINE
)
PATIENCE = 90.0  # a first start on a busy machine


class Process:
    """A process that can be stopped in the middle of anything; its log is kept in a file."""

    def __init__(self, settings: Settings, log: Path, *command: str) -> None:
        self.log = log
        told = {
            "NENRIN_KAFKA": settings.kafka,
            "NENRIN_POSTGRES": settings.dsn,
            "NENRIN_TOPIC_PREFIX": settings.topic_prefix,
            "NENRIN_PARTITIONS": str(settings.partitions),
            "NENRIN_STATE": str(log.parent),
            "NO_COLOR": "1",
        }
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                launched((sys.executable, "-m", *command), death_signal=signal.SIGKILL, parent=os.getpid()),
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env=environment(told),
            )

    def freeze(self) -> None:
        """Stop it between any two instructions."""
        self.popen.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on with whatever it was doing."""
        self.popen.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """SIGKILL, which works on the frozen too."""
        self.popen.kill()
        self.popen.wait()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def times(self, what: str, place: str) -> list[float]:
        """When its log says that a partition was `assigned`, or is `reading`; seconds since the epoch."""
        lines = LINE.findall(self.said())
        return [
            datetime.fromisoformat(at).timestamp() for at, said, _, places in lines if said == what and place in places
        ]

    def owned(self) -> set[str]:
        """The partitions that it read when it last said so, in whichever of its consumer groups."""
        return set().union(*self.divided().values())

    def divided(self) -> dict[str, set[str]]:
        """The same, by consumer group."""
        last = {group: places for _, said, group, places in LINE.findall(self.said()) if said == "reading"}
        return {group: set(re.findall(r"'([^']*)'", places)) for group, places in last.items()}


@contextmanager
def ending(*processes: Process) -> Iterator[None]:
    """End all of them, and show their logs where something failed."""
    try:
        yield
    except BaseException:
        for process in processes:
            print(f"--- {process.log.name}\n{process.said()[-4000:]}")
        raise
    finally:
        for process in processes:
            process.end()


async def until(true: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(within):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110  # a process says it in its log
            await asyncio.sleep(0.02)


class Judged:
    """A reader of one projection or two that holds each answer against the oracle."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self.http = http
        self.oracle = Oracle(settings.kafka, settings.topic_prefix)
        self._settings = settings

    def ends(self) -> Version:
        """The high watermark of every partition."""
        consumer = Consumer({"bootstrap.servers": self._settings.kafka, "group.id": "ends"})
        topic = f"{self._settings.topic_prefix}documents"
        try:
            places = {at: TopicPartition(topic, at) for at in self.oracle.positions}
            return {at: consumer.get_watermark_offsets(place, timeout=10)[1] for at, place in places.items()}
        finally:
            consumer.close()

    async def at_the_end(self, *questions: Question) -> Version:
        """Ask, once each projection has seen all of the log, and judge."""
        version = await asyncio.to_thread(self.ends)
        for question in questions:
            answer = await self.answer(question, version)
            assert answer.status != 412, answer
            await asyncio.to_thread(answer.judge, self.oracle)
        return version

    async def answer(self, question: Question, version: Version) -> Answer:
        """An answer that has seen the version, or tells what it lacks after a long while."""
        token = written_token(version, self.oracle.incarnation)
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await ask(self.http, question, token, wait=30)
                if answer is not None and answer.status != 412:
                    return answer
                await asyncio.sleep(0.1)  # the pace of a client that tries again


class _Shared(QueryEncoder):
    """The model, for all query services of these tests: loaded with the first question that needs it, and kept."""

    def start(self, *, gently: bool = False) -> None:
        """Not yet."""

    @property
    def ready(self) -> bool:
        """It will be, for whoever waits."""
        return True

    async def encode(self, text: str) -> NDArray[np.float32]:
        """The vector of a question."""
        if self._loading is None:
            super().start()
        return await super().encode(text)

    def close(self) -> None:
        """Not before the session ends."""


@cache
def encoder() -> QueryEncoder:
    """The one."""
    return _Shared(MINILM, "cpu")


@asynccontextmanager
async def judging(settings: Settings, databases: Databases) -> AsyncIterator[Judged]:
    """The query service inside this process, and a judge who asks it."""
    app = query_application(databases.reader, QueryEncoders(lambda *_: encoder()))
    transport = httpx.ASGITransport(cast(Any, app))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://query", timeout=60) as http:
        yield Judged(http, settings)


def ended(process: Process) -> bool:
    """Whether a process has gone by itself."""
    with suppress(subprocess.TimeoutExpired):
        process.popen.wait(0)
    return process.popen.returncode is not None
