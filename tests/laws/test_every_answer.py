"""Every kind of answer, many readers at once, two query services: each is the fold of the log at its own version."""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

import services.init
from services.settings import Settings
from tests.laws.events import INVALID, Event, Straight, added, removed, unknown
from tests.laws.processes import PATIENCE, Judged, Process, ended, ending, judging, until
from tests.laws.reading import (
    Answer,
    CountCollections,
    GetDocument,
    GetDocuments,
    ListDocuments,
    Question,
    SearchDense,
    SearchHybrid,
    SearchText,
    ShowProjection,
    ask,
    lag_bounds,
    written_token,
)
from tests.oracle import Version
from tests.running import Databases, as_reader, clone, execute, with_database

READING_FOR = 4.0  # seconds
NAMES = [*(f"d{number}" for number in range(20)), "a/b c", "年輪/7", ".."]
WORDS = [f"topic{number}x" for number in range(6)]
DIMENSIONS = 384


@dataclass(frozen=True)
class Scene:
    """Processes that embed, project and observe; their log and database."""

    settings: Settings
    databases: Databases
    processes: dict[str, Process]
    folder: Path

    @asynccontextmanager
    async def instances(self, number: int) -> AsyncIterator[list[Judged]]:
        """Query services, each with its own connections and caches."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(judging(self.settings, self.databases)) for _ in range(number)]


@pytest.fixture(scope="module")
def scene(
    kafka: str, servers: Any, template: str, reader_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """One for the module: the model takes seconds to load."""
    owner, name, folder = servers.endpoints["postgres"], f"law_{secrets.token_hex(4)}", tmp_path_factory.mktemp("law")
    clone(owner, name, template)
    databases = Databases(with_database(owner, name), as_reader(owner, name, reader_password))
    settings = Settings(kafka=kafka, postgres=databases.owner, partitions=4, topic_prefix=f"{name}.")  # type: ignore[arg-type]
    services.init.run(settings)
    processes = {
        service: Process(settings, folder / f"{service}.log", "nenrin", service)
        for service in ("embedder", "projector", "heads")
    }
    try:
        yield Scene(settings, databases, processes, folder)
    finally:
        for process in processes.values():
            process.end()
    execute(owner, f"DROP DATABASE {name} WITH (FORCE)")


@dataclass
class Trial:
    """Writers and readers of one test, and what the readers were told."""

    scene: Scene
    instances: Sequence[Judged]
    collection: str
    chance: random.Random
    over: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[tuple[Answer, float]] = field(default_factory=list)

    async def pause(self, seconds: float) -> None:
        """The pace of whoever acts."""
        await asyncio.sleep(self.chance.expovariate(1 / seconds))

    async def write(self) -> None:
        """Good and bad events, and transactions, one in two of which is aborted."""
        settings = self.scene.settings
        straight = Straight(settings.kafka, settings.topic_prefix)
        transactional = Straight(settings.kafka, settings.topic_prefix, **{"transactional.id": self.collection})
        await asyncio.to_thread(transactional.producer.init_transactions, 30)
        while not self.over.is_set():
            straight.hand(self.event())
            if self.chance.random() < 0.1:
                await asyncio.to_thread(transaction, transactional, [self.event() for _ in range(3)], self.chance)
            await self.pause(0.02)
        await asyncio.to_thread(straight.flush)

    def event(self) -> Event:
        """About one of few documents, so that they change often."""
        name = self.chance.choice(NAMES)
        text = " ".join([f"only{self.chance.randrange(10**9)}x", *self.chance.sample(WORDS, 2), "of a tree"])
        fields = {"title": f"title {self.chance.randrange(99)}", "metadata": {"n": [self.chance.random(), None]}}
        makers: list[Callable[[], Event]] = [
            lambda: added(self.collection, name, text if self.chance.random() < 0.9 else "", **fields),
            lambda: removed(self.collection, name),
            lambda: INVALID[self.chance.choice(["no text", "text of a number", "not JSON"])](self.collection, name),
            lambda: unknown(self.collection, name),
        ]
        return self.chance.choices(makers, (60, 20, 15, 5))[0]()

    def question(self) -> Question:
        """Of any kind."""
        collection, k = self.collection, self.chance.choice((1, 5, 1000))
        vector = {"vector": [self.chance.gauss(0, 1) for _ in range(DIMENSIONS)]}
        every: list[Question] = [
            GetDocument(collection, self.chance.choice(NAMES)),
            GetDocuments(collection, self.chance.choices([*NAMES, "never"], k=10)),
            ListDocuments(collection, k),
            CountCollections(),
            SearchText(collection, self.chance.choice(WORDS), k),
            SearchDense(collection, vector, k),
            SearchHybrid(collection, self.chance.choice(WORDS), k),
            ShowProjection("documents"),
            ShowProjection("passages"),
        ]
        return self.chance.choice(every)

    async def session(self) -> None:
        """A client that passes on what it has seen, to whichever instance it comes: it must never go back."""
        token: str | None = None
        while not self.over.is_set():
            conditions: dict[str, Any] = self.chance.choice(
                ({}, {"wait": 2}, {"lenient": True}, {"max_lag": 0.05}, {"max_lag": 0.05, "lenient": True})
            )
            instance = self.chance.choice(self.instances)
            answer = await ask(instance.http, self.question(), token, **conditions)
            if answer is not None:
                self.heard.append((answer, time.time()))
                token = merged(instance, token, answer.token)
            await self.pause(0.02)

    async def pages(self) -> None:
        """Lists from start to end, each page the fold at its own version."""
        page: ListDocuments | None = None
        while not self.over.is_set():
            page = page or ListDocuments(self.collection, 3)
            answer = await ask(self.chance.choice(self.instances).http, page)
            if answer is not None:
                self.heard.append((answer, time.time()))
                cursor = answer.body["next_cursor"]
                page = cursor and replace(page, cursor=cursor, after=answer.body["documents"][-1]["document_id"])
            await self.pause(0.02)


def transaction(producer: Straight, events: Sequence[Event], chance: random.Random) -> None:
    """Committed or aborted."""
    client: Producer = producer.producer
    client.begin_transaction()
    for event in events:
        producer.hand(event)
    producer.flush()
    (client.commit_transaction if chance.random() < 0.5 else client.abort_transaction)(30)


def merged(instance: Judged, token: str | None, other: str) -> str:
    """The maximum of two tokens, per partition."""
    oracle = instance.oracle
    one, two = oracle.version(token) if token else {}, oracle.version(other)
    return written_token({at: max(one.get(at, 0), two.get(at, 0)) for at in {*one, *two}}, oracle.incarnation)


async def test_every_answer_is_the_fold_at_its_version(scene: Scene) -> None:
    """Eight readers, two of them of lists, while documents change, and while a second projector comes and goes.

    Lag is held against the broker's own times: it counts what was in the log, and nothing that came later.
    """
    seed = secrets.randbelow(10**9)
    print(f"seed {seed}")
    second = Process(scene.settings, scene.folder / "second.log", "nenrin", "projector")
    async with scene.instances(2) as instances:
        trial = Trial(scene, instances, f"c{seed}", random.Random(seed))
        await instances[0].at_the_end(CountCollections())
        with ending(second):
            acting = [trial.write(), *(trial.session() for _ in range(6)), trial.pages(), trial.pages()]
            async with asyncio.TaskGroup() as group:
                for act in acting:
                    group.create_task(act)
                await until(lambda: bool(second.owned()))
                await asyncio.sleep(READING_FOR)  # the length of the trial
                second.popen.terminate()
                await until(lambda: ended(second))
                trial.over.set()
        await instances[0].at_the_end(CountCollections(), ListDocuments(trial.collection, 1000))
        counted = await asyncio.to_thread(judged, trial)
    print(dict(counted))
    assert {kind for kind, _ in counted} >= {"GetDocument", "ListDocuments", "SearchHybrid", "ShowProjection"}
    assert {status for _, status in counted} == {200, 404, 412}


def judged(trial: Trial) -> Counter[tuple[str, int]]:
    """Hold everything that was heard against the oracle; how many of each kind."""
    oracle = trial.instances[0].oracle
    counted: Counter[tuple[str, int]] = Counter()
    for answer, received in trial.heard:
        answer.judge(oracle)
        counted[type(answer.question).__name__, answer.status] += 1
        lag = answer.body["projection"]["lag_events"]
        if lag is not None:
            least, most = lag_bounds(oracle, answer, received)
            assert least <= lag <= most, (least, most, answer)
    return counted


async def test_lag_is_heads_minus_version_to_the_event(scene: Scene) -> None:
    """While the projector stands still, every answer lacks just what was written since, aborted or a marker too.

    The heads in an answer are Kafka's own; once the projector goes on, nothing is lacking.
    """
    collection = f"l{secrets.token_hex(4)}"
    settings, name = scene.settings, {"transactional.id": collection}
    straight = Straight(settings.kafka, settings.topic_prefix)
    transactional = Straight(settings.kafka, settings.topic_prefix, **name)
    await asyncio.to_thread(transactional.producer.init_transactions, 30)
    questions: list[Question] = [GetDocument(collection, "d0"), ListDocuments(collection, 3), CountCollections()]
    questions += [SearchText(collection, WORDS[0], 5), ShowProjection("documents"), ShowProjection("passages")]
    async with scene.instances(1) as (judge,):
        for projection in ("documents", "passages"):
            await observed(judge, ShowProjection(projection), await asyncio.to_thread(judge.ends))  # it is claimed
        before = await judge.at_the_end(*questions)
        scene.processes["projector"].freeze()
        try:
            for number in range(5):
                straight.send(added(collection, f"d{number}", WORDS[0]))
            transactional.producer.begin_transaction()
            transactional.hand(added(collection, "never", "a text"))
            transactional.flush()
            transactional.producer.abort_transaction(30)
            # a broker answers the end of a transaction before it writes the marker
            await until(lambda: sum(judge.ends().values()) - sum(before.values()) == 5 + 1 + 1)
            after = await asyncio.to_thread(judge.ends)
            for question in questions:
                answer = await observed(judge, question, after)
                assert answer.body["projection"]["lag_events"] == 7, answer
                assert answer.headers["nenrin-lag"].startswith("events=7, ")
        finally:
            scene.processes["projector"].wake()
        await judge.at_the_end(*questions)
        for question in questions:
            answer = await observed(judge, question, after)
            assert (answer.body["projection"]["lag_events"], answer.body["projection"]["state"]) == (0, "live")


async def observed(judge: Judged, question: Question, ends: Version) -> Answer:
    """An answer whose lag is known, once the probe has seen that the log reaches so far."""
    async with asyncio.timeout(PATIENCE):
        while True:
            shown = await judge.answer(ShowProjection(question.projection), {})
            (generation,) = shown.body["generations"]
            (answer,) = await heard(judge, [question])
            seen = generation["heads"]["documents"] == {str(at): end for at, end in ends.items()}
            if seen and answer.body["projection"]["lag_events"] is not None:
                return answer
            await asyncio.sleep(0.05)  # the probe tells nobody


async def test_what_was_removed_never_comes_back(scene: Scene) -> None:
    """Past the token of a removal no search, list or read shows it: not asked again, not elsewhere, not restarted.

    Each question was asked before, so that whatever an instance remembers of it is warm.
    """
    collection, word = f"r{secrets.token_hex(4)}", "vanish7x"
    straight = Straight(scene.settings.kafka, scene.settings.topic_prefix)
    straight.send(added(collection, "gone", f"{word} with the years", title="t"))
    straight.send(added(collection, "stays", "with the years", title="t"))
    everything: list[Question] = [
        GetDocument(collection, "gone"),
        GetDocuments(collection, ["stays", "gone"]),
        ListDocuments(collection, 10),
        SearchText(collection, word, 10),
        SearchDense(collection, {"query": f"{word} with the years"}, 10),
        SearchHybrid(collection, word, 10),
        CountCollections(),
    ]
    async with scene.instances(2) as instances:
        for instance in instances:
            await instance.at_the_end(*everything)
        assert "gone" in shown(await heard(instances[0], everything))
        place = straight.send(removed(collection, "gone"))
        token: Version = {place.partition: place.offset + 1}
        for instance in (*instances, *instances):
            assert "gone" not in shown(await heard(instance, everything, token))
        scene.processes["projector"].end()
        log = scene.folder / "projector.log"
        scene.processes["projector"] = Process(scene.settings, log, "nenrin", "projector")
        straight.send(added(collection, "another", "with the years"))
        async with scene.instances(1) as restarted:
            for instance in (*restarted, *instances):
                assert "gone" not in shown(await heard(instance, everything, token))
                await instance.at_the_end(*everything)


async def heard(instance: Judged, questions: Sequence[Question], version: Version | None = None) -> list[Answer]:
    """Answers at a version or later, each of them judged."""
    answers = [await instance.answer(question, version or {}) for question in questions]
    for answer in answers:
        await asyncio.to_thread(answer.judge, instance.oracle)
    return answers


def shown(answers: Sequence[Answer]) -> set[str]:
    """The ids of all documents in these answers."""
    bodies = [answer.body for answer in answers]
    some = [[body.get("document"), *body.get("documents", []), *body.get("results", [])] for body in bodies]
    return {document["document_id"] for documents in some for document in documents if document}
