"""Writers that go straight to Kafka, as any client may: one event at a time, or in transactions that may be aborted."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tests.chaos.drawing import some_event
from tests.chaos.ledger import Ledger, Outcome, Write, trace_id, traceparent, word_of
from tests.chaos.pace import Ending
from tests.chaos.stack import PARTITIONS, Stack
from tests.laws.events import Event

SETTLED_WITHIN = 60.0
"""Seconds in which Kafka has to acknowledge what was handed over, or it counts as unknown."""
WAITING = 20
"""Events without an answer from Kafka; no more are handed over until some have one."""
CALL = 5.0
"""Seconds for one call of a transaction."""
Delivered = Callable[[KafkaError | None, Message], None]


@dataclass
class Life:
    """One librdkafka producer: to one Kafka at one address, until something goes wrong for good."""

    kafka: str
    settings: dict[str, Any]
    producer: Producer = field(init=False)
    is_fatal: bool = False

    def __post_init__(self) -> None:
        self.producer = Producer({
            "bootstrap.servers": self.kafka, "partitioner": "murmur2_random", "enable.idempotence": True,
            "message.max.bytes": 2 * 1024 * 1024, "linger.ms": 2, "delivery.timeout.ms": 30_000, "log_level": 0,
            "error_cb": self._failed, **self.settings,
        })  # fmt: skip

    def hand(self, event: Event, delivered: Delivered) -> None:
        """Give an event to the client."""
        partition = -1 if event.partition is None else event.partition
        headers: dict[str, str | bytes | None] = {**event.headers}
        self.producer.produce("documents", event.value, event.key, partition, delivered, headers=headers)

    def _failed(self, error: KafkaError) -> None:
        self.is_fatal |= error.fatal() or error.code() == KafkaError._FATAL

    def flush(self, seconds: float) -> None:
        """Wait for answers; what has none by then is told to have failed."""
        if self.producer.flush(seconds):
            self.producer.purge()
            self.producer.flush(CALL)


class Straight:
    """Every kind of event, good or bad, one after the other; some of them twice."""

    def __init__(self, stack: Stack, ledger: Ledger) -> None:
        self._stack, self._ledger = stack, ledger

    async def run(self, chance: random.Random, ending: Ending) -> None:
        """Write until the end, and wait for what became of it."""
        life: Life | None = None
        while not ending.is_set():
            life = await self._usable(life)
            if len(life.producer) > WAITING:
                life.producer.poll(0)
                await ending.pause(0.2)
                continue
            kind, event = self._numbered(chance)
            life.hand(*event)
            if chance.random() < 0.1:  # the same event again: `ce_id` does not deduplicate
                life.hand(*self._with_number(f"{kind} again", event[0]))
            life.producer.poll(0)
            await ending.pause(chance.expovariate(5))
        if life is not None:
            await asyncio.to_thread(life.flush, SETTLED_WITHIN)

    async def _usable(self, life: Life | None) -> Life:
        if life is not None and life.kafka == self._stack.kafka and not life.is_fatal:
            return life
        if life is not None:
            await asyncio.to_thread(life.flush, 0.1)
        return Life(self._stack.kafka, {})

    def _numbered(self, chance: random.Random) -> tuple[str, tuple[Event, Delivered]]:
        number = self._ledger.number()
        kind, event = some_event(chance, word_of(number), PARTITIONS)
        return kind, (traced(event, number), taking(self._ledger, kind, event, number))

    def _with_number(self, kind: str, event: Event) -> tuple[Event, Delivered]:
        number = self._ledger.number()
        return traced(event, number), taking(self._ledger, kind, event, number)


def taking(ledger: Ledger, kind: str, event: Event, number: int) -> Delivered:
    """What notes in the ledger how it went."""

    def delivered(failure: KafkaError | None, message: Message) -> None:
        outcome = Outcome.ACKNOWLEDGED if failure is None else Outcome.UNKNOWN
        below = _below(message, failure)
        ledger.take(Write(trace_id(number), kind, event.key, outcome, below, time.time(), once=False))

    return delivered


def _below(message: Message, failure: KafkaError | None) -> dict[int, int] | None:
    at, offset = message.partition(), message.offset()
    return None if failure is not None or at is None or offset is None else {at: offset + 1}


class Transactional:
    """A few events at a time, of which other readers see all or none."""

    def __init__(self, stack: Stack, ledger: Ledger, name: str) -> None:
        self._stack, self._ledger, self._name = stack, ledger, name
        self._life: Life | None = None

    async def run(self, chance: random.Random, ending: Ending) -> None:
        """One transaction after the other."""
        while not ending.is_set():
            if await asyncio.to_thread(self._ready):
                await asyncio.to_thread(self._transact, chance)
            await ending.pause(chance.expovariate(1))
        await asyncio.to_thread(self._settle)

    def _ready(self) -> bool:
        """Whether there is a producer for the Kafka of now; making one ends whatever its predecessor left open."""
        if self._life is not None and self._life.kafka == self._stack.kafka:
            return True
        life = Life(
            self._stack.kafka,
            {"transactional.id": self._name, "transaction.timeout.ms": 20_000, "delivery.timeout.ms": 15_000},
        )
        with suppress(KafkaException):
            life.producer.init_transactions(CALL)
            self._life = life
            return True
        return False

    def _transact(self, chance: random.Random) -> None:
        numbers = [self._ledger.number() for _ in range(chance.randrange(1, 6))]
        events = [(number, *some_event(chance, word_of(number), PARTITIONS)) for number in numbers]
        outcome = self._ended(events, commits=chance.random() < 0.6)
        for number, kind, event in events:
            write = Write(trace_id(number), f"{kind} in a transaction", event.key, outcome, at=time.time())
            self._ledger.take(replace(write, group=str(numbers[0])))

    def _ended(self, events: list[tuple[int, str, Event]], commits: bool) -> Outcome:
        """Write and commit, or abort; what became of it. A producer that failed is given up."""
        assert self._life is not None
        producer = self._life.producer
        outcome = Outcome.NOT_WRITTEN
        try:
            producer.begin_transaction()
            for number, _, event in events:
                self._life.hand(traced(event, number), lambda failure, message: None)
            if not commits:
                producer.flush(CALL)
                producer.abort_transaction(CALL)
                return outcome
            outcome = Outcome.UNKNOWN
            producer.commit_transaction(CALL)
        except KafkaException:
            self._life = None
            return outcome
        return Outcome.ACKNOWLEDGED

    def _settle(self) -> None:
        """Leave no transaction open: it would hold up every reader of committed events."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while not self._ready():
            assert time.monotonic() < deadline, f"Kafka did not end the transactions of {self._name}"


def traced(event: Event, number: int) -> Event:
    """The event with its number."""
    return replace(event, headers=event.headers | {"traceparent": traceparent(number).encode()})
