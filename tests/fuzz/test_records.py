"""Records of any bytes in the log itself: every reader goes on, and says of each what the oracle says."""

import asyncio
import base64
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.fuzz import EXAMPLES
from tests.fuzz.batches import CODECS, Hand, Raw, batch
from tests.laws.derived import check_coverage, read_whole
from tests.laws.events import INVALID, Event, added, in_base64, removed, structured, unknown
from tests.laws.reading import (
    Answer,
    CountCollections,
    GetDocument,
    ListDocuments,
    Question,
    SearchText,
    ask,
    written_token,
)
from tests.oracle import Oracle, partition_of
from tests.running import Running

RECORDS = 3 * EXAMPLES
WITHIN = 90.0
C = "fuzzed"
NAMES = [f"n{number}" for number in range(12)]
HEADER_NAMES = [b"ce_type", b"ce_id", b"ce_source", b"ce_specversion", b"CE_TYPE", b"content-type", b"traceparent",
                b"\xff\xfe", b"ce_\xc3", b"", b"\0", b"a\0b", b"x" * 2000, "年".encode(), b"nenrin-unread"]  # fmt: skip
HEADER_VALUES = [None, b"", b"\xff", b"\0", b"1.0", b"nenrin.document.added.v1", b"nenrin.document.removed.v1",
                 b"org.example.other", b"application/cloudevents+json", b"application/json", b"v" * 5000]  # fmt: skip
KEYS = [None, b"", b"\xff\xfe", b"\0", b"k" * 100_000, f"{C}/".encode(), f"{C}/n1".encode(), b"/"]
VALUES = [None, b"", b"\0", b"null", b"{}", b"[", b"\xff" * 50, b"x" * 1_000_000]


class Told(Oracle):
    """An oracle that is told the headers of records whose headers its client can't read."""

    sent: Mapping[tuple[int, int], Raw]

    def _take(self, message: Any) -> None:
        place = message.partition(), message.offset()
        told = None if message.error() else self.sent.get(place)
        super()._take(message if told is None else _Heard(message, told.headers))


class _Heard:
    def __init__(self, message: Any, headers: Sequence[tuple[bytes, bytes | None]]) -> None:
        self._message, self._headers = message, headers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def headers(self) -> list[tuple[str, bytes | None]]:
        return [(name.decode(errors="surrogateescape"), value) for name, value in self._headers]


@pytest.fixture
async def query(stack: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the query service."""
    async with httpx.AsyncClient(base_url=stack.endpoints["query"], timeout=40) as client:
        yield client


async def test_whatever_lies_in_the_log_every_reader_goes_on(
    stack: Running, query: httpx.AsyncClient, seed: int
) -> None:
    """Hundreds of records, good, bad and damaged, in every compression: both projections end with the oracle's fold.

    Every parked event is listed and shown, and the derived topic covers the source without a hole.
    """
    kafka, before = stack.endpoints["kafka"], stack.pids
    oracle = Told(kafka)
    oracle.sent = await write(kafka, random.Random(seed))
    ends = heads(kafka, oracle.positions)
    oracle.read_past(ends, 30)
    token = written_token(ends, oracle.incarnation)
    questions: list[Question] = [ListDocuments(C, 1000), CountCollections(), SearchText(C, "word1x", 1000)]
    for question in [*questions, *(GetDocument(C, name) for name in NAMES)]:
        (await reached(query, question, token)).judge(oracle)
    for projection in ("documents", "passages"):
        assert await parked(query, projection) == oracle.parked(ends)
    counted = check_coverage(oracle, ends, read_whole(kafka))
    assert len(counted) == 4, counted
    assert stack.pids == before, "a process died of what it read"


async def test_a_batch_that_inflates_without_end_is_parked(stack: Running, query: httpx.AsyncClient) -> None:
    """33 kB that inflate to a gigabyte: what comes first is read, the rest is parked without content, with a reason."""
    first, last = (raw_of(added("bombed", name)) for name in ("first", "last"))
    at = partition_of(first.key or b"", 4)
    async with Hand(stack.endpoints["kafka"]) as hand:
        offset = await hand.send(at, batch([first, Raw(None, bytes(2**30)), last], codec=4))
    assert offset is not None
    token = written_token({at: offset + 3}, await told_incarnation(query))
    assert (await reached(query, GetDocument("bombed", "first"), token)).status == 200
    await reached(query, CountCollections(), token)
    for projection in ("documents", "passages"):
        for unread in (offset + 1, offset + 2):
            shown = (await query.get(f"/v1/projections/{projection}/parked/documents/{at}/{unread}")).json()["event"]
            assert shown["headers"][0]["name"] == "nenrin-unread"
            assert "inflates" in shown["headers"][0]["value"]


async def told_incarnation(query: httpx.AsyncClient) -> str:
    """The topic's id, as answers tell it."""
    token = (await query.get("/v1/collections")).headers["nenrin-version"]
    incarnation: str = json.loads(base64.urlsafe_b64decode(token + "=="))["i"]["documents"]
    return incarnation


def heads(kafka: str, partitions: Iterable[int]) -> dict[int, int]:
    """The high watermarks."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "heads"})
    try:
        places = {at: TopicPartition("documents", at) for at in partitions}
        return {at: consumer.get_watermark_offsets(place, timeout=10)[1] for at, place in places.items()}
    finally:
        consumer.close()


async def write(kafka: str, rng: random.Random) -> dict[tuple[int, int], Raw]:
    """Write records of all kinds, in batches that a broker takes; where each of them is."""
    sent: dict[tuple[int, int], Raw] = {}
    async with Hand(kafka) as hand:
        for partition, records in batches(rng):
            offset = await hand.send(partition, batch(records, rng.choice(list(CODECS)), rng.choice([0, -1, 2**62])))
            assert offset is not None, records
            sent |= {(partition, offset + number): raw for number, raw in enumerate(records)}
    return sent


def batches(rng: random.Random) -> Iterator[tuple[int, list[Raw]]]:
    """Batches of one to eight records of a partition, most of them where they belong."""
    waiting: dict[int, list[Raw]] = {at: [] for at in range(4)}
    for _ in range(RECORDS):
        raw = damaged(rng, raw_of(some_event(rng)))
        at = partition_of(raw.key, 4) if raw.key and rng.random() < 0.97 else rng.randrange(4)
        waiting[at].append(raw)
        if rng.random() < 0.3:
            yield at, waiting.pop(at)
            waiting[at] = []
    yield from ((at, records) for at, records in waiting.items() if records)


def some_event(rng: random.Random) -> Event:
    """Good or bad, in any mode."""
    name = rng.choice(NAMES)
    made = [
        lambda: added(C, name, f"word1x {rng.random()}", title="T", metadata={"n": rng.random()}),
        lambda: structured(added(C, name, f"word1x {rng.random()}")),
        lambda: in_base64(added(C, name, "word1x")),
        lambda: removed(C, name),
        lambda: unknown(C, name),
        lambda: INVALID[rng.choice(list(INVALID))](C, name),
    ]
    return rng.choices(made, (6, 2, 1, 2, 1, 4))[0]()


def raw_of(event: Event) -> Raw:
    """The event as bytes."""
    return Raw(event.key, event.value, [(name.encode(), value) for name, value in event.headers.items()])


def damaged(rng: random.Random, raw: Raw) -> Raw:
    """The record as it is, or with one thing about it changed."""
    headers = list(raw.headers)
    one = (rng.choice(HEADER_NAMES), rng.choice(HEADER_VALUES))
    changes = [
        lambda: raw,
        lambda: replace(raw, headers=[*headers, one]),
        lambda: replace(raw, headers=[one, *headers]),
        lambda: replace(raw, headers=[*headers, *headers[::-1]]),
        lambda: replace(raw, headers=headers[: rng.randrange(len(headers) + 1)]),
        lambda: replace(raw, headers=headers + [(b"h%d" % number, b"") for number in range(20_000)]),
        lambda: replace(raw, key=rng.choice(KEYS)),
        lambda: replace(raw, value=rng.choice(VALUES)),
        lambda: replace(raw, value=(raw.value or b"")[: rng.randrange(200)]),
        lambda: replace(raw, value=mutated(rng, raw.value or b"")),
        lambda: replace(raw, attributes=rng.randrange(256)),
        lambda: replace(raw, time=rng.choice([-(2**40), 2**61, 0])),
    ]
    return rng.choices(changes, (20, 3, 2, 1, 1, 0.2, 2, 1, 2, 4, 3, 1))[0]()


def mutated(rng: random.Random, value: bytes) -> bytes:
    """One byte changed."""
    if not value:
        return rng.randbytes(3)
    at = rng.randrange(len(value))
    return value[:at] + rng.randbytes(1) + value[at + rng.randrange(2) :]


async def reached(query: httpx.AsyncClient, question: Question, token: str) -> Answer:
    """The answer once the projection has seen all that the token names."""
    deadline = time.monotonic() + WITHIN
    while (answer := await ask(query, question, token, wait=20)) is None or answer.status == 412:
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)  # between attempts
    return answer


async def parked(query: httpx.AsyncClient, projection: str) -> set[tuple[int, int]]:
    """The places of all parked events, page by page; each of them is shown too."""
    path, cursor, found = f"/v1/projections/{projection}/parked", "", set()
    while cursor is not None:
        page = (await query.get(path, params={"limit": 50, "cursor": cursor})).raise_for_status().json()
        cursor = page["next_cursor"]
        for one in page["parked"]:
            assert one["reason"]
            place = f"{one['topic']}/{one['partition']}/{one['offset']}"
            shown = (await query.get(f"{path}/{place}")).raise_for_status().json()["event"]
            assert {name: shown[name] for name in one} == one
            found.add((one["partition"], one["offset"]))
    return found
