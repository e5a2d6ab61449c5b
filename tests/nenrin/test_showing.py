"""How answers look."""

import pytest

from nenrin.cli.showing import excerpt, lag, positions
from nenrin.client.answers import Generation
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
