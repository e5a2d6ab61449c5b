"""The encoders of this installation, how far the topic of each is, and who uses it."""

from datetime import datetime

import msgspec

from eventlog.planning import Identity
from eventlog.topics import Topics
from projections.database import connect
from projections.encoders import Fetches, Use, embedded, find, registered, used
from schemas.encoders import Encoder
from schemas.errors import EncoderMissing, NenrinError
from schemas.topics import DOCUMENTS, derived
from services.covering import covers
from services.settings import Settings


class Listed(msgspec.Struct, frozen=True):
    """An encoder. What isn't known is None: its settings where nobody has added it here, or how far its topic is.

    `covered` of the `records` of the source have their vectors; `trouble` says why that can't be told.
    """

    name: str
    topic: str
    encoder: Encoder | None
    folder: str | None
    added_at: datetime | None
    covered: int | None
    records: int | None
    trouble: str | None
    generations: tuple[Use, ...]


async def listed(settings: Settings) -> list[Listed]:
    """Those that are used, or were added. Raises `LogAway`, `DatabaseAway`."""
    connection = await connect(settings.dsn, application="nenrin encoders list")
    try:
        names, uses = await embedded(connection), await used(connection)
        added = {each.encoder.name: each.added_at for each in await registered(connection)}
        known = {name: await _found(connection, name) for name in names}
    finally:
        await connection.close()
    (source,) = await Topics(settings.kafka_settings()).identify(DOCUMENTS)
    found = []
    for name, (encoder, folder) in known.items():
        covered, records, trouble = await _covered(settings, source, name)
        generations = tuple(use for use in uses if use.encoder == name)
        found.append(
            Listed(name, derived(name), encoder, folder, added.get(name), covered, records, trouble, generations)
        )
    return found


async def _found(connection: Fetches, name: str) -> tuple[Encoder | None, str | None]:
    try:
        found = await find(connection, name)
    except EncoderMissing:
        return None, None
    return found.encoder, None if found.folder is None else str(found.folder)


async def _covered(settings: Settings, source: Identity, name: str) -> tuple[int | None, int | None, str | None]:
    kafka = settings.kafka_settings()
    try:
        covered = await covers(kafka, source, name)
        ends = await Topics(kafka).bounds([source])
    except NenrinError as error:
        return None, None, str(error)
    return (
        sum(cover.end - cover.begin for cover in covered.values()),
        sum(ends[source.name, partition].end - cover.begin for partition, cover in covered.items()),
        None,
    )
