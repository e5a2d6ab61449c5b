"""Which documents differ from what readers already see.

Writing one again does no harm. So whatever is not certain is written: the read model has to cover the log as it was
when the comparison began, and an id that this run has written counts as changed from then on.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from nenrin.cli.corpus.items import Taken
from nenrin.client import Session
from nenrin.client.answers import Document, Generation
from nenrin.client.documents import Draft
from nenrin.client.errors import Problem, UnexpectedAnswer, Unreachable
from schemas import versions
from schemas.topics import DOCUMENTS
from schemas.versions import Version

WAIT = 5.0
"""Seconds that the read model may take to come as far as the log was."""
LOOK_AGAIN = 0.05
"""Seconds; heads are observed every 250 ms."""


class Comparison:
    """Asks the read model, as long as it can be relied on; otherwise everything counts as changed."""

    def __init__(self, session: Session, collection: str) -> None:
        self._session = session
        self._collection = collection
        self._began: str | None = None
        self._reliable = True
        self._written = Marked()

    def changed(self, page: Sequence[Taken]) -> list[Taken]:
        """Those of at most 1,000 documents that are to be written, in order; the caller then writes them."""
        there = self._read(list(dict.fromkeys(taken.draft.document_id for taken in page)))
        return [taken for taken in page if self._differs(taken.draft, there)]

    def _differs(self, draft: Draft, there: dict[str, Document]) -> bool:
        """Of an id that comes more than once, the last document has to win, so that all but the first are written."""
        if not self._written.has(draft.document_id) and same(draft, there.get(draft.document_id)):
            return False
        self._written.mark(draft.document_id)
        return True

    def _read(self, ids: list[str]) -> dict[str, Document]:
        """What readers see of these ids; nothing, from then on, when that may be older than the beginning."""
        if not self._reliable:
            return {}
        try:
            self._began = self._began or head(self._session)
            found = self._session.documents(self._collection, ids, at_least=self._began, wait=WAIT).documents
        except (Problem, UnexpectedAnswer, Unreachable, UnknownHead):
            self._reliable = False
            return {}
        return {document.document_id: document for document in found if document is not None}


class UnknownHead(Exception):
    """Nobody observes how far the log reaches."""


def head(session: Session) -> str:
    """A version that covers everything that was in the log when this was called. Raises `UnknownHead`.

    The next observation may have looked at the log already and not be kept yet, so that the one after it is waited for.
    """
    deadline = time.monotonic() + WAIT
    observed = {session.projection(DOCUMENTS).current.head_observed_at}
    while time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN)
        now = session.projection(DOCUMENTS).current
        observed.add(now.head_observed_at)
        if len(observed) > 2:
            return _reached(now).token()
    raise UnknownHead


def _reached(generation: Generation) -> Version:
    """The heads that a generation knows of, as a version. Raises `UnknownHead`."""
    heads = generation.heads.get(DOCUMENTS, {})
    if not heads or generation.version is None:
        raise UnknownHead
    incarnations = versions.parse(generation.version).incarnations
    return Version({DOCUMENTS: {int(number): _known(at) for number, at in heads.items()}}, incarnations)


def _known(offset: int | None) -> int:
    if offset is None:
        raise UnknownHead
    return offset


class Marked:
    """The ids that have been marked, in memory that does not grow; now and then one that has not been counts too."""

    BITS = 2**26

    def __init__(self) -> None:
        self._bits = bytearray(self.BITS // 8)

    def mark(self, document_id: str) -> None:
        """Mark an id."""
        place = hash(document_id) % self.BITS
        self._bits[place >> 3] |= 1 << (place & 7)

    def has(self, document_id: str) -> bool:
        """Whether an id may have been marked; False is certain."""
        place = hash(document_id) % self.BITS
        return bool(self._bits[place >> 3] & 1 << (place & 7))


def same(draft: Draft, there: Document | None) -> bool:
    """Whether writing the draft would change nothing."""
    return there is not None and _members(draft) == _members(there)


def _members(document: Draft | Document) -> tuple[str, str | None, str | None, bytes]:
    metadata: dict[str, Any] = dict(document.metadata or {})
    # as JSON, where true is not 1, and 1.0 is not 1
    return document.text, document.title, document.source_uri, msgspec.json.encode(metadata, order="deterministic")
