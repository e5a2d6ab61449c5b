"""`nenrin projections reset`: projections begin anew, each in an empty generation that is live at once.

It mends position accidents: positions that no longer fit their log are left behind, with all that counted on them, and
nothing that is in the log is lost. The generation before is kept, as previous; it can still be read by its number.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

import msgspec

from eventlog.planning import Bounds, Described, check
from eventlog.topics import Topics
from projections.control.install import administration
from projections.database import connect
from projections.documents import Documents
from projections.encoders import find
from projections.generations.lifecycle import Build, live, replace
from projections.passages import Passages
from projections.port import ReadModel
from schemas import topics
from schemas.encoders import MINILM, Encoder
from schemas.errors import EncoderMissing, InvalidInput
from schemas.topics import DOCUMENTS, derived
from services.covering import covers
from services.settings import Settings

NAMES = (Documents.name, Passages.name)
Begins = Mapping[int, int]
"""The first offset of each partition."""
Say = Callable[[str], None]


class Log(msgspec.Struct, frozen=True):
    """The source topic, and what each of its partitions holds."""

    source: Described
    bounds: Mapping[int, Bounds]

    @property
    def begins(self) -> Begins:
        """Where each partition begins."""
        return {partition: bounds.begin for partition, bounds in self.bounds.items()}


def reset(settings: Settings, names: Collection[str], *, embed_again: bool, say: Say = print) -> dict[str, int]:
    """Replace the live generation of these projections, or of all; returns the new ones' numbers.

    `embed_again` makes the derived topic anew too. Raises `TopicMismatch`, `OtherIncarnation`, `PositionLost` where
    the topics are not fit to begin anew from, and `LogAway`, `DatabaseAway`; then nothing was changed.
    """
    for name in names:
        if name not in NAMES:
            raise InvalidInput("NAME", f"there is no projection {name!r}; there are {', '.join(NAMES)}")
    return asyncio.run(_reset(settings, [name for name in NAMES if name in (names or NAMES)], embed_again, say))


async def _reset(settings: Settings, names: Collection[str], embed_again: bool, say: Say) -> dict[str, int]:
    cluster = Topics(settings.kafka_settings())
    log = await _log(cluster, settings.partitions)
    encoder = await _encoder(settings.dsn, names)
    if embed_again:
        say(f"make topic {derived(encoder.name)} anew: the embedder writes it again, with the vectors it remembers")
        await _make_anew(cluster, settings.partitions, encoder.name)
    builds = {name: await _build(settings, name, log, encoder) for name in names}
    return {name: await _replace(settings, name, build, say) for name, build in builds.items()}


async def _encoder(dsn: str, names: Collection[str]) -> Encoder:
    """The encoder of the live passages, which they keep; the default one, where another version made theirs.

    Raises `GenerationMissing` where not all of `names` are installed.
    """
    async with administration(dsn) as administering:
        for name in names:
            await live(administering, name)
        found = await live(administering, Passages.name)
    connection = await connect(dsn, application="nenrin reset")
    try:
        return (await find(connection, found.encoder or MINILM.name)).encoder
    except EncoderMissing:
        return MINILM
    finally:
        await connection.close()


async def _log(cluster: Topics, partitions: int) -> Log:
    (source,) = await cluster.describe(DOCUMENTS)
    check(next(topic for topic in topics.wanted(partitions) if topic.name == DOCUMENTS), source)
    bounds = await cluster.bounds([source])
    return Log(source, {partition: found for (_, partition), found in bounds.items()})


async def _make_anew(cluster: Topics, partitions: int, encoder: str) -> None:
    await cluster.remove(derived(encoder))
    await cluster.carry_out(await cluster.plan(topics.wanted(partitions, encoder)))


async def _build(settings: Settings, name: str, log: Log, encoder: Encoder) -> Build:
    source = log.source
    if name == Documents.name:
        return Build(DOCUMENTS, source.partitions, source.incarnation, begins=log.begins)
    begins = {at: cover.begin for at, cover in (await covers(settings.kafka_settings(), source, encoder.name)).items()}
    return Build(DOCUMENTS, source.partitions, source.incarnation, encoder.name, encoder.dimensions, begins)


async def _replace(settings: Settings, name: str, build: Build, say: Say) -> int:
    model: ReadModel = Documents() if name == Documents.name else Passages(settings.text_language)
    async with administration(settings.dsn) as connection:
        number = await replace(connection, model, build)
    say(f"{name} generation {number} is live, and empty: a projector fills it from {_beginning(build.begins)}")
    return number


def _beginning(begins: Begins) -> str:
    later = {partition: at for partition, at in begins.items() if at}
    if not later:
        return "the beginning of the log"
    return "what is left of the log, " + ", ".join(
        f"partition {partition} from {at}" for partition, at in later.items()
    )
