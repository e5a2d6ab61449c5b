"""A session with a stack."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from nenrin.client import answers, calls
from nenrin.client.calls import Call
from nenrin.client.conditions import Conditions
from nenrin.client.core import LIMITS, Core, certificates
from nenrin.client.documents import NewDocument, blocks
from nenrin.client.retrying import TROUBLE, Patience

T = TypeVar("T")


class Session(Core[httpx.Client]):
    """Writes and reads, over HTTP. Whatever it wrote and whatever it saw, it sees from then on: reads never go back.

    Without URLs it finds the stack as the command line does: NENRIN_COMMAND and NENRIN_QUERY, else the folder `state`,
    NENRIN_STATE or `.nenrin`. Raises `NoStack`. Threads may share a session.

    - `token`: where to go on from, another session's.
    - `wait`: seconds that the service may wait until it has seen all that this session has.
    - `retry_for`: seconds to go on trying when nothing answers, or a 503 does; 0: one try.
    - `timeout`: seconds to connect, and for an answer beyond `wait`.
    - `http`: a client of one's own, for proxies, certificates or authentication. It stays open.
    """

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
        http: httpx.Client | None = None,
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
            http=http or httpx.Client(limits=LIMITS, verify=certificates()),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was handed in."""
        if self._owned:
            self._http.close()

    def add_many(self, collection: str, documents: Iterable[NewDocument]) -> answers.BulkAdded:
        """Add documents, taken one by one as they are sent. Lines that are refused are in the answer.

        Raises `CutOff`, which says what was taken. It is not repeated by itself: `documents` has been used up. An error
        of `documents` itself comes through; what went before may be in the log, and the session doesn't cover it.
        """
        return self.send(calls.add_many(collection, blocks(documents)))

    def list(self, collection: str, *, limit: int = 100, **conditions: Unpack[Conditions]) -> Iterator[answers.Page]:
        """The documents of a collection without their texts, in pages of `limit`, each with a version of its own."""
        page = self.page(collection, limit=limit, **conditions)
        yield page
        while page.next_cursor is not None:
            page = self.page(collection, cursor=page.next_cursor, limit=limit, **conditions)
            yield page

    def send(self, call: Call[T]) -> T:
        """Send any call of `nenrin.client.calls` and read its answer."""
        patience = Patience(call, self._retry_for)
        while True:
            try:
                return self._answer(call, self._exchange(call))
            except TROUBLE as error:
                pause = patience.after(error)
            time.sleep(pause)

    def _exchange(self, call: Call[T]) -> httpx.Response:
        try:
            return self._http.send(self._request(call))
        except httpx.HTTPError as error:
            raise self._unreachable(call, error) from error
