"""A log of the test's own, its derived topic, and the live generations, moved by hand: nothing waits for a process."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
import numpy as np
import pytest
from confluent_kafka import Producer

from projections.database import connect
from projections.generations import candidates
from projections.generations.tables import schema_of
from projections.models import model
from projections.port import Change, Entry, Refusal
from projections.positions import Position
from projections.writer import Writer as Applying
from schemas import embedded
from schemas.documents import DocumentAdded, DocumentRemoved
from schemas.embedded import Derived, Passage, Rejected, Skipped, Source
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS, derived
from services.replay import reading
from services.replay.reading import Stretch
from services.settings import Settings
from tests.oracle import Oracle

Headers = list[tuple[str, str | bytes | None]]
ADDED, REMOVED = b"nenrin.document.added.v1", b"nenrin.document.removed.v1"


class World:
    """A fresh installation: what tests write to its log, and its live generations, which move when they are told to."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection) -> None:
        self.settings = settings
        self.connection = connection
        self.oracle = Oracle(settings.kafka, settings.topic_prefix)
        base = {"bootstrap.servers": settings.kafka, "linger.ms": 5, "log_level": 2}
        self._producer = Producer({**base, "partitioner": "murmur2_random"})

    def add(self, collection: str, document_id: str, text: str = "some words", **members: object) -> None:
        """Write a document."""
        self.event(collection, document_id, {"text": text, **members}, ADDED)

    def remove(self, collection: str, document_id: str) -> None:
        """Write a removal."""
        self.event(collection, document_id, {}, REMOVED)

    def event(self, collection: str, document_id: str, members: Mapping[str, object], kind: bytes) -> None:
        """Write any event about a document."""
        data = {"collection": collection, "document_id": document_id, **members}
        self.raw(f"{collection}/{document_id}".encode(), json.dumps(data).encode(), kind)

    def raw(self, key: bytes, value: bytes, kind: bytes = ADDED) -> None:
        """Write any record where its key belongs."""
        headers: Headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/t"), ("ce_type", kind)]
        self._producer.produce(self.settings.topic_prefix + DOCUMENTS, value, key, headers=headers)

    def flush(self) -> None:
        """Wait until all is in the log."""
        assert self._producer.flush(30) == 0

    def history(self, documents: int, collection: str = "c") -> None:
        """A log with updates, removals, an invalid event and one of an unknown type, in every partition."""
        for number in range(documents):
            self.add(collection, f"d{number}", f"text {number}", title=f"title {number}", metadata={"n": number})
            if number % 4 == 1:
                self.add(collection, f"d{number // 2}", f"text {number}, changed", metadata={"n": -number})
            if number % 10 == 9:
                self.remove(collection, f"d{number - 3}")
        for number in range(8):
            self.raw(f"{collection}/bad{number}".encode(), b"{", ADDED)
            self.raw(f"{collection}/odd{number}".encode(), b"{}", b"nenrin.document.renamed.v9")
        self.flush()

    async def ends(self) -> dict[int, int]:
        """Where each partition of the source ends."""
        return dict((await reading.stretch(self.settings.kafka_settings(), None)).ends)

    async def embed(self, encoder: str = MINILM.name, dimensions: int = MINILM.dimensions) -> None:
        """Do an embedder's work: a record with vectors for every source record that has none yet."""
        kafka = self.settings.kafka_settings()
        source = await reading.stretch(kafka, None)
        topic = self.settings.topic_prefix + derived(encoder)
        reached = await self._embedded(encoder)
        starts = {at: Position(reached.get(at, 0), reached.get(at, 0)) for at in source.ends}
        async for entries in reading.entries(kafka, source, starts):
            for entry in entries:
                event = _derived(entry, source, dimensions)
                headers: Headers = [*embedded.headers(event, encoder)]
                value = embedded.encode(event)
                self._producer.produce(topic, value, entry.key, entry.place.partition, headers=headers)
        self.flush()

    async def _embedded(self, encoder: str) -> dict[int, int]:
        """How far each partition of the source is embedded."""
        kafka = self.settings.kafka_settings()
        there = await reading.stretch(kafka, encoder)
        starts = {at: Position(0, 0) for at in there.ends}
        found: dict[int, int] = {}
        async for entries in reading.entries(kafka, there, starts):
            found[entries[-1].place.partition] = entries[-1].place.next
        return found

    async def follow(self, projection: str, generation: int | None = None) -> None:
        """Have a generation, the live one, apply all that it lacks, as a projector would."""
        number = generation or await candidates.live_number(self.connection, projection)
        assert number is not None
        kafka = self.settings.kafka_settings()
        encoder = await candidates.encoder_of(self.connection, projection, number)
        there = await reading.stretch(kafka, encoder)
        writer = Applying(model(projection, self.settings.text_language), number, self.settings.dsn)
        source = there.source
        starts = await writer.claim(DOCUMENTS, range(source.partitions), source.incarnation, source.partitions)
        async for entries in reading.entries(kafka, there, starts):
            await writer.apply(entries[0].place.partition, entries)
        await writer.release()

    @asynccontextmanager
    async def writing(self, projection: str) -> AsyncIterator[None]:
        """Go on writing, and having the live generation follow, while the context lasts."""
        task = asyncio.create_task(self._write_on(projection))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _write_on(self, projection: str) -> None:
        number = 0
        while True:
            for _ in range(10):
                number += 1
                self.add("c", f"w{number % 50}", f"written while it is rebuilt, {number}")
                if number % 7 == 0:
                    self.remove("c", f"d{number}")
            await asyncio.to_thread(self.flush)
            if projection == "passages":
                await self.embed()
            await self.follow(projection)

    async def digest(self, projection: str, generation: int) -> list[tuple[object, ...]]:
        """What a generation holds, by partition and collection."""
        rows = await self.connection.fetch(
            "SELECT partition, collection, documents, passages, content, vectors "
            f"FROM {schema_of(projection, generation)}.digests WHERE documents <> 0 ORDER BY 1, 2"
        )
        return [tuple(row) for row in rows]

    async def positions(self, projection: str, generation: int) -> dict[int, int]:
        """Where a generation stands."""
        return (await candidates.content(self.connection, projection, generation)).positions

    async def rows(self, projection: str, generation: int) -> list[tuple[object, ...]]:
        """Every row, all columns, in order."""
        schema = schema_of(projection, generation)
        found: list[tuple[object, ...]] = []
        for table in model(projection, "english").tables:
            rows = await self.connection.fetch(f"SELECT * FROM {schema}.{table} ORDER BY 1, 2, 3")
            found += [(table, *row) for row in rows]
        return found

    async def parked(self, projection: str, generation: int) -> set[tuple[int, int]]:
        """Partition and offset of what waits to be dealt with."""
        rows = await self.connection.fetch(
            f'SELECT partition, "offset" FROM {schema_of(projection, generation)}.parked WHERE resolved_by IS NULL'
        )
        return {(row[0], row[1]) for row in rows}

    async def agrees(self, generation: int) -> None:
        """Hold a generation of `documents` against the oracle, at the generation's own version."""
        version = await self.positions("documents", generation)
        await asyncio.to_thread(self.oracle.read_past, version, 30.0)
        told = await self.connection.fetch(
            "SELECT collection, document_id, title, text, metadata, source_uri "
            f"FROM documents_g{generation}.documents ORDER BY 1, 2"
        )
        wanted = sorted(self.oracle.documents(version), key=lambda one: (one["collection"], one["document_id"]))
        assert [(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5]) for row in told] == [
            tuple(one[name] for name in ("collection", "document_id", "title", "text", "metadata", "source_uri"))
            for one in wanted
        ]
        assert await self.parked("documents", generation) == self.oracle.parked(version)


def _derived(entry: Entry, there: Stretch, dimensions: int) -> Derived:
    """What an embedder makes of a source record, with vectors that hang on the text alone."""
    place = entry.place
    source = Source(
        DOCUMENTS, place.partition, place.offset, there.source.incarnation, place.since, place.next, place.time
    )
    match entry.content:
        case Change(DocumentAdded() as event):
            return embedded.embedded(source, event, _passages(event.text, dimensions))
        case Change(DocumentRemoved() as event):
            return embedded.removed(source, event)
        case Refusal(reason):
            return Rejected(source, reason, entry.value, entry.headers)
        case _:
            return Skipped(source, 1)


def _passages(text: str, dimensions: int) -> tuple[Passage, ...]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    vector = np.random.default_rng(seed).standard_normal(dimensions)
    return (Passage(0, 0, len(text), (vector / np.linalg.norm(vector)).astype("<f2").tobytes()),) if text else ()


@pytest.fixture
async def world(installed: Settings) -> AsyncIterator[World]:
    """A fresh installation with an empty log."""
    connection = await connect(installed.dsn, application="a test")
    yield World(installed, connection)
    await connection.close()
