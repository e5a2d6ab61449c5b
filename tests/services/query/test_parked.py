"""Parked events over HTTP: a list that stays small whatever was sent, and each event whole."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from services.query.parked import text
from tests.services.query.conftest import Nenrin
from tests.services.query.test_answers import check_freshness

LIST = "/projections/documents/parked"


async def park(nenrin: Nenrin, offset: int, key: bytes, value: bytes | None, reason: str = "why") -> None:
    """Park an event, as the writer keeps it."""
    await nenrin.owner.execute(
        'INSERT INTO documents_g1.parked (topic, partition, "offset", key, reason, value, headers) '
        "VALUES ('documents', 0, $1, $2, $3, $4, $5)",
        offset,
        key,
        reason,
        value,
        msgspec.msgpack.encode([("ce_id", b"1"), ("bin", b"\xff"), ("none", None)]),
    )


async def test_the_list_has_no_contents(nenrin: Nenrin) -> None:
    """Keys as text where they are text, as base64 where not; of values only the size."""
    await park(nenrin, 0, b"c/a", b'{"text": 1}', "text: expected a string")
    await park(nenrin, 1, b"\xff", None, "key")
    answer = await nenrin.get(LIST)
    check_freshness(answer)
    assert answer.json()["projection"]["parked"] == 2
    assert answer.json()["next_cursor"] is None
    first, second = answer.json()["parked"]
    assert first.pop("parked_at").endswith("Z")
    assert first == {
        "projection": "documents",
        "topic": "documents",
        "partition": 0,
        "offset": 0,
        "key": "c/a",
        "key_encoding": "utf-8",
        "reason": "text: expected a string",
        "value_bytes": 11,
        "resolved_by": None,
        "retried": None,
        "skipped": None,
    }
    assert (second["key"], second["key_encoding"], second["value_bytes"]) == ("/w==", "base64", None)


async def test_a_broken_cursor(nenrin: Nenrin) -> None:
    """Refused as any other list refuses it."""
    for cursor in ("x", "documents/0", "documents/x@0", f"documents/{2**31}@0"):
        answer = await nenrin.get(f"{LIST}?cursor={cursor}")
        said = answer.json()
        assert (answer.status_code, said["type"], said["field"]) == (400, "/problems/broken-cursor", "cursor"), cursor


async def test_the_list_in_pages(nenrin: Nenrin) -> None:
    """Each cursor leads on from where the page ended; the last page has none."""
    for offset in range(5):
        await park(nenrin, offset, b"c/a", b"")
    seen: list[int] = []
    cursor: Any = ""
    while cursor is not None:
        page = (await nenrin.get(f"{LIST}?limit=2&cursor={cursor}")).json()
        assert len(page["parked"]) <= 2
        seen += [event["offset"] for event in page["parked"]]
        cursor = page["next_cursor"]
    assert seen == list(range(5))


async def test_a_page_that_makes_no_sense_is_refused(nenrin: Nenrin) -> None:
    """Naming the parameter."""
    for asked, field in (("limit=0", "limit"), ("limit=1001", "limit"), ("cursor=x", "cursor"), ("key=x", "key")):
        answer = await nenrin.get(f"{LIST}?{asked}")
        assert answer.status_code in {400, 422}
        assert answer.json()["field"] == field


async def test_an_event_has_its_headers_and_its_value(nenrin: Nenrin) -> None:
    """As text where they are text; a healed one still, with the offset of what healed it."""
    await park(nenrin, 7, b"c/a", b'{"text": 1}')
    await nenrin.owner.execute("UPDATE documents_g1.parked SET resolved_by = 9")
    answer = await nenrin.get(f"{LIST}/documents/0/7")
    check_freshness(answer)
    event = answer.json()["event"]
    assert (event["value"], event["value_encoding"], event["value_bytes"]) == ('{"text": 1}', "utf-8", 11)
    assert event["resolved_by"] == 9
    assert event["headers"] == [
        {"name": "ce_id", "value": "1", "encoding": "utf-8"},
        {"name": "bin", "value": "/w==", "encoding": "base64"},
        {"name": "none", "value": None, "encoding": "utf-8"},
    ]
    assert (await nenrin.get(LIST)).json()["parked"] == [], "a list has what is not healed"


async def decide(nenrin: Nenrin, offset: int, **decided: object) -> None:
    """Record a decision about an event, as `parked retry` and `parked skip` do."""
    columns, places = ", ".join(decided), ", ".join(f"${number + 2}" for number in range(len(decided)))
    await nenrin.owner.execute(
        f'INSERT INTO nenrin.decisions (projection, topic, incarnation, partition, "offset", {columns}) '
        f"SELECT 'documents', topic, incarnation, 0, $1, {places} FROM documents_g1.positions WHERE partition = 0",
        offset,
        *decided.values(),
    )


async def test_what_was_decided_is_shown(nenrin: Nenrin) -> None:
    """Who retried an event and where its copy lies, or nobody knows; who skipped one and why: that counts no more."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    for offset in range(3):
        await park(nenrin, offset, b"c/a", b"")
    await decide(nenrin, 0, retried_at=at, retried_by="eve", retried_into=1, retried_as=7)
    await decide(nenrin, 1, retried_at=at, retried_by="eve", retried_into=1)
    await decide(nenrin, 2, skipped_at=at, skipped_by="adam", skipped_because="a test")
    await nenrin.owner.execute('UPDATE documents_g1.parked SET skipped_at = $1 WHERE "offset" = 2', at)
    listed = (await nenrin.get(LIST)).json()
    assert listed["projection"]["parked"] == 2
    assert [event["retried"] for event in listed["parked"]] == [
        {"at": "2026-01-02T00:00:00.000Z", "by": "eve", "partition": 1, "offset": offset} for offset in (7, None)
    ]
    event = (await nenrin.get(f"{LIST}/documents/0/2")).json()["event"]
    assert event["skipped"] == {"at": "2026-01-02T00:00:00.000Z", "by": "adam", "reason": "a test"}
    assert (event["retried"], event["resolved_by"]) == (None, None)


async def test_of_a_long_value_the_beginning_is_shown(nenrin: Nenrin) -> None:
    """Text stays text although a character is cut in two; the answer stays small and says how long it was."""
    await park(nenrin, 0, b"k" * 100_000, "é".encode() * 500_001)
    await park(nenrin, 1, b"c/a", b"x" + "é".encode() * 500_000)
    event = (await nenrin.get(f"{LIST}/documents/0/1")).json()["event"]
    assert (event["value"], event["value_encoding"]) == ("x" + "é" * 32_767, "utf-8")
    assert event["value_bytes"] == 1_000_001
    listed = await nenrin.get(LIST)
    assert len(listed.content) < 10_000
    assert listed.json()["parked"][0]["key"] == "k" * 4096


async def test_an_event_that_is_not_parked(nenrin: Nenrin) -> None:
    """A 404 that carries what the projection has seen; what can't be a place is refused."""
    await park(nenrin, 0, b"c/a", b"")
    for path in ("/documents/0/5", "/documents/1/0", "/other/0/0"):
        answer = await nenrin.get(LIST + path)
        assert answer.status_code == 404
        check_freshness(answer)
        assert answer.json()["type"] == "/problems/no-such-parked-event"
    for path in ("/documents/x/0", "/documents/0/-1", "/documents/99999999999/0", "/a%2Fb/0/0"):
        assert (await nenrin.get(LIST + path)).status_code == 422


def test_bytes_are_text_only_where_all_of_them_are() -> None:
    """A character that is cut in two counts against text, unless it is the cut's fault."""
    assert text("é".encode(), 10) == ("é", "utf-8")
    assert text(b"\xc3", 10) == ("ww==", "base64")
    assert text(b"a\xc3", 2) == ("a", "utf-8")
    assert text(None, 2) == (None, "utf-8")
