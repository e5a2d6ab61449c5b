"""The one producer of an embedder's life."""

from collections.abc import Iterator, Sequence
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError

from eventlog.connection import KafkaSettings
from schemas.errors import LogAway
from schemas.topics import DERIVED_RECORD_LIMIT
from services.embedder.work import Output

OVERHEAD = 4096
"""Bytes that a batch and its only record may need beside what is in it; a broker counts the batch."""
RECORD_LIMIT = DERIVED_RECORD_LIMIT - OVERHEAD
BATCH_BYTES = 1024 * 1024
"""About how much goes into a batch. A single larger record is a batch of its own."""


class Producer:
    """Writes a partition in order, with never more than one batch on its way.

    It is idempotent, so that a batch which the client repeats is written once. An error that comes through all that
    leaves open what was written: the caller must not send again with any producer before it has read the tail anew.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = kafka.real(topic)
        self._producer: aiokafka.AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises `LogAway` when nothing answers."""
        self._producer = aiokafka.AIOKafkaProducer(
            **self._kafka.aiokafka(),
            client_id="nenrin-embedder",
            enable_idempotence=True,
            acks="all",
            max_batch_size=DERIVED_RECORD_LIMIT,
            max_request_size=2 * DERIVED_RECORD_LIMIT,
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise LogAway("not_written", f"Kafka at {self._kafka.bootstrap} does not answer: {error}") from error

    async def stop(self) -> None:
        """Disconnect; nothing may be on its way."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, partition: int, outputs: Sequence[Output]) -> None:
        """Write these in order; return when all of them are acknowledged."""
        producer = self._producer
        assert producer is not None, "not started"
        for group in grouped(outputs):
            batch: Any = producer.create_batch()
            for output in group:
                appended = batch.append(timestamp=None, key=output.key, value=output.value, headers=output.headers)
                assert appended is not None, "grouped by size"
            acknowledged = await producer.send_batch(batch, self._topic, partition=partition)
            await acknowledged


def grouped(outputs: Sequence[Output]) -> Iterator[list[Output]]:
    """Consecutive records that fit into a batch together."""
    group: list[Output] = []
    size = 0
    for output in outputs:
        if group and size + output.size > BATCH_BYTES:
            yield group
            group, size = [], 0
        group.append(output)
        size += output.size
    if group:
        yield group
