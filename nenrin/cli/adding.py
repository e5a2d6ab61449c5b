"""Documents on their way from files to the log: read here, compared and sent beside, in order, a page at a time."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from nenrin.cli.comparing import Comparison
from nenrin.cli.corpus.items import Item, LeftOut, Taken
from nenrin.cli.totals import Totals
from nenrin.client import Session
from nenrin.client.answers import BulkAdded
from nenrin.client.errors import CutOff, Unavailable, Unreachable

PAGE_DOCUMENTS = 1_000
PAGE_BYTES = 4 * 1024 * 1024
"""Two pages are in memory at a time, whatever the size of the files: one being read, one being sent."""

RETRY_FOR = 20.0
"""Seconds to go on trying while Kafka or the service is away. Sending a page again does no harm."""


class Adding:
    """Adds documents to one collection and keeps count. `comparison` None: everything is written."""

    def __init__(self, session: Session, collection: str, totals: Totals, comparison: Comparison | None) -> None:
        self._session = session
        self._collection = collection
        self._totals = totals
        self._comparison = comparison

    def add(self, items: Iterable[Item]) -> None:
        """Add documents as they come. Raises the problems of `nenrin.client.errors`; what was acknowledged is counted.

        The page that is on its way is waited for, even when reading is interrupted.
        """
        sending: Future[None] | None = None
        with ThreadPoolExecutor(1) as beside:
            for page in self._pages(items):
                if sending is not None:
                    sending.result()
                sending = beside.submit(self._send, page)
            if sending is not None:
                sending.result()

    def _pages(self, items: Iterable[Item]) -> Iterator[list[Taken]]:
        page: list[Taken] = []
        size = 0
        for item in items:
            if isinstance(item, LeftOut):
                self._totals.leave_out(item)
                continue
            page.append(item)
            size += item.size
            if len(page) == PAGE_DOCUMENTS or size >= PAGE_BYTES:
                yield page
                page, size = [], 0
        if page:
            yield page

    def _send(self, page: list[Taken]) -> None:
        changed = page if self._comparison is None else self._comparison.changed(page)
        self._totals.unchanged += len(page) - len(changed)
        self._totals.bytes += sum(item.size for item in page)
        if changed:
            self._count(changed, self._written(changed))

    def _written(self, page: list[Taken]) -> BulkAdded:
        deadline = time.monotonic() + RETRY_FOR
        pause = 0.2
        while True:
            try:
                return self._session.add_many(self._collection, (item.draft for item in page))
            except (Unavailable, Unreachable) as error:
                if time.monotonic() + pause > deadline:
                    self._totals.added += error.accepted if isinstance(error, CutOff) else 0
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 3.0)

    def _count(self, page: list[Taken], answer: BulkAdded) -> None:
        self._totals.added += answer.accepted
        for rejected in answer.rejected:
            item = page[rejected.line - 1]
            self._totals.leave_out(LeftOut(item.path, rejected.error, item.line))
