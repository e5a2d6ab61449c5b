"""Generations beside the live one: being loaded, past, dropped while somebody looks. None holds up an answer."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import httpx
import pytest

from projections.catalogue import Generation
from projections.control.install import administration
from projections.generations import read
from projections.generations.lifecycle import Build, create
from projections.passages import Passages
from projections.reading import Reader
from schemas import versions
from schemas.encoders import MINILM
from tests.services.query.conftest import INCARNATION, PARTITIONS, TOPIC, Nenrin
from tests.services.query.test_conditions import second_generation_of_documents
from tests.services.query.test_freshness import token

TABLES = ("passages", "documents", "positions", "digests", "parked")


async def another(nenrin: Nenrin, number: int = 2) -> None:
    """Another generation of passages, loaded, and empty."""
    async with administration(nenrin.databases.owner) as connection:
        build = Build(TOPIC, PARTITIONS, INCARNATION, MINILM.name, MINILM.dimensions)
        await create(connection, Passages(), number, build)


def generation(answer: httpx.Response, number: int) -> dict[str, Any]:
    """A generation as an answer shows it."""
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = next(each for each in answer.json()["generations"] if each["generation"] == number)
    return shown


async def test_one_that_is_loaded_is_shown_and_waited_for_by_nobody(nenrin: Nenrin) -> None:
    """Its loader has all its tables locked: everything answers, and says what isn't known of it as unknown."""
    await nenrin.add("a", "text")
    await nenrin.observe()
    await another(nenrin)
    await nenrin.owner.execute("UPDATE nenrin.generations SET loaded_at = NULL WHERE generation = 2")
    loader = await asyncpg.connect(nenrin.databases.owner)
    async with asyncio.timeout(30), loader.transaction():
        await loader.execute(f"LOCK TABLE {', '.join(f'passages_g2.{table}' for table in TABLES)}")
        shown = generation(await nenrin.get("/projections/passages"), 2)
        everything = (await nenrin.get("/projections")).json()["projections"]
        assert (await nenrin.search({"query": "text"})).json()["results"]
        assert (await nenrin.http.get("/readyz")).status_code == 200
        assert "nenrin_projection_lag_events" in (await nenrin.http.get("/metrics")).text
        refused = await nenrin.get("/collections", nenrin_generation="2")
    await loader.close()
    assert shown in everything[1]["generations"]
    assert (shown["lifecycle"], shown["state"], shown["encoder"]) == ("building", "unknown", MINILM.name)
    unknown = ("lag_events", "lag_seconds", "parked", "digest", "head_observed_at")
    assert [shown[member] for member in unknown] == [None] * len(unknown)
    assert versions.parse(shown["version"]).offsets == {}
    assert (refused.status_code, refused.json()["type"]) == (404, "/problems/no-such-generation")
    assert "is being built" in refused.json()["detail"]
    await nenrin.owner.execute("UPDATE nenrin.generations SET loaded_at = clock_timestamp() WHERE generation = 2")
    assert (await nenrin.get("/collections", nenrin_generation="2")).json()["projection"]["generation"] == 2
    assert generation(await nenrin.get("/projections/passages"), 2)["digest"]["documents"] == 0


@pytest.mark.parametrize("end", ["ended_at = clock_timestamp()", "until = 'a token'"])
async def test_one_that_has_ended_is_told_as_it_stands(nenrin: Nenrin, end: str) -> None:
    """Its lag is counted like any other's; who asks for more of it is refused at once, however long he would wait."""
    await nenrin.add("a", "text")
    await second_generation_of_documents(nenrin)
    await nenrin.owner.execute(f"UPDATE nenrin.generations SET {end} WHERE projection = 'documents' AND generation = 2")
    await nenrin.observe()
    await nenrin.owner.execute(
        "INSERT INTO nenrin.oldest SELECT 'documents', 2, topic, partition, next, clock_timestamp() "
        "FROM documents_g2.positions"
    )
    past = generation(await nenrin.get("/projections/documents"), 2)
    assert (past["lifecycle"], past["lag_events"]) == ("past", 1)
    assert past["lag_seconds"] > 0
    began = time.monotonic()
    behind = await nenrin.get(
        "/collections/c/documents", nenrin_at_least=token({0: 5}), nenrin_generation="2", prefer="wait=30"
    )
    assert behind.status_code == 412
    assert time.monotonic() - began < 10


async def test_one_that_is_dropped_between_the_list_and_the_look(
    nenrin: Nenrin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another one while the list is made again: what is left is shown."""
    for number in (2, 3):
        await another(nenrin, number)
    listed, dropping = Reader.generations, [2, 3]

    async def dropped(reader: Reader, *, fresh: bool = False) -> Mapping[str, Mapping[int, Generation]]:
        found = await listed(reader, fresh=fresh)
        if fresh and dropping and dropping[0] in found["passages"]:
            number = dropping.pop(0)
            await nenrin.owner.execute(
                f"DELETE FROM nenrin.generations WHERE projection = 'passages' AND generation = {number};"
                f"DROP SCHEMA passages_g{number} CASCADE"
            )
        return found

    async with Reader(nenrin.databases.reader).reading() as reader:
        monkeypatch.setattr(Reader, "generations", dropped)
        found = await read.overview(reader, "passages")
    assert [each.answer.generation.number for each in found] == [1]
    assert dropping == []
