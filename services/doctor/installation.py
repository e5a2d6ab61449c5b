"""Findings about what is installed: control schema, heads, parked events, encoder, clocks, room on disk. Pure."""

from collections.abc import Collection, Iterator

from schemas.mending import ADD_ENCODER, EMBED_AGAIN, INIT, REBUILD
from schemas.topics import DOCUMENTS
from services.doctor.facts import Database, Generation, Log
from services.doctor.findings import Finding, ok, problem, warning

HEADS_FRESH = 5.0
"""Seconds after which lag is unknown."""
AHEAD = 0.5
"""Seconds that a broker's clock may run ahead of the database's: an event would seem younger than it is."""
GIB = 1024**3
ROOM_LOW, ROOM_GONE = 2 * GIB, GIB // 4


def installation(database: Database, park_limit: int) -> Iterator[Finding]:
    """What Postgres says."""
    yield _schema(database)
    yield _heads(database)
    for each in database.outdated:
        advice = f"`{REBUILD} {each.projection}`, as `nenrin up` does by itself" if each.is_older else None
        yield warning(f"shape of {each.projection}", str(each), advice)
    for generation in database.live:
        yield _parked(generation, park_limit)
        if generation.encoder is not None:
            yield _encoder(generation.name, generation.encoder, database.encoders)


def _schema(database: Database) -> Finding:
    if database.revision != database.newest:
        return problem(
            "control schema", f"at {database.revision}, this version needs {database.newest}", f"run `{INIT}`"
        )
    return ok("control schema", f"at {database.revision}, the newest")


def _heads(database: Database) -> Finding:
    read = {(each.topic, each.partition) for generation in database.live for each in generation.positions}
    seen = [at for place, at in database.heads_seen.items() if place in read]  # a log of more partitions leaves others
    if not seen:
        return problem("heads", "never recorded: lag is unknown", "see that the heads probe runs")
    age = (database.now - min(seen)).total_seconds()
    if age > HEADS_FRESH:
        return problem("heads", f"recorded {age:.0f} s ago: lag is unknown", "see that the heads probe runs")
    return ok("heads", f"recorded {max(0.0, age):.2f} s ago")


def _parked(generation: Generation, limit: int) -> Finding:
    what, parked = f"parked events of {generation.name}", generation.parked
    look = "`nenrin parked list` shows them, with the reasons"
    if parked >= limit:
        return problem(what, f"{parked:,}, the limit is {limit:,}: the projection stops at the next one", look)
    return (
        warning(what, f"{parked:,}, the limit is {limit:,}", look)
        if parked
        else ok(what, f"none, the limit is {limit:,}")
    )


def _encoder(generation: str, encoder: str, known: Collection[str]) -> Finding:
    what = f"encoder of {generation}"
    if encoder not in known:
        return problem(
            what,
            f"it holds vectors of {encoder}, which nobody has added here: nothing embeds with it, nor asks",
            f"`{EMBED_AGAIN}` begins anew with the default encoder, `{ADD_ENCODER}` changes to another meanwhile",
        )
    return ok(what, encoder)


def clocks(log: Log, database: Database) -> Iterator[Finding]:
    """Whether the broker's clock runs ahead: nothing is committed before it was written. The reverse does not show."""
    committed = {
        each.partition: each.committed_at.timestamp()
        for generation in database.live
        if generation.encoder is None
        for each in generation.positions
        if each.committed_at is not None and (bounds := log.bounds.get((DOCUMENTS, each.partition)))
        if each.next == bounds.end
    }
    early = [committed[partition] - dated for partition, dated in log.dated.items() if partition in committed]
    if not early:
        return
    least = min(early)
    if least < -AHEAD:
        yield warning(
            "clocks",
            f"an event was committed {-least:.1f} s before the time that Kafka gave it: the broker's clock is ahead "
            "of the database's, and ages are told too low by that",
            "synchronise both machines' clocks",
        )
    else:
        yield ok("clocks", f"no event was committed before its time; the quickest took {max(0.0, least):.2f} s")


def room(free: int, total: int, place: str) -> Finding:
    """Free bytes where the embedded servers keep their data."""
    what, evidence = f"disk of {place}", f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < ROOM_GONE:
        return problem(what, evidence, "make room: Kafka and Postgres stop when it is full")
    return warning(what, evidence, "make room soon") if free < ROOM_LOW else ok(what, evidence)
