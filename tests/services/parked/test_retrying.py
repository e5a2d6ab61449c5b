"""`parked retry` on a real Kafka and a real Postgres: appended as it was, in order, once."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from eventlog.appending import Appender
from projections import decisions
from projections.decisions import Parked
from projections.documents import Documents
from projections.parking import refused
from projections.port import Entry
from schemas.documents import key_of
from schemas.errors import DatabaseAway, InvalidInput, LogAway, OtherIncarnation, PositionLost
from schemas.partitions import partition_of
from services.parked import Asked, Chosen, Done, Outcome, Step, retry, retrying
from services.parked.retrying import ORDERS, Busy
from tests.projections.ledger import Ledger
from tests.services.parked.conftest import HEADERS, PARTITIONS, Log

KEY = key_of("c", "a")
HOME = partition_of(KEY, PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS
ALL = Asked(Chosen(), "a test")


def document(text: str, document_id: str = "a") -> bytes:
    """The value of a good event."""
    return json.dumps({"collection": "c", "document_id": document_id, "text": text}).encode()


def picky(entry: Entry) -> Entry:
    """A judge that is wrong about the text "1"."""
    return refused(entry, "picky") if b'"1"' in (entry.value or b"") else entry


def at(*offsets: int, partition: int = HOME, again: bool = False) -> Asked:
    """Events by their offsets."""
    return Asked(Chosen(tuple(("documents", partition, offset) for offset in offsets)), "a test", again=again)


def outcomes(done: list[Done]) -> list[tuple[int, Outcome, tuple[int, int] | None]]:
    """What became of which offset."""
    return [(each.place[2], each.outcome, each.copied_as) for each in done]


async def test_an_event_is_appended_as_it_was(log: Log) -> None:
    """Key, value and headers byte for byte, null ones too, behind everything else of its own partition."""
    odd: list[tuple[bytes | None, bytes | None]] = [
        (KEY, b"\xff\x00"),
        (KEY, None),
        (KEY, b""),
        (None, b"x"),
        (b"", b"y"),
    ]
    home = partition_of(b"", PARTITIONS)
    for key, value in odd:
        log.write(home if key == b"" else HOME, key, value)
    await log.follow(Documents(), HOME)
    await log.follow(Documents(), home)
    done = await retry(log.settings, ALL)
    assert sorted(each.outcome for each in done) == [Outcome.APPENDED] * 5
    for each in done:
        records = {record.offset: record for record in await log.read(each.place[1])}
        assert each.copied_as is not None
        assert each.copied_as[0] == each.place[1]
        original, copy = records[each.place[2]], records[each.copied_as[1]]
        assert (copy.key, copy.value, copy.headers) == (original.key, original.value, tuple(HEADERS))


async def test_a_copy_that_is_good_heals(log: Log) -> None:
    """It was a mistake to park it, since mended: the copy is applied like any event, and resolves the original."""
    log.write(HOME, KEY, document("1"))
    await log.follow(Documents(), HOME, picky)
    assert outcomes(await retry(log.settings, at(0))) == [(0, Outcome.APPENDED, (HOME, 1))]
    assert await log.parked() == 1, "not before the copy is applied"
    await log.follow(Documents(), HOME)
    assert await log.resolutions() == {(HOME, 0): 1}
    with pytest.raises(InvalidInput, match="resolved already: the event at offset 1 took its place"):
        await retry(log.settings, at(0))


async def test_a_copy_that_is_bad_again_is_parked_beside_it(log: Log) -> None:
    """Both wait, as the contract counts; neither is appended again but on purpose, or as the copy's own retry."""
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    await retry(log.settings, ALL)
    await log.follow(Documents(), HOME)
    assert await log.parked() == 2
    assert outcomes(await retry(log.settings, at(0))) == [(0, Outcome.RETRIED_BEFORE, (HOME, 1))]
    assert outcomes(await retry(log.settings, at(0, again=True))) == [(0, Outcome.APPENDED, (HOME, 2))]
    assert outcomes(await retry(log.settings, at(1))) == [(1, Outcome.APPENDED, (HOME, 3))]


async def test_all_are_appended_in_order(log: Log) -> None:
    """Each after the one before it is acknowledged, so that the last of a key is the last again."""
    for number in range(6):
        log.write(HOME, KEY, b"bad %d" % number)
    await log.follow(Documents(), HOME)
    told: list[Done] = []
    done = await retry(log.settings, ALL, done=told.append)
    assert told == done
    assert [record.value for record in (await log.read(HOME))[6:]] == [b"bad %d" % number for number in range(6)]


async def test_an_event_in_the_wrong_partition_moves_to_its_keys(log: Log) -> None:
    """There it is good. The one that is parked can't be healed where it lies, so it waits to be skipped."""
    log.write(AWAY, KEY, document("1"))
    await log.follow(Documents(), AWAY)
    steps: list[Step] = []

    def look(plan: Sequence[Step]) -> bool:
        steps.extend(plan)
        return True

    done = await retry(log.settings, ALL, planned=look)
    assert [step.moves for step in steps] == [True]
    assert outcomes(done) == [(0, Outcome.APPENDED, (HOME, 0))]
    await log.follow(Documents(), HOME)
    assert await log.resolutions() == {(AWAY, 0): None}
    assert await log.connection.fetchval("SELECT text FROM documents_g1.documents") == "1"


async def test_a_plan_can_be_looked_at_first(log: Log) -> None:
    """Whoever says no to it leaves everything as it was."""
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    assert await retry(log.settings, ALL, planned=lambda _: False) == []
    assert len(await log.read(HOME)) == 1
    assert await log.connection.fetchval("SELECT count(*) FROM nenrin.decisions") == 0


async def test_a_retry_that_was_cut_off_behind_the_write_is_found_out(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka had it, and nobody could write that down: doing it again looks in the log, and appends nothing."""
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)

    async def cut_off(*_: Any) -> None:
        raise DatabaseAway("gone")

    with monkeypatch.context() as patch:
        patch.setattr(decisions, "appended", cut_off)
        with pytest.raises(DatabaseAway):
            await retry(log.settings, ALL)
    log.write(HOME, KEY, b"another")
    assert outcomes(await retry(log.settings, ALL)) == [(0, Outcome.FOUND, (HOME, 1))]
    assert [record.value for record in await log.read(HOME)] == [b"bad", b"bad", b"another"]


async def test_a_retry_that_was_cut_off_before_the_write_is_made_good(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the log is it, though something like it lay there before: then it is appended, once."""
    log.write(HOME, KEY, b"bad")
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)

    async def cut_off(*_: Any) -> int:
        raise LogAway("unknown", "gone")

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", cut_off)
        with pytest.raises(LogAway, match="looks in the log before"):
            await retry(log.settings, at(0))
    assert outcomes(await retry(log.settings, at(0))) == [(0, Outcome.APPENDED, (HOME, 2))]


async def test_a_key_whose_events_add_up_is_retried_whole_and_in_order(log: Log) -> None:
    """Whichever of its events is named; with a word on what each is a copy of, so that none counts twice."""
    for number, text in enumerate(("1", "2", "3")):
        log.write(HOME, KEY, document(text), headers=[*HEADERS, ("n", b"%d" % number)])
    await log.follow(Ledger(), HOME, picky)
    assert await log.parked("ledger") == 3
    orders = {**ORDERS, "ledger": Ledger.order}
    done = await retry(log.settings, at(2), orders=orders)
    assert outcomes(done) == [(n, Outcome.APPENDED, (HOME, 3 + n)) for n in range(3)]
    copies = (await log.read(HOME))[3:]
    assert [copy.headers[-1] for copy in copies] == [("nenrin_retry_of", b"%d" % n) for n in range(3)]
    await log.follow(Ledger(), HOME, lambda entry: entry if entry.place.offset > 2 else picky(entry))
    rows = await log.connection.fetch('SELECT text FROM ledger_g1.entries ORDER BY "offset"')
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert await log.resolutions("ledger") == {(HOME, n): 3 + n for n in range(3)}


async def test_what_two_projections_have_parked_is_appended_once(log: Log) -> None:
    """And both know of it."""
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    await log.follow(Ledger(), HOME)
    (done,) = await retry(log.settings, ALL, orders={**ORDERS, "ledger": Ledger.order})
    assert done.projections == ("documents", "ledger")
    assert len(await log.read(HOME)) == 2
    found = [await decisions.find(log.connection, name) for name in done.projections]
    assert [event.retried_as for events in found for event in events] == [1, 1]


async def test_what_cannot_be_retried(log: Log) -> None:
    """Nothing there, gone from the log, of a topic that was recreated, of a projection that doesn't exist."""
    with pytest.raises(InvalidInput, match="nothing is parked at documents/0@99"):
        await retry(log.settings, at(99, partition=0))
    with pytest.raises(InvalidInput, match="there is no 'nobody'; there are documents, passages"):
        await retry(log.settings, Asked(Chosen(projection="nobody"), "a test"))
    log.write(HOME, KEY, b"bad")
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    admin = AdminClient({"bootstrap.servers": log.settings.kafka})
    for gone in admin.delete_records([TopicPartition(log.topic, HOME, 1)]).values():
        gone.result()
    with pytest.raises(PositionLost):
        await retry(log.settings, at(0))
    await log.connection.execute("UPDATE documents_g1.positions SET incarnation = 'another'")
    with pytest.raises(OtherIncarnation, match="nenrin doctor"):
        await retry(log.settings, ALL)


async def test_one_at_a_time(log: Log) -> None:
    """Two operators at once would append everything twice."""
    assert await decisions.alone(log.connection)
    with pytest.raises(Busy):
        await retry(log.settings, ALL)


async def test_kafka_away_is_said(log: Log, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing written down."""
    monkeypatch.setattr(retrying, "ANSWER_WITHIN", 0.5)
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    settings = log.settings.model_copy(update={"kafka": f"127.0.0.1:{unused_tcp_port}"})
    with pytest.raises(LogAway):
        await retry(settings, ALL)
    events: list[Parked] = await decisions.find(log.connection, "documents")
    assert [msgspec.structs.asdict(event)["retried_at"] for event in events] == [None]
