"""Accidents of the source topic: what counts on it stops, says so, shows nothing untrue, and is mended as advised."""

import asyncio

import pytest

from projections.generations.read import nothing
from projections.positions import CUT
from projections.reading import Reader
from schemas.errors import OtherIncarnation
from schemas.topics import DOCUMENTS
from schemas.versions import Version, check
from services.init import copy
from services.settings import Settings
from tests.doctor.accidents import Log
from tests.doctor.conftest import Database, Projector
from tests.doctor.operating import FIRST, SECOND, applied, found_wrong, lost_before_it_was_read, mended, problems


async def version(settings: Settings) -> Version:
    """That of the documents shown."""
    async with Reader(settings.reader_dsn).reading() as reader:
        return (await reader.read("documents", lambda _: nothing())).version


async def test_a_recreated_source_is_never_read_on(log: Log, database: Database, projector: Projector) -> None:
    """Though the new topic has records where the old one's position was: their offsets mean something else."""
    await applied(log, database, projector)
    settings = log.settings
    await asyncio.to_thread(log.recreate, DOCUMENTS)
    log.add(*SECOND)
    notes = await projector.until(
        lambda notes: all("was recreated: " in notes.get(name, "") for name in ("documents", "passages"))
    )
    assert "`nenrin projections reset --embed-again`" in notes["documents"]
    assert await database.documents() == set(FIRST) == await database.documents("passages_g1")
    assert await database.applied() == 12
    advice = await problems(settings)
    assert "`nenrin projections reset --embed-again`" in advice["positions of documents generation 1"]

    old = await version(settings)
    await mended(settings, embed_again=True)
    await database.until_applied(40, "documents_g2")
    await asyncio.to_thread(log.embed)
    await database.until_applied(40, "passages_g2")
    assert await database.documents("documents_g2") == set(SECOND) == await database.documents("passages_g2")
    with pytest.raises(OtherIncarnation):
        check(old, await version(settings))
    assert len(projector.endings) <= 5, (
        projector.endings
    )  # deleted, made, the derived topic likewise, another generation


async def test_a_lost_beginning_stops_only_who_needed_it(log: Log, database: Database, projector: Projector) -> None:
    """Documents that were deleted before they were read stop `documents`; `passages` has them from its own topic."""
    await applied(log, database, projector)
    await lost_before_it_was_read(log, projector, DOCUMENTS)
    notes = await projector.until(lambda notes: notes.get("documents", "").startswith("stopped"))
    assert "the log begins at" in notes["documents"]
    assert notes["passages"] == "going on"
    await database.until_applied(52, "passages_g1")
    assert await database.documents("passages_g1") == set(FIRST + SECOND)
    assert await database.documents() == set(FIRST)
    advice = await problems(log.settings)
    assert advice["positions of documents generation 1"].startswith("`nenrin projections reset documents`")

    said = await mended(log.settings, "documents", embed_again=False)
    assert "what is left of the log" in said[-1]
    await database.until_applied(52, "documents_g2")
    assert len(await database.documents("documents_g2")) == 4
    assert await database.documents("documents_g1") == set(FIRST)
    assert "positions of documents generation 2" not in await problems(log.settings)


async def test_a_log_that_lost_its_end_stays_lost(log: Log, database: Database, projector: Projector) -> None:
    """When it has grown again beyond the positions, what is there now is not taken for what was read."""
    await applied(log, database, projector)
    await database.connection.execute("UPDATE documents_g1.positions SET next = next + 5, read_next = read_next + 5")
    projector.begin_again()
    notes = await projector.until(lambda notes: notes.get("documents", "").startswith("stopped"))
    assert "but the log ends at" in notes["documents"]
    assert notes["passages"] == "going on"
    log.add(*SECOND)
    projector.begin_again()
    notes = await projector.until(lambda notes: "has lost records at its end" in notes.get("documents", ""))
    assert "`nenrin projections reset --embed-again`" in notes["documents"]
    assert await database.documents() == set(FIRST)
    kept = await database.connection.fetchval("SELECT DISTINCT incarnation FROM documents_g1.positions")
    assert kept.endswith(CUT)
    assert "lost records at its end" in str(await found_wrong(log.settings))

    await mended(log.settings, embed_again=True)
    await asyncio.to_thread(log.embed)
    await database.until_applied(52, "documents_g2", "passages_g2")
    assert await database.documents("documents_g2") == set(FIRST + SECOND) == await database.documents("passages_g2")


async def test_added_partitions_stop_what_was_made_for_fewer(
    log: Log, database: Database, projector: Projector
) -> None:
    """Keys move: nothing written since is applied, and the copy has each document's events in order again."""
    await applied(log, database, projector)
    await asyncio.to_thread(log.widen, DOCUMENTS, 6)
    log.add(*SECOND, *FIRST, text="newer")
    notes = await projector.until(
        lambda notes: all("was made for 4" in notes.get(name, "") for name in ("documents", "passages"))
    )
    assert "documents has 6 partitions, but documents_g1 was made for 4" in notes["documents"]
    assert await database.documents() == set(FIRST)
    advice = await problems(log.settings)
    assert "`nenrin topics copy PREFIX`" in advice["topic documents"]

    elsewhere = log.settings.model_copy(update={"topic_prefix": f"v2.{log.settings.topic_prefix}"})
    assert await asyncio.to_thread(copy, log.settings, elsewhere.topic_prefix, lambda _: None) == 64
    projector.settings = elsewhere
    projector.begin_again()
    await mended(elsewhere, embed_again=False)
    await asyncio.to_thread(Log(elsewhere).embed)
    await database.until_applied(64, "documents_g2", "passages_g2")
    texts = await database.connection.fetch("SELECT document_id, text FROM documents_g2.documents")
    assert dict(texts) == {document_id: f"newer {document_id}" for document_id in FIRST + SECOND}
    await projector.until(lambda notes: set(notes.values()) == {"going on"})
    assert not any("topic" in what or "positions" in what for what in await problems(elsewhere))
