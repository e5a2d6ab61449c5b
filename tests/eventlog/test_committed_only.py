"""An open transaction, while everything beside it is read: not a matter of time."""

import asyncio

from eventlog.app import create_app
from eventlog.connection import KafkaSettings
from tests.eventlog.test_positioned import FIRST, TOPIC, Reader
from tests.eventlog.writing import Transactions, make_topic, write


async def test_nothing_of_an_open_transaction_is_read_while_its_neighbours_are(kafka: str, topic_prefix: str) -> None:
    """The other partition's records come again and again, and with each of them this one's would have come."""
    topic = topic_prefix + TOPIC
    make_topic(kafka, topic, 2)
    reader = Reader({})
    settings = KafkaSettings(kafka, topic_prefix=topic_prefix)
    app = create_app("reader", settings, [reader.inbox], reader.claim, reader.release)
    running, working = asyncio.create_task(app.start()), asyncio.create_task(reader.work())
    try:
        write(kafka, topic, [b"before"])
        await reader.until(lambda reader: reader.values == [b"before"])
        transactions = Transactions(kafka, topic)
        transactions.begin(b"open")
        write(kafka, topic, [b"behind"])
        beside = [b"beside %d" % number for number in range(5)]
        for number, value in enumerate(beside, start=1):
            write(kafka, topic, [value], partition=1)
            await reader.until(lambda reader, seen=number: len(reader.values) > seen)  # type: ignore[misc]
        assert reader.values == [b"before", *beside]
        assert reader.positions[FIRST] == 1
        transactions.commit()
        await reader.until(lambda reader: len(reader.values) == len(beside) + 3)
        assert reader.values == [b"before", *beside, b"open", b"behind"]
    finally:
        working.cancel()
        await app.stop()
        await asyncio.gather(running, working, return_exceptions=True)
