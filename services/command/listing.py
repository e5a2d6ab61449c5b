"""The ids of a collection's documents, as the `documents` projection has them: the one thing asked of Postgres here."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import msgspec

from projections.documents import read
from projections.generations.read import nothing
from projections.reading import Answer, Reader
from schemas import versions
from schemas.errors import NenrinError
from schemas.topics import DOCUMENTS
from schemas.versions import Version

PAGE = 1_000
PATIENCE = 30.0
"""Seconds that the projection has to reach a version."""

LOOK_EVERY = 0.1
STATE_WITHIN = 1.0

Shortfall = Mapping[str, Mapping[int, int]]


class Behind(NenrinError):
    """The projection did not reach a version in time. `shortfall` says how many offsets it lacks, by partition."""

    def __init__(self, shortfall: Shortfall) -> None:
        super().__init__(
            "The documents projection has not seen all that was written before this call; see that a projector runs, "
            "and call again."
        )
        self.shortfall = shortfall


class Listing:
    """Reads ids. Only what needs them waits for Postgres."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def state(self) -> str:
        """Either "ok" or why nothing can be listed now."""
        try:
            async with asyncio.timeout(STATE_WITHIN):
                await self._reader.read(DOCUMENTS, lambda _: nothing())
        except (NenrinError, TimeoutError) as error:
            return f"removing whole collections has to wait: {str(error) or 'no answer in time'}"
        return "ok"

    async def pages(self, collection: str, at_least: Version) -> AsyncIterator[list[str]]:
        """All ids of a collection in their order, each page at `at_least` or later.

        Raises `Behind`, `DatabaseAway`, `GenerationMissing`, `OtherIncarnation`.
        """
        after = ""
        while page := await self._page(collection, after, at_least):
            yield page
            after = page[-1]

    async def _page(self, collection: str, after: str, at_least: Version) -> list[str]:
        until = time.monotonic() + PATIENCE
        while lacking := _shortfall(at_least, answer := await self._read(collection, after)):
            if time.monotonic() > until:
                raise Behind(lacking)
            await asyncio.sleep(LOOK_EVERY)
        return [msgspec.json.decode(row, type=str) for row in answer.rows]

    async def _read(self, collection: str, after: str) -> Answer:
        return await self._reader.read(DOCUMENTS, lambda _: read.ids(collection, after, PAGE))


def _shortfall(at_least: Version, answer: Answer) -> Shortfall:
    versions.check(at_least, answer.version)
    return versions.shortfall(at_least, answer.version)
