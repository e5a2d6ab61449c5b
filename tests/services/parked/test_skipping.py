"""`parked skip` on a real Postgres: on record, once."""

import pytest

from projections import decisions
from projections.documents import Documents
from schemas.documents import key_of
from schemas.errors import InvalidInput
from schemas.partitions import partition_of
from services.parked import Asked, Chosen, Outcome, skip
from tests.projections.ledger import Ledger
from tests.services.parked.conftest import PARTITIONS, Log

KEY = key_of("c", "a")
HOME = partition_of(KEY, PARTITIONS)
FIRST = ("documents", HOME, 0)
NAMES = ("documents", "passages", "ledger")


async def test_who_and_why_are_kept(log: Log) -> None:
    """By every projection that had parked it, unless one is named; skipping it again changes nothing."""
    log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    await log.follow(Ledger(), HOME)
    one = Asked(Chosen((FIRST,), "ledger"), "eve", "a typo")
    assert [done.outcome for done in await skip(log.settings, one, projections=NAMES)] == [Outcome.SKIPPED]
    assert (await log.parked(), await log.parked("ledger")) == (1, 0)
    every = Asked(Chosen((FIRST,)), "adam", "another reason")
    done = await skip(log.settings, every, projections=NAMES)
    assert {each.projections[0]: each.outcome for each in done} == {
        "documents": Outcome.SKIPPED,
        "ledger": Outcome.SKIPPED_BEFORE,
    }
    (kept,) = await decisions.find(log.connection, "ledger", [FIRST])
    assert (kept.skipped_by, kept.skipped_because) == ("eve", "a typo")


async def test_all_at_once(log: Log) -> None:
    """Whatever nothing has resolved; a second time there is nothing left."""
    for _ in range(3):
        log.write(HOME, KEY, b"bad")
    await log.follow(Documents(), HOME)
    every = Asked(Chosen(), "eve", "a test")
    assert await skip(log.settings, every, planned=lambda _: False) == []
    assert await log.parked() == 3
    assert len(await skip(log.settings, every)) == 3
    assert await skip(log.settings, every) == []
    assert await log.parked() == 0


async def test_what_cannot_be_skipped(log: Log) -> None:
    """Without a reason, what is not parked, and what is healed."""
    with pytest.raises(InvalidInput, match="say why"):
        await skip(log.settings, Asked(Chosen((FIRST,)), "eve", " "))
    with pytest.raises(InvalidInput, match="nothing is parked at"):
        await skip(log.settings, Asked(Chosen((FIRST,)), "eve", "a test"))
    log.write(HOME, KEY, b"bad")
    log.write(HOME, KEY, b'{"collection": "c", "document_id": "a", "text": ""}')
    await log.follow(Documents(), HOME)
    with pytest.raises(InvalidInput, match="the event at offset 1 took its place"):
        await skip(log.settings, Asked(Chosen((FIRST,)), "eve", "a test"))
