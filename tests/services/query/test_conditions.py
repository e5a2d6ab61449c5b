"""Conditions as callers write them: strange preferences, repeated headers, generations that only some have."""

from typing import Any

import pytest

from projections.generations import read
from projections.reading import Reader
from schemas.errors import DataRefused, InvalidInput, OtherIncarnation
from schemas.versions import Version
from services.query.conditions import NONE, Conditions, conditions
from tests.services.query.conftest import INCARNATION, Nenrin


def preferring(*values: str) -> Conditions:
    """The conditions of a request with these `Prefer` headers."""
    return conditions([(b"prefer", value.encode()) for value in values])


PREFERENCES: list[tuple[tuple[str, ...], float, bool, str]] = [
    (("wait=99999999999999999999",), 30.0, False, "wait=30"),
    (("wait=" + "9" * 400,), 30.0, False, "wait=30"),
    ((' wait = "5" ; note="a, b" , handling=LENIENT',), 5.0, True, "wait=5, handling=lenient"),
    (('note="x, wait=9, y", wait=2',), 2.0, False, "wait=2"),
    (('note="say \\"hi\\", wait=9", wait=2',), 2.0, False, "wait=2"),
    (("wait=5;strict", "wait=9"), 5.0, False, "wait=5"),
    (("wait", "wait=9"), 0.0, False, ""),
    (("wait=1e3", "handling"), 0.0, False, ""),
    (("handling=strict, handling=lenient",), 0.0, False, "handling=strict"),
    (("",), 0.0, False, ""),
    ((",;=,,wait=0", "x"), 0.0, False, "wait=0"),
    (("respond-async, wait=0.25",), 0.25, False, "wait=0.25"),
]


@pytest.mark.parametrize(("values", "wait", "lenient", "applied"), PREFERENCES)
def test_preferences_are_read_as_rfc_7240_says(
    values: tuple[str, ...], wait: float, lenient: bool, applied: str
) -> None:
    """Of one name the first counts, quoted commas part nothing, and only what is honoured is named."""
    found = preferring(*values)
    assert (found.wait, found.lenient, found.applied) == (wait, lenient, applied)


def test_a_request_without_conditions_costs_nothing() -> None:
    """Other headers, whatever they are, are not looked at."""
    assert conditions([(b"host", b"q"), (b"x-prefer", b"wait=5")]) is NONE


def test_tokens_of_several_headers_are_merged() -> None:
    """A proxy may add one: the answer covers both."""
    one = Version({"documents": {0: 3, 1: 1}, "responses": {0: 4}}, {"documents": INCARNATION})
    other = Version({"documents": {0: 2, 1: 5}, "contexts": {2: 1}})
    found = conditions([(b"nenrin-at-least", version.token().encode()) for version in (one, other)])
    assert found.at_least == Version(
        {"documents": {0: 3, 1: 5}, "responses": {0: 4}, "contexts": {2: 1}}, {"documents": INCARNATION}
    )
    recreated = Version({"documents": {0: 1}}, {"documents": "another"})
    with pytest.raises(OtherIncarnation):
        conditions([(b"nenrin-at-least", version.token().encode()) for version in (one, recreated)])


@pytest.mark.parametrize("header", ["Nenrin-Max-Lag", "Nenrin-Generation"])
def test_one_value_each(header: str) -> None:
    """Two bounds, or two generations, are no condition."""
    with pytest.raises(InvalidInput) as refused:
        conditions([(header.lower().encode(), b"1"), (header.lower().encode(), b"2")])
    assert refused.value.field == header


async def second_generation_of_documents(nenrin: Nenrin) -> None:
    """One that somebody builds, and that has seen nothing yet."""
    await nenrin.owner.execute(
        "CREATE SCHEMA documents_g2; GRANT USAGE ON SCHEMA documents_g2 TO nenrin_reader;"
        "CREATE TABLE documents_g2.documents AS SELECT * FROM documents_g1.documents WHERE false;"
        "CREATE TABLE documents_g2.digests AS SELECT * FROM documents_g1.digests WHERE false;"
        "CREATE TABLE documents_g2.parked AS SELECT * FROM documents_g1.parked WHERE false;"
        "CREATE TABLE documents_g2.positions AS SELECT * FROM documents_g1.positions;"
        "UPDATE documents_g2.positions SET next = 0;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA documents_g2 TO nenrin_reader;"
        "INSERT INTO nenrin.generations SELECT (jsonb_populate_record(g, '{\"generation\": 2}')).* "
        "FROM nenrin.generations g WHERE projection = 'documents'"
    )


async def test_a_generation_that_some_projections_have(nenrin: Nenrin) -> None:
    """The list judges it where it exists, and the live one elsewhere; unknown to all, it is a 404."""
    await nenrin.add("a", "text")
    seen = (await nenrin.get("/projections")).headers["nenrin-version"]
    await second_generation_of_documents(nenrin)
    for path in ("/projections", "/projections/documents"):
        assert (await nenrin.get(path, nenrin_at_least=seen)).status_code == 200
        behind = await nenrin.get(path, nenrin_at_least=seen, nenrin_generation="2")
        assert (behind.status_code, behind.json()["projection"]["generation"]) == (412, 2)
        fresh = await nenrin.get(path, nenrin_generation="2")
        assert fresh.headers["nenrin-version"] != seen
        unknown = await nenrin.get(path, nenrin_generation="7")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/no-such-generation")


async def test_the_lag_that_is_shown_is_the_one_that_was_judged(
    nenrin: Nenrin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projection may fall behind between two looks: then what the call shows decides."""
    await nenrin.add("a", "text")
    await nenrin.observe()
    overview = read.overview

    async def falling_behind(reader: Reader, projection: str | None = None) -> list[read.Overview]:
        await nenrin.observe(ahead={0: 2}, age=60)
        return await overview(reader, projection)

    monkeypatch.setattr(read, "overview", falling_behind)
    for path in ("/projections", "/projections/passages"):
        await nenrin.observe()
        late = await nenrin.get(path, nenrin_max_lag="5")
        assert (late.status_code, late.headers["retry-after"]) == (412, "1")
        assert late.json()["projection"]["lag_seconds"] >= 60
        assert (await nenrin.get(path, nenrin_max_lag="5", prefer="handling=lenient")).status_code == 200


async def test_what_postgres_refuses_is_the_callers_fault(nenrin: Nenrin, monkeypatch: pytest.MonkeyPatch) -> None:
    """422 and Postgres' own words, never a 500."""

    async def refuse(*_: Any) -> None:
        raise DataRefused("value out of range")

    monkeypatch.setattr(Reader, "fetch", refuse)
    answer = await nenrin.search({"query": "a", "mode": "text"})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input")
    assert "value out of range" in answer.json()["detail"]
