"""500 readers wait on a real service: how soon after a commit who is satisfied has its answer."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from projections.control.install import install
from projections.documents import Documents
from projections.writer import Writer
from schemas.documents import DocumentAdded, key_of
from schemas.partitions import partition_of
from schemas.versions import parse
from tests.running import Databases
from tests.services.query.conftest import INCARNATION, PARTITIONS, TOPIC, WANTED, source_entry
from tests.services.query.crowd import Reader, readers, token
from tests.services.query.test_process import Query, query

MANY = 500
DOCUMENT = "/collections/c/documents/a"
HOME = partition_of(key_of("c", "a"), PARTITIONS)
FAR = token({HOME: 1_000_000})


@dataclass
class Nenrin:
    """A service that answers, and the writer of what it reads."""

    service: Query
    writer: Writer
    owner: asyncpg.Connection
    next: int = field(default=0)

    @property
    def coming(self) -> str:
        """The token of the next commit."""
        return token({HOME: self.next + 1})

    async def commit(self) -> float:
        """Change the document; returns when that was committed, by the monotonic clock."""
        await self.writer.apply(HOME, [source_entry(DocumentAdded("c", "a", f"text {self.next}"), HOME, self.next)])
        self.next += 1
        return time.monotonic()

    async def commit_unheard(self) -> float:
        """Move the position as a commit does whose notification is lost."""
        self.next += 1
        await self.owner.execute("UPDATE documents_g1.positions SET next = $1 WHERE partition = $2", self.next, HOME)
        return time.monotonic()


@pytest.fixture
async def nenrin(postgres: Databases, tmp_path: Path) -> AsyncIterator[Nenrin]:
    """Everything, with one document."""
    await install(postgres.owner, WANTED)
    writer, owner = Writer(Documents(), 1, postgres.owner), await asyncpg.connect(postgres.owner)
    await writer.claim(TOPIC, range(PARTITIONS), INCARNATION, PARTITIONS)
    with query(postgres.reader, tmp_path) as service:
        nenrin = Nenrin(service, writer, owner)
        await nenrin.commit()
        yield nenrin
    await writer.release()
    await owner.close()


@pytest.mark.alone
async def test_whoever_is_satisfied_is_answered_at_once(nenrin: Nenrin) -> None:
    """One of 500: within 20 ms of the commit (p99). All at once: within 500 ms. A lost notification: within 300 ms."""
    assert await best([all_at_once(nenrin) for _ in range(5)], 0.5) < 0.5
    await nenrin.service.waiting(0)
    async with readers(nenrin.service.port, MANY) as (near, *far):
        for reader in far:
            reader.ask(DOCUMENT, nenrin_at_least=FAR, prefer="wait=30")
        await nenrin.service.waiting(len(far))
        assert await best([slow_one(nenrin, near) for _ in range(5)], 0.02) < 0.02
        # their notifications come at different moments between two polls
        for number in range(10):
            tries = [unheard(nenrin, near, after=0.1 + 0.02 * number) for _ in range(3)]
            assert await best(tries, 0.3) < 0.3


async def best(tries: Sequence[Coroutine[Any, Any, float]], enough: float) -> float:
    """The best of several tries, of as many as it takes: another program may have the cores for a while."""
    found = math.inf
    for each in tries:
        if found < enough:
            each.close()
        else:
            found = min(found, await each)
    return found


async def slow_one(nenrin: Nenrin, reader: Reader) -> float:
    """The 99th percentile of 100."""
    return sorted([await one(nenrin, reader) for _ in range(100)])[-2]


async def one(nenrin: Nenrin, reader: Reader) -> float:
    """Seconds from a commit to the answer of the one that waits for it."""
    reader.ask(DOCUMENT, nenrin_at_least=nenrin.coming, prefer="wait=10")
    await asyncio.sleep(0.02)  # it waits by then, or it is answered sooner
    committed_at = await nenrin.commit()
    return (await right(nenrin, reader)) - committed_at


async def unheard(nenrin: Nenrin, reader: Reader, after: float) -> float:
    """Seconds from a commit without a notification to the answer."""
    reader.ask(DOCUMENT, nenrin_at_least=nenrin.coming, prefer="wait=10")
    await asyncio.sleep(after)
    committed_at = await nenrin.commit_unheard()
    return (await right(nenrin, reader)) - committed_at


async def all_at_once(nenrin: Nenrin) -> float:
    """Seconds from a commit to the last answer of all who wait for it."""
    async with readers(nenrin.service.port, MANY) as waiting:
        for reader in waiting:
            reader.ask(DOCUMENT, nenrin_at_least=nenrin.coming, prefer="wait=10")
        await nenrin.service.waiting(MANY)
        answered = [asyncio.ensure_future(right(nenrin, reader)) for reader in waiting]
        committed_at = await nenrin.commit()
        return max(await asyncio.gather(*answered)) - committed_at


async def right(nenrin: Nenrin, reader: Reader) -> float:
    """When an answer came that covers the last commit."""
    answer = await reader.answer()
    assert answer.status == 200
    assert parse(answer.headers["nenrin-version"]).next(TOPIC, HOME) == nenrin.next
    return answer.at
