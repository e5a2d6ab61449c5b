"""Topics first, then the database: a generation is made for a topic's incarnation, so the topic must be there."""

import asyncio
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from eventlog.planning import Plan
from eventlog.topics import Topics
from projections.control import install
from projections.control.install import Wanted
from projections.documents import Documents
from projections.generations.lifecycle import Build, live
from projections.passages import Passages
from schemas import topics
from schemas.encoders import MINILM
from schemas.errors import DatabaseAway, LogAway, NenrinError
from schemas.mending import EMBED_AGAIN
from services.settings import Settings


class OtherEncoder(NenrinError):
    """The database holds vectors of another encoder than the one that embeds now."""


def run(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Say what is missing, then make it. Whatever is there already is checked, and left as it is."""
    try:
        asyncio.run(initialise(settings, say))
    except LogAway as error:
        raise LogAway(error.outcome, f"{error}; is Kafka running at NENRIN_KAFKA={settings.kafka}?") from error
    except DatabaseAway as error:
        raise DatabaseAway(f"{error}; is it running, and does NENRIN_POSTGRES name it?") from error


async def initialise(settings: Settings, say: Callable[[str], None]) -> None:
    """Plan, then carry the plan out."""
    cluster = Topics(settings.kafka_settings())
    wanted_topics = topics.wanted(settings.partitions, MINILM.name)
    plan = await cluster.plan(wanted_topics)
    missing_rows = await install.plan(settings.dsn, wanted(settings, incarnation=""))
    for line in (*plan.lines(), *missing_rows):
        say(line)
    if not missing_rows:
        await check_encoder(settings.dsn)
    if not plan.missing and not missing_rows:
        say("nothing to do: everything is there")
        return
    await cluster.carry_out(plan)
    if missing_rows:
        incarnation = await _incarnation(cluster, plan)
        await install.install(settings.dsn, wanted(settings, incarnation), _password(settings))
    say("done")


async def check_encoder(dsn: str) -> None:
    """Raise `OtherEncoder` when the live passages can't go on with what is embedded from now on."""
    async with install.administration(dsn) as connection:
        found = await live(connection, Passages.name)
    if found.encoder != MINILM.name:
        raise OtherEncoder(
            f"passages generation {found.generation} holds vectors of {found.encoder}, but this version of Nenrin"
            f" embeds with {MINILM.name}: `{EMBED_AGAIN}` begins anew with that one, while Kafka"
            " and Postgres run"
        )


def wanted(settings: Settings, incarnation: str) -> tuple[Wanted, ...]:
    """The projections, each with what its first generation is made for."""
    source = Build(topics.DOCUMENTS, settings.partitions, incarnation)
    vectors = Build(topics.DOCUMENTS, settings.partitions, incarnation, MINILM.name, MINILM.dimensions)
    return Wanted(Documents(), source), Wanted(Passages(settings.text_language), vectors)


async def _incarnation(cluster: Topics, plan: Plan) -> str:
    present = {topic.name: topic.incarnation for topic in plan.present}
    if topics.DOCUMENTS in present:
        return present[topics.DOCUMENTS]
    (made,) = await cluster.describe(topics.DOCUMENTS)
    return made.incarnation


def _password(settings: Settings) -> str | None:
    """The password that the reader's role will have to give, if this makes it; none where nobody logs in as it."""
    if settings.postgres_reader is None:
        return None
    found = urlsplit(settings.reader_dsn).password
    return None if found is None else unquote(found)
