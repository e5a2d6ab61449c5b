"""The judge of lags must be able to say no."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.chaos.heads import Heads, Watch
from tests.chaos.judging import Judge
from tests.chaos.reading import Heard
from tests.oracle import Record

NOW = time.time()
VERSION = {0: 3, 1: 5}
WAITING_SINCE = NOW - 8.0  # when the first event was written that the answer lacks


def judged(events: int | None, seconds: float | None) -> Judge:
    """A judge that has settled one answer of that lag: 4 events were in the log before it, 6 after it came."""
    watch = Watch(cast(Any, None))
    watch.seen.extend([
        Heads(NOW - 3.0, NOW - 2.9, {0: 7, 1: 5}),
        Heads(NOW - 1.9, NOW - 0.9, {0: 8, 1: 5}),  # was under way when the heads were observed
        Heads(NOW + 0.1, NOW + 0.2, {0: 8, 1: 6}),
    ])  # fmt: skip
    log = {0: [Record(2, None, "added", None, 0), Record(3, None, "added", None, int(WAITING_SINCE * 1000))], 1: []}
    oracle = SimpleNamespace(version=lambda _: VERSION, log=log)
    judge = Judge(cast(Any, None), cast(Any, oracle), cast(Any, None), watch)
    observed = datetime.fromtimestamp(NOW - 1.0, UTC).isoformat()
    told = {"version": "", "lag_events": events, "lag_seconds": seconds, "head_observed_at": observed}
    judge._unsettled.append(Heard(cast(Any, SimpleNamespace(body={"projection": told})), NOW))
    judge.settle()
    return judge


@pytest.mark.parametrize("events", [4, 5, 6])
def test_a_lag_between_what_was_before_and_what_was_after_passes(events: int) -> None:
    """Nobody can know it better from outside."""
    assert judged(events, 7.5).lags.total() == 3


@pytest.mark.parametrize(("events", "seconds"), [(3, 7.5), (7, 7.5), (0, 0.0), (4, 6.9)])
def test_a_lag_that_lies_is_seen(events: int, seconds: float) -> None:
    """Too small, too large, nothing at all, and one younger than the oldest event that the answer lacks."""
    with pytest.raises(AssertionError):
        judged(events, seconds)


def test_an_unknown_lag_says_nothing() -> None:
    """It is counted, so that a run of nothing else would show."""
    assert judged(None, None).lags == {"unknown, so not compared": 1}
