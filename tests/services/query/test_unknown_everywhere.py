"""Unknown is never 0, wherever a lag is shown: in bodies, headers, overviews and problems, and to people."""

from typing import Any

from nenrin.cli import showing
from nenrin.client.answers import Projection
from tests.services.query.conftest import Nenrin
from tests.services.query.test_freshness import token

NUMBERS = ("lag_events", "lag_seconds")


def check(shown: dict[str, Any]) -> None:
    """State unknown, and neither number: null, and there."""
    assert shown["state"] == "unknown"
    assert [shown[name] for name in NUMBERS] == [None, None]


async def test_no_call_shows_a_lag_that_is_not_known(nenrin: Nenrin) -> None:
    """Nobody has observed the heads: every answer says so, the refusals too."""
    await nenrin.add("a", "text")
    ahead: dict[str, Any] = {"nenrin_at_least": token({0: 99})}
    answers = [
        await nenrin.get("/collections"),
        await nenrin.get("/collections/c/documents"),
        await nenrin.get("/collections/c/documents/a"),
        await nenrin.get("/collections/c/documents/nobody"),
        await nenrin.post("/collections/c/documents/get", {"ids": ["a"]}),
        await nenrin.search({"query": "text", "mode": "text"}),
        await nenrin.search({"query": "text"}),
        await nenrin.get("/projections/documents/parked"),
        await nenrin.get("/collections", **ahead),
        await nenrin.get("/collections", **ahead, prefer="handling=lenient"),
        await nenrin.get("/collections", nenrin_max_lag="3600"),
        await nenrin.get("/collections", nenrin_generation="77"),
    ]
    assert [each.status_code for each in answers] == [200, 200, 200, 404, 200, 200, 200, 200, 412, 200, 412, 404]
    for answer in answers:
        assert answer.headers["nenrin-lag"] == "state=unknown"
        check(answer.json()["projection"])
        assert answer.json()["projection"]["head_observed_at"] is None


async def test_no_overview_shows_one_either(nenrin: Nenrin) -> None:
    """Nor heads that nobody has seen."""
    everything = (await nenrin.get("/projections")).json()["projections"]
    assert [each["name"] for each in everything] == ["documents", "passages"]
    for projection in (*everything, (await nenrin.get("/projections/passages")).json()):
        for generation in projection["generations"]:
            check(generation)
            assert set(generation["heads"]["documents"].values()) == {None}


async def test_it_is_not_shown_to_people(nenrin: Nenrin) -> None:
    """The command line says the state, and no number."""
    body = (await nenrin.get("/collections")).json()["projection"]
    assert showing.lag(Projection(**{name: body[name] for name in Projection.__struct_fields__})).plain == "unknown"
