"""Findings about positions, held against the log: the same rules that stop a projection. Pure."""

from collections.abc import Iterator

from eventlog.planning import Bounds
from projections.positions import CUT
from schemas.mending import COPY, EMBED_AGAIN, INIT, RESET, RESET_ALL
from schemas.topics import DOCUMENTS
from services.doctor.facts import Database, Generation, Log, Position
from services.doctor.findings import Finding, Level, ok, problem, together, warning


def positions(log: Log | None, database: Database, derived: str) -> Iterator[Finding]:
    """One finding for each live generation, and who writes it."""
    for generation in database.live:
        found: list[Finding] = []
        if log is not None and DOCUMENTS in log.topics:
            found = list(together(list(_against(log, generation, derived))))
            yield from found or [ok(f"positions of {generation.name}", _standing(log, generation))]
        yield _owners(database, generation, stopped=any(each.level is Level.PROBLEM for each in found))


def _against(log: Log, generation: Generation, derived: str) -> Iterator[Finding]:
    what, source = f"positions of {generation.name}", log.topics[DOCUMENTS]
    if any(each.incarnation == source.incarnation + CUT for each in generation.positions):
        yield problem(what, f"{DOCUMENTS} has lost records at its end that they count", _anew(RESET_ALL))
        return
    others = {each.incarnation for each in generation.positions} - {source.incarnation}
    if others:
        yield problem(
            what,
            f"they count offsets of incarnation {', '.join(sorted(others))}; {DOCUMENTS} was recreated: it is now "
            f"{source.incarnation}",
            _anew(RESET_ALL),
        )
        return
    if len(generation.positions) != source.partitions:
        count = len(generation.positions)
        yield problem(
            what,
            f"they were made for {count} partitions, {DOCUMENTS} has {source.partitions}",
            f"`{COPY}` brings the log into topics of {count} partitions",
        )
        return
    for position in generation.positions:
        yield from _held(log, generation, position, derived)


def _held(log: Log, generation: Generation, position: Position, derived: str) -> Iterator[Finding]:
    what, source = f"positions of {generation.name}", log.bounds[position.topic, position.partition]
    place = f"{position.topic}/{position.partition}"
    if position.next > source.end:
        yield problem(what, f"{place}: {position.next} is next, but the log ends at {source.end}", _anew(RESET_ALL))
    elif generation.encoder is None and position.next < source.begin:
        lost = source.begin - position.next
        yield problem(
            what,
            f"{place}: {position.next} is next, but the log begins at {source.begin}: {lost:,} offsets are gone",
            f"`{RESET} {generation.projection}` goes on with what is left; what this generation holds beyond that can "
            f"still be read with Nenrin-Generation: {generation.number}",
        )
    elif generation.encoder is not None and (bounds := log.bounds.get((derived, position.partition))):
        yield from _read(log, generation, position, bounds)


def _read(log: Log, generation: Generation, position: Position, derived: Bounds) -> Iterator[Finding]:
    """What is read from the derived topic: any offset will do, as long as the records there cover the position."""
    what, cover = f"positions of {generation.name}", log.covers.get(position.partition)
    following = log.following.get(position.partition)
    if following is not None and following.since > position.next:
        yield problem(
            what,
            f"partition {position.partition}: offset {position.next} of {DOCUMENTS} is next, but the next record of "
            f"the derived topic begins with {following.since}: it has a hole",
            f"`{EMBED_AGAIN}`",
        )
    elif position.read_next < derived.begin and cover is not None and cover.first.since > position.next:
        yield problem(
            what,
            f"partition {position.partition}: offset {position.next} of {DOCUMENTS} is next, but the derived topic "
            f"begins with {cover.first.since}: the records between are gone from it",
            f"`{EMBED_AGAIN}`",
        )
    elif position.read_next > derived.end:
        yield warning(
            what,
            f"partition {position.partition}: offset {position.read_next} of the derived topic is next, but that ends "
            f"at {derived.end}: it was made anew, and is read from its beginning",
        )


def _anew(command: str) -> str:
    return f"`{command}` begins anew with what is in the log now"


def _standing(log: Log, generation: Generation) -> str:
    behind = sum(
        max(0, log.bounds[each.topic, each.partition].end - each.next)
        for each in generation.positions
        if (each.topic, each.partition) in log.bounds
    )
    fit = f"they fit the log, {len(generation.positions)} partitions"
    return fit + (", nothing left to apply" if not behind else f", {behind:,} offsets behind its end")


def _owners(database: Database, generation: Generation, *, stopped: bool) -> Finding:
    what = f"who writes {generation.name}"
    unclaimed = [each.partition for each in generation.positions if not each.epoch]
    unowned = [each.partition for each in generation.positions if not each.owned]
    commits = [each.committed_at for each in generation.positions if each.committed_at is not None]
    last = f"last commit {(database.now - max(commits)).total_seconds():.1f} s ago" if commits else "no commit yet"
    epochs = " ".join(f"{each.partition}:{each.epoch}" for each in generation.positions)
    evidence = f"{last}, epochs {epochs}"
    if not generation.positions:
        return problem(what, "it has no positions", f"run `{INIT}`")
    if stopped:
        return warning(what, f"it has stopped until its positions are mended; {evidence}")
    if unclaimed:
        return problem(what, f"no projector has claimed partitions {unclaimed}", "see that a projector runs")
    if unowned:
        return problem(what, f"nobody owns partitions {unowned} now; {evidence}", "see that a projector runs")
    return ok(what, f"all partitions are owned, {evidence}")
