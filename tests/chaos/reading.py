"""Readers: what they ask, and the sessions in which they pass on what they have seen."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.chaos.drawing import COLLECTIONS, some_question
from tests.chaos.ledger import Ledger
from tests.chaos.pace import Ending
from tests.chaos.web import Web
from tests.laws.reading import Answer, ListDocuments, Question, ask, written_token
from tests.oracle import Oracle

OUTAGE = 120.0
"""Seconds that no reader may be without any answer, counted from the last start of the whole stack."""
BACKLOG = 300
"""Answers that wait for the judge; then readers wait too."""


@dataclass(frozen=True)
class Heard:
    """An answer, and when it came, in seconds since the epoch."""

    answer: Answer
    at: float


@dataclass
class Readers:
    """What all readers share: the services, and the answers that are to be judged."""

    web: Web
    oracle: Oracle
    ledger: Ledger
    whole_since: Callable[[], float]
    answers: asyncio.Queue[Heard] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    unanswered: int = 0
    answered_at: float = field(default_factory=time.monotonic)

    async def session(self, kinds: Sequence[type], chance: random.Random, ending: Ending) -> None:
        """A client that asks questions of these kinds and passes on what it has seen: it must never go back."""
        token: str | None = None
        while not ending.is_set():
            question = some_question(chance, chance.choice(kinds), self.ledger.recent())
            answer = await self.read(chance, question, token, wait=chance.choice((0, 0.2, 1, 5)))
            if answer is not None:
                token = self.merged(token, answer.token)
            await ending.pause(0.1)

    async def pages(self, chance: random.Random, ending: Ending) -> None:
        """Lists from start to end, each page the fold at its own version."""
        while not ending.is_set():
            page: ListDocuments | None = ListDocuments(chance.choice(COLLECTIONS), chance.choice((5, 7, 1000)))
            while page is not None and not ending.is_set():
                answer = await self.read(chance, page)
                page = page if answer is None else next_page(page, answer)
                await ending.pause(0.1)

    async def read(
        self, chance: random.Random, question: Question, token: str | None = None, wait: float = 0
    ) -> Answer | None:
        """Ask any instance, and hand its answer to the judge; None if there is none."""
        answer = await ask(self.web.one_of("query", chance), question, token, wait)
        if answer is None:
            self.unanswered += 1
            without = time.monotonic() - max(self.answered_at, self.whole_since())
            assert without < OUTAGE, f"no reader got an answer for {OUTAGE:.0f} s"
            await asyncio.sleep(0.3)  # the pace of a client that tries again
            return None
        self.answered_at = time.monotonic()
        await self.answers.put(Heard(answer, time.time()))
        return answer

    def merged(self, token: str | None, other: str) -> str:
        """The maximum of two tokens, per partition."""
        one, two = self.oracle.version(token) if token else {}, self.oracle.version(other)
        return written_token({at: max(one.get(at, 0), two.get(at, 0)) for at in {*one, *two}}, self.oracle.incarnation)


def next_page(page: ListDocuments, answer: Answer) -> ListDocuments | None:
    """The page after this one, if there is one."""
    cursor = answer.body.get("next_cursor")
    return cursor and replace(page, cursor=cursor, after=answer.body["documents"][-1]["document_id"])
