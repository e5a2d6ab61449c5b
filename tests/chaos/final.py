"""The end of a run: wait until nothing is unapplied, then compare all that is kept with the oracle's fold."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from confluent_kafka import Consumer, TopicPartition

from tests.chaos.drawing import ARCHIVE, COLLECTIONS, LARGE_NAMES, NAMES, TOPIC_WORDS, some_vector
from tests.chaos.judging import Judge
from tests.chaos.ledger import Ledger
from tests.chaos.reading import next_page
from tests.chaos.rows import compare_rows
from tests.chaos.stack import Stack
from tests.chaos.web import Web
from tests.laws.derived import check_coverage, read_whole
from tests.laws.reading import (
    Answer,
    CountCollections,
    GetDocument,
    GetDocuments,
    ListDocuments,
    Question,
    SearchDense,
    SearchText,
    ask,
    written_token,
)
from tests.oracle import Version

CAUGHT_UP_WITHIN = 300.0
SETTLED_WITHIN = 60.0
WORDS = 60
"""How many of the words that only one text ever had are searched for, the last ones."""


@dataclass
class Comparison:
    """Everything at the end of the log, in every way there is to ask, and in the tables themselves."""

    stack: Stack
    web: Web
    judge: Judge
    ledger: Ledger
    version: Version = field(default_factory=dict)
    token: str = ""
    compared: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> None:
        """Raises AssertionError for the first difference."""
        oracle = self.judge.oracle
        self.version = await asyncio.to_thread(self._ends)
        self.token = written_token(self.version, oracle.incarnation)
        await asyncio.to_thread(self.judge.read_past, self.version)
        for url in self.stack.urls("query"):
            await self._caught_up(self.web.client(url))
        for url in self.stack.urls("query"):
            await self._compare_documents(self.web.client(url))
            await self._compare_search(self.web.client(url))
            await self._compare_status(self.web.client(url))
        self.ledger.check(oracle)
        self.compared["rows"] = await compare_rows(self.stack.postgres, oracle, self.version)
        derived = lambda: check_coverage(oracle, self.version, read_whole(self.stack.kafka))  # noqa: E731
        self.compared["derived records"] = await asyncio.to_thread(derived)

    def _ends(self) -> Version:
        """The high watermarks, once no transaction is open any more."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while (ends := self._watermarks("read_uncommitted")) != self._watermarks("read_committed"):
            assert time.monotonic() < deadline, f"a transaction stays open: {ends}"
            time.sleep(0.2)
        return ends

    def _watermarks(self, isolation: str) -> Version:
        consumer = Consumer(
            {"bootstrap.servers": self.stack.kafka, "group.id": "ends", "isolation.level": isolation, "log_level": 2}
        )
        try:
            places = {at: TopicPartition("documents", at) for at in self.judge.oracle.positions}
            return {at: consumer.get_watermark_offsets(place, timeout=20)[1] for at, place in places.items()}
        finally:
            consumer.close()

    async def _caught_up(self, client: httpx.AsyncClient) -> None:
        """Until both projections answer at the version of everything, with a lag of nothing."""
        deadline = time.monotonic() + CAUGHT_UP_WITHIN
        for question in (ListDocuments(COLLECTIONS[0], 1), CountCollections()):
            told: Any = None
            while told is None or (told["state"], told["lag_events"], told["lag_seconds"]) != ("live", 0, 0):
                assert time.monotonic() < deadline, f"not caught up within {CAUGHT_UP_WITHIN:.0f} s: {told}"
                answer = await ask(client, question, self.token, wait=10)
                told = answer and answer.body["projection"]
                await asyncio.sleep(0.2)  # between attempts

    async def _compare_documents(self, client: httpx.AsyncClient) -> None:
        await self._check(client, CountCollections())
        for collection in (*COLLECTIONS, ARCHIVE):
            names = LARGE_NAMES if collection == ARCHIVE else NAMES
            await self._check(client, GetDocuments(collection, names))
            for name in names[-8:]:
                await self._check(client, GetDocument(collection, name))
            page: ListDocuments | None = ListDocuments(collection, 7)
            while page is not None:
                page = next_page(page, await self._check(client, page))

    async def _compare_search(self, client: httpx.AsyncClient) -> None:
        """Each document is found by its own word, none by the words of what was replaced or removed."""
        for collection, word in self._unique_words()[-WORDS:]:
            await self._check(client, SearchText(collection, word, 10))
        for collection in (*COLLECTIONS, ARCHIVE):
            for word in TOPIC_WORDS[:3]:
                await self._check(client, SearchText(collection, word, 1000))
            dense = await self._check(client, SearchDense(collection, {"vector": some_vector(random.Random(1))}, 1000))
            expected = [one for one in self.judge.oracle.documents(self.version, collection) if one["text"].strip()]
            assert bool(dense.body["results"]) == bool(expected), dense

    async def _compare_status(self, client: httpx.AsyncClient) -> None:
        """Parked events by their place, and a lag of nothing."""
        for name in ("documents", "passages"):
            parked = (await client.get(f"/v1/projections/{name}/parked")).json()["parked"]
            assert {(one["partition"], one["offset"]) for one in parked} == self.judge.oracle.parked(self.version)
            assert all(one["reason"] for one in parked)
            self.compared[f"{name}: parked"] = len(parked)
            told = (await client.get(f"/v1/projections/{name}")).json()
            (live,) = [one for one in told["generations"] if one["generation"] == told["live"]]
            assert (live["state"], live["lag_events"], live["lag_seconds"]) == ("live", 0, 0), live
            assert self.judge.oracle.version(live["version"]) == self.version

    def _unique_words(self) -> list[tuple[str, str]]:
        """Every word that ever stood in one text only, now or before, and where."""
        documents = [record.document for log in self.judge.oracle.log.values() for record in log if record.document]
        return [
            (one["collection"], one["text"].split(None, 1)[0]) for one in documents if one["text"].startswith("unique")
        ]

    async def _check(self, client: httpx.AsyncClient, question: Question) -> Answer:
        """Ask at the final version, and judge at once."""
        answer = await ask(client, question, self.token, wait=10)
        assert answer is not None, question
        await asyncio.to_thread(answer.judge, self.judge.oracle)
        assert answer.status != 412, answer
        self.compared["answers"] = self.compared.get("answers", 0) + 1
        return answer
