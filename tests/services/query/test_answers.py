"""The calls of contract 4, as a client sees them."""

import json
from typing import Any

import pytest

from schemas import versions
from schemas.documents import DocumentAdded
from schemas.encoders import MINILM
from services.query.requests import cursor_after
from tests.services.query.conftest import INCARNATION, Nenrin, letters

STANDING = {
    "name",
    "generation",
    "encoder",
    "version",
    "lag_events",
    "lag_seconds",
    "state",
    "head_observed_at",
    "parked",
}


def check_freshness(answer: Any) -> None:
    """Every answer says in its headers and in its body what it has seen, and says the same in both."""
    standing = answer.json()["projection"]
    assert set(standing) == STANDING
    assert answer.headers["nenrin-version"] == standing["version"]
    assert versions.parse(standing["version"]).incarnations == {"documents": INCARNATION}
    if standing["lag_events"] is None:
        assert answer.headers["nenrin-lag"] == "state=unknown"
    else:
        events, seconds, state = standing["lag_events"], standing["lag_seconds"], standing["state"]
        assert answer.headers["nenrin-lag"] == f"events={events}, seconds={seconds}, state={state}"


async def test_a_document(nenrin: Nenrin) -> None:
    """All of it, with its place in the log; `encoder` is null for documents."""
    await nenrin.add("a/b c", "text", title="T", metadata={"n": 1.5}, source_uri="u")
    await nenrin.observe()
    answer = await nenrin.get("/collections/c/documents/a%2Fb%20c")
    assert answer.status_code == 200
    check_freshness(answer)
    document = answer.json()["document"]
    assert document.pop("source").keys() == {"topic", "partition", "offset"}
    assert document == {
        "collection": "c",
        "document_id": "a/b c",
        "title": "T",
        "text": "text",
        "metadata": {"n": 1.5},
        "source_uri": "u",
        "added_at": "2023-11-14T22:13:20.000Z",
    }
    assert answer.json()["projection"]["encoder"] is None
    assert answer.json()["projection"]["state"] == "live"


IDS = ["a/b", "..", ".", "a b", "ключ", "%2F", "get", "a?b#c", "x" * 512, "\U0001f600"]


async def test_any_id_comes_back(nenrin: Nenrin) -> None:
    """Ids are percent-encoded once and never normalised."""
    for document_id in IDS:
        await nenrin.add(document_id, "text")
        encoded = "".join(f"%{byte:02X}" for byte in document_id.encode())
        answer = await nenrin.get(f"/collections/c/documents/{encoded}")
        assert answer.json()["document"]["document_id"] == document_id


async def test_an_unknown_document_is_a_404_with_a_version(nenrin: Nenrin) -> None:
    """A reader knows whether to wait: never written, and removed, alike."""
    await nenrin.add("a", "text")
    await nenrin.remove("a")
    for document_id in ("a", "never"):
        answer = await nenrin.get(f"/collections/c/documents/{document_id}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json()["type"] == "/problems/no-such-document"
        check_freshness(answer)


async def test_documents_by_their_ids(nenrin: Nenrin) -> None:
    """In order, null for what isn't there."""
    await nenrin.add("a", "A")
    await nenrin.add("b", "B")
    answer = await nenrin.post("/collections/c/documents/get", {"ids": ["b", "x", "a"]})
    assert answer.status_code == 200
    check_freshness(answer)
    assert [each and each["text"] for each in answer.json()["documents"]] == ["B", None, "A"]
    assert (await nenrin.post("/collections/c/documents/get", {"ids": []})).json()["documents"] == []


async def test_a_list_in_pages(nenrin: Nenrin) -> None:
    """Each page has its own version; the cursor stands after the last id, and is null at the end."""
    for name in "dbace":
        await nenrin.add(name, "text")
    first = await nenrin.get("/collections/c/documents?limit=2")
    check_freshness(first)
    assert [each["document_id"] for each in first.json()["documents"]] == ["a", "b"]
    assert "text" not in first.json()["documents"][0]
    await nenrin.add("bb", "text")
    second = await nenrin.get(f"/collections/c/documents?limit=3&cursor={first.json()['next_cursor']}")
    assert [each["document_id"] for each in second.json()["documents"]] == ["bb", "c", "d"]
    assert second.json()["projection"]["version"] != first.json()["projection"]["version"]
    last = await nenrin.get(f"/collections/c/documents?limit=1&cursor={second.json()['next_cursor']}")
    assert [each["document_id"] for each in last.json()["documents"]] == ["e"]
    assert last.json()["next_cursor"] is None
    whole = (await nenrin.get("/collections/c/documents")).json()
    assert (len(whole["documents"]), whole["next_cursor"]) == (6, None)


async def test_an_unknown_collection_is_empty(nenrin: Nenrin) -> None:
    """Not an error: nothing has been added to it, as of this version."""
    listed = await nenrin.get("/collections/nowhere/documents")
    assert (listed.status_code, listed.json()["documents"], listed.json()["next_cursor"]) == (200, [], None)
    got = await nenrin.post("/collections/nowhere/documents/get", {"ids": ["a"]})
    assert got.json()["documents"] == [None]
    for mode in ("text", "dense", "hybrid"):
        found = await nenrin.search({"query": "words", "mode": mode}, "nowhere")
        assert (found.status_code, found.json()["results"]) == (200, [])
        check_freshness(found)


async def test_searching(nenrin: Nenrin) -> None:
    """In every mode, by words and by vector; the default is hybrid with words, dense with a vector."""
    await nenrin.add("a", "apples and pears", title="Fruit", metadata={"n": 1})
    await nenrin.add("b", "boats", metadata={"n": 2})
    await nenrin.add("empty", "")
    answers = {mode: await nenrin.search({"query": "pear", "mode": mode}) for mode in ("text", "dense", "hybrid")}
    for answer in answers.values():
        check_freshness(answer)
        assert answer.json()["projection"]["encoder"] == MINILM.name
    text = answers["text"].json()["results"]
    assert [each["document_id"] for each in text] == ["a"]
    assert text[0]["title"] == "Fruit"
    assert text[0]["metadata"] == {"n": 1}
    assert text[0]["passage"] == {"ordinal": 0, "start": 0, "end": 16, "text": "apples and pears"}
    dense = answers["dense"].json()["results"]
    assert [each["document_id"] for each in dense] == ["a", "b"]
    assert dense[0]["score"] == pytest.approx(float(letters("pear") @ letters("apples and pears")), abs=1e-3)
    assert (await nenrin.search({"query": "pear"})).json()["results"] == answers["hybrid"].json()["results"]
    vector = [float(value) * 1e200 for value in letters("pear")]
    by_vector = (await nenrin.search({"vector": vector})).json()["results"]
    assert [each["document_id"] for each in by_vector] == ["a", "b"]
    assert [each["score"] for each in by_vector] == pytest.approx([each["score"] for each in dense], abs=1e-3)


async def test_filters_apply_in_every_mode(nenrin: Nenrin) -> None:
    """Equality, types, arrays."""
    await nenrin.add("a", "some words", metadata={"lang": "en", "year": 2020, "tags": ["x", "y"]})
    await nenrin.add("b", "some words", metadata={"lang": "de", "year": 2020.0})
    await nenrin.add("c", "some words", metadata={"lang": "en", "year": "2020"})
    for mode in ("text", "dense", "hybrid"):
        for filter_, found in (
            ({"lang": "en"}, ["a", "c"]),
            ({"year": 2020}, ["a", "b"]),
            ({"lang": "en", "tags": "y"}, ["a"]),
            ({"$not": {"lang": "en"}}, ["b"]),
            ({}, ["a", "b", "c"]),
        ):
            answer = await nenrin.search({"query": "words", "mode": mode, "filter": filter_})
            assert sorted(each["document_id"] for each in answer.json()["results"]) == found


async def test_text_search_works_while_the_encoder_loads(nenrin: Nenrin) -> None:
    """Dense and hybrid by words say 503 and when to ask again; a vector needs no encoder; ready all the same."""
    await nenrin.add("a", "words")
    nenrin.encoder.loaded = False
    assert len((await nenrin.search({"query": "words", "mode": "text"})).json()["results"]) == 1
    assert len((await nenrin.search({"vector": [1.0] * MINILM.dimensions})).json()["results"]) == 1
    for mode in ("dense", "hybrid"):
        refused = await nenrin.search({"query": "words", "mode": mode})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["type"] == "/problems/encoder-not-loaded"
    ready = await nenrin.http.get("/readyz")
    assert (ready.status_code, ready.json()["notes"]) == (
        200,
        {"dense search": f"{MINILM.name}: loading", f"encoder {MINILM.name}": "loading"},
    )


async def test_collections(nenrin: Nenrin) -> None:
    """Counts, of the same snapshot as the version; documents without passages count too."""
    await nenrin.add("a", "text")
    await nenrin.add("b", "")
    await nenrin.add("a", "text", "other")
    answer = await nenrin.get("/collections")
    check_freshness(answer)
    assert answer.json()["collections"] == [
        {"name": "c", "documents": 2, "passages": 1},
        {"name": "other", "documents": 1, "passages": 1},
    ]


async def test_projections(nenrin: Nenrin) -> None:
    """One, and all of them: what each has seen, how far the log reaches, what it holds."""
    await nenrin.add("a", "text")
    await nenrin.observe()
    await nenrin.change(DocumentAdded("c", "b", "text"), passages=False)
    one = await nenrin.get("/projections/passages")
    check_freshness(one)
    assert (one.json()["name"], one.json()["live"]) == ("passages", 1)
    generation = one.json()["generations"][0]
    assert set(generation) >= {"generation", "state", "encoder", "version", "heads", "lag_events", "parked", "digest"}
    assert (generation["lifecycle"], generation["encoder"]) == ("live", MINILM.name)
    assert sum(generation["heads"]["documents"].values()) == 1
    assert (generation["digest"]["documents"], generation["digest"]["passages"]) == (1, 1)
    everything = await nenrin.get("/projections")
    assert [each["name"] for each in everything.json()["projections"]] == ["documents", "passages"]
    assert everything.headers["nenrin-version"] == generation["version"]  # what both have seen
    unknown = await nenrin.get("/projections/nothing")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/no-such-projection")


async def test_digests_of_both_projections_count_the_same_documents(nenrin: Nenrin) -> None:
    """As 16 hexadecimal digits, since JSON's numbers are not all 64 bits wide."""
    await nenrin.add("a", "text")
    for name in ("documents", "passages"):
        digest = (await nenrin.get(f"/projections/{name}")).json()["generations"][0]["digest"]
        assert len(digest["content"]) == len(digest["vectors"]) == 16
        assert int(digest["content"], 16) > 0


async def test_another_generation_can_be_asked(nenrin: Nenrin) -> None:
    """One that exists answers with its number; one that doesn't is a 404."""
    await nenrin.add("a", "text")
    same = await nenrin.get("/collections/c/documents/a", nenrin_generation="1")
    assert same.json()["projection"]["generation"] == 1
    for number in ("2", "999999999"):
        unknown = await nenrin.get("/collections/c/documents/a", nenrin_generation=number)
        assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/no-such-generation")


async def test_the_openapi_document_describes_every_call(nenrin: Nenrin) -> None:
    """Paths, bodies, answers."""
    document = (await nenrin.http.get("/openapi.json")).json()
    assert set(document["paths"]) >= {
        "/v1/collections",
        "/v1/collections/{collection}/search",
        "/v1/collections/{collection}/documents",
        "/v1/collections/{collection}/documents/get",
        "/v1/collections/{collection}/documents/{document_id}",
        "/v1/projections",
        "/v1/projections/{name}",
        "/v1/projections/{name}/parked",
    }
    search = document["paths"]["/v1/collections/{collection}/search"]["post"]
    assert "SearchAnswer" in json.dumps(search["responses"]["200"])
    assert "vector" in json.dumps(search["requestBody"])


def test_a_cursor_is_opaque_and_short() -> None:
    """It fits an address whatever the id."""
    assert len(cursor_after("\U0001f600" * 512)) < 3000
