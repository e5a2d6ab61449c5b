"""The examination: ask both servers, each on its own, and judge what they said together."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
from aiokafka.errors import KafkaError

from schemas import topics as known
from schemas.encoders import MINILM
from schemas.errors import DatabaseAway, GenerationMissing, LogAway, NenrinError, NewerSchema
from schemas.mending import INIT
from services.doctor import asking
from services.doctor.facts import Database, Log
from services.doctor.findings import Finding, ok, problem
from services.doctor.generations import generations
from services.doctor.installation import clocks, installation
from services.doctor.positions import positions
from services.doctor.stack import stack
from services.doctor.topics import topics
from services.settings import Settings


def examine(settings: Settings, folder: Path | None) -> list[Finding]:
    """Everything there is to find. `folder` is the state folder of a stack on this machine, if it is one."""
    log, database = asyncio.run(_ask(settings))
    found = [_reached("Kafka", settings.kafka, log), _reached("Postgres", _place(settings), database)]
    found += [] if folder is None else stack(folder)
    found += _judged(
        settings, log if isinstance(log, Log) else None, database if isinstance(database, Database) else None
    )
    return found


def _judged(settings: Settings, log: Log | None, database: Database | None) -> Iterator[Finding]:
    encoder = _encoder(database)
    if log is not None:
        yield from topics(log, known.wanted(settings.partitions, encoder))
    if database is not None:
        yield from positions(log, database, known.derived(encoder))
        yield from generations(database)
        yield from installation(database, settings.park_limit)
    if log is not None and database is not None:
        yield from clocks(log, database)


async def _ask(settings: Settings) -> tuple[Log | NenrinError, Database | NenrinError]:
    database = await _database(settings)
    derived = known.derived(_encoder(database if isinstance(database, Database) else None))
    log = await _log(settings, derived)
    if isinstance(log, Log) and isinstance(database, Database):
        following = await asking.following(settings, derived, log, database)
        log = msgspec.structs.replace(log, following=following)
    return log, database


def _encoder(database: Database | None) -> str:
    """Whose topic of vectors is looked at: the live generation's, or the default one's where that isn't known."""
    return (None if database is None else database.encoder) or MINILM.name


async def _log(settings: Settings, derived: str) -> Log | NenrinError:
    try:
        return await asking.log(settings, derived)
    except NenrinError as error:
        return error
    except (KafkaError, OSError, TimeoutError) as error:
        return LogAway("not_written", f"Kafka at {settings.kafka} did not answer: {error}")


async def _database(settings: Settings) -> Database | NenrinError:
    try:
        return await asking.database(settings)
    except NenrinError as error:
        return error


def _reached(server: str, where: str, found: Log | Database | NenrinError) -> Finding:
    if isinstance(found, GenerationMissing):
        return problem(server, f"answers at {where}, but Nenrin is not installed there: {found}", f"run `{INIT}`")
    if isinstance(found, NewerSchema):
        return problem(server, f"answers at {where}: {found}", "upgrade this Nenrin")
    if isinstance(found, NenrinError):
        variable = "NENRIN_POSTGRES" if isinstance(found, DatabaseAway) else f"NENRIN_{server.upper()}"
        return problem(server, str(found), f"start it, or see that {variable} names it; all else mends itself then")
    return ok(server, f"answers at {where}")


def _place(settings: Settings) -> str:
    """Where Postgres is, without the password."""
    return settings.dsn.rpartition("@")[2]
