"""A session with a stack, in an event loop."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from nenrin.client import answers, calls
from nenrin.client.calls import Call
from nenrin.client.conditions import Conditions
from nenrin.client.core import LIMITS, Core, certificates
from nenrin.client.documents import NewDocument, blocks_of
from nenrin.client.retrying import TROUBLE, Patience

T = TypeVar("T")


class AsyncSession(Core[httpx.AsyncClient]):
    """`Session` for an event loop: the same options and calls, every call awaited. Tasks may share it."""

    def __init__(  # noqa: PLR0913  (options)
        self,
        command: str | None = None,
        query: str | None = None,
        *,
        state: Path | str | None = None,
        token: str | None = None,
        wait: float = 10.0,
        retry_for: float = 10.0,
        timeout: float = 10.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._owned = http is None
        super().__init__(
            command,
            query,
            state=state,
            token=token,
            wait=wait,
            retry_for=retry_for,
            timeout=timeout,
            http=http or httpx.AsyncClient(limits=LIMITS, verify=certificates()),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless they are those of a client that was handed in."""
        if self._owned:
            await self._http.aclose()

    async def add_many(
        self, collection: str, documents: AsyncIterable[NewDocument] | Iterable[NewDocument]
    ) -> answers.BulkAdded:
        """As `Session.add_many`. An ordinary iterable is read in the event loop: it should not block."""
        return await self.send(calls.add_many(collection, blocks_of(documents)))

    async def list(
        self, collection: str, *, limit: int = 100, **conditions: Unpack[Conditions]
    ) -> AsyncIterator[answers.Page]:
        """As `Session.list`."""
        page = await self.page(collection, limit=limit, **conditions)
        yield page
        while page.next_cursor is not None:
            page = await self.page(collection, cursor=page.next_cursor, limit=limit, **conditions)
            yield page

    async def send(self, call: Call[T]) -> T:
        """Send any call of `nenrin.client.calls` and read its answer."""
        patience = Patience(call, self._retry_for)
        while True:
            try:
                return self._answer(call, await self._exchange(call))
            except TROUBLE as error:
                pause = patience.after(error)
            await asyncio.sleep(pause)

    async def _exchange(self, call: Call[T]) -> httpx.Response:
        try:
            return await self._http.send(self._request(call))
        except httpx.HTTPError as error:
            raise self._unreachable(call, error) from error
