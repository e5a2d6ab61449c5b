"""One Kafka producer from birth to discard, polled by a thread of its own.

A producer that left one write in doubt is never used again: whatever it still holds is purged, so that nothing is
written behind the back of a caller who was told "unknown".
"""

import asyncio
import threading
from collections.abc import Callable

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from eventlog.connection import KafkaSettings
from schemas.errors import InvalidInput, LogAway
from schemas.topics import SOURCE_RECORD_LIMIT

POLL = 0.1
"""Seconds after which the thread looks whether its producer was discarded."""

NOWHERE = "it has the record, but did not say where"
"""Then there is no version that covers the write."""

log = structlog.get_logger()


class Outgoing(msgspec.Struct, frozen=True):
    """A record on its way to the log."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Place(msgspec.Struct, frozen=True):
    """Where a record came to lie."""

    partition: int
    offset: int


def place_of(message: Message) -> Place | None:
    """Where an acknowledged record came to lie; None where Kafka did not say.

    That happens to a batch that was sent twice, for the answer to its first sending was lost.
    """
    partition, offset = message.partition(), message.offset()
    return None if partition is None or offset is None or offset < 0 else Place(partition, offset)


class ProducerLife:
    """One producer: made, handed records, discarded. Everything but the thread's own work runs on the event loop."""

    def __init__(self, settings: KafkaSettings, topic: str, incarnation: str, on_down: Callable[[str], None]) -> None:
        """`on_down` is called, with the reason, when the client has lost every broker."""
        self.incarnation = incarnation
        self._on_down = on_down
        self._topic = settings.real(topic)
        self._loop = asyncio.get_running_loop()
        self._outstanding: set[asyncio.Future[Place]] = set()
        self._discarded = threading.Event()
        self._producer = Producer({**configuration(settings), "error_cb": self._failed})
        self._thread = threading.Thread(target=self._poll, name="kafka-delivery", daemon=True)
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Until it is discarded."""
        return not self._discarded.is_set()

    def hand_over(self, record: Outgoing) -> "asyncio.Future[Place]":
        """Give a record to Kafka; the future ends with its place, or with `LogAway` of outcome "unknown".

        Raises `LogAway` of outcome "not_written" where the record was not even taken, `InvalidInput` for a giant.
        """
        future: asyncio.Future[Place] = self._loop.create_future()
        try:
            self._producer.produce(
                self._topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=self._delivered(future),
            )
        except BufferError as error:
            raise LogAway("not_written", "Too many writes wait for Kafka; try again in a moment.") from error
        except KafkaException as error:
            raise _not_taken(error.args[0]) from error
        self._outstanding.add(future)
        future.add_done_callback(self._outstanding.discard)
        return future

    def discard(self, reason: str) -> None:
        """End this producer; every write that it still holds becomes "unknown". Idempotent, and does not block."""
        if not self.usable:
            return
        self._producer.purge(blocking=False)
        self._discarded.set()  # from here on the thread may free the producer
        for future in tuple(self._outstanding):
            _fail(future, LogAway("unknown", _doubt(reason)))

    def join(self, timeout: float) -> None:
        """Wait for the thread of a discarded producer."""
        self._thread.join(timeout)

    def _delivered(self, future: "asyncio.Future[Place]") -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if self.usable:
                self._loop.call_soon_threadsafe(_settle, future, error, place_of(message))

        return report

    def _failed(self, error: KafkaError) -> None:
        log.debug("kafka client", error=error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self.usable:
            self._loop.call_soon_threadsafe(self._on_down, error.str())

    def _poll(self) -> None:
        while self.usable:
            self._producer.poll(POLL)
        self._producer.purge()
        # nothing is left to deliver; freeing the producer closes its connections
        del self._producer


def configuration(settings: KafkaSettings) -> dict[str, object]:
    """A producer for contract 1: durable, ordered, partitioned as the Java client does, and quick to say no."""
    return {
        **settings.confluent(),
        "client.id": "nenrin-command",
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "linger.ms": 0,
        "compression.type": "gzip",  # which every client reads without extras
        # the broker's limit counts compressed bytes, so what is certainly too much is left for the broker to say;
        # batch.size keeps a giant alone in its batch, where its refusal hurts no other
        "message.max.bytes": 4 * SOURCE_RECORD_LIMIT,
        "batch.size": SOURCE_RECORD_LIMIT // 2,
        "queue.buffering.max.kbytes": 128 * 1024,
        # never: whoever waits has a deadline, and then the producer is discarded. A record that timed out inside it
        # would have it begin another epoch and send what was in flight again, twice in the log
        # (https://github.com/confluentinc/librdkafka/issues/4953)
        "message.timeout.ms": 0,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "log_level": 2,
    }


def _not_taken(error: KafkaError) -> Exception:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return _giant()
    return LogAway("not_written", f"Kafka's client did not take the write: {error.str()}")


def _settle(future: "asyncio.Future[Place]", error: KafkaError | None, place: Place | None) -> None:
    if future.done():
        return
    if error is not None:
        giant = error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        _fail(future, _giant() if giant else LogAway("unknown", _doubt(error.str())))
    elif place is None:
        _fail(future, LogAway("unknown", _doubt(NOWHERE)))
    else:
        future.set_result(place)


def _fail(future: "asyncio.Future[Place]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # its caller may have gone: not worth a warning


def _giant() -> InvalidInput:
    return InvalidInput("body", f"over {SOURCE_RECORD_LIMIT:,} bytes as a Kafka record; shorten source_uri or text")


def _doubt(reason: str) -> str:
    return f"The write was handed to Kafka, which did not acknowledge it ({reason}). Repeating it is safe."
