"""From deliveries to derived records: reading, encoding and writing overlap, and each partition stays in order.

    inbox ─► prepare (a thread: judge, cut, tokenise) ─► backlog ─► encode (threads) ─► a lane for each partition ─► log

Documents of all partitions share the batches of the model; a lane holds back what is ready before its turn.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from encoders.batching import Backlog
from encoders.cache import VectorCache
from encoders.chunking import Piece
from eventlog.delivery import Delivered, TopicPartition
from eventlog.ending import exit_on_error
from eventlog.inbox import Inbox
from services import tracing
from services.embedder.metrics import Metrics
from services.embedder.priority import workers
from services.embedder.producer import BATCH_BYTES, RECORD_LIMIT, Producer
from services.embedder.reuse import vectors_of
from services.embedder.work import Origin, Output, Work, judge, outputs

TAKE = 128
TAKE_BYTES = 1024 * 1024
"""What is prepared in one go, of each partition."""
TURN = 16
"""Passages of a document that go into a slice together: most documents are ready after one."""
SLICES = 2
"""Calls of the model at a time: while one ends, the next keeps its threads busy."""
REPORT_EVERY = 5.0

log = structlog.get_logger()


class TextsToVectors(Protocol):
    """What the pipeline asks of an encoder."""

    @property
    def slice_tokens(self) -> int:
        """Tokens worth one call of `encode`."""

    def prepare(self, texts: Sequence[str]) -> list[list[Piece]]:
        """Cut each text into passages."""

    def encode(self, pieces: Sequence[Piece]) -> NDArray[np.float16]:
        """The vectors of passages, in their order."""


class Lane:
    """The works of one partition in one session, in the order of their source."""

    def __init__(self, place: TopicPartition, time: int) -> None:
        self.place = place
        self.time = time
        self._works: deque[Work] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, work: Work) -> None:
        """Queue a work behind all others."""
        self._works.append(work)

    def wake(self) -> None:
        """Say that a work may have become ready."""
        self._changed.set()

    def close(self) -> None:
        """Let nothing more out."""
        self._closed = True
        self.wake()

    async def ready(self) -> list[Work]:
        """Wait for the head of the lane, and take what is ready behind it; nothing once the lane is closed."""
        while not self._closed:
            if taken := self._take():
                return taken
            self._changed.clear()
            await self._changed.wait()
        return []

    def _take(self) -> list[Work]:
        taken: list[Work] = []
        size = 0
        while self._works and self._works[0].is_ready and size < BATCH_BYTES:
            taken.append(self._works.popleft())
            size += taken[-1].delivered.size
        return taken


class Pipeline:
    """All that happens to a delivery between the source topic and the derived one."""

    def __init__(
        self,
        inbox: Inbox,
        producer: Producer,
        limit: int = RECORD_LIMIT,
        metrics: Metrics | None = None,
        confirm: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`confirm` raises where what was read is no longer what there is; it is called before each writing."""
        self._inbox = inbox
        self._producer = producer
        self._limit = limit
        self._confirm = confirm
        self._metrics = metrics or Metrics(CollectorRegistry())
        self._metrics.waiting_records.set_function(lambda: len(inbox))
        self._tracer = tracing.tracer()
        self._preparing, self._encoding = _pools(behind=False)
        self._origin = Origin("", "")
        self._partitions = 0
        self._times: dict[TopicPartition, int] = {}
        self._lanes: dict[TopicPartition, tuple[Lane, asyncio.Task[None]]] = {}
        self._backlog: Backlog[Work] = Backlog(TURN)
        self._waiting = asyncio.Event()
        self._counts: Counter[str] = Counter()

    async def halt(self) -> None:
        """Stop writing: what was on its way is acknowledged when this returns, and nothing follows it."""
        lanes, self._lanes = self._lanes, {}
        self._backlog = Backlog(TURN)
        for lane, _ in lanes.values():
            lane.close()
        await asyncio.gather(*(task for _, task in lanes.values()))

    def begin(self, origin: Origin, partitions: int, times: dict[TopicPartition, int]) -> None:
        """Get ready for a new session; `times` are the broker's times of the last records that were derived."""
        self._origin, self._partitions, self._times = origin, partitions, times

    async def go_on(self, *, behind: bool) -> None:
        """Work in new threads, `behind` all others or not; what was begun in those before is finished on return."""
        before = self._preparing, self._encoding
        self._preparing, self._encoding = _pools(behind)
        for pool in before:
            await asyncio.to_thread(pool.shutdown)

    async def run(self, encoder: TextsToVectors, cache: VectorCache | None = None) -> None:
        """Work for ever; vectors that `cache` knows are not computed again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prepare(encoder))
            tasks.create_task(self._encode(encoder, cache))
            tasks.create_task(self._report())

    async def _prepare(self, encoder: TextsToVectors) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with exit_on_error(f"reading {self._inbox.topic}"):
                deliveries = await self._inbox.take(TAKE, TAKE_BYTES)
            began = time.time_ns()
            works = await loop.run_in_executor(self._preparing, prepared, deliveries, self._partitions, encoder)
            if self._tracer is not None:
                follow(works, self._tracer, began)
            for work in works:
                self._enter(work)
            self._waiting.set()

    def _enter(self, work: Work) -> None:
        delivered = work.delivered
        if delivered.session != self._inbox.session:
            return
        lane = self._lane(delivered.place)
        lane.add(work)
        if work.is_ready:
            lane.wake()
        else:
            self._backlog.add(work, work.pieces)

    def _lane(self, place: TopicPartition) -> Lane:
        if place not in self._lanes:
            lane = Lane(place, self._times.get(place, 0))
            self._lanes[place] = (lane, asyncio.create_task(self._write(lane)))
        return self._lanes[place][0]

    async def _encode(self, encoder: TextsToVectors, cache: VectorCache | None) -> None:
        free = asyncio.Semaphore(SLICES)
        async with asyncio.TaskGroup() as slices:
            while True:
                await free.acquire()
                while not (taken := self._backlog.take(encoder.slice_tokens)):
                    self._waiting.clear()
                    await self._waiting.wait()
                encoding = slices.create_task(self._encode_slice(encoder, cache, taken))
                encoding.add_done_callback(lambda _: free.release())

    async def _encode_slice(
        self, encoder: TextsToVectors, cache: VectorCache | None, taken: list[tuple[Work, Piece]]
    ) -> None:
        pieces = [piece for _, piece in taken]
        began = time.perf_counter()
        with exit_on_error("encoding"):
            vectors, encoded = await asyncio.get_running_loop().run_in_executor(
                self._encoding, vectors_of, pieces, encoder, cache
            )
        self._count_passages(encoded, len(pieces) - encoded, time.perf_counter() - began)
        for (work, piece), vector in zip(taken, vectors, strict=True):
            work.encoded(piece, vector)
        for place in {work.delivered.place for work, _ in taken if work.is_ready}:
            if place in self._lanes:
                self._lanes[place][0].wake()

    async def _write(self, lane: Lane) -> None:
        """Write one partition, one batch after the other is acknowledged. Any error ends the process before another."""
        with exit_on_error(f"writing the derived records of {lane.place}"):
            while works := await lane.ready():
                derived = await self._derive(works, lane)
                if self._confirm is not None:
                    await self._confirm()
                await self._producer.send(lane.place.partition, derived)
                self._inbox.done(work.delivered for work in works)
                tracing.ended(work.span for work in works)
                self._count(derived)

    def _count_passages(self, encoded: int, reused: int, seconds: float) -> None:
        self._counts["passages_encoded"] += encoded
        self._counts["passages_reused"] += reused
        self._metrics.passages.inc(encoded)
        self._metrics.passages_reused.inc(reused)
        if encoded:
            self._metrics.batch_passages.observe(encoded)
            self._metrics.encode_seconds.observe(seconds)

    def _count(self, derived: Sequence[Output]) -> None:
        for kind, records in Counter(output.kind.name.lower() for output in derived).items():
            self._counts[kind] += records
            self._metrics.records.labels(kind).inc(records)

    async def _derive(self, works: list[Work], lane: Lane) -> list[Output]:
        # A document's record is as quick to make as a thread is to reach; one with thousands of vectors is not.
        arguments = (works, self._origin, self._limit, lane.time)
        if sum(len(work.pieces) for work in works) < 1000:
            derived = list(outputs(*arguments))
        else:
            derived = await asyncio.get_running_loop().run_in_executor(None, lambda: list(outputs(*arguments)))
        lane.time = next((work.delivered.record.time for work in reversed(works) if work.delivered.record), lane.time)
        return derived

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            counts, self._counts = self._counts, Counter()
            if counts:
                log.info("written", **counts, seconds=REPORT_EVERY, waiting=len(self._inbox))


def _pools(behind: bool) -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
    """Threads that prepare, and those that encode slices."""
    return workers(1, "prepare", behind=behind), workers(SLICES, "slice", behind=behind)


def prepared(deliveries: Sequence[Delivered], partitions: int, encoder: TextsToVectors) -> list[Work]:
    """Judge deliveries, and cut the texts among them into passages. Runs in a thread."""
    works = [judge(delivered, partitions) for delivered in deliveries]
    texts = {at: text for at, work in enumerate(works) if (text := work.text) is not None}
    for at, pieces in zip(texts, encoder.prepare(list(texts.values())), strict=True):
        works[at].cut_into(pieces)
    return works


def follow(works: Sequence[Work], tracer: Tracer, began: int) -> None:
    """Begin a span for each event with a sampled trace; its derived record goes on with that span."""
    for work in works:
        record = work.delivered.record
        if record is not None and work.traceparent is not None:
            place = tracing.place(record.topic, record.partition, record.offset)
            work.span = tracing.consuming(tracer, f"embed {record.topic}", work.traceparent, place, began)
            if work.span is not None:
                work.traceparent = tracing.traceparent_of(work.span)
