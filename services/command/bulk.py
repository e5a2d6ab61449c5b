"""The producer of streams: many records, acknowledged by the thousand.

Single writes have a producer of their own, which waits for no batch. This one lingers to fill batches, and is polled
on the event loop: a thread that calls back for every record would fight the loop for the interpreter lock, record by
record.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from eventlog.connection import KafkaSettings
from eventlog.ending import exit_on_error
from schemas import topics
from schemas.errors import LogAway
from services.command.producing import Outgoing, configuration

LOOK = 0.1
"""Seconds between two looks at the streams."""

POLL = 0.003
"""Seconds between two polls for acknowledgements while some are awaited."""

HELD = 8 * 1024
"""KiB of records that wait for Kafka, of all streams together; who brings more waits, and so does their client."""

BULK: dict[str, object] = {
    "client.id": "nenrin-command-bulk",
    "linger.ms": 10,
    "batch.size": 256 * 1024,
    # gzip would cost more than all the rest; what needs it to fit goes through the other producer
    "compression.type": "none",
    "queue.buffering.max.kbytes": HELD,
    "queue.buffering.max.messages": 50_000,
}

log = structlog.get_logger()


class Member(Protocol):
    """A stream, as its producer sees it."""

    def look(self, now: float) -> None:
        """See whether it has waited too long, at this monotonic time."""

    def cut_off(self, reason: str) -> None:
        """End it."""


class BulkLife:
    """One producer of streams: made, handed records, discarded. All of it runs on the event loop."""

    def __init__(self, settings: KafkaSettings, incarnation: str, on_down: Callable[[str], None]) -> None:
        """`on_down` is called, with the reason, when the client has lost every broker."""
        self.incarnation = incarnation
        self.streams: set[Member] = set()
        self.usable = True
        self._on_down = on_down
        self._topic = settings.real(topics.DOCUMENTS)
        self._loop = asyncio.get_running_loop()
        self._producer = Producer({**configuration(settings), **BULK, "error_cb": self._failed})
        self._some = asyncio.Event()
        self._polling = asyncio.create_task(self._keep_polling())

    def hand_over(self, record: Outgoing, settle: Callable[[KafkaError | None, Message], None]) -> bool:
        """Give a record to Kafka; False while too many wait. Raises `LogAway` where it wasn't taken."""
        if not self.usable:
            raise LogAway("not_written", "The producer was discarded.")
        try:
            self._producer.produce(
                self._topic, value=record.value, key=record.key, headers=list(record.headers), on_delivery=settle
            )
        except BufferError:
            return False
        except KafkaException as error:
            raise LogAway("not_written", f"Kafka's client did not take a record: {error.args[0].str()}") from error
        self._some.set()
        return True

    def poll(self) -> None:
        """Take in the acknowledgements that are there."""
        if self.usable:
            self._producer.poll(0)

    def discard(self, reason: str) -> None:
        """End this producer and cut its streams off; what they still wait for is unknown. Idempotent."""
        if not self.usable:
            return
        self._producer.purge(blocking=False)
        self.usable = False
        self._polling.cancel()
        for stream in tuple(self.streams):
            stream.cut_off(reason)
        # freeing a producer waits for its threads
        threading.Thread(target=_free, args=(self._producer,), name="kafka-free", daemon=True).start()
        del self._producer

    async def _keep_polling(self) -> None:
        looked = 0.0
        with exit_on_error("polling for acknowledgements"):
            while True:
                if not len(self._producer):
                    self._some.clear()
                    await self._some.wait()
                self.poll()
                if (now := time.monotonic()) - looked > LOOK:
                    looked = now
                    self._look(now)
                await asyncio.sleep(POLL)

    def _look(self, now: float) -> None:
        for stream in tuple(self.streams):
            stream.look(now)

    def _failed(self, error: KafkaError) -> None:
        log.debug("kafka client", error=error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self.usable:
            self._loop.call_soon_threadsafe(self._on_down, error.str())


def _free(producer: Producer) -> None:
    producer.purge()
    producer.poll(0)  # hands back what waited for an answer; nobody listens any more
