"""Topics as the cluster has them: describing, checking and making them. librdkafka's admin client knows topic ids."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs forget to re-export three of them
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from eventlog.connection import KafkaSettings
from schemas.errors import LogAway, OtherIncarnation, TopicMismatch
from schemas.topics import Topic

ANSWER_WITHIN = 15.0
"""Seconds that the cluster has to answer a question about topics, or to make one."""
REPLICAS = 3
IN_SYNC = 2


class Described(msgspec.Struct, frozen=True):
    """A topic that exists. Its incarnation is Kafka's topic id, which no other topic ever has."""

    name: str
    partitions: int
    incarnation: str
    settings: Mapping[str, str]


class Plan(msgspec.Struct, frozen=True):
    """What it takes to have all topics: those to make, beside those that are there and in order."""

    missing: tuple[Topic, ...]
    present: tuple[Described, ...]
    replicas: int

    def lines(self) -> list[str]:
        """The plan as an operator reads it."""
        made = [
            f"make topic {topic.name}: {topic.partitions} partitions, {self.replicas} "
            f"{'copy' if self.replicas == 1 else 'copies'}, "
            + ", ".join(f"{name}={value}" for name, value in settings_of(topic, self.replicas).items())
            for topic in self.missing
        ]
        kept = [
            f"keep topic {topic.name}: {topic.partitions} partitions, incarnation {topic.incarnation}"
            for topic in self.present
        ]
        return made + kept


class Topics:
    """The topics of one installation, by their logical names."""

    def __init__(self, kafka: KafkaSettings) -> None:
        # its failures are raised; told on stderr as well they would hide the one line that matters
        self._admin = AdminClient({**kafka.confluent(), "log_level": 2})
        self._real = kafka.real

    async def describe(self, *names: str) -> list[Described]:
        """Describe topics, in the order asked for. Raises `TopicMismatch` when one does not exist."""
        found = await self.find(names)
        for name in names:
            if name not in found:
                raise TopicMismatch(f"topic {self._real(name)} does not exist: run `nenrin init`")
        return [found[name] for name in names]

    async def find(self, names: Sequence[str]) -> dict[str, Described]:
        """Describe those topics that exist."""
        real = [self._real(name) for name in names]
        described = self._admin.describe_topics(TopicCollection(real), request_timeout=ANSWER_WITHIN)
        answers = {
            name: await _answer(described[self._real(name)], unless=KafkaError.UNKNOWN_TOPIC_OR_PART) for name in names
        }
        there = {name: answer for name, answer in answers.items() if answer is not None}
        settings = await self._settings(there)
        return {
            name: Described(name, len(found.partitions), str(found.topic_id), settings[name])
            for name, found in there.items()
        }

    async def plan(self, wanted: Iterable[Topic]) -> Plan:
        """What it takes to have these topics. Raises `TopicMismatch` when one exists and is made otherwise."""
        topics = list(wanted)
        found = await self.find([topic.name for topic in topics])
        for topic in topics:
            if topic.name in found:
                check(topic, found[topic.name])
        return Plan(
            tuple(topic for topic in topics if topic.name not in found),
            tuple(found[topic.name] for topic in topics if topic.name in found),
            await self._replicas(),
        )

    async def carry_out(self, plan: Plan) -> None:
        """Make what the plan says is missing; one that somebody else made meanwhile will do."""
        if not plan.missing:
            return
        made = self._admin.create_topics(
            [
                NewTopic(
                    self._real(topic.name),
                    topic.partitions,
                    plan.replicas,
                    config=settings_of(topic, plan.replicas),
                )
                for topic in plan.missing
            ],
            operation_timeout=ANSWER_WITHIN,
        )
        for future in made.values():
            await _answer(future, unless=KafkaError.TOPIC_ALREADY_EXISTS)
        await self._until_made(plan)

    async def _until_made(self, plan: Plan) -> None:
        """A broker answers a creation before it knows the topic itself."""
        wanted = {topic.name: topic for topic in plan.missing}
        async with asyncio.timeout(ANSWER_WITHIN):
            while len(found := await self.find(list(wanted))) < len(wanted):  # noqa: ASYNC110  # a broker sets no event
                await asyncio.sleep(0.05)
        for name, topic in wanted.items():
            check(topic, found[name])

    async def _settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = {name: ConfigResource(ResourceType.TOPIC, self._real(name)) for name in names}
        if not resources:
            return {}
        futures = self._admin.describe_configs(list(resources.values()), request_timeout=ANSWER_WITHIN)
        return {
            name: {key: entry.value for key, entry in (await _answer(futures[resource])).items()}
            for name, resource in resources.items()
        }

    async def _replicas(self) -> int:
        cluster = await _answer(self._admin.describe_cluster(request_timeout=ANSWER_WITHIN))
        return 1 if len(cluster.nodes) == 1 else REPLICAS


def settings_of(topic: Topic, replicas: int) -> dict[str, str]:
    """What a topic is made with."""
    durable = {"min.insync.replicas": str(IN_SYNC)} if replicas > 1 else {}
    return topic.settings() | durable


def check(wanted: Topic, found: Described) -> None:
    """Raise `TopicMismatch` when a topic that exists would break positions, order or the contract's limits."""
    if found.partitions != wanted.partitions:
        raise TopicMismatch(
            f"topic {wanted.name} has {found.partitions} partitions, but NENRIN_PARTITIONS is {wanted.partitions}: "
            f"set it to {found.partitions}; the number is fixed for the life of a topic"
        )
    for setting, value in wanted.settings().items():
        if not _keeps(setting, value, there := found.settings.get(setting)):
            raise TopicMismatch(
                f"topic {wanted.name} has {setting}={there}, but {value} is needed: "
                f"kafka-configs.sh --alter --topic {wanted.name} --add-config {setting}={value}"
            )


def check_incarnation(topic: str, theirs: str, current: str) -> None:
    """Raise `OtherIncarnation` when positions count offsets of a topic that has since been made anew."""
    if theirs != current:
        raise OtherIncarnation(
            f"topic {topic} was recreated: positions are kept for its incarnation {theirs}, it is now {current}. "
            "Restore the old topic, or rebuild what was made of it"
        )


def _keeps(setting: str, wanted: str, found: str | None) -> bool:
    if setting == "max.message.bytes" and found is not None:
        return int(found) >= int(wanted)
    return found == wanted


async def _answer(future: "Future[Any]", unless: int | None = None) -> Any:
    """What librdkafka answers, None for the error code in `unless`; the one place where its errors become ours."""
    try:
        return await asyncio.wrap_future(future)
    except KafkaException as failure:
        error = failure.args[0]
        if error.code() == unless:
            return None
        message = f"Kafka did not answer about its topics: {error.str()} ({error.name()})"
        raise LogAway("not_written", message) from failure
