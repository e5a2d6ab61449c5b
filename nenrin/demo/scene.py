"""What the acts share: a stack that can be touched, a session with it, and the text."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nenrin.cli.showing import lag
from nenrin.client import Session
from nenrin.client.answers import Found
from nenrin.client.calls import Mode
from nenrin.client.errors import Behind, Unavailable
from nenrin.demo.stage import DemoFailed, Stage
from nenrin.demo.texts import Corpus

T = TypeVar("T")

PATIENCE = 240.0
"""Seconds until the demo gives up waiting: a slow machine is no failure."""
LONGEST_WAIT = 30


class Stack(Protocol):
    """What the demo does to the stack."""

    def stop(self, name: str) -> None:
        """Stop a process."""

    def start(self, name: str) -> None:
        """Start it again."""


@dataclass(frozen=True)
class Scene:
    """Everything an act needs."""

    stage: Stage
    stack: Stack
    session: Session
    corpus: Corpus
    word: str
    """One that no text holds, so that finding it proves something."""

    def search(self, query: str, mode: Mode, k: int = 3, at_least: str | None = None) -> tuple[Found, float]:
        """An answer, and how many milliseconds it took; with `at_least`, one that covers it."""
        began = time.perf_counter()
        found = self.session.search(self.corpus.collection, query, mode=mode, k=k, at_least=at_least, wait=LONGEST_WAIT)
        return found, (time.perf_counter() - began) * 1000

    def finds(self, query: str, document_id: str, at_least: str, mode: Mode = "text") -> bool:
        """Is the document among the results?"""
        found, _ = self.search(query, mode, 10, at_least)
        return any(hit.document_id == document_id for hit in found.results)

    def behind(self, token: str) -> Behind | None:
        """What search has not seen yet of the events that `token` covers."""
        try:
            self.session.collections(at_least=token, wait=0)
        except Behind as behind:
            return behind
        return None

    def catch_up(self, what: str, token: str, events: int) -> None:
        """Show a bar until search covers `token`, which is `events` ahead."""
        deadline = time.monotonic() + PATIENCE
        with self.stage.progress(what, events) as done:
            while (behind := self.behind(token)) is not None:
                if time.monotonic() > deadline:
                    raise DemoFailed(
                        f"after {PATIENCE:.0f} s search still misses {behind.missing} events: see the logs"
                    )
                projection = behind.details.projection
                done(max(0, events - behind.missing), "" if projection is None else f"lag {lag(projection)}")
                time.sleep(0.1)
            done(events, "")


def patiently(ask: Callable[[], T]) -> T:
    """Ask until what is asked for is there: a model takes seconds to load."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except Unavailable as away:
            if time.monotonic() > deadline:
                raise DemoFailed(f"still not there after {PATIENCE:.0f} s: {away}") from away
            time.sleep(0.2)
