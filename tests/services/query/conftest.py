"""The query service's application, whole but for its socket, on a database that tests fill by hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import httpx
import numpy as np
import pytest
from litestar.types import ASGIApp
from numpy.typing import NDArray

from projections.control.install import Wanted, install
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.passages import Passages
from projections.port import Change, Entry, Place
from projections.writer import Writer
from schemas.documents import DocumentAdded, DocumentRemoved, key_of
from schemas.embedded import Embedded, Passage, Removed, Source
from schemas.encoders import MINILM
from schemas.partitions import partition_of
from services.query.app import query_application
from services.query.encoder import QueryEncoder
from services.query.encoders import QueryEncoders
from tests.running import Databases

TOPIC = "documents"
INCARNATION = "incarnation-1"
PARTITIONS = 2
WANTED = [
    Wanted(Documents(), Build(TOPIC, PARTITIONS, INCARNATION)),
    Wanted(Passages(), Build(TOPIC, PARTITIONS, INCARNATION, MINILM.name, MINILM.dimensions)),
]
BEFORE = 1_700_000_000_000  # milliseconds: the broker's time of every record


class LettersEncoder(QueryEncoder):
    """Stands for the model: a text's vector counts its letters. `loaded` says whether it is ready."""

    loaded = True

    def start(self, *, gently: bool = False) -> None:
        """Nothing to load."""

    @property
    def ready(self) -> bool:
        """As told."""
        return self.loaded

    async def encode(self, text: str) -> NDArray[np.float32]:
        """The vector of a text."""
        return letters(text)


def by_letters(encoder: LettersEncoder | None = None) -> QueryEncoders:
    """The encoders of a service that has but this one, by whatever name a generation asks for it."""
    return QueryEncoders(lambda *_: encoder or LettersEncoder(MINILM))


def letters(text: str) -> NDArray[np.float32]:
    """How often each of the first characters of Unicode occurs, as a vector of length 1."""
    counts = np.zeros(MINILM.dimensions, dtype=np.float32)
    for character in text:
        counts[ord(character) % MINILM.dimensions] += 1
    return counts / (np.linalg.norm(counts) or 1)


@dataclass
class Nenrin:
    """A database with two projections, written to as the projectors do, and the service that reads it."""

    databases: Databases
    http: httpx.AsyncClient
    app: ASGIApp
    encoder: LettersEncoder
    owner: asyncpg.Connection
    documents: Writer
    passages: Writer
    next: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))

    async def add(self, document_id: str, text: str, collection: str = "c", **rest: Any) -> None:
        """Add a document, in both projections."""
        await self.change(DocumentAdded(collection, document_id, text, **rest))

    async def remove(self, document_id: str, collection: str = "c") -> None:
        """Remove one, from both."""
        await self.change(DocumentRemoved(collection, document_id))

    async def change(self, event: DocumentAdded | DocumentRemoved, *, passages: bool = True) -> int:
        """Apply an event to `documents`, and to `passages` unless told otherwise. Returns its partition."""
        partition = partition_of(key_of(event.collection, event.document_id), PARTITIONS)
        offset = self.next[partition]
        self.next[partition] += 1
        await self.documents.apply(partition, [source_entry(event, partition, offset)])
        if passages:
            await self.passages.apply(partition, [derived_entry(event, partition, offset)])
        return partition

    async def observe(self, ahead: Mapping[int, int] | None = None, age: float = 0.5) -> None:
        """What the probe would see now: heads so far ahead of what was added, and records of that age."""
        for partition, reached in self.next.items():
            head = reached + (ahead or {}).get(partition, 0)
            await self.owner.execute(
                "INSERT INTO nenrin.heads VALUES ($1, $2, $3, $4, clock_timestamp()) ON CONFLICT (topic, partition) "
                "DO UPDATE SET head = excluded.head, observed_at = excluded.observed_at",
                TOPIC,
                partition,
                head,
                INCARNATION,
            )
            for projection in ("documents", "passages"):
                await self.owner.execute(
                    "INSERT INTO nenrin.oldest SELECT $1, 1, topic, partition, next, "
                    "clock_timestamp() - make_interval(secs => $2) "
                    f"FROM {projection}_g1.positions WHERE partition = $3 "
                    "ON CONFLICT (projection, generation, topic, partition) DO UPDATE "
                    "SET position = excluded.position, produced_at = excluded.produced_at",
                    projection,
                    age,
                    partition,
                )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """GET a path below /v1; keyword arguments are headers, as `nenrin_at_least`."""
        return await self.http.get(f"/v1{path}", headers=named(headers))

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """POST JSON, or bytes as they are."""
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.http.post(f"/v1{path}", headers=named(headers), **sent)

    async def search(self, body: Any, collection: str = "c", **headers: str) -> httpx.Response:
        """POST a search."""
        return await self.post(f"/collections/{collection}/search", body, **headers)


def named(headers: Mapping[str, str]) -> dict[str, str]:
    """Keyword arguments as header names."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def source_entry(event: DocumentAdded | DocumentRemoved, partition: int, offset: int) -> Entry:
    """An event as `documents` sees it."""
    return Entry(place(partition, offset), Change(event), key_of(event.collection, event.document_id), b"{}")


def derived_entry(event: DocumentAdded | DocumentRemoved, partition: int, offset: int) -> Entry:
    """The same event as `passages` sees it: one passage, none for an empty text."""
    source = Source(TOPIC, partition, offset, INCARNATION, offset, offset + 1, BEFORE)
    derived: Embedded | Removed
    if isinstance(event, DocumentRemoved):
        derived = Removed(source, event.collection, event.document_id)
    else:
        vector = letters(event.text).astype("<f2").tobytes()
        passages: Sequence[Passage] = [Passage(0, 0, len(event.text), vector)] if event.text else []
        derived = Embedded(
            source, event.collection, event.document_id, event.text, tuple(passages), event.title, event.metadata
        )
    return Entry(place(partition, offset), Change(derived), key_of(event.collection, event.document_id), b"")


def place(partition: int, offset: int) -> Place:
    """Where a record lies that follows the one before it."""
    return Place(TOPIC, partition, offset, offset, offset + 1, offset + 1, BEFORE)


@pytest.fixture
async def nenrin(postgres: Databases) -> AsyncIterator[Nenrin]:
    """Everything, installed and empty."""
    await install(postgres.owner, WANTED)
    async with started(postgres) as nenrin:
        yield nenrin


@asynccontextmanager
async def started(databases: Databases, encoders: QueryEncoders | None = None) -> AsyncIterator[Nenrin]:
    """The service on an installed database, and writers that have claimed every partition."""
    encoder = LettersEncoder(MINILM)
    app = query_application(databases.reader, encoders or by_letters(encoder))
    owner = await asyncpg.connect(databases.owner)
    documents, passages = Writer(Documents(), 1, databases.owner), Writer(Passages(), 1, databases.owner)
    for writer in (documents, passages):
        await writer.claim(TOPIC, range(PARTITIONS), INCARNATION, PARTITIONS)
    transport = httpx.ASGITransport(cast(Any, app))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://query") as http:
        yield Nenrin(databases, http, app, encoder, owner, documents, passages)
    for writer in (documents, passages):
        await writer.release()
    await owner.close()


@asynccontextmanager
async def alive(app: ASGIApp) -> AsyncIterator[None]:
    """An application between its startup and its shutdown."""
    received: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    running = asyncio.ensure_future(cast(Any, app)({"type": "lifespan"}, received.get, sent.put))
    for phase in ("startup", "shutdown"):
        await received.put({"type": f"lifespan.{phase}"})
        message = await sent.get()
        assert message["type"] == f"lifespan.{phase}.complete", message
        if phase == "startup":
            yield
    await running
