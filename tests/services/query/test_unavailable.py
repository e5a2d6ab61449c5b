"""Every 503 of the query service is one that its OpenAPI document has."""

import asyncio
from typing import Any, cast

import httpx
import pytest

from projections.control.install import install
from schemas.encoders import MINILM
from schemas.versions import Version
from services.publishing import POSTGRES
from services.query.app import query_application
from services.query.waiting import Waiters
from tests.published.answers import Judge, published
from tests.running import Databases
from tests.services.query.conftest import INCARNATION, WANTED, Nenrin, alive, by_letters, started
from web.serving import InFlight

SEARCH = {"query": "rings"}
BEYOND = Version({"documents": {0: 99}}, {"documents": INCARNATION}).token()


@pytest.fixture(scope="module")
def judge() -> Judge:
    """By the published document."""
    return Judge(published("openapi-query.json"))


def unavailable(judge: Judge, answer: httpx.Response, operation: str, slug: str) -> None:
    """Fail unless it is this 503, as published."""
    assert (answer.status_code, answer.json()["type"]) == (503, f"/problems/{slug}"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    judge.judge(operation, answer)


@pytest.mark.parametrize(
    ("statement", "slug"),
    [
        ("ALTER TABLE documents_g1.documents DROP COLUMN traceparent", "generation-outdated"),
        ("DELETE FROM nenrin.projections WHERE name = 'documents'; DROP SCHEMA documents_g1 CASCADE", "not-installed"),
    ],
)
async def test_tables_that_are_not_as_they_were(nenrin: Nenrin, judge: Judge, statement: str, slug: str) -> None:
    """A table or a column that is gone: the service says which, and goes on."""
    await nenrin.add("a", "Rings.")
    assert (await nenrin.get("/collections/c/documents/a")).status_code == 200
    await nenrin.owner.execute(statement)
    unavailable(judge, await nenrin.get("/collections/c/documents/a"), "get_document", slug)
    assert (await nenrin.search({"vector": [1.0] * MINILM.dimensions})).status_code == 200


async def test_words_that_cannot_be_encoded(nenrin: Nenrin, judge: Judge) -> None:
    """While the encoder loads, and where the vectors are another's."""
    nenrin.encoder.loaded = False
    unavailable(judge, await nenrin.search(SEARCH), "search", "encoder-not-loaded")
    nenrin.encoder.loaded = True
    await nenrin.owner.execute("UPDATE nenrin.generations SET encoder = 'another' WHERE projection = 'passages'")
    while (answer := await nenrin.search(SEARCH)).json()["type"] == "/problems/encoder-not-loaded":  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # the pace of a client; the service looks every now and then
    unavailable(judge, answer, "search", "other-encoder")


async def test_more_waiters_than_are_held(postgres: Databases, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the cap at once."""
    monkeypatch.setattr(Waiters.__init__, "__defaults__", (0,))
    await install(postgres.owner, WANTED)
    async with started(postgres) as nenrin:
        answer = await nenrin.get("/collections", nenrin_at_least=BEYOND, prefer="wait=5")
    unavailable(judge, answer, "list_collections", "too-many-waiters")


async def test_a_service_that_stops(judge: Judge) -> None:
    """Who is in flight then is told so."""
    began = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    app = InFlight(endless)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://query") as http:
        asking = asyncio.create_task(http.get("/v1/collections"))
        await began.wait()
        app.end()
        unavailable(judge, await asking, "list_collections", "stopping")


async def test_postgres_that_is_away(judge: Judge) -> None:
    """Every read, and the page that says whether it is ready."""
    app = query_application(POSTGRES, by_letters())
    transport = httpx.ASGITransport(cast(Any, app))
    async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://query") as http:
        for operation, path in (
            ("list_collections", "/v1/collections"),
            ("get_document", "/v1/collections/c/documents/a"),
        ):
            unavailable(judge, await http.get(path), operation, "database-away")
        judge.judge("readyz", await http.get("/readyz"))
