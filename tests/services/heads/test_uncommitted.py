"""What is not committed, and what never will be: unapplied all the same, so it counts, and has an age."""

from collections.abc import Callable

import pytest

from eventlog.connection import KafkaSettings
from eventlog.topics import Topics
from services.heads.reader import Reader
from tests.eventlog.writing import Transactions, make_topic

PLACE = ("documents", 0)
LATER: list[Callable[[Transactions], None]] = [lambda _: None, Transactions.abort, Transactions.commit]


@pytest.fixture
def transactions(kafka: str, topic_prefix: str) -> Transactions:
    """A transactional producer to a topic of one partition."""
    make_topic(kafka, topic_prefix + "documents")
    return Transactions(kafka, topic_prefix + "documents")


async def test_heads_count_what_is_not_committed_yet(kafka: str, topic_prefix: str, transactions: Transactions) -> None:
    """A head is the high watermark, not the last stable offset: an open transaction is lag."""
    topics = Topics(KafkaSettings(kafka, topic_prefix=topic_prefix))
    identities = await topics.identify("documents")
    transactions.begin(b"open", b"too")
    assert await topics.heads(identities) == {PLACE: 2}


@pytest.mark.parametrize("then", LATER, ids=["open", "aborted", "committed"])
async def test_the_probe_finds_every_record(
    kafka: str, topic_prefix: str, transactions: Transactions, then: Callable[[Transactions], None]
) -> None:
    """Whatever became of its transaction: its time is the age of what is unapplied from there on."""
    transactions.begin(b"one", b"two")
    then(transactions)
    async with Reader(KafkaSettings(kafka, topic_prefix=topic_prefix)) as reader:
        reader.assign([PLACE])
        found = (await reader.stretches({PLACE: (0, 2)}, 10.0))[PLACE]
    assert [record.offset for record in found.records] == [0, 1]
    assert all(record.time > 1_600_000_000_000 for record in found.records)
