"""The law under random kills: whatever dies, every answer is the fold of the log at the version that it names."""

import asyncio
import os
import random
import secrets
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import Consumer, TopicPartition

from tests.laws.derived import check_coverage, read_whole
from tests.laws.events import INVALID, Event, Straight, added, removed, structured, unknown
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
from tests.oracle import Oracle, Version, partition_of
from tests.running import Running, up

SEED = "NENRIN_TEST_SEED"
SECONDS = float(os.environ.get("NENRIN_TEST_KILL_SECONDS", "60"))
CAUGHT_UP_WITHIN = 180.0
OUTAGE = 60.0  # the longest that no reader may get any answer, on a busy machine
CLOCKS = 0.5  # an observation is stamped a little after it is made
# Who is killed, the projection that shows that it works again, and the longest that it may then go on: while the
# query service is down there is nothing to judge.
VICTIMS = {"embedder": ("passages", 6), "projector": ("passages", 6), "query": ("documents", 15)}
COLLECTIONS = ("novels", "notes")
NAMES = [*(f"d{number}" for number in range(24)), "a/b c.txt", "年輪/7", "ünïcode", "%2F", "..", "Z z"]
TOPIC_WORDS = [f"topic{number}x" for number in range(8)]
PROSE = [
    "rings",
    "of",
    "a",
    "tree",
    "grow",
    "with",
    "each",
    "year",
    "and",
    "tell",
    "how",
    "much",
    "rain",
    "there",
    "was",
]

Act = Callable[[random.Random], Coroutine[Any, Any, None]]


async def test_the_law_holds_while_processes_are_killed(tmp_path: Path) -> None:
    """Random writes from several producers, random kills, and readers that check every single answer."""
    seed = int(os.environ.get(SEED) or secrets.randbelow(10**9))
    print(f"\n{SEED}={seed}")
    with up(tmp_path / "up") as stack:
        trial = Trial(stack, seed)
        try:
            await trial.run()
            await trial.compare_everything()
        except BaseException:
            print(stack.said())
            raise
        finally:
            print(trial.summary())
        await trial.close()
    assert min(trial.kills[name] for name in VICTIMS) > 0
    assert trial.judged["200"] > 100


@dataclass(frozen=True)
class Acknowledged:
    """A write that the command service said is durable, and the token that covers it."""

    collection: str
    name: str
    text: str | None
    token: str
    at: float  # seconds since the epoch


@dataclass
class Trial:
    """One run: its writers, its readers, its killer and its judge."""

    stack: Running
    seed: int
    written: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    versions: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unanswered: int = 0
    final: str = ""

    def __post_init__(self) -> None:
        endpoints = self.stack.endpoints
        self.kafka: str = endpoints["kafka"]
        self.oracle = Oracle(self.kafka)
        self.command = httpx.AsyncClient(base_url=endpoints["command"], timeout=40)
        self.query = httpx.AsyncClient(base_url=endpoints["query"], timeout=40)
        self.answers: asyncio.Queue[Answer] = asyncio.Queue(500)  # readers wait for the judge, not the other way round
        self.began = self.answered_at = time.monotonic()
        self.phases: dict[str, float] = {}
        self.numbers = iter(range(10**9))
        self.ending = asyncio.Event()

    async def run(self) -> None:
        """Everything at once, for the time that the test has; then what is still to be judged."""
        async with asyncio.TaskGroup() as group:
            judge = group.create_task(self.judge())
            actors = [group.create_task(act(self.chance(number))) for number, act in enumerate(self.actors())]
            await asyncio.sleep(SECONDS)  # the length of the trial; nothing is taken to be done after it
            self.ending.set()
            await asyncio.wait(actors)
            await self.answers.join()
            judge.cancel()

    def actors(self) -> list[Act]:
        """Who acts at the same time."""
        sessions = [(GetDocument, GetDocuments, ListDocuments), (CountCollections, SearchText, SearchDense)]
        readers = [self.reader(kinds) for kinds in (*sessions, *sessions, sum(sessions, ()))]
        writers = [self.write_over_http, self.write_over_http, self.write_straight]
        return [*map(self.killer, VICTIMS), *writers, *readers, self.page_through]

    def chance(self, actor: int) -> random.Random:
        """Each actor draws from its own sequence, so that one's timing does not change another's choices."""
        return random.Random(f"{self.seed}/{actor}")

    async def pause(self, seconds: float) -> None:
        """An actor's pace; ends early with the trial."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)

    # -- faults

    def killer(self, name: str) -> Act:
        """SIGKILL one process again and again: sometimes while it still starts, mostly when it is at work."""

        async def kill(chance: random.Random) -> None:
            killed: int | None = None
            projection, longest = VICTIMS[name]
            while not self.ending.is_set():
                if chance.random() < 0.7:
                    await self.progress(projection)
                await self.pause(chance.uniform(0.5, longest))
                pid = self.stack.pids.get(name)
                if pid is None or killed == pid or self.ending.is_set():
                    continue
                with suppress(ProcessLookupError):  # it had died, and is about to be restarted
                    os.kill(pid, signal.SIGKILL)
                    self.kills[name] += 1
                killed = pid

        return kill

    async def progress(self, projection: str) -> None:
        """Until a reader has seen a new version of the projection, or it has had its time."""
        seen, deadline = len(self.versions[projection]), time.monotonic() + 20
        while len(self.versions[projection]) == seen and time.monotonic() < deadline and not self.ending.is_set():
            await self.pause(0.1)

    # -- writers

    async def write_over_http(self, chance: random.Random) -> None:
        """PUT and DELETE, and now and then read the own write."""
        while not self.ending.is_set():
            collection, name = chance.choice(COLLECTIONS), chance.choice(NAMES)
            call = GetDocument(collection, name).request()[1]
            text = self.text(chance) if chance.random() < 0.75 else None
            body = {"text": text, **fields(chance)}
            reply = await (self.command.put(call, json=body) if text is not None else self.command.delete(call))
            assert reply.status_code == 202, reply.text
            token = reply.json()["version"]
            assert reply.headers["nenrin-version"] == token
            self.acknowledged.append(Acknowledged(collection, name, text, token, time.time()))
            self.written["PUT" if text is not None else "DELETE"] += 1
            if chance.random() < 0.2:
                await self.read(GetDocument(collection, name), token, wait=20)
            await self.pause(chance.expovariate(5))

    async def write_straight(self, chance: random.Random) -> None:
        """What any Kafka client may do, good or bad."""
        producer = Straight(self.kafka)
        while not self.ending.is_set():
            kind, event = self.some_event(chance)
            producer.hand(event)
            self.written[kind] += 1
            await self.pause(chance.expovariate(8))
        await asyncio.to_thread(producer.flush)

    def some_event(self, chance: random.Random) -> tuple[str, Event]:
        """An event that a careful, a careless or a strange producer writes."""
        collection, name = chance.choice(COLLECTIONS), chance.choice(NAMES)
        whole = added(collection, name, self.text(chance), **fields(chance))
        wrong = (partition_of(whole.key or b"", len(self.oracle.positions)) + 1) % len(self.oracle.positions)
        makers: dict[str, Callable[[], Event]] = {
            "added": lambda: whole,
            "removed": lambda: removed(collection, name),
            "structured": lambda: structured(whole),
            "unknown": lambda: unknown(collection, name),
            "wrong partition": lambda: replace(whole, partition=wrong),
            "invalid": lambda: INVALID[chance.choice(list(INVALID))](collection, name),
        }
        (kind,) = chance.choices(list(makers), (50, 20, 5, 5, 3, 17))
        return kind, makers[kind]()

    def text(self, chance: random.Random) -> str:
        """A small text with a word of its own; now and then an empty one."""
        words = [f"unique{next(self.numbers)}x", *chance.sample(TOPIC_WORDS, 2), *chance.sample(PROSE, 6)]
        return " ".join(words) if chance.random() < 0.95 else ""

    # -- readers

    def reader(self, kinds: tuple[type, ...]) -> Act:
        """A client that asks these questions and passes on what it has seen: it must never go back."""

        async def read(chance: random.Random) -> None:
            token: str | None = None
            while not self.ending.is_set():
                question = some_question(chance, chance.choice(kinds), self.acknowledged)
                answer = await self.read(question, token, wait=chance.choice((0, 0.2, 1, 5)))
                if answer is not None:
                    token = self.merged(token, answer.token)
                await self.pause(0.03)

        return read

    async def page_through(self, chance: random.Random) -> None:
        """Lists from start to end, each page the fold at its own version."""
        while not self.ending.is_set():
            page: ListDocuments | None = ListDocuments(chance.choice(COLLECTIONS), chance.choice((1, 5, 7, 1000)))
            while page is not None and not self.ending.is_set():
                answer = await self.read(page)
                page = page if answer is None else next_page(page, answer)
                await self.pause(0.03)

    async def read(self, question: Question, token: str | None = None, wait: float = 0) -> Answer | None:
        """Ask, and hand the answer to the judge."""
        answer = await ask(self.query, question, token, wait)
        if answer is None:
            self.unanswered += 1
            assert time.monotonic() - self.answered_at < OUTAGE, f"no reader got an answer for {OUTAGE} s"
            await self.pause(0.2)
            return None
        self.answered_at = time.monotonic()
        await self.answers.put(answer)
        return answer

    async def judge(self) -> None:
        """Hold every answer against the oracle."""
        while True:
            answer = await self.answers.get()
            await asyncio.to_thread(answer.judge, self.oracle)
            self.check_lag(answer)
            self.versions[answer.question.projection].add(answer.token)
            self.judged[str(answer.status)] += 1
            self.judged[type(answer.question).__name__] += 1
            self.answers.task_done()

    def check_lag(self, answer: Answer) -> None:
        """A lag counts at least what was acknowledged well before the heads that it was taken from."""
        told = answer.body["projection"]
        if told["lag_events"] is None:
            return
        observed = datetime.fromisoformat(told["head_observed_at"]).timestamp() - CLOCKS
        version, floor = dict(self.oracle.version(told["version"])), Counter[int]()
        for write in self.acknowledged[-200:]:
            if write.at < observed:
                floor |= Counter(self.oracle.version(write.token))
        known = sum(max(0, offset - version.get(at, 0)) for at, offset in floor.items())
        assert told["lag_events"] >= known, (told, floor)

    def merged(self, token: str | None, other: str) -> str:
        """The maximum of two tokens, per partition."""
        one, two = self.oracle.version(token) if token else {}, self.oracle.version(other)
        return written_token({at: max(one.get(at, 0), two.get(at, 0)) for at in {*one, *two}}, self.oracle.incarnation)

    # -- the end

    async def compare_everything(self) -> None:
        """Wait, by version, until all is applied; then nothing may differ from the oracle's fold."""
        self.phase("killed")
        ends = self.ends()
        self.final = written_token(ends, self.oracle.incarnation)
        await asyncio.to_thread(self.oracle.read_past, ends, 30)
        await self.caught_up()
        self.phase("caught up")
        await self.compare_documents()
        await self.compare_search()
        await self.compare_status()
        self.check_acknowledged()
        self.phase("compared")
        counted = await asyncio.to_thread(lambda: check_coverage(self.oracle, ends, read_whole(self.kafka)))
        print("derived:", counted)

    async def caught_up(self) -> None:
        """Until both projections answer at the version of everything."""
        deadline = time.monotonic() + CAUGHT_UP_WITHIN
        for question in (ListDocuments("novels", 1), CountCollections()):
            while (answer := await ask(self.query, question, self.final, wait=30)) is None or answer.status != 200:
                told = answer.body["projection"] if answer else "no answer"
                assert time.monotonic() < deadline, f"not caught up within {CAUGHT_UP_WITHIN} s: {told}"
                await asyncio.sleep(0.2)  # between attempts
            answer.judge(self.oracle)

    async def compare_documents(self) -> None:
        """Field by field, in every way there is to ask."""
        await self.check(CountCollections())
        for collection in COLLECTIONS:
            await self.check(GetDocuments(collection, NAMES))
            for name in NAMES:
                await self.check(GetDocument(collection, name))
            page: ListDocuments | None = ListDocuments(collection, 7)
            while page is not None:
                page = next_page(page, await self.check(page))

    async def compare_search(self) -> None:
        """Each document is found by its own word, none by the words of what was replaced or removed."""
        written = [(collection, word) for collection in COLLECTIONS for word in self.unique_words(collection)]
        for collection, word in written[-200:]:
            await self.check(SearchText(collection, word, 10))
        for collection in COLLECTIONS:
            for word in TOPIC_WORDS:
                await self.check(SearchText(collection, word, 1000))
            dense = await self.check(SearchDense(collection, {"vector": some_vector(random.Random(1))}, 1000))
            assert dense.body["results"]

    async def compare_status(self) -> None:
        """Parked events by their place, and a lag of nothing."""
        version = self.oracle.version(self.final)
        for name in ("documents", "passages"):
            parked = (await self.query.get(f"/v1/projections/{name}/parked")).json()["parked"]
            assert {(one["partition"], one["offset"]) for one in parked} == self.oracle.parked(version)
            assert all(one["reason"] for one in parked)
            told = (await self.query.get(f"/v1/projections/{name}")).json()
            (live,) = [one for one in told["generations"] if one["generation"] == told["live"]]
            assert (live["state"], live["lag_events"], live["lag_seconds"]) == ("live", 0, 0)
            assert self.oracle.version(live["version"]) == version

    def check_acknowledged(self) -> None:
        """What was acknowledged lies in the log, below its token."""
        for one in self.acknowledged:
            key = f"{one.collection}/{one.name}".encode()
            at = partition_of(key, len(self.oracle.positions))
            below = self.oracle.version(one.token)[at]
            log = [record for record in self.oracle.log[at] if record.key == key and record.offset < below]
            texts = [record.document and record.document["text"] for record in log if record.kind != "invalid"]
            assert one.text in texts, one

    async def check(self, question: Question) -> Answer:
        """Ask at the final version, and judge at once."""
        answer = await ask(self.query, question, self.final, wait=10)
        assert answer is not None, question
        await asyncio.to_thread(answer.judge, self.oracle)
        assert answer.status != 412, answer
        self.judged["at the end"] += 1
        return answer

    def unique_words(self, collection: str) -> list[str]:
        """Every word that ever stood in one text only, now or before."""
        documents = [record.document for log in self.oracle.log.values() for record in log if record.document]
        texts = [document["text"] for document in documents if document["collection"] == collection]
        return [text.split()[0] for text in texts if text.startswith("unique")]

    def ends(self) -> Version:
        """The high watermark of every partition."""
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": "ends"})
        try:
            places = {at: TopicPartition("documents", at) for at in self.oracle.positions}
            return {at: consumer.get_watermark_offsets(place, timeout=10)[1] for at, place in places.items()}
        finally:
            consumer.close()

    def phase(self, name: str) -> None:
        """Note how long a part of the run took."""
        self.phases[name] = round(time.monotonic() - self.began - sum(self.phases.values()), 1)

    def summary(self) -> str:
        """What this run did."""
        lines = {
            "seed": self.seed,
            "kills": dict(self.kills),
            "writes": dict(self.written),
            "answers judged": dict(self.judged),
            "versions seen": {name: len(versions) for name, versions in self.versions.items()},
            "no answer": self.unanswered,
            "seconds": self.phases,
        }
        return "\n".join(f"{name}: {value}" for name, value in lines.items())

    async def close(self) -> None:
        """Let go of the connections."""
        await self.command.aclose()
        await self.query.aclose()


def fields(chance: random.Random) -> dict[str, Any]:
    """What else a document may have."""
    metadata: Mapping[str, Any] = {
        "lang": chance.choice(("en", "年")),
        "year": chance.randrange(1900, 2100),
        "no": None,
    }
    every = {"title": f"title {chance.randrange(1000)}", "metadata": metadata, "source_uri": "file:///a%20b"}
    return {name: value for name, value in every.items() if chance.random() < 0.5}


def some_question(chance: random.Random, kind: type, acknowledged: list[Acknowledged]) -> Question:
    """A random question of a kind, often about what was written last."""
    collection = chance.choice((*COLLECTIONS, *COLLECTIONS, "empty"))
    by_text = {"query": " ".join(chance.sample(PROSE, 4))}
    makers: dict[type, Callable[[], Question]] = {
        GetDocument: lambda: GetDocument(collection, chance.choice(NAMES)),
        GetDocuments: lambda: GetDocuments(
            collection, chance.choices([*NAMES, "never written"], k=chance.randrange(1, 20))
        ),
        ListDocuments: lambda: ListDocuments(collection, chance.choice((1, 10, 1000))),
        CountCollections: CountCollections,
        SearchText: lambda: SearchText(*some_word(chance, collection, acknowledged), chance.choice((1, 5, 1000))),
        SearchDense: lambda: SearchDense(
            collection, chance.choice((by_text, {"vector": some_vector(chance)})), chance.choice((1, 10, 100))
        ),
    }
    return makers[kind]()


def some_word(chance: random.Random, collection: str, acknowledged: list[Acknowledged]) -> tuple[str, str]:
    """The word of one text that was written lately, or one that many texts have; and where to look for it."""
    recent = [(one.collection, one.text.split()[0]) for one in acknowledged[-40:] if one.text]
    return chance.choice(recent) if recent and chance.random() < 0.5 else (collection, chance.choice(TOPIC_WORDS))


def next_page(page: ListDocuments, answer: Answer) -> ListDocuments | None:
    """The page after this one, if there is one."""
    cursor = answer.body.get("next_cursor")
    return cursor and replace(page, cursor=cursor, after=answer.body["documents"][-1]["document_id"])


def some_vector(chance: random.Random) -> list[float]:
    """A direction; the encoder that every stack begins with has 384 dimensions."""
    return [chance.gauss(0, 1) for _ in range(384)]
