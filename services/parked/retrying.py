"""Retry: append events to their topic again, in order, each once.

That a copy is about to be written is recorded before, and its offset after. So after a retry that was cut off in
between the next one knows which copy is in doubt, and where in the log to look for it before it writes another.
"""

from collections.abc import Callable, Mapping, Sequence

import asyncpg
import msgspec

from eventlog.appending import ANSWER_WITHIN, Appender, appending
from eventlog.delivery import TopicPartition
from eventlog.topics import Topics
from projections import decisions
from projections.decisions import Parked
from projections.documents import Documents
from projections.passages import Passages
from projections.port import Order
from schemas import retries
from schemas.errors import LogAway, NenrinError, OtherIncarnation
from schemas.records import Record
from services.parked.planning import Asked, Done, Outcome, Step, plan, topics_of
from services.parked.searching import connected, parked_by
from services.settings import Settings

ORDERS = {Documents.name: Documents.order, Passages.name: Passages.order}
"""The projections that there are."""


class Busy(NenrinError):
    """Somebody else retries just now."""


async def retry(
    settings: Settings,
    asked: Asked,
    *,
    planned: Callable[[Sequence[Step]], bool] = lambda _: True,
    done: Callable[[Done], None] = lambda _: None,
    orders: Mapping[str, Order] = ORDERS,
) -> list[Done]:
    """Append what is chosen to the source topic again. `planned` may say no to the plan; `done` is told of each event.

    Raises `InvalidInput` for what can't be retried and `Busy`, with nothing written; `LogAway` and `DatabaseAway`,
    after which the same call goes on where this one ended.
    """
    async with connected(settings.dsn) as connection:
        if not await decisions.alone(connection):
            raise Busy("another `nenrin parked retry` is under way: wait until it has ended")
        parked = await parked_by(connection, orders, asked.chosen)
        steps = plan(parked, asked, orders, await _partitions(settings, parked))
        if not planned(steps) or not steps:
            return []
        async with appending(settings.kafka_settings()) as log:
            return [await _told(done, await _carried_out(step, connection, log, asked.by)) for step in steps]


async def _told(done: Callable[[Done], None], what: Done) -> Done:
    done(what)
    return what


async def _partitions(settings: Settings, parked: Sequence[Parked]) -> dict[str, int]:
    """How many partitions each topic has. Raises `OtherIncarnation` for events of a topic that was recreated."""
    names = list(topics_of(parked))
    found = await Topics(settings.kafka_settings(), within=ANSWER_WITHIN).identify(*names) if names else []
    for topic in found:
        for event in parked:
            if event.topic == topic.name and event.incarnation != topic.incarnation:
                raise OtherIncarnation(
                    f"{event.projection} has parked events of incarnation {event.incarnation} of {topic.name}, which "
                    f"is now {topic.incarnation}: what lies at their offsets is something else; see `nenrin doctor`"
                )
    return {topic.name: topic.partitions for topic in found}


async def _carried_out(step: Step, connection: asyncpg.Connection, log: Appender, by: str) -> Done:
    if step.copied_as is not None:
        return _done(step, Outcome.RETRIED_BEFORE, step.copied_as)
    topic, partition, offset = step.place
    copy = _copy(step, await log.read(TopicPartition(topic, partition), offset))
    into = TopicPartition(topic, step.into)
    if step.in_doubt and (found := await log.find(into, step.since, copy)) is not None:
        await decisions.appended(connection, step.events, found)
        return _done(step, Outcome.FOUND, found)
    await decisions.intend(connection, step.events, by, into.partition, await log.end(into))
    try:
        appended = await log.append(into, copy)
    except LogAway as error:
        raise LogAway(error.outcome, f"{error}. Do the same again: it looks in the log before it appends") from error
    await decisions.appended(connection, step.events, appended)
    return _done(step, Outcome.APPENDED, appended)


def _copy(step: Step, record: Record) -> Record:
    """The record as it is to be written: as it was, and where events add up with a word on what it is a copy of."""
    if not step.marked:
        return record
    kept = tuple(header for header in record.headers if header[0] != retries.HEADER)
    return msgspec.structs.replace(record, headers=(*kept, retries.header(record.offset)))


def _done(step: Step, outcome: Outcome, offset: int) -> Done:
    names = tuple(event.projection for event in step.events)
    return Done(step.place, step.events[0].key, names, outcome, (step.into, offset))
