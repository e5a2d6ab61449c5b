"""Writers and readers that go on at a steady rate whatever happens, and note every answer that they get."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import msgspec

from benchmarks.reporting import Figure, quantile
from services.stack.supervisor import Stack

COLLECTION = "load"
PATIENCE = 60.0


class Answered(msgspec.Struct, frozen=True):
    """One call: when it began and how long it took (seconds, monotonic), its status, and the problem in its body.

    The status is 0 where there was no answer.
    """

    began: float
    took: float
    status: int
    problem: Mapping[str, Any] = {}

    @property
    def ended(self) -> float:
        """When the answer was there."""
        return self.began + self.took


class Series(list[Answered]):
    """Calls of one kind."""

    def between(self, since: float, until: float) -> "Series":
        """Those that began in this time."""
        return Series(one for one in self if since <= one.began < until)

    @property
    def statuses(self) -> str:
        """How often each status came, as "202: 5, 503: 2"."""
        found = sorted(one.status for one in self)
        return ", ".join(f"{status}: {len(list(all_))}" for status, all_ in itertools.groupby(found)) or "none"

    @property
    def slowest(self) -> float:
        """Seconds of the slowest call; 0 where there is none."""
        return max((one.took for one in self), default=0.0)

    def quantile(self, share: float) -> float:
        """Seconds within which `share` of the calls ended."""
        return quantile([one.took for one in self], share) if self else 0.0


class Callers:
    """One writer and two readers. `written` holds the text of every document that was acknowledged."""

    def __init__(self, command: str, query: str, texts: list[str]) -> None:
        limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
        self._command = httpx.AsyncClient(base_url=command, timeout=PATIENCE, limits=limits)
        self._query = httpx.AsyncClient(base_url=query, timeout=PATIENCE, limits=limits)
        self._texts = itertools.cycle(texts)
        self._numbers = itertools.count()
        self.written: dict[str, str] = {}
        self.writes, self.reads, self.searches = Series(), Series(), Series()

    async def write(self) -> None:
        """PUT a document that no encoder has seen."""
        number = next(self._numbers)
        text = f"{number} {next(self._texts)}"
        path = f"/v1/collections/{COLLECTION}/documents/{number}"
        answered = await timed(self._command.put(path, json={"text": text}))
        self.writes.append(answered)
        if answered.status == httpx.codes.ACCEPTED:
            self.written[str(number)] = text

    async def read(self) -> None:
        """GET a document."""
        self.reads.append(await timed(self._query.get(f"/v1/collections/{COLLECTION}/documents/0")))

    async def search(self) -> None:
        """Ask a question, by meaning and by words."""
        body = {"query": f"what is a {next(self._texts)[:40]}", "k": 10}
        self.searches.append(await timed(self._query.post(f"/v1/collections/{COLLECTION}/search", json=body)))

    @contextlib.asynccontextmanager
    async def calling(self, *, writes: float = 0, reads: float = 0, searches: float = 0) -> AsyncIterator[None]:
        """Call at these rates, a second, while the context lasts; what is open at its end is waited for."""
        rates = ((self.write, writes), (self.read, reads), (self.search, searches))
        open_: set[asyncio.Task[None]] = set()
        drivers = [asyncio.create_task(_at_a_rate(call, rate, open_)) for call, rate in rates if rate]
        try:
            yield
        finally:
            for driver in drivers:
                driver.cancel()
            await asyncio.gather(*drivers, *open_, return_exceptions=True)

    async def standing(self) -> Mapping[str, Any]:
        """The live generation of `passages` as `/v1/projections` tells it; empty where it doesn't answer."""
        with contextlib.suppress(httpx.HTTPError, KeyError):
            found: Mapping[str, Any] = (await self._query.get("/v1/projections/passages")).json()["generations"][0]
            return found
        return {}

    async def drain(self, within: float = 1_200) -> float:
        """Wait until nothing is unapplied, seen twice in half a second; returns the seconds that took."""
        began, quiet = time.monotonic(), 0
        async with asyncio.timeout(within):
            while quiet < 2:
                await asyncio.sleep(0.5)
                quiet = quiet + 1 if (await self.standing()).get("lag_events") == 0 else 0
        return time.monotonic() - began

    async def lost(self) -> list[str]:
        """The acknowledged documents that aren't there, or not with their text."""
        missing = []
        for ids in _chunks(sorted(self.written), 500):
            path = f"/v1/collections/{COLLECTION}/documents/get"
            answer = (await self._query.post(path, json={"ids": ids})).raise_for_status()
            texts = {one["document_id"]: one["text"] for one in answer.json()["documents"] if one}
            missing += [id_ for id_ in ids if texts.get(id_) != self.written[id_]]
        return missing

    async def not_lost(self, what: str) -> Figure:
        """The table's line for them."""
        lost = await self.lost()
        return Figure(f"{what}: acknowledged and lost", f"{len(lost)} of {len(self.written):,}", "", "0", not lost)

    async def ready(self) -> dict[str, str]:
        """What `/readyz` of both services says."""
        said = {}
        for name, client in (("command", self._command), ("query", self._query)):
            try:
                said[name] = (await client.get("/readyz", timeout=10)).text
            except httpx.HTTPError as error:
                said[name] = repr(error)
        return said

    async def aclose(self) -> None:
        """Hang up."""
        await self._command.aclose()
        await self._query.aclose()


@contextlib.asynccontextmanager
async def hung_up(stack: Stack, texts: list[str]) -> AsyncIterator[Callers]:
    """Callers of a stack, whose first document is there; they hang up at the end."""
    callers = Callers(stack.endpoints["command"], stack.endpoints["query"], texts)
    try:
        await callers.write()
        await callers.drain()
        yield callers
    finally:
        await callers.aclose()


async def timed(call: Awaitable[httpx.Response]) -> Answered:
    """Make a call, and note what came of it."""
    began = time.monotonic()
    try:
        answer = await call
    except httpx.HTTPError as error:
        return Answered(began, time.monotonic() - began, 0, {"detail": repr(error)})
    problem = answer.json() if answer.status_code >= httpx.codes.BAD_REQUEST else {}
    return Answered(began, time.monotonic() - began, answer.status_code, problem)


async def _at_a_rate(call: Callable[[], Awaitable[None]], rate: float, open_: set[asyncio.Task[None]]) -> None:
    """Begin a call every 1 / `rate` seconds, answered or not: a slow service is not spared."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        task = asyncio.ensure_future(call())
        open_.add(task)
        task.add_done_callback(open_.discard)
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - loop.time()))


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
