"""What the query service counts and measures; docs/reference/metrics.md says it in a table.

How the projections stand is asked of Postgres when somebody scrapes, at most once a second. What is not known is not
there: no lag is ever 0 for want of a number.
"""

import asyncio
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic

import asyncpg
from prometheus_client import CollectorRegistry, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from projections.generations.read import nothing
from projections.lag import State, observed_at
from projections.reading import Answer, Reader
from schemas.errors import NenrinError

FETCH_EVERY = 1.0
FETCH_WITHIN = 2.0
"""Seconds. Prometheus gives a scrape ten, and a Postgres that hangs must not cost it the other metrics."""
ENCODING = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


def waiters(registry: CollectorRegistry, count: Callable[[], float]) -> None:
    """The requests that wait."""
    gauge = Gauge("nenrin_query_waiters", "Requests that wait for a version.", registry=registry)
    gauge.set_function(count)


def encode_seconds() -> Histogram:
    """How long questions take, by encoder; the service registers it."""
    return Histogram(
        "nenrin_query_encode_seconds",
        "Time to encode a question, waiting for its turn included; remembered ones are not counted.",
        ["encoder"],
        buckets=ENCODING,
        registry=None,
    )


class Standings(Collector):
    """How the live generation of each projection stands."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turn = asyncio.Lock()
        self._fetched_at = -inf
        self._answers: dict[str, Answer | None] = {}

    async def fetch(self) -> None:
        """Ask Postgres, unless it was asked a moment ago."""
        async with self._turn:
            if monotonic() - self._fetched_at >= FETCH_EVERY:
                try:
                    async with asyncio.timeout(FETCH_WITHIN):
                        self._answers = {name: await self._read(name) for name in await self._reader.generations()}
                except (NenrinError, asyncpg.PostgresError, TimeoutError):
                    self._answers = dict.fromkeys(self._answers)
                self._fetched_at = monotonic()

    async def _read(self, projection: str) -> Answer:
        return await self._reader.read(projection, lambda _: nothing())

    def collect(self) -> Iterable[Metric]:
        """What was fetched last, as metrics."""
        state = _family("state", "1 for the state that the projection is in, 0 for the others.", "state")
        generation = _family("generation", "Number of the live generation.")
        events = _family("lag_events", "Offsets between position and head; absent while unknown.")
        seconds = _family("lag_seconds", "Age of the oldest unapplied event; absent while unknown.")
        parked = _family(
            "parked_events", "Events that could not be applied, that no later one has healed and nobody has skipped."
        )
        age = _family("heads_age_seconds", "Time since the log's ends were observed, by the database's clock.")
        for name, answer in self._answers.items():
            here = State.UNKNOWN if answer is None else answer.lag.state
            for each in State:
                state.add_metric([name, each.value], float(each is here))
            if answer is None:
                continue
            generation.add_metric([name], answer.generation.number)
            parked.add_metric([name], answer.frame.parked)
            if answer.lag.events is not None and answer.lag.seconds is not None:
                events.add_metric([name], answer.lag.events)
                seconds.add_metric([name], answer.lag.seconds)
            if (seen := observed_at(answer.frame)) is not None:
                age.add_metric([name], answer.frame.now - seen)
        return state, generation, events, seconds, parked, age


def _family(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"nenrin_projection_{name}", meaning, labels=["projection", *labels])
