"""The ledger must be able to say no: a lost write, one that is there twice, and one that should not be there."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from tests.chaos.ledger import Ledger, Outcome, Write
from tests.oracle import Oracle, Record


class Log:
    """What the ledger asks of the oracle."""

    def __init__(self, *records: Record) -> None:
        self.log: Mapping[int, Sequence[Record]] = {0: records, 1: ()}


def record(trace: str, offset: int = 0) -> Record:
    """An event of that trace."""
    return Record(offset, b"k", "added", None, trace=trace)


def checked(writes: Sequence[Write], *records: Record) -> None:
    """Hold these writes against this log."""
    Ledger(list(writes)).check(cast(Oracle, Log(*records)))


def write(outcome: Outcome, trace: str = "t", **changes: object) -> Write:
    """One write with that outcome."""
    return Write(**{"trace": trace, "kind": "PUT", "key": b"k", "outcome": outcome} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "times"),
    [
        (Outcome.ACKNOWLEDGED, 1),
        (Outcome.NOT_WRITTEN, 0),
        (Outcome.NOT_REACHED, 0),
        (Outcome.UNKNOWN, 0),
        (Outcome.UNKNOWN, 1),
    ],
)
def test_what_is_as_it_was_said_passes(outcome: Outcome, times: int) -> None:
    """Acknowledged: once. Not written: not at all. Unknown: at most once."""
    checked([write(outcome)], *[record("t", offset) for offset in range(times)])


@pytest.mark.parametrize(
    ("outcome", "times"),
    [
        (Outcome.ACKNOWLEDGED, 0),
        (Outcome.ACKNOWLEDGED, 2),
        (Outcome.NOT_WRITTEN, 1),
        (Outcome.NOT_REACHED, 1),
        (Outcome.UNKNOWN, 2),
    ],
)
def test_what_is_not_as_it_was_said_is_seen(outcome: Outcome, times: int) -> None:
    """A lost write, a doubled one, one that was refused and is there."""
    with pytest.raises(AssertionError, match="in the log"):
        checked([write(outcome)], *[record("t", offset) for offset in range(times)])


def test_a_version_that_does_not_cover_its_write_is_seen() -> None:
    """The token of a write must lie beyond it."""
    checked([write(Outcome.ACKNOWLEDGED, below={0: 6})], record("t", 5))
    with pytest.raises(AssertionError):
        checked([write(Outcome.ACKNOWLEDGED, below={0: 5})], record("t", 5))


def test_a_client_that_promises_less_may_double_but_not_lose() -> None:
    """As librdkafka's idempotent producer does after a time-out (its issue 4953)."""
    checked([write(Outcome.ACKNOWLEDGED, once=False)], record("t"), record("t", 1))
    with pytest.raises(AssertionError):
        checked([write(Outcome.ACKNOWLEDGED, once=False)])


def test_a_torn_transaction_is_seen() -> None:
    """All of it or none, though nobody knows which."""
    writes = [write(Outcome.UNKNOWN, trace, group="one") for trace in ("a", "b")]
    checked(writes)
    checked(writes, record("a"), record("b", 1))
    with pytest.raises(AssertionError, match="in part"):
        checked(writes, record("a"))
