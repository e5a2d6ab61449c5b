"""What a rebuild is asked for, and what that means for the log and the database as they are now. Nothing is written."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from eventlog.connection import KafkaSettings
from eventlog.planning import Bounds, Identity
from eventlog.topics import Topics
from projections import encoders
from projections.documents import Documents
from projections.generations import candidates
from projections.generations.candidates import Kind
from projections.generations.lifecycle import Build
from projections.models import model
from projections.port import ReadModel
from schemas.encoders import MINILM
from schemas.errors import GenerationMissing, InvalidInput
from schemas.mending import INIT
from schemas.topics import DOCUMENTS
from schemas.versions import Version
from services.covering import Cover, covers
from services.replay import times
from services.replay.times import Until
from services.settings import Settings


class Order(msgspec.Struct, frozen=True):
    """What a rebuild is asked for. `postgres` is the database to build in, where that is another one than ours.

    `forced_because`: why failed gates are to be overruled; None: they are not. `by`: who asks. `queries`: a file of
    questions for a gate (`gates.Asked`).
    """

    projection: str
    by: str
    encoder: str | None = None
    until: Until | None = None
    promote: bool = True
    postgres: str | None = None
    forced_because: str | None = None
    queries: Path | None = None

    @property
    def promotes(self) -> bool:
        """Whether what is built is to become live: nothing that ends in the past is."""
        return self.promote and self.until is None


class Plan(msgspec.Struct, frozen=True):
    """What is to be built. `ends`: the source offsets that it ends at, by partition; None where it follows the log.

    `note`: what was taken for granted, in a line; "" where nothing was.
    """

    model: ReadModel
    kind: Kind
    build: Build
    ends: Mapping[int, int] | None = None
    note: str = ""


def check(order: Order) -> None:
    """Raise `InvalidInput` for what can be told without looking anywhere."""
    model(order.projection, "english")
    if order.encoder is not None and order.projection == Documents.name:
        raise InvalidInput("--encoder", f"{order.projection} keeps no vectors: leave it out")
    if order.queries is not None and not order.queries.is_file():
        raise InvalidInput("--queries", f"there is no file {order.queries}")
    if order.forced_because is not None and not order.promotes:
        raise InvalidInput("--force", "overrules gates of a promotion, and nothing is to be promoted here")


async def plan(settings: Settings, order: Order, here: asyncpg.Connection | None) -> Plan:
    """Look at the log. `here` is a database that knows encoders; None where there is none: the log alone will do.

    Raises `InvalidInput`, `OtherIncarnation`, `EncoderMissing`, `GenerationMissing`, `LogAway`, `DatabaseAway`, and
    what makes a derived topic unfit to build from.
    """
    kafka = settings.kafka_settings()
    cluster = Topics(kafka)
    (source,) = await cluster.identify(DOCUMENTS)
    read_model = model(order.projection, settings.text_language)
    if order.projection == Documents.name:
        encoder, language = None, None
    else:
        encoder, language = await _encoder(order, here), settings.text_language
    ends = None if order.until is None else await _ends(cluster, order.until, source)
    begins = await _begins(kafka, source, encoder, ends)
    until = None if ends is None else times.version_of(ends, source.incarnation).token()
    name, dimensions = (None, None) if encoder is None else (encoder.encoder.name, encoder.encoder.dimensions)
    return Plan(
        read_model,
        Kind(read_model.shape, name, language, until, source.incarnation, source.partitions),
        Build(DOCUMENTS, source.partitions, source.incarnation, name, dimensions, begins),
        ends,
        _note(order.until, source),
    )


def _note(until: Until | None, source: Identity) -> str:
    if not isinstance(until, Version) or not (missing := times.unnamed(until, source.partitions)):
        return ""
    return f"the token does not name partitions {', '.join(map(str, missing))} of {DOCUMENTS}: they end at 0, empty"


async def _encoder(order: Order, here: asyncpg.Connection | None) -> encoders.Registered:
    """The encoder that was named, else that of the live generation, else the default one."""
    if here is None:
        if order.encoder not in (None, MINILM.name):
            raise InvalidInput("--encoder", f"the database that knows {order.encoder} is away")
        return encoders.Registered(MINILM)
    name = order.encoder
    if name is None and (live := await candidates.live_number(here, order.projection)) is not None:
        name = await candidates.encoder_of(here, order.projection, live)
    return await encoders.find(here, name or MINILM.name)


async def _ends(cluster: Topics, until: Until, source: Identity) -> dict[int, int]:
    """Where each partition of the source ends at a version or a time. Raises `InvalidInput`, `OtherIncarnation`."""
    if isinstance(until, datetime):
        later = await cluster.later_than(source, times.milliseconds(until, datetime.now(UTC)))
        return times.settled(later, await _bounds(cluster, source))
    return times.positions(until, source, await _bounds(cluster, source))


async def _begins(
    kafka: KafkaSettings, source: Identity, encoder: encoders.Registered | None, ends: Mapping[int, int] | None
) -> dict[int, int]:
    """The first offsets that there is anything of. A partition that is not read at all is whole from 0 on."""
    found: Mapping[int, Bounds | Cover]
    if encoder is None:
        found = await _bounds(Topics(kafka), source)
    else:
        found = await covers(kafka, source, encoder.encoder.name)
    return {
        partition: each.begin for partition, each in found.items() if each.begin and (ends is None or ends[partition])
    }


async def _bounds(cluster: Topics, source: Identity) -> dict[int, Bounds]:
    return {partition: found for (_, partition), found in (await cluster.bounds([source])).items()}


async def check_installed(connection: asyncpg.Connection, projection: str) -> None:
    """Raise `GenerationMissing` where the projection was never installed."""
    if await candidates.live_number(connection, projection) is None:
        raise GenerationMissing(f"there is no projection {projection!r} here: run `{INIT}` first")
