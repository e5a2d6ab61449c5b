"""What readers are told of a projection's lag, by every way there is of asking."""

import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx

from projections.documents import Documents
from projections.writer import Writer
from services.settings import Settings
from tests.services.heads.log import until

DATA = {"documents": "/v1/collections/c/documents", "passages": "/v1/collections"}
UNKNOWN = ("unknown", None, None)
NONE = ("live", 0, 0.0)
Said = dict[str, Any]
SAME = ("version", "head_observed_at", "state")
"""What two answers have in common that were given between two changes: the lag is then the same."""
ROUNDED = 0.002
"""Seconds: both ages are rounded up to milliseconds."""


class Readers:
    """Asks the query service."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def said(self, projection: str = "documents") -> Said:
        """How a projection stands: in an answer with data, and in its overview, which must agree."""
        for _ in range(1000):
            began = time.monotonic()
            answer = await self._http.get(DATA[projection])
            other = await self._http.get(f"/v1/projections/{projection}")
            if 503 in (answer.status_code, other.status_code):
                continue  # Postgres did not answer in time: it says so, and nothing of a lag
            said, overview = answer.json()["projection"], other.json()
            assert answer.headers["nenrin-lag"] == header(said)
            if all(said[name] == overview["projection"][name] for name in SAME):
                return agreed(said, overview, time.monotonic() - began)
        raise AssertionError(f"never of one mind: {said}, {overview}")

    async def until(self, right: Callable[[Said], bool], projection: str = "documents") -> Said:
        """Ask until what is said is right."""

        async def asked() -> Said | None:
            said = await self.said(projection)
            return said if right(said) else None

        found: Said = await until(asked)
        return found

    async def become(self, state: str, projection: str = "documents") -> tuple[str, int | None, float | None]:
        """State and lag once the state is this one."""
        return shown(await self.until(lambda said: said["state"] == state, projection))


def agreed(said: Said, overview: Said, passed: float) -> Said:
    """What both say of one version, and the heads beside it: the same lag, and an age that only time tells apart."""
    (generation,) = overview["generations"]
    for again in (overview["projection"], generation):
        assert (again["lag_events"], again["state"]) == (said["lag_events"], said["state"])
        assert (again["lag_seconds"] is None) == (said["lag_seconds"] is None)
        if said["lag_events"]:
            assert 0 <= again["lag_seconds"] - said["lag_seconds"] <= passed + ROUNDED
    return {**said, "heads": generation["heads"]}


def header(said: Said) -> str:
    """The header that says the same."""
    if said["state"] == "unknown":
        return "state=unknown"
    return f"events={said['lag_events']}, seconds={said['lag_seconds']}, state={said['state']}"


def shown(said: Said) -> tuple[str, int | None, float | None]:
    """State and lag."""
    return said["state"], said["lag_events"], said["lag_seconds"]


class Rows:
    """The rows behind a lag. Where minutes would have to pass, they are moved instead."""

    def __init__(self, database: asyncpg.Connection, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def claim(self) -> None:
        """Claim every partition of `documents` and leave: a projector that dies at once."""
        row = await self._database.fetchrow("SELECT incarnation FROM documents_g1.positions LIMIT 1")
        count = self._settings.partitions
        writer = Writer(Documents(), 1, self._settings.dsn)
        await writer.claim("documents", range(count), row["incarnation"], count)
        await writer.release()

    async def move(self, position: int, partition: int = 0, committed: float | None = None) -> None:
        """Put `documents` at a position, by a commit of so many seconds ago."""
        await self._database.execute(
            "UPDATE documents_g1.positions SET next = $1, committed_at = clock_timestamp() - make_interval(secs => $2) "
            "WHERE partition = $3",
            position,
            committed,
            partition,
        )

    async def passed(self, seconds: float, *, observed: bool = True) -> None:
        """Let all times that are kept be so much longer ago; with `observed=False` all but those of observations."""
        kept = (
            *(("nenrin.heads", "observed_at"),) * observed,
            ("nenrin.oldest", "produced_at"),
            ("documents_g1.positions", "committed_at"),
            ("passages_g1.positions", "committed_at"),
        )
        for table, column in kept:
            await self._database.execute(f"UPDATE {table} SET {column} = {column} - make_interval(secs => $1)", seconds)
