"""Candidates as tests make them: another generation, by the ordinary writer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from confluent_kafka import Producer

from eventlog.topics import Topics
from projections.control.install import administration
from projections.generations import candidates, lifecycle
from projections.generations.holding import hold, holding
from projections.generations.lifecycle import Build
from projections.models import model
from projections.writer import Writer
from schemas import embedded
from schemas.embedded import Skipped, Source
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS, derived, wanted
from services.replay import reading
from tests.replay.conftest import World

OTHER = "another-encoder-12345678"
"""An encoder that embeds in fewer dimensions."""
OTHER_DIMENSIONS = 32


async def candidate(
    world: World, projection: str, encoder: str = MINILM.name, dimensions: int = MINILM.dimensions
) -> int:
    """Make another generation that is to become live; it has not read anything yet."""
    source = (await reading.stretch(world.settings.kafka_settings(), None)).source
    build = Build(DOCUMENTS, source.partitions, source.incarnation)
    if projection == "passages":
        build = Build(DOCUMENTS, source.partitions, source.incarnation, encoder, dimensions)
    async with administration(world.settings.dsn) as connection:
        number = await lifecycle.next_number(connection, projection)
        await lifecycle.create(connection, model(projection, "english"), number, build)
    return number


@asynccontextmanager
async def held(world: World, projection: str, generation: int) -> AsyncIterator[asyncpg.Connection]:
    """Hold a generation, as whoever gates it does."""
    async with holding(world.settings.dsn, "a test") as keeper:
        await hold(keeper, projection, generation)
        yield keeper


async def make_topic(world: World, encoder: str) -> None:
    """Make the derived topic of another encoder."""
    cluster = Topics(world.settings.kafka_settings())
    await cluster.carry_out(await cluster.plan(wanted(world.settings.partitions, encoder)))


async def skip_all(world: World, encoder: str) -> None:
    """Have one record of each partition of a derived topic cover all that is in the source."""
    there = await reading.stretch(world.settings.kafka_settings(), None)
    producer = Producer({"bootstrap.servers": world.settings.kafka})
    for partition, end in there.ends.items():
        source = Source(DOCUMENTS, partition, end - 1, there.source.incarnation, 0, end, 1)
        event = Skipped(source, end)
        topic = world.settings.topic_prefix + derived(encoder)
        headers = dict[str, str | bytes | None](embedded.headers(event, encoder))
        producer.produce(topic, embedded.encode(event), None, partition, headers=headers)
    assert producer.flush(30) == 0


async def follow_to(world: World, projection: str, generation: int, target: int) -> None:
    """Have a generation apply the log up to this offset of each partition, and nothing behind it."""
    kafka = world.settings.kafka_settings()
    there = await reading.stretch(kafka, await candidates.encoder_of(world.connection, projection, generation))
    writer = Writer(model(projection, "english"), generation, world.settings.dsn)
    source = there.source
    starts = await writer.claim(DOCUMENTS, range(source.partitions), source.incarnation, source.partitions)
    async for entries in reading.entries(kafka, there, starts, dict.fromkeys(starts, target)):
        await writer.apply(entries[0].place.partition, entries)
    await writer.release()
