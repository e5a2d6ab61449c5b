"""Asking Kafka the same small questions again and again: which incarnation is this topic, how far does it reach?

`eventlog.topics` describes topics whole, once; here a connection is kept and a late answer is no answer.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its stubs forget the second

from eventlog.connection import KafkaSettings
from schemas.errors import LogAway, TopicMismatch

T = TypeVar("T")

ANSWER_WITHIN = 3.0


class Identity(msgspec.Struct, frozen=True):
    """A topic as the cluster knows it; `incarnation` is Kafka's id, which no other topic ever has."""

    topic: str
    incarnation: str
    partitions: int


class Watch:
    """A connection to the cluster, kept until it is freed. Topics go by their logical names."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = AdminClient(_configuration(settings))

    async def identify(self, *topics: str) -> dict[str, Identity]:
        """Which incarnation each topic is. Raises `LogAway`, or `TopicMismatch` for one that does not exist."""
        names = [self._settings.real(topic) for topic in topics]
        asked = self._admin.describe_topics(TopicCollection(names), request_timeout=ANSWER_WITHIN)
        found = [await self._answer(asked[name]) for name in names]
        return {
            topic: Identity(topic, str(description.topic_id), len(description.partitions))
            for topic, description in zip(topics, found, strict=True)
        }

    async def heads(self, identities: Iterable[Identity]) -> Mapping[tuple[str, int], int]:
        """The high watermark of every partition. Raises `LogAway`, or `TopicMismatch`."""
        wanted = [(identity.topic, partition) for identity in identities for partition in range(identity.partitions)]
        if not wanted:
            return {}
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = self._admin.list_offsets(
            {TopicPartition(self._settings.real(topic), partition): latest for topic, partition in wanted},
            # read committed would stop at the last stable offset
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ANSWER_WITHIN,
        )
        answers = {(place.topic, place.partition): await self._answer(future) for place, future in asked.items()}
        return {
            (topic, partition): answers[self._settings.real(topic), partition].offset for topic, partition in wanted
        }

    async def _answer(self, future: "Future[T]") -> T:
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(_noted)
        # unlike awaiting it, waiting for it leaves it alone when cancelled: librdkafka will settle it either way
        await asyncio.wait({answer})
        try:
            return answer.result()
        except KafkaException as failure:
            error = self._translated(failure.args[0])
            if isinstance(error, LogAway):
                # a client that lost its broker can wait for a controller for ever, while a new one is answered at once
                self._admin = AdminClient(_configuration(self._settings))
            raise error from failure

    def _translated(self, error: KafkaError) -> LogAway | TopicMismatch:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return TopicMismatch(f"a topic does not exist at {self._settings.bootstrap}: run `nenrin init`")
        return LogAway("not_written", f"Kafka at {self._settings.bootstrap} does not answer ({error.str()})")


def _noted(answer: "asyncio.Future[Any]") -> None:
    """An answer that nobody waits for any more may be an error."""
    if not answer.cancelled():
        answer.exception()


def _configuration(settings: KafkaSettings) -> dict[str, Any]:
    return {
        **settings.confluent(),
        "client.id": "nenrin-watch",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "log_level": 2,
    }
