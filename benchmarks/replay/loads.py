"""Loads against the same by hand, on servers that nobody else uses."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from benchmarks.passages import database, texts
from benchmarks.replay import logs
from benchmarks.replay.building import Built, bare_copy, built, by_hand, vector_index
from benchmarks.replay.logs import Mix
from benchmarks.replay.unindexed import WithoutVectorIndex
from benchmarks.reporting import Figure
from eventlog.connection import KafkaSettings
from projections.control.install import Wanted, install
from projections.database import connect
from projections.documents import Documents
from projections.generations.lifecycle import Build
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS
from services.stack.supervisor import Stack

TEXTS = 20_000
DOCUMENTS_SHARE, DOCUMENTS_RATE, PASSAGES_SHARE, INDEX_TIMES = 0.40, 20_000, 0.75, 1.1
GROWTH = 1.15
"""The most that memory may grow from the small log to the large one and still be called flat."""


async def measure(stack: Stack, events: int) -> list[Figure]:
    """The table's lines about loading `events`."""
    kafka = stack.endpoints["kafka"]
    few, many, new = [KafkaSettings(kafka, topic_prefix=name) for name in ("few.", "many.", "new.")]
    mixes = {few: Mix(events // 10, 40), many: Mix(events, 40), new: Mix(events, 12, 0, 0)}
    found = await asyncio.to_thread(texts, TEXTS)
    for log, mix in mixes.items():
        incarnation = await logs.make_topics(log)
        await asyncio.to_thread(logs.produce, log, incarnation, logs.documents(mix, found), derive=log is not new)
    return [
        *await passages(stack, many, mixes[many]),
        await documents(stack, new, mixes[new]),
        await documents(stack, many, mixes[many], marked=False),
        await memory(stack, few, many, events),
    ]


@asynccontextmanager
async def _installed(stack: Stack) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A database of its own, with the control schema and a generation of each projection."""
    async with database(stack.endpoints["postgres"], "replay_benchmark") as dsn:
        build = Build(DOCUMENTS, logs.PARTITIONS, "", MINILM.name, MINILM.dimensions)
        await install(dsn, [Wanted(Documents(), build), Wanted(WithoutVectorIndex(), build)])
        connection = await connect(dsn, application="benchmark")
        yield dsn, connection
        await connection.close()


async def passages(stack: Stack, log: KafkaSettings, mix: Mix) -> list[Figure]:
    """Rows against rows, and index against index."""
    async with _installed(stack) as (dsn, connection):
        made = await built(dsn, log, WithoutVectorIndex(), 2)
        hand = await by_hand(connection, made.loading)
        ours, bare = await vector_index(connection, made.loading)
    share, times = hand / made.seconds, ours / bare
    return [
        Figure(
            f"rebuild of passages without HNSW, {mix.described()}",
            f"{_shown(made)}, {share:.0%} of the baseline",
            f"binary COPY of the rows that survive, the same steps: {hand:.1f} s",
            f"{PASSAGES_SHARE:.0%}",
            share >= PASSAGES_SHARE,
        ),
        Figure(
            "its HNSW index",
            f"{ours:.1f} s, {times:.2f} x the baseline",
            f"CREATE INDEX by hand: {bare:.1f} s",
            f"{INDEX_TIMES} x",
            times <= INDEX_TIMES,
        ),
    ]


async def documents(stack: Stack, log: KafkaSettings, mix: Mix, *, marked: bool = True) -> Figure:
    """Durable rows against durable rows."""
    async with _installed(stack) as (dsn, connection):
        made = await built(dsn, log, Documents(), 2)
        file, hand = await bare_copy(connection, made.loading)
    share, rate = hand / made.seconds, made.events / made.seconds
    return Figure(
        f"rebuild of documents, durable, {mix.described()}",
        f"{_shown(made)}, {share:.0%} of the baseline",
        f"one binary COPY of the rows, in memory, into the durable table with its key: {hand:.1f} s "
        f"({file:.1f} s from a file that Postgres wrote, {file / made.seconds:.0%})",
        f"{DOCUMENTS_SHARE:.0%}, {DOCUMENTS_RATE:,} events/s" if marked else "",
        (share >= DOCUMENTS_SHARE and rate >= DOCUMENTS_RATE) if marked else None,
    )


def _shown(made: Built) -> str:
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in made.phases.items())
    rate = f"{made.events / made.seconds:,.0f} events/s"
    return f"{made.seconds:.1f} s ({phases}; {made.processor:.1f} of processor), {rate}"


async def memory(stack: Stack, few: KafkaSettings, many: KafkaSettings, events: int) -> Figure:
    """The largest sizes of the processes that load, added up, for a small log and for a large one: as many for both."""
    small, large = [await _resident(stack, kafka) for kafka in (few, many)]
    return Figure(
        "memory of the processes that load passages, added up",
        f"{large:.0f} MB for {events:,} events, {large / small:.2f} x the baseline",
        f"{small:.0f} MB for {events // 10:,}",
        f"flat: {GROWTH} x",
        large <= GROWTH * small,
    )


async def _resident(stack: Stack, kafka: KafkaSettings) -> float:
    async with _installed(stack) as (dsn, _):
        command = (sys.executable, "-m", "benchmarks.replay.rebuilder", dsn, kafka.bootstrap, kafka.topic_prefix)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the process that loads has failed")
    return float(output)
