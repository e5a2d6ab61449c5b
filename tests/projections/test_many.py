"""Searching 30,000 documents: whatever passes a filter is found, and the index is as good as an exact scan."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import asyncpg
import numpy as np
import pytest

from projections.control.install import Wanted, install
from projections.generations.lifecycle import Build
from projections.passages import Passages, read
from projections.passages.dense import FEW
from projections.passages.filters import path_of
from projections.port import Entry
from projections.reading import Question, Reader
from projections.writer import Writer
from tests.projections.logs import INCARNATION, TOPIC
from tests.projections.test_filters import matches
from tests.projections.test_search import DIMENSIONS, ask, cosines, document, ids, units
from tests.running import Databases, Running, as_reader, clone, execute, with_database

DOCUMENTS, SMALL, CROWD = 30_000, 1_500, 500
MOST_PASSING = 40
SPREAD = DOCUMENTS // MOST_PASSING  # the documents that pass lie this far apart
CROWDED = np.eye(DIMENSIONS)[0]


def place(number: int) -> int:
    """0 to 39 for the documents that the filters are made for, larger for all others."""
    return number // SPREAD if number % SPREAD == 7 else 100 + number


def metadata(at: int) -> dict[str, Any]:
    """Of the document at a place: from it every operator can tell the first 1, 10 and 40."""
    inside = [size for size in (1, 10, 40) if at < size]
    outside = [size for size in (1, 10, 40) if at >= size]
    return {
        "place": at,
        "back": -float(at),
        "in": [f"first {size}" for size in inside],
        "out": [f"not {size}" for size in outside],
        **{f"has {size}": None for size in inside},
    }


def filters(size: int) -> list[dict[str, Any]]:
    """One for each operator; each lets the first `size` pass."""
    return [
        {"in": f"first {size}"},
        {"in": {"$eq": f"first {size}"}},
        {"out": {"$ne": f"not {size}"}},
        {"place": {"$in": list(range(size))}},
        {"out": {"$nin": ["never", f"not {size}"]}},
        {"back": {"$gt": -size}},
        {"back": {"$gte": 1 - size}},
        {"place": {"$lt": size}},
        {"place": {"$lte": size - 1}},
        {f"has {size}": {"$exists": True}},
        {"$and": [{"place": {"$gte": 0}}, {"in": f"first {size}"}]},
        {"$or": [{"place": 0}, {"place": {"$gt": 0, "$lt": size}}]},
        {"$not": {"out": f"not {size}"}},
    ]


def clustered(count: int, seed: int) -> Any:
    """Unit vectors around 300 centres, as float16 keeps them."""
    random = np.random.default_rng(seed)
    values = np.asarray(units(300, seed=1), dtype=np.float64)[random.integers(0, 300, count)]
    values = values + 0.1 * random.standard_normal(values.shape)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype("<f2")


VECTORS = np.tile(clustered(DOCUMENTS // 3, 2), (3, 1))  # every vector three times: equals, and an index made sooner


def text(number: int) -> str:
    """What filters are asked about has a word that every twentieth document has too."""
    zebra = "zebra" if place(number) < MOST_PASSING or number % 20 == 0 else "horse"
    return f"{zebra} {' '.join(f'w{number % prime}' for prime in (7, 31, 101))}"


def entries() -> Iterator[Entry]:
    """30,000 documents of one passage, one of 500 passages, and a small collection beside them."""
    for number in range(DOCUMENTS):
        passing = metadata(place(number))
        yield document(number, f"d{number:05}", [VECTORS[number]], text(number), metadata=passing)
    crowd = (CROWDED + 0.01 * units(CROWD)).astype("<f2")
    yield document(DOCUMENTS, "crowd", crowd, "crowd", metadata=metadata(10**6))
    for number in range(SMALL):
        yield document(
            DOCUMENTS + 1 + number, f"s{number:04}", [VECTORS[number * 20]], "zebra", "small", metadata={"n": number}
        )


async def fill(dsn: str) -> None:
    """As the projector would have done it, but the indices last."""
    await install(dsn, [Wanted(Passages(), Build(TOPIC, 1, INCARNATION, "an-encoder", DIMENSIONS))])
    connection = await asyncpg.connect(dsn)
    names = ("passages_vector", "passages_lexemes", "documents_filterable")
    made = [await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = $1", name) for name in names]
    for name in names:
        await connection.execute(f"DROP INDEX passages_g1.{name}")
    writer = Writer(Passages(), 1, dsn)
    await writer.claim(TOPIC, [0], INCARNATION, 1)
    waiting = entries()
    while batch := list(islice(waiting, 4000)):
        await writer.apply(0, batch)
    await writer.release()
    for definition in made:
        await connection.execute(definition)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@pytest.fixture(scope="module")
def many(servers: Running, template: str, reader_password: str) -> Iterator[Databases]:
    """A database with all of them, that these tests only read."""
    owner: str = servers.endpoints["postgres"]
    name = f"many_{secrets.token_hex(4)}"
    clone(owner, name, template)
    asyncio.run(fill(with_database(owner, name)))
    yield Databases(with_database(owner, name), as_reader(owner, name, reader_password))
    execute(owner, f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def reading(many: Databases) -> AsyncIterator[Reader]:
    async with Reader(many.reader).reading() as reader:
        yield reader


def nearest(query: Any, numbers: Any, count: int = MOST_PASSING) -> list[str]:
    """An exact scan: of the documents of these numbers the nearest, best first."""
    order = np.argsort(-cosines(VECTORS[numbers], query), kind="stable")[:count]
    return [f"d{numbers[at]:05}" for at in order]


@pytest.mark.parametrize("size", [1, 10, 40])
async def test_a_filter_that_few_pass_yields_all_of_them(many: Databases, size: int) -> None:
    """By every operator and in every mode: as many as there are, up to k, and the nearest of them first."""
    passing = np.array([number for number in range(DOCUMENTS) if place(number) < size])
    query = clustered(1, seed=11)[0]
    expected, k = nearest(query, passing), 20
    async with reading(many) as reader:
        for filter_ in filters(size):
            assert all(
                matches(filter_, metadata(place(number))) == (place(number) < size) for number in range(0, 8000, 7)
            )
            path = path_of(filter_)
            assert ids(await ask(reader, read.dense("c", k, query.tobytes(), path))) == expected[:k], filter_
            for question in (
                read.lexical("c", k, "a zebra", path),
                read.hybrid("c", k, query.tobytes(), "a zebra", path),
            ):
                found = ids(await ask(reader, question))
                assert len(found) == len(set(found)) == min(k, size), filter_
                assert set(found) <= set(expected), filter_


async def test_a_filter_changes_no_score_of_text_search(many: Databases) -> None:
    """A word weighs what it does in the whole collection, so a filtered ranking is a part of the whole one."""
    async with reading(many) as reader:
        every = await ask(reader, read.lexical("c", 1000, "zebra w3 w17"))
        some = await ask(reader, read.lexical("c", 1000, "zebra w3 w17", path_of({"place": {"$lt": 20_000}})))
    passing = [each for each in every if each["metadata"]["place"] < 20_000]
    assert some[: len(passing)] == passing
    assert len(some) == len(every) > len(passing) > 0


async def test_one_document_with_500_near_passages_is_one_result(many: Databases) -> None:
    """They are all that the index finds first; the k best documents come all the same, in every mode."""
    query = CROWDED.astype("<f2")
    expected = ["crowd", *nearest(query, np.arange(DOCUMENTS))]
    async with reading(many) as reader:
        assert ids(await ask(reader, read.dense("c", 10, query.tobytes()))) == expected[:10]
        found = ids(await ask(reader, read.hybrid("c", 10, query.tobytes(), "crowd")))
        assert found == expected[:10]
        assert ids(await ask(reader, read.lexical("c", 10, "crowd"))) == ["crowd"]


@pytest.mark.parametrize("filter_", [None, {"place": {"$gt": 15_000}}])
async def test_the_index_is_nearly_exact_where_vectors_lie_in_clusters(
    many: Databases, filter_: dict[str, Any] | None
) -> None:
    """Recall at 10 over 40 questions, and the same with a filter that half of all documents pass."""
    passing = np.array([n for n in range(DOCUMENTS) if filter_ is None or place(n) > 15_000])
    path = None if filter_ is None else path_of(filter_)
    hits = 0
    async with reading(many) as reader:
        for query in clustered(40, seed=5):
            found = ids(await ask(reader, read.dense("c", 10, query.tobytes(), path)))
            hits += len(set(found) & set(nearest(query, passing, 10)))
    assert hits >= 0.95 * 400


async def test_a_small_collection_beside_a_large_one_is_found(many: Databases) -> None:
    """One index holds both, and most that it finds belongs to the other: it goes on until it has enough of the small.

    Over 40 questions: in one build of the index out of a few, one question in 150 ends in another cluster, however many
    candidates are asked for.
    """
    assert SMALL > FEW
    hits = 0
    async with reading(many) as reader:
        for query in clustered(40, seed=6):
            order = np.argsort(-cosines(VECTORS[: SMALL * 20 : 20], query), kind="stable")
            found = ids(await ask(reader, read.dense("small", 10, query.tobytes())))
            hits += len(set(found) & {f"s{number:04}" for number in order[:10]})
    assert hits >= 0.95 * 400


def asked(k: int, path: str | None = None, collection: str = "c") -> list[Question]:
    """The three modes."""
    vector = clustered(1, seed=8)[0].tobytes()
    return [
        read.dense(collection, k, vector, path),
        read.lexical(collection, k, "zebra horse", path),
        read.hybrid(collection, k, vector, "zebra horse", path),
    ]


async def test_a_thousand_documents_can_be_asked_for(many: Databases) -> None:
    """k = 1,000 in every mode, with a filter too; and where fewer are there, all of them, each once."""
    async with reading(many) as reader:
        for path, collection, there in (
            (None, "c", 1000),
            (path_of({"out": "not 40"}), "c", 1000),
            (path_of({"place": {"$lt": 1000}}), "c", sum(place(number) < 1000 for number in range(DOCUMENTS))),
            (path_of({"n": {"$gte": 1200}}), "small", 300),
        ):
            for question in asked(1000, path, collection):
                found = ids(await ask(reader, question))
                assert len(found) == len(set(found)) == there, (path, collection)
        for question in asked(1000, collection="small"):
            assert len(ids(await ask(reader, question))) == 1000
