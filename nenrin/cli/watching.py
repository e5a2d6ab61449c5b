"""Looking again when files change."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nenrin.cli.corpus.finding import Found, Source

LOOK_MS = 1_000
EVERY = 30
"""Waits of `LOOK_MS` without news, after which files are looked at anyway: no system tells of every change."""


class Watched:
    """The files as they were at the last look, and the documents that each of them gave."""

    def __init__(self) -> None:
        self._seen: dict[str, Source] = {}
        self._given: dict[str, set[str]] = {}

    def changed(self, found: Found) -> list[Source]:
        """The files that are new, or not as they were."""
        return [source for name, source in found.sources.items() if self._seen.get(name) != source]

    def take(self, sources: Iterable[Source]) -> None:
        """Note that these have been read."""
        self._seen |= {source.document_id: source for source in sources}

    def give(self, source: Source, document_id: str) -> None:
        """Note a document that a file gave."""
        self._given.setdefault(source.document_id, set()).add(document_id)

    def gone(self, found: Found) -> list[Source]:
        """The files that were deleted; one that is only passed over now is still there."""
        away = self._seen.keys() - found.sources.keys()
        return [self._seen[name] for name in sorted(away) if not os.path.lexists(self._seen[name].path)]

    def forsaken(self, source: Source, found: Found) -> list[str]:
        """The documents that this file gave and no other does: one that was renamed gives them still.

        A file that was deleted before all it gave could be added counts for none: nobody would remove its documents.
        """
        there = (self._seen.keys() | found.sources.keys()) - {source.document_id}
        others = (given for name, given in self._given.items() if name in there)
        return sorted(self._given.get(source.document_id, set()).difference(*others))

    def forget(self, source: Source) -> None:
        """Strike a file off."""
        del self._seen[source.document_id]
        self._given.pop(source.document_id, None)


def news(folders: Sequence[Path]) -> Iterator[None]:
    """Yields whenever files may have changed: at once, when the system tells of it, and every half minute anyway."""
    from watchfiles import watch  # noqa: PLC0415  (an extra)

    quiet = EVERY
    for changes in watch(*folders, watch_filter=None, debounce=400, rust_timeout=LOOK_MS, yield_on_timeout=True):
        quiet += 1
        if changes or quiet > EVERY:
            quiet = 0
            yield
