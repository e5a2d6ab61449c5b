"""`nenrin projections reset`: projections begin anew, each in an empty generation that is live at once.

It mends position accidents: positions that no longer fit their log are left behind, with all that counted on them, and
nothing that is in the log is lost. The generation before is kept, as previous; it can still be read by its number.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

import msgspec

from eventlog.delivery import TopicPartition
from eventlog.planning import Bounds, Described, check
from eventlog.tail import read_firsts, read_tails
from eventlog.topics import Topics
from projections.control.install import administration
from projections.documents import Documents
from projections.generations.lifecycle import Build, live, replace
from projections.passages import Passages
from projections.port import ReadModel
from schemas import embedded, topics
from schemas.encoders import MINILM
from schemas.errors import InvalidInput, OtherIncarnation, PositionLost, TopicMismatch
from schemas.mending import EMBED_AGAIN, INIT
from schemas.topics import DOCUMENTS
from services.settings import Settings

NAMES = (Documents.name, Passages.name)
DERIVED = topics.derived(MINILM.name)
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
    async with administration(settings.dsn) as connection:
        for name in names:
            await live(connection, name)  # all of them are installed, before anything is changed
    if embed_again:
        say(f"make topic {DERIVED} anew: the embedder writes it again, with the vectors that it remembers")
        await _make_anew(cluster, settings.partitions)
    builds = {name: await _build(settings, name, log) for name in names}
    return {name: await _replace(settings, name, build, say) for name, build in builds.items()}


async def _log(cluster: Topics, partitions: int) -> Log:
    (source,) = await cluster.describe(DOCUMENTS)
    check(next(topic for topic in topics.wanted(partitions, MINILM.name) if topic.name == DOCUMENTS), source)
    bounds = await cluster.bounds([source])
    return Log(source, {partition: found for (_, partition), found in bounds.items()})


async def _make_anew(cluster: Topics, partitions: int) -> None:
    await cluster.remove(DERIVED)
    await cluster.carry_out(await cluster.plan(topics.wanted(partitions, MINILM.name)))


async def _build(settings: Settings, name: str, log: Log) -> Build:
    source = log.source
    if name == Documents.name:
        return Build(DOCUMENTS, source.partitions, source.incarnation, begins=log.begins)
    begins = await _covered(settings, log)
    return Build(DOCUMENTS, source.partitions, source.incarnation, MINILM.name, MINILM.dimensions, begins)


async def _replace(settings: Settings, name: str, build: Build, say: Say) -> int:
    model: ReadModel = Documents() if name == Documents.name else Passages(settings.text_language)
    async with administration(settings.dsn) as connection:
        number = await replace(connection, model, build)
    say(f"{name} generation {number} is live, and empty: a projector fills it from {_beginning(build.begins)}")
    return number


async def _covered(settings: Settings, log: Log) -> Begins:
    """Where the derived topic's cover of the source begins; raises what makes it unfit to build passages from."""
    kafka, source = settings.kafka_settings(), log.source
    found = (await Topics(kafka).find([DERIVED])).get(DERIVED)
    if found is None or found.partitions != source.partitions:
        there = "does not exist" if found is None else f"has {found.partitions} partitions, not {source.partitions}"
        raise TopicMismatch(f"topic {DERIVED} {there}: run `{INIT if found is None else EMBED_AGAIN}`")
    places = [TopicPartition(DERIVED, partition) for partition in range(source.partitions)]
    firsts, tails = await read_firsts(kafka, places), await read_tails(kafka, places)
    begins = dict(log.begins)
    for place in places:
        first, tail = firsts[place], tails[place]
        if first is not None and tail is not None:
            ends = embedded.decode(first).source, embedded.decode(tail).source
            begins[place.partition] = _begin(source, *ends, log.bounds[place.partition])
    return begins


def _begin(source: Described, first: embedded.Source, tail: embedded.Source, bound: Bounds) -> int:
    place = f"{DERIVED}/{first.partition}"
    for each in (first, tail):
        if each.incarnation != source.incarnation:
            raise OtherIncarnation(
                f"{place} was embedded from incarnation {each.incarnation} of {DOCUMENTS}, which is now "
                f"{source.incarnation}: add --embed-again"
            )
    if first.since > bound.begin:
        raise PositionLost(
            f"{place} begins with offset {first.since} of {DOCUMENTS}, which begins at {bound.begin}: what lies "
            "between is no longer in it; add --embed-again"
        )
    if not bound.begin <= tail.next <= bound.end:
        raise PositionLost(
            f"{place} ends with offset {tail.next - 1} of {DOCUMENTS}, which has {bound.begin} to {bound.end - 1}: one "
            "of them is not whole; add --embed-again"
        )
    return first.since


def _beginning(begins: Begins) -> str:
    later = {partition: at for partition, at in begins.items() if at}
    if not later:
        return "the beginning of the log"
    return "what is left of the log, " + ", ".join(
        f"partition {partition} from {at}" for partition, at in later.items()
    )
