"""What an operator does: has documents, asks the doctor, follows the advice."""

import asyncio

from schemas.topics import DOCUMENTS
from services.doctor import Level, examine
from services.init import reset
from services.settings import Settings
from tests.doctor.accidents import Log
from tests.doctor.conftest import Database, Projector

FIRST = tuple(f"first-{number}" for number in range(12))
SECOND = tuple(f"second-{number}" for number in range(40))


async def applied(log: Log, database: Database, projector: Projector) -> None:
    """Twelve documents, in both projections."""
    log.add(*FIRST)
    await asyncio.to_thread(log.embed)
    await database.until_applied(12, "documents_g1", "passages_g1")
    assert projector.notes == {"documents": "going on", "passages": "going on"}


async def lost_before_it_was_read(log: Log, projector: Projector, topic: str) -> None:
    """Forty documents more, embedded too; `topic` loses all but the last of each partition before they are read."""
    ends = await asyncio.to_thread(log.ends, DOCUMENTS)
    projector.pause()
    log.add(*SECOND)
    await asyncio.to_thread(log.embed, ends)
    after = await asyncio.to_thread(log.ends, topic)
    await asyncio.to_thread(log.lose_beginning, topic, {each: at - 1 for each, at in after.items()})
    projector.go_on()


async def problems(settings: Settings) -> dict[str, str]:
    """What the doctor finds wrong, and its advice."""
    found = await asyncio.to_thread(examine, settings, None)
    return {each.what: each.advice or "" for each in found if each.level is Level.PROBLEM}


async def mended(settings: Settings, *names: str, embed_again: bool) -> list[str]:
    """The advice followed; what it said."""
    said: list[str] = []
    await asyncio.to_thread(reset, settings, names, embed_again=embed_again, say=said.append)
    return said


async def found_wrong(settings: Settings) -> list[str]:
    """The evidence of the doctor's problems."""
    found = await asyncio.to_thread(examine, settings, None)
    return [each.evidence for each in found if each.level is Level.PROBLEM]
