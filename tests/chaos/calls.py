"""A writer that calls the command service, and sometimes reads what it wrote."""

import random
import time

import httpx

from tests.chaos.drawing import Draft, some_draft
from tests.chaos.ledger import Ledger, Outcome, Write, trace_id, traceparent, word_of
from tests.chaos.pace import Ending
from tests.chaos.reading import Readers
from tests.chaos.web import Web
from tests.laws.reading import GetDocument
from tests.oracle import Oracle

OUTCOMES = {"not_written": Outcome.NOT_WRITTEN, "unknown": Outcome.UNKNOWN}


class Caller:
    """PUT and DELETE, at any instance of the command service."""

    def __init__(self, web: Web, ledger: Ledger, readers: Readers, oracle: Oracle) -> None:
        self._web, self._ledger, self._readers, self._oracle = web, ledger, readers, oracle

    async def run(self, chance: random.Random, ending: Ending) -> None:
        """Write until the end."""
        while not ending.is_set():
            number = self._ledger.number()
            draft = some_draft(chance, word_of(number))
            token = await self._write(chance, draft, number)
            if token and chance.random() < 0.2:
                await self._readers.read(chance, GetDocument(draft.collection, draft.name), token, wait=20)
            await ending.pause(chance.expovariate(4))

    async def _write(self, chance: random.Random, draft: Draft, number: int) -> str | None:
        """The token of an acknowledged write; None for another."""
        outcome, token = await self._called(self._web.one_of("command", chance), draft, traceparent(number))
        kind = "DELETE" if draft.text is None else "PUT"
        below = self._oracle.version(token) if token else None
        word = (draft.collection, word_of(number)) if draft.text else None
        self._ledger.take(Write(trace_id(number), kind, draft.key, outcome, below, time.time(), word=word))
        return token

    async def _called(self, client: httpx.AsyncClient, draft: Draft, trace: str) -> tuple[Outcome, str | None]:
        path = GetDocument(draft.collection, draft.name).request()[1]
        try:
            if draft.text is None:
                reply = await client.delete(path, headers={"traceparent": trace})
            else:
                reply = await client.put(
                    path, json={"text": draft.text, **draft.fields}, headers={"traceparent": trace}
                )
        except httpx.ConnectError:
            return Outcome.NOT_REACHED, None
        except httpx.TransportError:
            return Outcome.UNKNOWN, None
        return told(reply)


def told(reply: httpx.Response) -> tuple[Outcome, str | None]:
    """What a reply says of a write, and its token. Raises AssertionError where contract 5 doesn't allow the reply."""
    if reply.status_code == 503:
        assert "retry-after" in reply.headers, reply.text
        return OUTCOMES[reply.json()["outcome"]], None
    assert reply.status_code == 202, (reply.status_code, reply.text)
    token: str = reply.json()["version"]
    assert reply.headers["nenrin-version"] == token
    return Outcome.ACKNOWLEDGED, token
