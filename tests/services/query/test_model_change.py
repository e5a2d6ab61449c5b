"""A new model under readers: the pointer goes to and fro between two encoders, and no answer mixes them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np
import pytest
from prometheus_client import Histogram

from encoders import questions
from encoders.finding import located
from encoders.reading import encoder_of
from projections.control.install import administration, install
from projections.encoders import Registered, register
from projections.generations.lifecycle import Build, Decision, create, promote, rollback
from projections.passages import Passages
from projections.port import Change, Entry
from projections.writer import Writer
from schemas.documents import key_of
from schemas.embedded import Embedded, Passage, Source
from schemas.encoders import MINILM, Encoder
from schemas.partitions import partition_of
from services.query.encoder import QueryEncoder
from services.query.encoders import QueryEncoders
from tests.encoders.models import save
from tests.running import Databases
from tests.services.query.conftest import (
    BEFORE,
    INCARNATION,
    PARTITIONS,
    TOPIC,
    WANTED,
    LettersEncoder,
    Nenrin,
    letters,
    place,
    started,
)

QUESTION = "How old is the oak?"
READERS, PROMOTIONS = 8, 200
NEW = 2
BY = Decision("a test")


@dataclass
class ModelChange:
    """A service, and the encoder that is new to it."""

    nenrin: Nenrin
    encoder: Encoder
    vector: np.ndarray[Any, np.dtype[np.float32]]
    """What the new encoder makes of the question."""
    early: httpx.Response
    """What was answered by its generation while it was being loaded."""
    seen: Counter[int] = field(default_factory=Counter)
    """Answers of each generation."""

    async def search(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        """A search for the question, or as the body says."""
        return await self.nenrin.search({"k": 10, **body}, **headers)


def making(registered: Registered, seconds: Histogram) -> QueryEncoder:
    """The default encoder counts letters; any other is what it says."""
    if registered.encoder == MINILM:
        return LettersEncoder(MINILM)
    return QueryEncoder(registered.encoder, "cpu", registered.folder, seconds)


def entry(partition: int, offset: int, document_id: str, vector: np.ndarray[Any, Any]) -> Entry:
    """A document of the new generation, by a vector of its own."""
    source = Source(TOPIC, partition, offset, INCARNATION, offset, offset + 1, BEFORE)
    passage = Passage(0, 0, len(QUESTION), vector.astype("<f2").tobytes())
    event = Embedded(source, "c", document_id, QUESTION, (passage,), title=f"generation {NEW}")
    return Entry(place(partition, offset), Change(event), key_of("c", document_id), b"")


@pytest.fixture
async def change(postgres: Databases, tmp_path: Path) -> AsyncIterator[ModelChange]:
    """Two generations of the same three documents; only in the new one does a search tell them apart by its vectors.

    Of both, "near" is what its own encoder makes of the question.
    """
    await install(postgres.owner, WANTED)
    found = located(str(save(tmp_path / "small")))
    encoder = encoder_of(found)
    connection = await asyncpg.connect(postgres.owner)
    await register(connection, encoder, found.folder)
    await connection.close()
    async with started(postgres, QueryEncoders(making)) as nenrin:
        await nenrin.add("near", QUESTION, title="generation 1")
        for other in ("far", "farther"):
            await nenrin.add(other, "".join(reversed(other)), title="generation 1")
        async with administration(postgres.owner) as administrator:
            build = Build(TOPIC, PARTITIONS, INCARNATION, encoder.name, encoder.dimensions)
            await create(administrator, Passages(), NEW, build)
        early = await nenrin.search({"query": QUESTION}, nenrin_generation=str(NEW))
        await until_ready(nenrin, encoder)
        vector = (await asyncio.to_thread(questions.load, encoder, "cpu", found.folder)).encode_query(QUESTION)
        await fill(postgres, {"near": vector, "far": -vector, "farther": -vector})
        yield ModelChange(nenrin, encoder, vector, early)


async def fill(databases: Databases, vectors: dict[str, np.ndarray[Any, Any]]) -> None:
    """Write the documents of the new generation."""
    writer = Writer(Passages(), NEW, databases.owner)
    await writer.claim(TOPIC, range(PARTITIONS), INCARNATION, PARTITIONS)
    offsets = Counter[int]()
    for document_id, vector in vectors.items():
        partition = partition_of(key_of("c", document_id), PARTITIONS)
        await writer.apply(partition, [entry(partition, offsets[partition], document_id, vector)])
        offsets[partition] += 1
    await writer.release()


async def until_ready(nenrin: Nenrin, encoder: Encoder) -> None:
    """Until the service has loaded the new encoder, which takes seconds."""
    note = f"encoder {encoder.name}"
    async with asyncio.timeout(240):
        while (await nenrin.http.get("/readyz")).json()["notes"].get(note) != "ready":  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the pace of whoever waits before he promotes


def judge(change: ModelChange, answer: httpx.Response, *, by_meaning: bool) -> int:
    """Fail unless all of an answer is of the generation that it names, and found by that one's encoder; returns it."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    standing, results = body["projection"], body["results"]
    number: int = standing["generation"]
    assert standing["encoder"] == {1: MINILM.name, NEW: change.encoder.name}[number]
    assert {each["title"] for each in results} == {f"generation {number}"}
    assert not by_meaning or results[0]["document_id"] == "near"
    return number


@pytest.mark.alone
async def test_200_promotions_to_and_fro_under_8_readers(change: ModelChange) -> None:
    """By words, by vectors, dense, hybrid and as text; promoted and rolled back as fast as it goes.

    Before the new encoder is loaded, its generation says what it waits for.
    """
    assert (change.early.status_code, change.early.json()["type"]) == (503, "/problems/encoder-not-loaded")
    assert change.encoder.name in change.early.json()["detail"]
    pinned = await change.search({"query": QUESTION, "mode": "dense"}, nenrin_generation=str(NEW))
    near = pinned.json()["results"]
    assert [each["document_id"] for each in near] == ["near", "far", "farther"]
    assert near[0]["score"] == pytest.approx(1, abs=1e-3)

    # eight readers in one process wait for one another; what counts is what the promotions add
    still, moving = [await read(change, asyncio.sleep(1))], [await read(change, to_and_fro(change))]
    while min(moving) >= max(still) + 0.1 and len(moving) < 3:  # another program may have the cores for a while
        moving.append(await read(change, to_and_fro(change)))
    assert min(moving) < max(still) + 0.1, (still, moving)
    assert change.seen.keys() == {1, NEW}
    metrics = (await change.nenrin.http.get("/metrics")).text
    assert f'nenrin_query_encode_seconds_count{{encoder="{change.encoder.name}"}} 1.0' in metrics
    assert f'nenrin_query_encoder_ready{{encoder="{change.encoder.name}"}} 1.0' in metrics


async def to_and_fro(change: ModelChange) -> None:
    """Promote and roll back, 200 times together."""
    for _ in range(PROMOTIONS // 2):
        await promote(change.nenrin.owner, "passages", NEW, 1, BY)
        await rollback(change.nenrin.owner, "passages", BY)


async def read(change: ModelChange, meanwhile: Coroutine[Any, Any, None]) -> float:
    """Eight read and judge until something is over. Returns the longest time of an answer, seconds."""
    seconds: list[float] = []
    token = (await change.nenrin.get("/collections")).headers["nenrin-version"]

    async def look(body: dict[str, Any]) -> None:
        only = {384: 1, 64: NEW}.get(len(body.get("vector", ())))
        while not happening.done():
            began = time.perf_counter()
            answer = await change.search(body, nenrin_at_least=token)
            seconds.append(time.perf_counter() - began)
            if only is not None and answer.status_code == 422:
                assert answer.json()["field"] == "vector"  # for the other one's encoder it is no vector
                continue
            number = judge(change, answer, by_meaning=body.get("mode") != "text")
            assert only in (None, number)
            change.seen[number] += 1

    bodies: list[dict[str, Any]] = [
        {"query": QUESTION, "mode": "dense"},
        {"query": QUESTION},
        {"query": QUESTION, "mode": "text", "k": 1},
        {"vector": letters(QUESTION).tolist()},
        {"vector": change.vector.tolist()},
    ]
    happening = asyncio.ensure_future(meanwhile)
    await asyncio.gather(happening, *(look(bodies[number % len(bodies)]) for number in range(READERS)))
    return max(seconds)
