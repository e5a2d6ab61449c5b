"""How answers look."""

from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

from nenrin.cli.parked import shown as shown_parked
from nenrin.cli.running import Running
from nenrin.cli.search import nothing
from nenrin.cli.showing import excerpt, lag, plain, positions
from nenrin.cli.status import Look, rates_of
from nenrin.client.answers import Count, Generation, Header, ParkedContent, Projections, ProjectionStatus
from schemas.versions import Version


def test_unknown_lag_is_never_shown_as_zero() -> None:
    """Whoever does not know says so."""
    assert lag(Generation(1, "unknown")).plain == "unknown"


def test_lag_shows_events_seconds_and_state() -> None:
    """All three of them."""
    shown = lag(Generation(1, "catching_up", lag_events=1200, lag_seconds=2.345)).plain
    assert shown == "1,200 events, 2.35 s, catching_up"


def test_a_token_is_shown_as_what_it_stands_for() -> None:
    """The next offset of every partition; of many partitions the sum."""
    assert positions(Version({"documents": {1: 7, 0: 21}}, {"documents": "x"}).token()) == "21·7"
    assert positions(Version({"documents": dict.fromkeys(range(12), 100)}).token()) == "1,200 in 12 partitions"
    assert positions(Version({"documents": {1: 3}}).token()) == "1:3"
    assert (
        positions(Version({"responses": {0: 1, 1: 2}, "documents": {0: 3}}).token()) == "documents 0:3, responses 1·2"
    )
    assert positions(Version().token()) == "nothing"
    assert positions(None) == "no version"


@pytest.mark.parametrize("query", ["needle", "a needle", "NEEDLE!", "(needle"])
def test_an_excerpt_shows_where_the_words_are(query: str) -> None:
    """Out of a long passage the part with the query's words, on one line."""
    shown = excerpt("hay " * 200 + "here is\nthe needle and " + "hay " * 200, query, 80).plain
    assert "the needle and" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) <= 82


def test_an_excerpt_of_other_words_is_the_beginning() -> None:
    """A passage found by its meaning may hold none of them."""
    assert excerpt("one two", "three", 80).plain == "one two"
    assert excerpt("", "", 80).plain == ""


def test_what_strangers_wrote_does_not_command_the_terminal() -> None:
    """Escape sequences in a passage, a title or a parked event are shown, not obeyed."""
    assert plain("a\x1b[2Jb\nc") == "a�[2Jb�c"
    assert plain("x" * 10, 5) == "xxxxx…"
    assert "\x1b" not in excerpt("needle \x1b]0;title\x07", "needle", 80).plain


def parked(**members: Any) -> ParkedContent:
    """A parked event."""
    return ParkedContent("documents", "documents", 2, 17, "why", "c/a", **members)


def printed(shown: RenderableType) -> str:
    """What a terminal of 80 columns shows."""
    screen = StringIO()
    Console(file=screen, width=80).print(shown)
    return screen.getvalue()


def test_a_parked_event_is_shown_with_all_that_is_known_of_it() -> None:
    """Its JSON laid out; other text as it is; bytes as base64; and that there is none."""
    event = parked(
        value='{"text":"é"}', value_bytes=13, headers=[Header("ce_id", "1"), Header("odd", "/w==", "base64")]
    )
    shown = printed(shown_parked([event, msgspec.structs.replace(event, projection="passages", reason="another")]))
    assert all(words in shown for words in ("documents/2@17", "why", "passages", "another", "ce_id", "/w== (base64)"))
    assert '"text": "é"' in shown
    assert "13 bytes" in shown
    assert "not json {" in printed(shown_parked([parked(value="not json {", value_bytes=10)]))
    assert "(base64)" in printed(shown_parked([parked(value="AAE=", value_encoding="base64", value_bytes=2)]))
    assert "no value" in printed(shown_parked([parked()]))


def test_a_long_value_is_shown_in_part() -> None:
    """With how much is missing."""
    shown = printed(shown_parked([parked(value="\n".join("line" for _ in range(100)), value_bytes=499)]))
    assert "60 more lines" in shown


def test_events_a_second_come_from_two_looks() -> None:
    """What each generation has applied between them; of a new one nothing is known."""

    def seen(at: float, *offsets: int) -> Look:
        generations = [
            Generation(number, "live", version=Version({"documents": {0: offset, 1: 5}}).token())
            for number, offset in enumerate(offsets, 1)
        ]
        return Look(Running(), {}, b"", Projections([ProjectionStatus("documents", 1, generations)]), at)

    assert rates_of(seen(10.0, 100), seen(12.0, 150, 7)) == {("documents", 1): 25.0}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, "There is no collection c, and no other one"),
        ({"d": 2, "e": 3}, "There is no collection c. There are: e (3 documents), d (2 documents)."),
        ({"c": 5}, "Nothing found among 5 documents of c"),
        ({f"n{number}": 1 for number in range(12)}, " and 2 more."),
    ],
)
def test_nothing_found_has_a_reason(there: dict[str, int], said: str) -> None:
    """The collection may not be there, or not have it."""
    counts = {name: Count(name, documents, documents) for name, documents in there.items()}
    assert said in nothing("c", counts, filtered=False)
