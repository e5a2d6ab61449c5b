"""`nenrin diff`: what changed between two versions, by the log alone, held against the oracle."""

import asyncio
import json
import os
import random
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nenrin.cli.app import main
from schemas.documents import DocumentAdded
from schemas.errors import InvalidInput, OtherIncarnation
from schemas.topics import DOCUMENTS
from schemas.versions import Version
from services.replay.diffing import How, between, content, differences, read
from services.settings import Settings
from tests.laws.events import INVALID, Event, Straight, added, removed, structured, unknown
from tests.oracle import Oracle

PARTITIONS = 4
CONTENT = ("text", "title", "metadata", "source_uri")
Offsets = dict[int, int]
Found = dict[tuple[str, str, str], tuple[tuple[int, int] | None, tuple[int, int] | None]]


class Log:
    """A source topic of the test's own, who writes it, and who judges it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.oracle = Oracle(settings.kafka, settings.topic_prefix)
        self.producer = Straight(settings.kafka, settings.topic_prefix)
        transactional = {"transactional.id": secrets.token_hex(8)}
        self.transactions = Straight(settings.kafka, settings.topic_prefix, **transactional)
        self.transactions.producer.init_transactions(30)

    def write(self, *events: Event) -> None:
        """Append events, and have the oracle know them."""
        for event in events:
            self.producer.hand(event)
        self.producer.flush()

    def transact(self, *events: Event, commit: bool) -> None:
        """Append events in a transaction: its markers take offsets, and when it is aborted nobody reads them."""
        producer = self.transactions.producer
        producer.begin_transaction()
        for event in events:
            self.transactions.hand(event)
        self.transactions.flush()
        (producer.commit_transaction if commit else producer.abort_transaction)(30)

    async def ends(self) -> Offsets:
        """Where the log ends now; the oracle has read up to there."""
        versions = await between(self.settings.kafka_settings(), Version(), Version())
        await asyncio.to_thread(self.oracle.read_past, versions.stretch.ends, 30.0)
        return dict(versions.stretch.ends)

    @property
    def last_time(self) -> int:
        """The broker's time of the newest record that the oracle has read, in milliseconds."""
        return max(record.time for records in self.oracle.log.values() for record in records)

    def version(self, offsets: Offsets) -> Version:
        """A version of this log."""
        return Version({DOCUMENTS: offsets}, {DOCUMENTS: self.oracle.incarnation})

    async def found(self, before: Offsets, after: Offsets, collection: str | None = None) -> Found:
        """What the product says."""
        kafka = self.settings.kafka_settings()
        versions = await between(kafka, self.version(before), self.version(after))
        return {
            (each.change.value, each.collection, each.document_id): (
                None if each.before is None else (each.before.partition, each.before.offset),
                None if each.after is None else (each.after.partition, each.after.offset),
            )
            async for each in differences(versions, collection)
        }

    def expected(self, before: Offsets, after: Offsets, collection: str = "") -> Found:
        """What the oracle says."""
        was, now = (
            {(one["collection"], one["document_id"]): one for one in self.oracle.documents(version, collection)}
            for version in (before, after)
        )
        changes: Found = {}
        for key in was.keys() | now.keys():
            old, new = was.get(key), now.get(key)
            if old is None or new is None or any(old[name] != new[name] for name in CONTENT):
                how = How.ADDED if old is None else How.REMOVED if new is None else How.CHANGED
                changes[how.value, *key] = _place(old), _place(new)
        return changes


def _place(document: dict[str, Any] | None) -> tuple[int, int] | None:
    return None if document is None else (document["source"]["partition"], document["source"]["offset"])


@pytest.fixture
def log(installed: Settings) -> Log:
    """An empty one."""
    return Log(installed)


def drawn(rng: random.Random) -> Event:
    """An event of a few documents: added, the same again, removed, there or not, invalid, unknown."""
    collection, name = rng.choice(["c", "c-2", "d"]), f"n{rng.randrange(25)}"
    fields = {"title": rng.choice([None, "t"]), "metadata": rng.choice([{}, {"a": 1, "b": "x"}, {"b": "x", "a": 1.0}])}
    whole = added(collection, name, rng.choice(["one", "two"]), **fields)
    kind = rng.choices(["added", "structured", "removed", "invalid", "unknown"], [8, 2, 4, 2, 1])[0]
    if kind == "invalid":
        event = INVALID[rng.choice(list(INVALID))](collection, name)
        return event if event.key else replace(event, partition=0)
    return {
        "added": whole,
        "structured": structured(whole),
        "removed": removed(collection, name),
        "unknown": unknown(collection, name),
    }[kind]


async def test_it_is_what_the_oracle_sees_between_any_two_versions(log: Log) -> None:
    """Random logs, and pairs of positions in either order, in the middle of aborted transactions too."""
    seed = int(os.environ.get("NENRIN_TEST_SEED") or secrets.randbits(32))
    print(f"NENRIN_TEST_SEED={seed}")
    rng = random.Random(seed)
    for _ in range(12):
        log.write(*(drawn(rng) for _ in range(rng.randrange(25))))
        log.transact(*(drawn(rng) for _ in range(1 + rng.randrange(6))), commit=rng.random() < 0.5)
    log.transact(*(drawn(rng) for _ in range(4)), commit=False)  # the log ends with markers
    ends = await log.ends()
    nothing = dict.fromkeys(ends, 0)
    assert await log.found(nothing, ends) == log.expected(nothing, ends)
    hits = 0
    for _ in range(6):
        one, other = ({at: rng.randint(0, end) for at, end in ends.items()} for _ in range(2))
        expected = log.expected(one, other)
        assert await log.found(one, other) == expected
        assert await log.found(one, other, "c") == log.expected(one, other, "c")
        hits += len(expected)
    assert hits > 50


async def test_what_came_and_went_between_the_versions_is_no_difference(log: Log) -> None:
    """Nor is what was written again as it was, or removed without having been there."""
    log.write(added("c", "kept"), added("c", "edited"), added("c", "gone"), added("c", "again"))
    before = await log.ends()
    log.write(
        added("c", "kept"),
        added("c", "edited", "first"),
        added("c", "edited", "another text"),
        removed("c", "gone"),
        removed("c", "again"),
        added("c", "again"),
        added("c", "brief"),
        removed("c", "brief"),
        removed("c", "never"),
        added("c", "new"),
        INVALID["no text"]("c", "kept"),
        unknown("c", "edited"),
    )
    after = await log.ends()
    forth = {key[:1] + key[2:]: places for key, places in (await log.found(before, after)).items()}
    assert set(forth) == {("changed", "edited"), ("removed", "gone"), ("added", "new")}
    back = {key[:1] + key[2:]: places for key, places in (await log.found(after, before)).items()}
    assert set(back) == {("changed", "edited"), ("added", "gone"), ("removed", "new")}
    assert back["changed", "edited"] == forth["changed", "edited"][::-1]
    assert await log.found(after, after) == {}


async def test_times_are_those_of_the_records(log: Log) -> None:
    """A time before everything, one in between, and now."""
    log.write(added("c", "a"))
    await log.ends()
    written = log.last_time
    while log.last_time == written:  # in the same millisecond
        log.write(added("c", "b"))
        await log.ends()
    middle = datetime.fromtimestamp(written / 1000, UTC)
    kafka = log.settings.kafka_settings()
    for before, after, names in (
        (middle - timedelta(days=1), middle, ["a"]),
        (middle, datetime.now(UTC), ["b"]),
        (Version(), datetime.now(UTC), ["a", "b"]),
    ):
        versions = await between(kafka, before, after)
        assert sorted([each.document_id async for each in differences(versions)]) == names


async def test_what_the_log_does_not_hold_is_refused(log: Log) -> None:
    """Beyond the end, of another incarnation, of no partition, of no time; and the message names the argument."""
    log.write(added("c", "a"))
    ends, kafka = await log.ends(), log.settings.kafka_settings()
    last = max(ends, key=lambda at: ends[at])
    for version, said in (
        (log.version(ends | {last: ends[last] + 1}), f"documents/{last} ends at offset {ends[last]}"),
        (Version({DOCUMENTS: {PARTITIONS: 0}}), f"no partition {PARTITIONS}"),
        (datetime.now(UTC) + timedelta(hours=1), "is yet to come"),
    ):
        with pytest.raises(InvalidInput, match=f"the second VERSION: .*{said}"):
            await between(kafka, Version(), version)
    with pytest.raises(OtherIncarnation, match=r"the first VERSION: .*another-one"):
        await between(kafka, Version({DOCUMENTS: ends}, {DOCUMENTS: "another-one"}), Version())
    for text in ("yesterday", "2026-13-01T00:00:00Z", "eyJ2IjoyfQ"):
        with pytest.raises(InvalidInput, match="the first VERSION"):
            read(text, "the first VERSION")


def test_content_is_all_that_a_document_says() -> None:
    """Each member counts; the order of metadata and the spelling of a number don't."""
    whole = DocumentAdded("c", "x", "text", "title", {"a": 1, "b": [True, None]}, "file:///x")
    same = DocumentAdded("c", "x", "text", "title", {"b": [True, None], "a": 1.0}, "file:///x")
    others = [
        DocumentAdded("c", "x", "text.", "title", whole.metadata, "file:///x"),
        DocumentAdded("c", "x", "text", None, whole.metadata, "file:///x"),
        DocumentAdded("c", "x", "text", "title", {"a": True, "b": [True, None]}, "file:///x"),
        DocumentAdded("c", "x", "text", "title", {"a": "1", "b": [True, None]}, "file:///x"),
        DocumentAdded("c", "x", "text", "title", whole.metadata, None),
    ]
    assert content(whole) == content(same)
    assert len({content(whole), *map(content, others)}) == 1 + len(others)


async def test_the_command_prints_a_line_for_each(
    log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json nothing else is on stdout, and each line is one object; without, a summary follows."""
    monkeypatch.setenv("NENRIN_KAFKA", log.settings.kafka)
    monkeypatch.setenv("NENRIN_TOPIC_PREFIX", log.settings.topic_prefix)

    async def said_by(*arguments: str) -> list[str]:
        with pytest.raises(SystemExit) as ending:
            await asyncio.to_thread(main, ["diff", *arguments])
        assert ending.value.code == 0
        return capsys.readouterr().out.splitlines()

    log.write(added("c", "a b"), added("d", "x"))
    before = log.version(await log.ends()).token()
    log.write(added("c", "a b", "another"), added("c", "é"))
    after = log.version(await log.ends()).token()
    capsys.readouterr()
    found = [json.loads(line) for line in await said_by(before, after, "--collection", "c", "--json")]
    assert {(each["change"], each["collection"], each["document_id"]) for each in found} == {
        ("changed", "c", "a b"),
        ("added", "c", "é"),
    }
    assert all(each["after"].keys() == {"partition", "offset"} for each in found)
    assert [each["before"] is None for each in sorted(found, key=lambda each: str(each["change"]))] == [True, False]
    told = await said_by(before, after)
    assert sorted(told[:-1]) == ["added    c/é", "changed  c/a b"]
    assert told[-1] == "1 added, 1 changed, 0 removed"
