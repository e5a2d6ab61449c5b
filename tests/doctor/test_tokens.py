"""Tokens of a topic that was recreated, before anybody has mended what was made of it."""

import pytest

from projections.lag import Frame, Partition
from schemas.errors import OtherIncarnation
from schemas.topics import DOCUMENTS
from schemas.versions import Version
from services.query.conditions import NONE, Conditions

NOW = 1_700_000_000.0
OLD = Conditions(at_least=Version({DOCUMENTS: {0: 5}}, {DOCUMENTS: "old"}))


def frame(head_incarnation: str | None, observed_at: float = NOW) -> Frame:
    """A projection of the old topic, and the probe's last look."""
    return Frame(1, NOW, 0, (Partition(DOCUMENTS, 0, 5, 1, "old", NOW, 7, head_incarnation, observed_at),))


def test_a_token_of_a_topic_that_is_gone_is_refused_at_once() -> None:
    """Though the rows shown are still of it: what the client waits for will never come."""
    with pytest.raises(OtherIncarnation, match="which is gone: the topic was recreated, as new"):
        OLD.check_log(frame("new"))


@pytest.mark.parametrize("seen", [frame("old"), frame(None), frame("new", NOW - 60)])
def test_what_the_probe_has_not_seen_refuses_nothing(seen: Frame) -> None:
    """The same topic, no look yet, or one that is long ago."""
    OLD.check_log(seen)


def test_who_sends_no_token_is_told_by_the_state() -> None:
    """Lag is unknown then; there is nothing to refuse."""
    NONE.check_log(frame("new"))
    Conditions(at_least=Version({DOCUMENTS: {0: 5}})).check_log(frame("new"))
