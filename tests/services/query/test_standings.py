"""How the projections stand, as Prometheus sees it: never a number that isn't known."""

import pytest
from prometheus_client import CollectorRegistry

from projections.reading import Reader
from services.query import metrics
from services.query.metrics import Standings
from tests.services.query.conftest import Nenrin


async def scraped(nenrin: Nenrin) -> dict[str, float]:
    """The service's samples about projections, by name and labels."""
    text = (await nenrin.http.get("/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("nenrin_projection_")]
    return {sample: float(value) for sample, _, value in lines}


def shown(standings: Standings) -> dict[tuple[str, ...], float]:
    """The collector's samples, by the last word of the name and the labels' values."""
    registry = CollectorRegistry()
    registry.register(standings)
    return {
        (sample.name.removeprefix("nenrin_projection_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


async def test_a_lag_that_is_not_known_is_absent(nenrin: Nenrin) -> None:
    """Nobody has observed the heads: the state says so, and there is no lag, not even 0."""
    found = await scraped(nenrin)
    for name in ("documents", "passages"):
        assert found[f'nenrin_projection_state{{projection="{name}",state="unknown"}}'] == 1
        assert found[f'nenrin_projection_state{{projection="{name}",state="live"}}'] == 0
        assert found[f'nenrin_projection_parked_events{{projection="{name}"}}'] == 0
    assert not [sample for sample in found if "_lag_" in sample or "_age_" in sample]


async def test_lag_and_age_are_those_of_an_answer(nenrin: Nenrin, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a second scrape asks Postgres nothing, as long as the first is fresh."""
    monkeypatch.setattr(metrics, "FETCH_EVERY", 3600.0)
    await nenrin.observe(ahead={0: 2, 1: 1}, age=0.5)
    found = await scraped(nenrin)
    assert found['nenrin_projection_lag_events{projection="documents"}'] == 3
    assert found['nenrin_projection_lag_seconds{projection="documents"}'] >= 0.5
    assert found['nenrin_projection_heads_age_seconds{projection="passages"}'] >= 0
    assert found['nenrin_projection_generation{projection="passages"}'] == 1
    await nenrin.observe(ahead={0: 7})
    assert await scraped(nenrin) == found


async def test_a_postgres_that_goes_away_leaves_the_state_unknown(
    nenrin: Nenrin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known a moment ago is not shown as if it still held."""
    monkeypatch.setattr(metrics, "FETCH_EVERY", 0.0)
    await nenrin.observe()
    reader = Reader(nenrin.databases.reader)
    standings = Standings(reader)
    async with reader.reading():
        await standings.fetch()
        assert shown(standings)["lag_events", "documents"] == 0
    await standings.fetch()
    found = shown(standings)
    assert found["state", "documents", "unknown"] == 1
    assert {name for name, *_ in found} == {"state"}
