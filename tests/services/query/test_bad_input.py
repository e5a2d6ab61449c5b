"""Bad input of a read: a problem that names the field, and no question to the database."""

from typing import Any

from schemas.encoders import MINILM
from services.query.requests import cursor_after
from tests.services.query.conftest import Nenrin

ONES = [1.0] * MINILM.dimensions
LAST = MINILM.dimensions - 1


SEARCHES: list[tuple[Any, str]] = [
    ({}, "query"),
    ({"query": None}, "query"),
    ({"query": "a", "vector": ONES}, "vector"),
    ({"query": ""}, "query"),
    ({"query": " \n"}, "query"),
    ({"query": "a" * 10_001}, "query"),
    ({"query": "a\0b"}, "query"),
    ({"query": 1}, "query"),
    ({"query": "a", "k": 0}, "k"),
    ({"query": "a", "k": -1}, "k"),
    ({"query": "a", "k": 1001}, "k"),
    ({"query": "a", "k": 1.5}, "k"),
    ({"query": "a", "k": "10"}, "k"),
    ({"query": "a", "k": True}, "k"),
    ({"query": "a", "k": 10**30}, "k"),
    ({"query": "a", "mode": "fuzzy"}, "mode"),
    ({"query": "a", "mode": 1}, "mode"),
    ({"vector": ONES, "mode": "text"}, "mode"),
    ({"vector": ONES, "mode": "hybrid"}, "mode"),
    ({"vector": ONES[1:]}, "vector"),
    ({"vector": [*ONES, 1.0]}, "vector"),
    ({"vector": []}, "vector"),
    ({"vector": [0.0] * MINILM.dimensions}, "vector"),
    ({"vector": [*ONES[1:], "1"]}, f"vector[{LAST}]"),
    ({"vector": [*ONES[1:], None]}, f"vector[{LAST}]"),
    ({"vector": "ones"}, "vector"),
    ({"query": "a", "filter": []}, "filter"),
    ({"query": "a", "filter": {"$where": 1}}, "filter.$where"),
    ({"query": "a", "filter": {"a": {"$near": 1}}}, "filter.a.$near"),
    ({"query": "a", "filter": {"a": {"b": {"c": 1}}}}, "filter.a.b"),
    ({"query": "a", "filter": {"a": ["x"]}}, "filter.a"),
    ({"query": "a", "filter": {"a": "x\0"}}, "filter.a"),
    ({"query": "a", "filters": {}}, "filters"),
    ({"query": "a", "limit": 1}, "limit"),
]


async def test_a_search_that_means_nothing(nenrin: Nenrin) -> None:
    """422 that names the field."""
    for body, field in SEARCHES:
        answer = await nenrin.search(body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), body
        assert answer.json()["field"] == field, (body, answer.json())


BODIES = [
    (b"", "body"),
    (b"{", "body"),
    (b"[]", "body"),
    (b"null", "body"),
    (b'{"vector": [NaN]}', "vector"),
    (b'{"vector": [Infinity]}', "vector"),
    (b'{"vector": [1e999]}', "vector[0]"),
    (b'{"query": "\\ud800"}', "query"),
    (b'{"query": "a", "filter": {"a": "\\udc00"}}', "filter.a"),
    (b'{"query": "\xff"}', "body"),
    (b'{"filter": ' + b'{"$not":' * 100_000 + b"1" + b"}" * 100_001, "body"),
]


async def test_a_body_that_is_no_json_object(nenrin: Nenrin) -> None:
    """400, or 422 where a member can be named."""
    for body, field in BODIES:
        answer = await nenrin.search(body)
        assert answer.status_code in (400, 422), body[:80]
        assert (answer.json()["field"], answer.headers["content-type"]) == (field, "application/problem+json"), body[
            :80
        ]


async def test_a_body_that_is_too_large(nenrin: Nenrin) -> None:
    """413."""
    answer = await nenrin.search(b'{"query": "' + b"a" * (4 * 1024 * 1024) + b'"}')
    assert (answer.status_code, answer.json()["field"]) == (413, "body")


COLLECTIONS = ["C", "-c", "c%2Fd", "c" * 64, "c%00", "%ff", "c%20"]


async def test_a_collection_that_can_be_none(nenrin: Nenrin) -> None:
    """422 by every call."""
    for name in COLLECTIONS:
        answers = [
            await nenrin.get(f"/collections/{name}/documents"),
            await nenrin.get(f"/collections/{name}/documents/a"),
            await nenrin.post(f"/collections/{name}/documents/get", {"ids": []}),
            await nenrin.search({"query": "a", "mode": "text"}, name),
        ]
        assert [(answer.status_code, answer.json()["field"]) for answer in answers] == [(422, "collection")] * 4, name


IDS = ["a%00", "%0A", "%C2%85", "a" * 513, "%ff", "%ed%a0%80", "%zz", ""]


async def test_an_id_that_can_be_none(nenrin: Nenrin) -> None:
    """422: control characters, lone surrogates, too long, empty, not UTF-8."""
    for document_id in IDS:
        answer = await nenrin.get(f"/collections/c/documents/{document_id}")
        assert (answer.status_code, answer.json()["field"]) == (422, "document_id"), document_id


ID_LISTS: list[tuple[Any, str]] = [
    ({}, "ids"),
    ({"ids": "a"}, "ids"),
    ({"ids": ["a", 1]}, "ids[1]"),
    ({"ids": ["a", ""]}, "ids[1]"),
    ({"ids": ["\n"]}, "ids[0]"),
    ({"ids": ["a" * 513]}, "ids[0]"),
    ({"ids": ["a"] * 1001}, "ids"),
    ({"ids": [], "more": 1}, "more"),
]


async def test_ids_that_can_be_none(nenrin: Nenrin) -> None:
    """422 that says which."""
    for body, field in ID_LISTS:
        answer = await nenrin.post("/collections/c/documents/get", body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), (body, answer.json())


PARAMETERS = [
    ("limit=0", "limit"),
    ("limit=-1", "limit"),
    ("limit=1001", "limit"),
    ("limit=ten", "limit"),
    ("limit=1&limit=2", "limit"),
    ("limit=" + "9" * 40, "limit"),
    ("offset=1", "offset"),
    ("cursor=%FF", "parameters"),
]


async def test_parameters_of_a_list(nenrin: Nenrin) -> None:
    """422 that names the parameter."""
    for query, field in PARAMETERS:
        answer = await nenrin.get(f"/collections/c/documents?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, field), query


CURSORS = ["x", "!!!!", "WzEsImEiXQ=", "WzIsImEiXQ", "e30", cursor_after("a\nb"), cursor_after(""), "A" * 9000]


async def test_a_broken_cursor(nenrin: Nenrin) -> None:
    """400."""
    for cursor in CURSORS:
        answer = await nenrin.get(f"/collections/c/documents?cursor={cursor}")
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor"), cursor


async def test_parameters_where_none_are_known(nenrin: Nenrin) -> None:
    """An unencoded ? in an id would ask for another document: refused."""
    for path in ("/collections/c/documents/a?b", "/collections?x=1", "/projections?x", "/projections/documents?x=1"):
        assert (await nenrin.get(path)).status_code == 422


async def test_methods_and_paths_that_are_not_there(nenrin: Nenrin) -> None:
    """405 says what is allowed; 404 is a problem too."""
    wrong = await nenrin.http.put("/v1/collections/c/documents/a", json={"text": "t"})
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert "GET" in wrong.headers["allow"]
    assert (await nenrin.get("/collections/c/search")).status_code == 405
    unknown = await nenrin.get("/nothing/here")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")


async def test_nothing_wrong_reaches_the_database(nenrin: Nenrin) -> None:
    """Input is judged first: even with Postgres away, what is wrong is said to be wrong."""
    await nenrin.owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nenrin query' "
        "AND datname = current_database()"
    )
    for body in ({"query": "a", "k": 0}, {"vector": [0.0] * MINILM.dimensions}, {"query": "a", "filter": {"$x": 1}}):
        assert (await nenrin.search(body)).status_code == 422
    assert (await nenrin.get("/collections/c/documents?limit=0")).status_code == 422
