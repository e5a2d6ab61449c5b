"""Accidents of the derived topic: `passages` never skips what is missing, and never needs what is not."""

import asyncio

from tests.doctor.accidents import DERIVED, Log
from tests.doctor.conftest import Database, Projector
from tests.doctor.operating import FIRST, SECOND, applied, lost_before_it_was_read, mended, problems


async def test_a_hole_stops_passages_alone(log: Log, database: Database, projector: Projector) -> None:
    """Derived records deleted before they were read are missed; the topic made anew brings them, and loses nothing."""
    await applied(log, database, projector)
    await lost_before_it_was_read(log, projector, DERIVED)
    notes = await projector.until(lambda notes: notes.get("passages", "").startswith("stopped"))
    assert "`nenrin projections reset passages --embed-again`" in notes["passages"]
    assert notes["documents"] == "going on"
    await database.until_applied(52, "documents_g1")
    assert await database.documents("passages_g1") == set(FIRST)
    advice = await problems(log.settings)
    assert advice["positions of passages generation 1"] == "`nenrin projections reset passages --embed-again`"

    await mended(log.settings, "passages", embed_again=True)
    await asyncio.to_thread(log.embed)
    await database.until_applied(52, "passages_g2")
    assert await database.documents("passages_g2") == set(FIRST + SECOND)
    assert await database.documents() == set(FIRST + SECOND)


async def test_a_hole_in_the_middle_is_found_before_it_is_read(
    log: Log, database: Database, projector: Projector
) -> None:
    """The next record of the derived topic covers too little: the doctor sees it, and the projection stops there."""
    await applied(log, database, projector)
    log.add(*SECOND)
    ends = await asyncio.to_thread(log.ends, "documents")
    await asyncio.to_thread(log.embed, {each: at - 1 for each, at in ends.items()})
    notes = await projector.until(lambda notes: notes.get("passages", "").startswith("stopped"))
    assert "the next record begins at" in notes["passages"]
    assert "`nenrin projections reset passages --embed-again`" in notes["passages"]
    assert await database.documents("passages_g1") == set(FIRST)
    assert "positions of passages generation 1" in await problems(log.settings)


async def test_a_derived_topic_made_anew_is_read_from_its_beginning(
    log: Log, database: Database, projector: Projector
) -> None:
    """Its records say what they cover, so nothing is applied twice or missed, and nobody has to do anything."""
    await applied(log, database, projector)
    await asyncio.to_thread(log.recreate, DERIVED)
    log.add(*SECOND)
    await asyncio.to_thread(log.embed)
    await database.until_applied(52, "documents_g1", "passages_g1")
    assert await database.documents("passages_g1") == set(FIRST + SECOND)
    counted = await database.connection.fetchval("SELECT sum(documents) FROM passages_g1.digests")
    assert counted == 52
    assert not any("positions" in what for what in await problems(log.settings))


async def test_added_partitions_stop_passages_alone(log: Log, database: Database, projector: Projector) -> None:
    """A derived topic with other partitions than its source is made anew with the right ones."""
    await applied(log, database, projector)
    await asyncio.to_thread(log.widen, DERIVED, 6)
    notes = await projector.until(lambda notes: "has 6 partitions" in notes.get("passages", ""))
    assert notes["documents"] == "going on"
    await mended(log.settings, "passages", embed_again=True)
    await asyncio.to_thread(log.embed)
    await database.until_applied(12, "passages_g2")
    await projector.until(lambda notes: set(notes.values()) == {"going on"})
