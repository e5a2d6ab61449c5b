"""Topics first, then the database: a generation is made for a topic's incarnation, so the topic must be there."""

import asyncio
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from eventlog.planning import Plan
from eventlog.topics import Topics
from projections.control import install
from projections.control.install import Wanted
from projections.database import connect
from projections.documents import Documents
from projections.encoders import embedded
from projections.generations.lifecycle import Build
from projections.passages import Passages
from schemas import topics
from schemas.encoders import MINILM
from schemas.errors import DatabaseAway, GenerationMissing, LogAway
from services.init.shapes import advice, changes
from services.settings import Settings


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
    missing_rows = await install.plan(settings.dsn, wanted(settings, incarnation=""))
    plan = await cluster.plan(topics.wanted(settings.partitions, *await encoders(settings.dsn)))
    for line in (*plan.lines(), *missing_rows):
        say(line)
    if plan.missing or missing_rows:
        await cluster.carry_out(plan)
        if missing_rows:
            incarnation = await _incarnation(cluster, plan)
            await install.install(settings.dsn, wanted(settings, incarnation), _password(settings))
        say("done")
    due = await changes(settings.dsn)
    for each in due:
        say(advice(each))
    if not (plan.missing or missing_rows or due):
        say("nothing to do: everything is there")


async def encoders(dsn: str) -> list[str]:
    """The encoders whose topics there have to be: those in use or added, the default one where nothing is yet."""
    connection = await connect(dsn, application="nenrin init")
    try:
        return await embedded(connection) or [MINILM.name]
    except GenerationMissing:  # there is no control schema yet, or one from before encoders could be added
        return [MINILM.name]
    finally:
        await connection.close()


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
