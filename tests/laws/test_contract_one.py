"""Contract 1 from outside: whoever can write to Kafka is a producer, good or bad, and no answer suffers from it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.laws.derived import check_coverage, read_whole
from tests.laws.events import INVALID, Event, Place, Straight, added, in_base64, removed, structured, unknown
from tests.laws.reading import (
    Answer,
    CountCollections,
    GetDocument,
    ListDocuments,
    Question,
    SearchDense,
    SearchText,
    ask,
    written_token,
)
from tests.oracle import Oracle, Version, partition_of
from tests.running import Running

WITHIN = 120.0
PROJECTIONS = ("documents", "passages")


@dataclass(frozen=True)
class Nenrin:
    """The whole of it, and who writes, reads and judges from outside."""

    kafka: str
    query: httpx.AsyncClient
    oracle: Oracle
    producer: Straight

    def send(self, *events: Event) -> list[Place]:
        """Write events, one after the other."""
        return [self.producer.send(event) for event in events]

    def ends(self) -> Version:
        """The high watermarks, markers included."""
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": "ends"})
        try:
            places = {at: TopicPartition("documents", at) for at in self.oracle.positions}
            return {at: consumer.get_watermark_offsets(place, timeout=10)[1] for at, place in places.items()}
        finally:
            consumer.close()

    async def read(self, question: Question) -> Answer:
        """The answer at the end of the log, which must be the oracle's."""
        token = written_token(self.ends(), self.oracle.incarnation)
        deadline = time.monotonic() + WITHIN
        while (answer := await ask(self.query, question, token, wait=20)) is None or answer.status == 412:
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.1)  # between attempts
        answer.judge(self.oracle)
        return answer

    async def parked(self, name: str) -> dict[Place, str]:
        """The parked events that the projection lists, with their reasons, once it has seen the whole log."""
        await self.read(CountCollections() if name == "passages" else ListDocuments("none", 1))
        listed = (await self.query.get(f"/v1/projections/{name}/parked")).json()["parked"]
        return {Place(one["partition"], one["offset"]): one["reason"] for one in listed}

    def right(self, event: Event) -> int:
        """The partition that murmur2 gives the event's key."""
        return partition_of(event.key or b"", len(self.oracle.positions))


@pytest.fixture
async def nenrin(whole_stack: Running) -> AsyncIterator["Nenrin"]:
    """A stack that other tests share, so nothing is counted from zero."""
    endpoints = whole_stack.endpoints
    kafka: str = endpoints["kafka"]
    async with httpx.AsyncClient(base_url=endpoints["query"], timeout=40) as query:
        yield Nenrin(kafka, query, Oracle(kafka), Straight(kafka))


@pytest.fixture
def collection() -> str:
    """A collection that no other test writes to."""
    return f"c{secrets.token_hex(4)}"


async def test_documents_written_straight_to_kafka_become_searchable(nenrin: Nenrin, collection: str) -> None:
    """A producer that knows nothing but contract 1 is as good as the command service."""
    texts = {"one": "word1x stands here", "two/b c.txt": "word2x and word1x", "年輪": "tree rings, word3x"}
    nenrin.send(*(added(collection, name, text, title="T", metadata={"n": [1, None]}) for name, text in texts.items()))
    found = await nenrin.read(SearchText(collection, "word1x", 10))
    assert {one["document_id"] for one in found.body["results"]} == {"one", "two/b c.txt"}
    near = await nenrin.read(SearchDense(collection, {"query": "the rings of a tree"}, 1))
    assert [one["document_id"] for one in near.body["results"]] == ["年輪"]
    for name in texts:
        assert (await nenrin.read(GetDocument(collection, name))).status == 200


async def test_the_last_event_of_a_document_wins(nenrin: Nenrin, collection: str) -> None:
    """An upsert replaces the whole document, and past a removal it is gone everywhere."""
    nenrin.send(added(collection, "one", "word1x", title="T"), added(collection, "one", "word2x"))
    assert (await nenrin.read(GetDocument(collection, "one"))).body["document"]["title"] is None
    assert (await nenrin.read(SearchText(collection, "word1x", 10))).body["results"] == []
    nenrin.send(removed(collection, "one"))
    assert (await nenrin.read(GetDocument(collection, "one"))).status == 404
    assert (await nenrin.read(SearchText(collection, "word2x", 10))).body["results"] == []


async def test_structured_mode_is_accepted(nenrin: Nenrin, collection: str) -> None:
    """The envelope may be in the value as well as in the headers."""
    nenrin.send(structured(added(collection, "one", "word1x")), structured(added(collection, "two", "word1x")))
    nenrin.send(structured(removed(collection, "two")))
    other = added(collection, "one", "word2x")
    nenrin.send(structured(replace(other, headers=other.headers | {"ce_type": b"org.example.happened.v1"})))
    nenrin.send(in_base64(added(collection, "three", "word1x 年輪")), in_base64(removed(collection, "two")))
    found = await nenrin.read(SearchText(collection, "word1x", 10))
    assert {one["document_id"] for one in found.body["results"]} == {"one", "three"}
    listed = await nenrin.read(ListDocuments(collection, 10))
    assert [one["document_id"] for one in listed.body["documents"]] == ["one", "three"]


async def test_every_kind_of_bad_event_is_parked_and_its_neighbours_go_on(nenrin: Nenrin, collection: str) -> None:
    """Each invalid event is recorded with its reason by both projections, between neighbours that both show."""
    places: dict[Place, str] = {}
    for number, (how, made) in enumerate(INVALID.items()):
        bad = made(collection, f"bad{number}")
        # in one producer's batch, and in the partition of the bad one
        neighbours = [near(nenrin, collection, f"n{number}-{side}", bad) for side in ("before", "after")]
        for event in (neighbours[0], bad, neighbours[1]):
            nenrin.producer.hand(event)
        delivered = nenrin.producer.flush()
        places[sorted(delivered, key=lambda place: place.offset)[1]] = how
    wrong = added(collection, "wrong")
    partition = (nenrin.right(wrong) + 1) % len(nenrin.oracle.positions)
    places[nenrin.producer.send(replace(wrong, partition=partition))] = "wrong partition"
    for name in PROJECTIONS:
        parked = await nenrin.parked(name)
        assert [how for place, how in places.items() if not parked.get(place)] == []
        assert {(place.partition, place.offset) for place in parked} == nenrin.oracle.parked(nenrin.ends())
    listed = await nenrin.read(ListDocuments(collection, 1000))
    assert len(listed.body["documents"]) == 2 * len(INVALID)
    await nenrin.read(SearchText(collection, "neighbour1x", 1000))


async def test_a_later_good_event_of_the_same_key_resolves_a_parked_one(nenrin: Nenrin, collection: str) -> None:
    """What is parked is what is still wrong: an upsert that comes later heals it, a removal too."""
    for heal in (added(collection, "one"), removed(collection, "one")):
        before = {name: await nenrin.parked(name) for name in PROJECTIONS}
        (bad,) = nenrin.send(INVALID["no text"](collection, "one"))
        for name in PROJECTIONS:
            assert set(await nenrin.parked(name)) == {*before[name], bad}
        nenrin.send(heal)
        for name in PROJECTIONS:
            assert await nenrin.parked(name) == before[name]


async def test_an_unknown_type_is_skipped_whatever_it_carries(nenrin: Nenrin, collection: str) -> None:
    """Neither parked nor shown, and the position moves past it, at the end of the log too."""
    before = {name: await nenrin.parked(name) for name in PROJECTIONS}
    strange = unknown(collection, "one")
    nenrin.send(added(collection, "one"), strange, replace(strange, key=None), replace(strange, value=None))
    for name in PROJECTIONS:
        assert await nenrin.parked(name) == before[name]
    assert (await nenrin.read(GetDocument(collection, "one"))).status == 200


async def test_transactions_count_when_they_commit_and_lag_reaches_zero_behind_their_markers(
    nenrin: Nenrin, collection: str
) -> None:
    """Aborted documents are never seen, and the version reaches the end of the log, markers included."""
    transactional = Straight(nenrin.kafka, **{"transactional.id": collection})
    transactional.producer.init_transactions(20)
    for end in ("commit", "abort"):
        transactional.producer.begin_transaction()
        for number in range(8):
            transactional.hand(added(collection, f"{end}{number}", "word1x"))
        transactional.flush()
        getattr(transactional.producer, f"{end}_transaction")(20)
    for question in (ListDocuments(collection, 100), SearchText(collection, "word1x", 100)):
        answer = await nenrin.read(question)
        shown = answer.body.get("documents") or answer.body.get("results")
        assert {one["document_id"] for one in shown} == {f"commit{number}" for number in range(8)}
        assert dict(nenrin.oracle.version(answer.token)) == nenrin.ends()
    await reaches_no_lag(nenrin)


async def test_the_derived_topic_covers_the_source_without_a_hole(nenrin: Nenrin, collection: str) -> None:
    """One record for each valid or invalid one, unknown types and markers covered, up to the end of the source."""
    nenrin.send(added(collection, "one", "A text. " * 400), unknown(collection, "one"))
    await nenrin.read(CountCollections())
    counted = check_coverage(nenrin.oracle, nenrin.ends(), read_whole(nenrin.kafka))
    assert counted["nenrin.passages.embedded.v1"] > 0


async def reaches_no_lag(nenrin: Nenrin) -> None:
    """Both projections say that nothing is left, soon after it is so."""
    deadline = time.monotonic() + 10
    for question in (ListDocuments("none", 1), CountCollections()):
        while (answer := await nenrin.read(question)).body["projection"]["lag_events"]:
            assert time.monotonic() < deadline, answer
        told = answer.body["projection"]
        assert (told["state"], told["lag_events"], told["lag_seconds"]) == ("live", 0, 0)


def near(nenrin: Nenrin, collection: str, name: str, bad: Event) -> Event:
    """A good event in the same partition as a bad one."""
    partition = nenrin.right(bad) if bad.partition is None else bad.partition
    events = (added(collection, f"{name}{number}", "neighbour1x") for number in range(1000))
    return next(event for event in events if nenrin.right(event) == partition)
