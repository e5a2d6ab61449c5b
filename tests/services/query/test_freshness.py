"""Versions asked for, versions answered: reading one's own writes, bounded staleness, and waiting that ends."""

import asyncio
import time
from typing import Any

import pytest

from schemas.documents import DocumentAdded
from schemas.versions import Version
from services.query import waiting as waiting_
from tests.services.query.conftest import INCARNATION, PARTITIONS, Nenrin
from tests.services.query.test_conditions import second_generation_of_documents

LISTENING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'nenrin query notif%'
AND datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'
"""


def token(offsets: dict[int, int], incarnation: str | None = INCARNATION, topic: str = "documents") -> str:
    """A token for these positions."""
    return Version({topic: offsets}, {} if incarnation is None else {topic: incarnation}).token()


async def test_what_has_been_seen_is_answered_at_once(nenrin: Nenrin) -> None:
    """The token of an answer, or none at all, asks for nothing more."""
    await nenrin.add("a", "text")
    seen = (await nenrin.get("/collections")).headers["nenrin-version"]
    for asked in (seen, Version().token(), token({0: 0}), token({0: 0}, incarnation=None)):
        assert (await nenrin.get("/collections", nenrin_at_least=asked)).status_code == 200


async def test_what_is_missing_is_said(nenrin: Nenrin) -> None:
    """412 with the shortfall per partition, when to ask again, and how the projection stands."""
    answer = await nenrin.get("/collections", nenrin_at_least=token({0: 3, 1: 0}))
    assert (answer.status_code, answer.headers["content-type"]) == (412, "application/problem+json")
    problem = answer.json()
    assert problem["type"] == "/problems/projection-behind"
    assert problem["shortfall"] == {"documents": {"0": 3}}
    assert problem["projection"]["name"] == "passages"
    assert answer.headers["nenrin-version"] == problem["projection"]["version"]
    assert answer.headers["nenrin-lag"] == "state=unknown"
    assert int(answer.headers["retry-after"]) >= 1


async def test_conditions_come_before_what_is_not_found(nenrin: Nenrin) -> None:
    """A 404 of a version that was not asked for would be no answer."""
    behind = await nenrin.get("/collections/c/documents/a", nenrin_at_least=token({0: 3}))
    assert behind.status_code == 412


async def test_a_waiter_is_answered_when_its_version_arrives(nenrin: Nenrin) -> None:
    """Within the wait: the answer holds what was waited for; `Preference-Applied` says that waiting was honoured."""
    reading = asyncio.ensure_future(
        nenrin.get(
            "/collections/c/documents/a", nenrin_at_least=token(dict.fromkeys(range(PARTITIONS), 1)), prefer="wait=10"
        )
    )
    await asyncio.sleep(0.2)
    names = ["a", *(f"x{n}" for n in range(20))]
    for name in names:
        assert not reading.done() or all(nenrin.next.values())
        await nenrin.add(name, "text")
    began = time.monotonic()
    answer = await reading
    assert time.monotonic() - began < 0.2
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=10")
    assert answer.json()["document"]["text"] == "text"


async def test_waiting_ends_at_its_deadline(nenrin: Nenrin) -> None:
    """With a 412 that says how far it is by then; an offset beyond the head is legal, and waited for."""
    reading = asyncio.ensure_future(
        nenrin.get("/collections", nenrin_at_least=token({0: 5_000_000_000, 1: 0}), prefer="wait=0.6")
    )
    began = time.monotonic()
    answer = await reading
    assert 0.5 < time.monotonic() - began < 2
    assert answer.status_code == 412
    assert answer.json()["shortfall"] == {"documents": {"0": 5_000_000_000}}
    assert answer.headers["preference-applied"] == "wait=0.6"


async def test_waiters_outlive_the_connection_for_notifications(nenrin: Nenrin) -> None:
    """While it is away the poll serves them; it is made again, and the next move is heard."""
    for position in (1, 2):
        reading = asyncio.ensure_future(
            nenrin.get("/collections", nenrin_at_least=token({0: position}), prefer="wait=30")
        )
        await waiting(nenrin, 1)
        ended = await nenrin.owner.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'nenrin query notif%' AND datname = current_database()"
        )
        await nenrin.owner.execute("UPDATE passages_g1.positions SET next = $1 WHERE partition = 0", position)
        assert (await asyncio.wait_for(reading, 15)).status_code == 200
        assert len(ended) == 1
        async with asyncio.timeout(30):
            while not await nenrin.owner.fetchval(LISTENING):  # noqa: ASYNC110  # another connection sets no event
                await asyncio.sleep(0.01)


async def waiting(nenrin: Nenrin, count: int) -> None:
    """Until so many requests wait."""
    line = f"nenrin_query_waiters {float(count)}"
    async with asyncio.timeout(30):
        while line not in (await nenrin.http.get("/metrics")).text.splitlines():  # noqa: ASYNC110  # a gauge sets no event
            await asyncio.sleep(0.01)


async def test_waiting_in_another_generation(nenrin: Nenrin) -> None:
    """The live one's moves say nothing of it: who waits there is answered when it gets there itself."""
    await second_generation_of_documents(nenrin)
    partition = await nenrin.change(DocumentAdded("c", "a", "text"))
    path, wanted = "/collections/c/documents/a", token({partition: 2})
    live = asyncio.ensure_future(nenrin.get(path, nenrin_at_least=wanted, prefer="wait=20"))
    built = [
        asyncio.ensure_future(nenrin.get(path, nenrin_at_least=wanted, prefer="wait=20", nenrin_generation="2"))
        for _ in range(2)
    ]
    await waiting(nenrin, 3)
    await nenrin.change(DocumentAdded("c", "a", "text"))
    assert (await live).status_code == 200
    assert not any(each.done() for each in built)
    await nenrin.owner.execute("UPDATE documents_g2.positions SET next = 2")
    assert {answer.status_code for answer in await asyncio.gather(*built)} == {404}  # it holds no documents


async def test_a_token_outlives_a_promotion(nenrin: Nenrin) -> None:
    """A write that the new generation has not seen yet: its reader is told so, or waits, there or for a rollback."""
    partition = await nenrin.change(DocumentAdded("c", "a", "text"))
    await second_generation_of_documents(nenrin)
    path, seen = "/collections/c/documents/a", (await nenrin.get("/projections/documents")).headers["nenrin-version"]
    assert (await nenrin.get(path, nenrin_at_least=seen)).status_code == 200
    await nenrin.owner.execute("UPDATE nenrin.projections SET live = 2, previous = 1 WHERE name = 'documents'")
    behind = await nenrin.get(path, nenrin_at_least=seen)
    assert (behind.status_code, behind.json()["projection"]["generation"]) == (412, 2)
    assert behind.json()["shortfall"] == {"documents": {str(partition): 1}}
    for after, status, generation in (
        ("UPDATE nenrin.projections SET live = 1, previous = 2 WHERE name = 'documents'", 200, 1),
        ("UPDATE documents_g2.positions SET next = 1", 404, 2),  # it holds no documents
    ):
        await nenrin.owner.execute("UPDATE nenrin.projections SET live = 2, previous = 1 WHERE name = 'documents'")
        reading = asyncio.ensure_future(nenrin.get(path, nenrin_at_least=seen, prefer="wait=20"))
        await waiting(nenrin, 1)
        await nenrin.owner.execute(after)
        answer = await reading
        assert (answer.status_code, answer.json()["projection"]["generation"]) == (status, generation)


async def test_among_several_generations_a_notification_is_looked_into(
    nenrin: Nenrin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another generation is ahead: its moves wake nobody, and those of the waited-for one do, with no poll to help.

    The request reads three times: at once, when it begins to wait, and when it has what it waits for.
    """
    reads: list[waiting_.Waiter] = []
    listen = waiting_.Waiter.listen

    def counted(waiter: waiting_.Waiter) -> None:
        reads.append(waiter)
        listen(waiter)

    monkeypatch.setattr(waiting_.Waiter, "listen", counted)
    await second_generation_of_documents(nenrin)
    await nenrin.get("/projections")  # the service has heard of it now
    monkeypatch.setattr(waiting_, "POLL_EVERY", 3600.0)
    partition = await nenrin.change(DocumentAdded("c", "a", "text"))
    path, wanted = "/collections/c/documents/a", token({partition: 2})
    reading = asyncio.ensure_future(nenrin.get(path, nenrin_at_least=wanted, prefer="wait=20"))
    await waiting(nenrin, 1)
    for offset in range(2, 6):
        await nenrin.owner.execute(f"NOTIFY nenrin_positions, 'documents {partition} {offset}'")
    began = time.monotonic()
    await nenrin.change(DocumentAdded("c", "a", "more text"))
    answer = await reading
    assert (answer.status_code, answer.json()["document"]["text"]) == (200, "more text")
    assert time.monotonic() - began < 10
    assert len(reads) == 2  # the first was made without a place among those who wait


async def test_who_waits_in_a_generation_that_ends_is_told(nenrin: Nenrin) -> None:
    """Dropped, or fed no more, while they wait: nothing will come any more, so they are answered then."""
    await second_generation_of_documents(nenrin)
    path = "/collections/c/documents/a"
    for number, end, status in (
        ("2", "DELETE FROM nenrin.generations WHERE generation = 2; DROP SCHEMA documents_g2 CASCADE", 404),
        ("1", "UPDATE nenrin.generations SET ended_at = clock_timestamp() WHERE projection = 'documents'", 412),
    ):
        reading = asyncio.ensure_future(
            nenrin.get(path, nenrin_at_least=token({0: 99}), prefer="wait=20", nenrin_generation=number)
        )
        await waiting(nenrin, 1)
        began = time.monotonic()
        await nenrin.owner.execute(end)
        assert (await reading).status_code == status
        assert time.monotonic() - began < 10


async def test_waiting_is_for_a_version_and_not_for_a_lag(nenrin: Nenrin) -> None:
    """`Nenrin-Max-Lag` is judged by the answer that there is; with both, by the one that was waited for."""
    await nenrin.observe(ahead={0: 2}, age=5)
    began = time.monotonic()
    late = await nenrin.get("/collections", nenrin_max_lag="1", prefer="wait=10")
    assert time.monotonic() - began < 5
    assert (late.status_code, late.json()["shortfall"], late.headers["preference-applied"]) == (412, {}, "wait=10")
    reading = asyncio.ensure_future(
        nenrin.get("/collections", nenrin_at_least=token({0: 2}), nenrin_max_lag="0", prefer="wait=10")
    )
    await waiting(nenrin, 1)
    await nenrin.owner.execute("UPDATE passages_g1.positions SET next = 2 WHERE partition = 0")
    answer = await reading
    assert (answer.status_code, answer.json()["projection"]["lag_events"]) == (200, 0)


async def test_lenient_readers_get_what_there_is(nenrin: Nenrin) -> None:
    """After the wait, if there is one: 200, with the version that it has."""
    await nenrin.add("a", "text")
    for prefer, applied in (
        ("handling=lenient", "handling=lenient"),
        ("wait=0.1, handling=lenient", "wait=0.1, handling=lenient"),
    ):
        answer = await nenrin.get("/collections", nenrin_at_least=token({0: 99}), prefer=prefer)
        assert (answer.status_code, answer.headers["preference-applied"]) == (200, applied)
        assert answer.json()["collections"]


async def test_waiting_is_clamped_and_named_even_when_it_was_not_needed(nenrin: Nenrin) -> None:
    """At most 30 seconds; what isn't understood is ignored and not named."""
    for prefer, applied in (
        ("wait=600", "wait=30"),
        ("WAIT=5; foo=bar, respond-async", "wait=5"),
        ('wait="7", wait=9', "wait=7"),
        ("wait=soon", None),
        ("wait=-1", None),
        ("handling=strict", "handling=strict"),
    ):
        answer = await nenrin.get("/collections", prefer=prefer)
        assert (answer.status_code, answer.headers.get("preference-applied")) == (200, applied)


async def test_preferences_of_several_headers_count_together(nenrin: Nenrin) -> None:
    """RFC 7240: as if they stood in one."""
    answer = await nenrin.http.get("/v1/collections", headers=[("Prefer", "handling=lenient"), ("Prefer", "wait=2")])
    assert answer.headers["preference-applied"] == "wait=2, handling=lenient"


async def test_bounded_staleness(nenrin: Nenrin) -> None:
    """An unknown lag meets no bound; a known one is compared."""
    unknown = await nenrin.get("/collections", nenrin_max_lag="1000000")
    assert (unknown.status_code, unknown.json()["type"]) == (412, "/problems/projection-behind")
    assert unknown.json()["shortfall"] == {}
    await nenrin.observe()
    assert (await nenrin.get("/collections", nenrin_max_lag="0")).status_code == 200
    await nenrin.observe(ahead={0: 2}, age=5)
    assert (await nenrin.get("/collections", nenrin_max_lag="60")).status_code == 200
    late = await nenrin.get("/collections", nenrin_max_lag="4.5")
    assert (late.status_code, late.json()["projection"]["state"]) == (412, "catching_up")
    lenient = await nenrin.get("/collections", nenrin_max_lag="4.5", prefer="handling=lenient")
    assert lenient.status_code == 200


async def test_tokens_of_topics_that_are_not_folded_are_ignored(nenrin: Nenrin) -> None:
    """So that merged tokens work everywhere."""
    merged = Version({"documents": {0: 0}, "responses": {7: 12}, "contexts": {0: 1}}, {"responses": "r"}).token()
    assert (await nenrin.get("/collections", nenrin_at_least=merged)).status_code == 200


async def test_another_incarnation_is_gone(nenrin: Nenrin) -> None:
    """410: its offsets mean nothing here, whatever they are."""
    for prefer in ("", "wait=5", "handling=lenient"):
        answer = await nenrin.get("/collections", nenrin_at_least=token({0: 0}, "old"), prefer=prefer)
        assert (answer.status_code, answer.json()["field"]) == (410, "Nenrin-At-Least")


BROKEN = [
    "",
    "not a token",
    "e30",
    "a" * 70_000,
    Version({"documents": {0: 1}}).token() + "=",
    Version({"elsewhere": {0: 1}}).token(),
    Version({"documents": {77: 1}}).token(),
    Version({"documents": {0: -1}}).token(),
    Version({"documents": {0: 2**70}}).token(),
    "\u00e9",
]


async def test_a_token_that_is_none_is_refused(nenrin: Nenrin) -> None:
    """400, naming the header; a partition that doesn't exist too."""
    for broken in BROKEN:
        answer = await nenrin.http.get("/v1/collections", headers=[(b"Nenrin-At-Least", broken.encode())])
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), broken
        assert answer.json()["field"] == "Nenrin-At-Least"


HEADERS = [
    ("Nenrin-Max-Lag", "soon"),
    ("Nenrin-Max-Lag", "-1"),
    ("Nenrin-Max-Lag", "nan"),
    ("Nenrin-Max-Lag", ""),
    ("Nenrin-Generation", "latest"),
    ("Nenrin-Generation", "-1"),
]


async def test_headers_that_mean_nothing_are_refused(nenrin: Nenrin) -> None:
    """By name."""
    for header, value in HEADERS:
        answer = await nenrin.http.get("/v1/collections", headers={header: value})
        assert (answer.status_code, answer.json()["field"]) == (422, header), value


async def test_every_read_honours_the_conditions(nenrin: Nenrin) -> None:
    """No call answers with less than was asked for."""
    asked: dict[str, Any] = {"nenrin_at_least": token({0: 9})}
    answers = [
        await nenrin.get("/collections", **asked),
        await nenrin.get("/collections/c/documents", **asked),
        await nenrin.get("/collections/c/documents/a", **asked),
        await nenrin.post("/collections/c/documents/get", {"ids": ["a"]}, **asked),
        await nenrin.search({"query": "a", "mode": "text"}, **asked),
        await nenrin.get("/projections", **asked),
        await nenrin.get("/projections/documents", **asked),
        await nenrin.get("/projections/documents/parked", **asked),
    ]
    assert [answer.status_code for answer in answers] == [412] * len(answers)
    assert all(answer.json()["shortfall"] == {"documents": {"0": 9}} for answer in answers)


async def test_many_waiters_are_woken_by_their_own_version_only(nenrin: Nenrin) -> None:
    """One of fifty is answered while the others wait on; then all are."""
    near = asyncio.ensure_future(nenrin.get("/collections", nenrin_at_least=token({0: 1}), prefer="wait=20"))
    far = [
        asyncio.ensure_future(nenrin.get("/collections", nenrin_at_least=token({0: 2}), prefer="wait=20"))
        for _ in range(49)
    ]
    await waiting(nenrin, 50)
    names = iter(f"d{n}" for n in range(1000))
    while nenrin.next[0] < 1:
        await nenrin.add(next(names), "text")
    assert (await asyncio.wait_for(near, 5)).status_code == 200
    assert not any(each.done() for each in far)
    while nenrin.next[0] < 2:
        await nenrin.add(next(names), "text")
    assert {each.status_code for each in await asyncio.gather(*far)} == {200}
