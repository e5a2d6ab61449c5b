"""What a rebuild makes of its own progress, and when it gives up; nothing here needs a server."""

from datetime import UTC, datetime

import pytest

from eventlog.planning import Bounds, Identity
from nenrin.cli.replaying import Pace
from schemas.errors import DatabaseAway, InvalidInput
from schemas.topics import DOCUMENTS
from schemas.versions import Version
from services.replay import rebuilding, times
from services.replay.planning import Order
from services.replay.progress import Phase, Silent
from services.replay.rebuilding import _Rebuild
from services.replay.report import Report
from services.replay.telling import Timed
from services.settings import Settings

SOURCE = Identity(DOCUMENTS, 2, "now")
BOUNDS = {0: Bounds(0, 10), 1: Bounds(4, 8)}


def test_only_what_was_never_reached_is_a_step() -> None:
    """Loading that begins again is none, until it is further than before."""
    told = Timed(Silent())
    for done, steps in ((0, 1), (5, 2), (0, 2), (5, 2), (6, 3)):
        told.show(Phase.LOADING, done)
        assert told.steps == steps
    assert list(told.seconds()) == ["loading"]


async def test_it_gives_up_where_nothing_moves_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres is away before anything began: at once. Later: as long as each attempt comes further, then no more."""
    monkeypatch.setattr(rebuilding, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(rebuilding, "PATIENCE", 0.0)
    told, tries = Timed(Silent()), 0
    one = _Rebuild(Settings(), Settings(), Order("documents", "a test"), told)

    async def attempt() -> Report:
        nonlocal tries
        tries += 1
        if tries > 1:
            told.show(Phase.LOADING, min(tries, 5))
        raise DatabaseAway("gone")

    monkeypatch.setattr(one, "_attempt", attempt)
    with pytest.raises(DatabaseAway):
        await one.persevere()
    assert tries == 1
    with pytest.raises(DatabaseAway):
        await one.persevere()
    assert tries == 6, "2, 3, 4 and 5 were steps; the next was none"


def test_positions_at_a_version() -> None:
    """What the token leaves out is at 0, where nothing was; what lies before the log's beginning can't be known."""
    assert times.positions(Version({DOCUMENTS: {1: 6}}), SOURCE, BOUNDS) == {0: 0, 1: 6}
    with pytest.raises(InvalidInput, match="begins at offset 4"):
        times.positions(Version({DOCUMENTS: {1: 3}}), SOURCE, BOUNDS)


def test_an_open_transaction_unsettles_a_time() -> None:
    """Records behind the last stable offset may still be taken back."""
    assert times.settled({0: 10, 1: 5}, BOUNDS) == {0: 10, 1: 5}
    with pytest.raises(InvalidInput, match="a transaction has been open since offset 8"):
        times.settled({0: 10, 1: 9}, BOUNDS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-21T20:00:00Z", datetime(2026, 11, 21, 20, tzinfo=UTC)),
        ("2026-11-21t22:00:00.5+02:00", datetime(2026, 11, 21, 20, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-21 20:00", datetime(2026, 11, 21, 20, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_times_are_read(text: str, wanted: datetime) -> None:
    """RFC 3339; a zone that is left out is UTC, and that is said."""
    read = times.read(text)
    assert read.until == wanted
    assert bool(read.taken) == ("Z" not in text and "+" not in text)


def test_the_pace_says_what_is_left() -> None:
    """Rate since the phase was first seen, what was there before left out; nothing of what nobody knows."""
    pace = Pace(100, 0.0)
    assert pace.said(Phase.LOADING, 300, 1300, 10.0) == "300 of 1,300 events, 20/s, 0:50 left"
    assert pace.said(Phase.LOADING, 300, None, 10.0) == "300 events, 20/s"
    assert pace.said(Phase.LOGGING, 0, None, 10.0) == ""
