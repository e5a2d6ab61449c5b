"""The high watermarks, as anyone may ask Kafka for them, with the time at which each was true."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.pace import Ending
from tests.chaos.stack import PARTITIONS, Stack
from tests.oracle import Version

ANSWER_WITHIN = 2.0
KEPT = 3000


@dataclass(frozen=True)
class Heads:
    """Watermarks that were all read between two moments, in seconds since the epoch."""

    began: float
    ended: float
    heads: Version


class Watch:
    """Looks again and again, while Kafka is there."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._consumer: Consumer | None = None
        self._kafka = ""
        self.seen: deque[Heads] = deque(maxlen=KEPT)

    async def run(self, ending: Ending) -> None:
        """Look until the end."""
        while not ending.is_set():
            with suppress(KafkaException):
                self.seen.append(await asyncio.to_thread(self.look))
            await ending.pause(0.25)

    def look(self) -> Heads:
        """One look. Raises KafkaException where Kafka does not answer in time."""
        consumer, began = self._usable(), time.time()
        places = [TopicPartition("documents", at) for at in range(PARTITIONS)]
        heads = {one.partition: consumer.get_watermark_offsets(one, timeout=ANSWER_WITHIN)[1] for one in places}
        return Heads(began, time.time(), heads)

    def _usable(self) -> Consumer:
        if self._consumer is None or self._kafka != self._stack.kafka:
            self._kafka = self._stack.kafka
            self._consumer = Consumer({
                "bootstrap.servers": self._kafka, "group.id": "watch", "log_level": 0,
                "isolation.level": "read_uncommitted",  # or the end would be the first open transaction
            })  # fmt: skip
        return self._consumer

    def before(self, moment: float) -> Heads | None:
        """The latest look that had ended by a moment."""
        return next((look for look in reversed(self.seen) if look.ended <= moment), None)

    def after(self, moment: float) -> Heads | None:
        """The first look that began no sooner than a moment."""
        found = None
        for look in reversed(self.seen):
            if look.began < moment:
                break
            found = look
        return found


def behind(heads: Version, version: Version) -> int:
    """The lag that these heads and this version make."""
    return sum(max(0, head - version.get(at, 0)) for at, head in heads.items())
