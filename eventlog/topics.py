"""Topics as the cluster has them: which there are, how far they reach, and making those that are missing.

librdkafka's admin client is the only one that knows topic ids.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs forget to re-export four of them
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from eventlog import planning
from eventlog.connection import KafkaSettings
from eventlog.planning import Bounds, Described, Identity, Plan, check, settings_of
from schemas.errors import LogAway, TopicMismatch
from schemas.mending import INIT
from schemas.topics import Topic

T = TypeVar("T")

ANSWER_WITHIN = 15.0
"""Seconds that the cluster has to answer a question about topics, or to make one, where the asker says nothing."""

_ELECTING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


class _Leaderless(LogAway):
    """Nobody leads a partition at this moment."""


class Topics:
    """The topics of one installation, by their logical names. Every call raises `LogAway` while Kafka is away."""

    def __init__(self, kafka: KafkaSettings, within: float | None = None) -> None:
        """`within` is the seconds after which an answer is too late to be one."""
        self._kafka = kafka
        self._within = ANSWER_WITHIN if within is None else within
        self._admin = _client(kafka)

    async def identify(self, *names: str) -> list[Identity]:
        """Which incarnation each topic is, in the order asked for. Raises `TopicMismatch` when one does not exist."""
        there = await self.there(names)
        for name in names:
            if name not in there:
                raise TopicMismatch(f"topic {self._kafka.real(name)} does not exist: run `{INIT}`")
        return [there[name] for name in names]

    async def heads(self, identities: Iterable[Identity]) -> Mapping[tuple[str, int], int]:
        """The high watermark of every partition. Raises `TopicMismatch` for a topic that is gone."""
        wanted = [(identity.name, partition) for identity in identities for partition in range(identity.partitions)]
        # read committed would stop at the last stable offset
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return await self._ask_offsets(wanted, latest, IsolationLevel.READ_UNCOMMITTED)

    async def bounds(self, identities: Iterable[Identity]) -> Mapping[tuple[str, int], Bounds]:
        """Where every partition begins, and where those who read committed find its end. Raises `TopicMismatch`."""
        wanted = [(identity.name, partition) for identity in identities for partition in range(identity.partitions)]
        earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
        begins, ends = await self._offsets(wanted, earliest), await self._offsets(wanted, latest)
        return {place: Bounds(begins[place], ends[place]) for place in wanted}

    async def later_than(self, identity: Identity, time: int) -> dict[int, int]:
        """Where in each partition the first record is that was written after `time`, in milliseconds since 1970.

        The high watermark, where there is none. Raises `TopicMismatch`.
        """
        heads = await self.heads([identity])
        after = OffsetSpec.for_timestamp(time + 1)
        found = await self._ask_offsets(heads, after, IsolationLevel.READ_UNCOMMITTED)
        return {at: heads[name, at] if offset < 0 else offset for (name, at), offset in found.items()}

    async def _offsets(self, wanted: Sequence[tuple[str, int]], spec: OffsetSpec) -> Mapping[tuple[str, int], int]:
        """Waits for partitions that have no leader yet: those of a topic that was made a moment ago."""
        deadline = asyncio.get_running_loop().time() + self._within
        while True:
            try:
                return await self._ask_offsets(wanted, spec, IsolationLevel.READ_COMMITTED)
            except _Leaderless:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def _ask_offsets(
        self, wanted: Iterable[tuple[str, int]], spec: OffsetSpec, isolation: IsolationLevel
    ) -> Mapping[tuple[str, int], int]:
        places = {TopicPartition(self._kafka.real(name), partition): spec for name, partition in wanted}
        if not places:
            return {}
        client = self._admin
        asked = client.list_offsets(places, isolation_level=isolation, request_timeout=self._within)
        return {
            (self._kafka.logical(place.topic), place.partition): (await self._answer(client, future)).offset
            for place, future in asked.items()
        }

    async def describe(self, *names: str) -> list[Described]:
        """Describe topics whole, in the order asked for. Raises `TopicMismatch` when one does not exist."""
        identities = await self.identify(*names)
        settings = await self._settings(names)
        return [_described(identity, settings) for identity in identities]

    async def find(self, names: Sequence[str]) -> dict[str, Described]:
        """Describe those topics that exist."""
        there = await self.there(names)
        settings = await self._settings(there)
        return {name: _described(identity, settings) for name, identity in there.items()}

    async def plan(self, wanted: Iterable[Topic]) -> Plan:
        """What it takes to have these topics. Raises `TopicMismatch` when one exists and is made otherwise."""
        topics = list(wanted)
        found = await self.find([topic.name for topic in topics])
        client = self._admin
        cluster = await self._answer(client, client.describe_cluster(request_timeout=self._within))
        return planning.plan(topics, found, len(cluster.nodes))

    async def carry_out(self, plan: Plan) -> None:
        """Make what the plan says is missing; one that somebody else made meanwhile will do."""
        if not plan.missing:
            return
        client = self._admin
        made = client.create_topics(
            [self._new(topic, plan) for topic in plan.missing],
            operation_timeout=self._within,
            request_timeout=self._within,
        )
        for future in made.values():
            await self._answer(client, future, unless=KafkaError.TOPIC_ALREADY_EXISTS)
        await self._until_made(plan)

    def _new(self, topic: Topic, plan: Plan) -> NewTopic:
        settings = settings_of(topic, plan.replicas)
        return NewTopic(self._kafka.real(topic.name), topic.partitions, plan.replicas, config=settings)

    async def remove(self, name: str) -> None:
        """Delete a topic with all that is in it, and return when the cluster has forgotten it; none there will do."""
        real = self._kafka.real(name)
        client = self._admin
        removed = client.delete_topics([real], operation_timeout=self._within, request_timeout=self._within)
        await self._answer(client, removed[real], unless=KafkaError.UNKNOWN_TOPIC_OR_PART)
        async with asyncio.timeout(self._within):
            while await self.there([name]):  # noqa: ASYNC110  # a broker sets no event
                await asyncio.sleep(0.05)

    async def _until_made(self, plan: Plan) -> None:
        """A broker answers a creation before it knows the topic itself."""
        wanted = {topic.name: topic for topic in plan.missing}
        try:
            async with asyncio.timeout(self._within):
                while len(found := await self.find(list(wanted))) < len(wanted):  # noqa: ASYNC110  # a broker sets no event
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            what = f"Kafka at {self._kafka.bootstrap} took on {', '.join(wanted)}"
            raise LogAway("unknown", f"{what}, and did not show them within {self._within:g} s: try again") from error
        for name, topic in wanted.items():
            check(topic, found[name])

    async def there(self, names: Iterable[str]) -> dict[str, Identity]:
        """Which incarnation each topic is, of those that exist."""
        real = {self._kafka.real(name): name for name in names}
        client = self._admin
        asked = client.describe_topics(TopicCollection(list(real)), request_timeout=self._within)
        answers: dict[str, TopicDescription | None] = {
            name: await self._answer(client, asked[topic], unless=KafkaError.UNKNOWN_TOPIC_OR_PART)
            for topic, name in real.items()
        }
        return {
            name: Identity(name, len(found.partitions), str(found.topic_id))
            for name, found in answers.items()
            if found is not None
        }

    async def _settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = {name: ConfigResource(ResourceType.TOPIC, self._kafka.real(name)) for name in names}
        if not resources:
            return {}
        client = self._admin
        asked = client.describe_configs(list(resources.values()), request_timeout=self._within)
        return {
            name: {key: entry.value for key, entry in (await self._answer(client, asked[resource])).items()}
            for name, resource in resources.items()
        }

    async def _answer(self, client: AdminClient, future: "Future[T]", unless: int | None = None) -> Any:
        """What librdkafka answers, None for the error code in `unless`; the one place where its errors become ours.

        `client` is the one that was asked: once nobody holds it, it settles none of the questions that are under way.
        """
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(_noted)
        # unlike awaiting it, waiting for it leaves it alone when cancelled: librdkafka will settle it either way
        await asyncio.wait({answer})
        try:
            return answer.result()
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            if error.code() == unless:
                return None
            raise self._translated(client, error) from failure

    def _translated(self, client: AdminClient, error: KafkaError) -> LogAway | TopicMismatch:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return TopicMismatch(f"a topic is no longer at {self._kafka.bootstrap}: run `{INIT}`")
        if error.code() in _ELECTING:
            return _Leaderless("not_written", f"a partition at {self._kafka.bootstrap} has no leader: {error.str()}")
        if self._admin is client:
            # one that lost its broker can wait for a controller for ever, while a new one is answered at once
            self._admin = _client(self._kafka)
        message = f"Kafka at {self._kafka.bootstrap} did not answer about its topics: {error.str()} ({error.name()})"
        return LogAway("not_written", message)


def _described(identity: Identity, settings: Mapping[str, Mapping[str, str]]) -> Described:
    return Described(identity.name, identity.partitions, identity.incarnation, settings[identity.name])


def _noted(answer: "asyncio.Future[Any]") -> None:
    """An answer that nobody waits for any more may be an error."""
    if not answer.cancelled():
        answer.exception()


def _client(kafka: KafkaSettings) -> AdminClient:
    return AdminClient(
        {
            **kafka.confluent(),
            "client.id": "nenrin-topics",
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            # its failures are raised; told on stderr as well they would hide the one line that matters
            "log_level": 2,
        }
    )
