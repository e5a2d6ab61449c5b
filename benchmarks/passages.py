"""A database full of passages, written by the projector's own writer: no Kafka, no encoder, the index made last."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import numpy as np
from numpy.typing import NDArray

from benchmarks import corpus
from projections import heads
from projections.control.install import Wanted, install
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.passages import NAME, Passages
from projections.port import Change, Entry, Place
from projections.writer import Writer
from schemas.embedded import Embedded, Passage, Source
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS

COLLECTION = "bench"

_PARTITIONS = 4
_INCARNATION = "benchmark"
_BATCH = 1_000
_TIME = 1_700_000_000_000  # milliseconds
_INTRINSIC = 48


def directions(count: int, seed: int) -> list[bytes]:
    """Random vectors of length 1, the hardest that an index can be given; little-endian float16."""
    return _packed(np.random.default_rng(seed).standard_normal((count, MINILM.dimensions)))


def likenesses(count: int, seed: int) -> list[bytes]:
    """Vectors near a subspace of few dimensions, as those of texts are: an index finds its way among them."""
    subspace = np.random.default_rng(0).standard_normal((_INTRINSIC, MINILM.dimensions))
    random = np.random.default_rng(seed)
    weights = random.standard_normal((count, _INTRINSIC)) * np.geomspace(1, 0.05, _INTRINSIC)
    return _packed(weights @ subspace + 0.05 * random.standard_normal((count, MINILM.dimensions)))


def _packed(values: NDArray[np.float64]) -> list[bytes]:
    return [row.astype("<f2").tobytes() for row in values / np.linalg.norm(values, axis=1, keepdims=True)]


def texts(count: int, step: int = 12) -> list[str]:
    """`count` distinct texts of 40 words: windows on one long real text, `step` words apart, so that they overlap."""
    words = _words()
    return [" ".join(words[at : at + 40]) for at in range(0, count * step, step)]


@cache
def _words() -> list[str]:
    """Enough for 30,000 texts; reading so much source takes seconds."""
    return " ".join(corpus.passages(3_040, 120)).split()


@asynccontextmanager
async def database(dsn: str, name: str) -> AsyncIterator[str]:
    """A database of its own beside that of `dsn`, for as long as it is needed; yields its DSN."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # what a killed run left
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def fill(dsn: str, passages: Sequence[str], vectors: Sequence[bytes]) -> None:
    """Install Nenrin, and have one document for each passage."""
    build = Build(DOCUMENTS, _PARTITIONS, _INCARNATION)
    wanted = [
        Wanted(Documents(), build),
        Wanted(Passages(), Build(DOCUMENTS, _PARTITIONS, _INCARNATION, MINILM.name, MINILM.dimensions)),
    ]
    await install(dsn, wanted)
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP INDEX passages_g1.passages_vector")
    await _write(dsn, passages, vectors)
    await connection.execute(
        "CREATE INDEX passages_vector ON passages_g1.passages USING hnsw (vector halfvec_cosine_ops)"
    )
    await connection.execute("VACUUM ANALYZE")
    await observe(connection)
    await connection.close()


async def _write(dsn: str, passages: Sequence[str], vectors: Sequence[bytes]) -> None:
    writer = Writer(Passages(), 1, dsn)
    await writer.claim(DOCUMENTS, range(_PARTITIONS), _INCARNATION, _PARTITIONS)
    each = len(passages) // _PARTITIONS
    for partition in range(_PARTITIONS):
        numbers = range(partition * each, (partition + 1) * each)
        for first in range(0, each, _BATCH):
            batch = numbers[first : first + _BATCH]
            entries = [_entry(number, partition, number - numbers[0], passages, vectors) for number in batch]
            await writer.apply(partition, entries)
    await writer.release()


def _entry(number: int, partition: int, offset: int, passages: Sequence[str], vectors: Sequence[bytes]) -> Entry:
    source = Source(DOCUMENTS, partition, offset, _INCARNATION, offset, offset + 1, _TIME)
    text = passages[number]
    event = Embedded(
        source,
        COLLECTION,
        f"document-{number}",
        text,
        (Passage(0, 0, len(text), vectors[number]),),
        "A title",
        {"lang": "en"},
    )
    return Entry(Place(DOCUMENTS, partition, offset, offset, offset + 1, offset + 1, _TIME), Change(event))


async def observe(connection: asyncpg.Connection) -> None:
    """What the heads probe would see: that everything is applied."""
    rows = await connection.fetch(f"SELECT partition, next FROM {NAME}_g1.positions")
    ends = {(DOCUMENTS, row["partition"]): row["next"] for row in rows}
    await heads.observe(connection, await heads.now(connection), ends, {DOCUMENTS: _INCARNATION}, {})
