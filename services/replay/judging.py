"""What two generations have in common at one version, gate by gate."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from projections.catalogue import Generation
from projections.digests import Tally
from projections.generations import moments, tallies
from projections.generations.comparing import Compared, Difference, differences, key_of
from projections.generations.moments import Moment
from projections.generations.tallies import Tallies
from projections.port import ReadModel
from services.replay.report import SHOWN, Differing, Gate, Outcome

NOT_ALIKE = "another encoder, or another shape of the tables: their rows need not be the same"


class Pair(msgspec.Struct, frozen=True):
    """The two that are compared, as each is at the same version."""

    model: ReadModel
    live: Generation
    candidate: Generation
    before: Moment
    after: Moment

    @property
    def alike(self) -> bool:
        """Whether their rows have to be the same: of one shape, and folded from one topic."""
        return self.live.shape == self.candidate.shape and self.live.encoder == self.candidate.encoder


def _version(pair: Pair) -> Gate:
    offsets = sum(pair.before.standing.next.values())
    return Gate(
        "version",
        Outcome.PASSED,
        f"generation {pair.candidate.number} stands still exactly where {pair.live.number} was, {offsets:,} offsets in",
    )


async def judged(pair: Pair) -> list[Gate]:
    """The gates that every candidate goes through. Raises `DatabaseAway`."""
    before, after = await tallies.kept(pair.before.side), await tallies.kept(pair.after.side)
    differing = await _differing(pair) if pair.alike and before != after else []
    return [
        _version(pair),
        _digest("content digest", _content(before), _content(after), differing, "" if pair.alike else NOT_ALIKE),
        _digest("vector digest", _vectors(before), _vectors(after), differing, _without_vectors(pair)),
        await _rows(pair, after, before == after),
        await _parked(pair),
        await _counts(pair, before, after),
    ]


def _without_vectors(pair: Pair) -> str:
    """Why their vectors need not be the same; "" where they do."""
    if pair.candidate.encoder is None:
        return f"{pair.candidate.projection} keeps no vectors"
    return "" if pair.alike else NOT_ALIKE


def _content(kept: Tallies) -> dict[tuple[int, str], Tally]:
    return {where: msgspec.structs.replace(tally, vectors=0) for where, tally in kept.items()}


def _vectors(kept: Tallies) -> dict[tuple[int, str], Tally]:
    return {where: Tally(vectors=tally.vectors) for where, tally in kept.items()}


def _digest(name: str, before: Tallies, after: Tallies, differing: Sequence[Differing], excused: str) -> Gate:
    if excused:
        return Gate(name, Outcome.NOT_APPLICABLE, excused)
    if before == after:
        return Gate(name, Outcome.PASSED, f"equal, in each of {len(before)} partitions of collections")
    parts = _unequal(before, after)
    found = "" if differing else "; no row differs, so one of the digests itself is wrong: `nenrin projections verify`"
    return Gate(
        name, Outcome.FAILED, f"differs in {len(parts)} of {len(before)} parts ({_first(parts)}){found}", differing
    )


def _unequal(before: Tallies, after: Tallies) -> list[tuple[int, str]]:
    """Partitions and collections that are not the same in both."""
    return [where for where in sorted(before.keys() | after.keys()) if before.get(where) != after.get(where)]


def _first(parts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{collection} in partition {partition}" for partition, collection in parts[:3])


async def _differing(pair: Pair) -> list[Differing]:
    """The first documents whose rows are not the same in both."""
    found: dict[tuple[str, str], Differing] = {}
    for table in pair.model.tables:
        columns = tuple(name for name in pair.model.columns(table) if name != "traceparent")  # no part of the content
        compared = Compared(table, key_of(table, pair.model.tables), columns)
        async for difference in differences(pair.before.side, pair.after.side, compared):
            found.setdefault(difference.document, _named(difference))
            if len(found) >= SHOWN:
                break
    return [found[document] for document in sorted(found)][:SHOWN]


def _named(difference: Difference) -> Differing:
    piece = f"passage {difference.key[2]}: " if len(difference.key) > 2 else ""
    return Differing(*difference.document, f"{piece}{difference.how}")


async def _rows(pair: Pair, kept: Tallies, same_digests: bool) -> Gate:
    """Whether the candidate holds what its digests say, whatever wrote it: rows are read, and hashed anew."""
    found = await tallies.audit(pair.after.side, pair.model, SHOWN)
    wrong = [Differing(*key, "not what its hash says") for key in found.documents]
    wrong += [Differing(*key, "passages without their document") for key in found.orphans]
    parts = _unequal(kept, found.tallies)
    if not wrong and not parts:
        damaged = await _differing(pair) if pair.alike and same_digests else []
        return _whole(sum(tally.documents for tally in kept.values()), damaged)
    if parts and pair.alike:
        named = {(each.collection, each.document_id) for each in wrong}
        wrong += [each for each in await _differing(pair) if (each.collection, each.document_id) not in named]
    said = "rows don't add up to their digests" + (f" in {_first(parts)}" if parts else ", only their hashes do")
    return Gate("rows", Outcome.FAILED, said, wrong[:SHOWN])


def _whole(documents: int, damaged: Sequence[Differing]) -> Gate:
    """The candidate's rows are right. Where live's are others, of the same digests, live is damaged."""
    if not damaged:
        return Gate("rows", Outcome.PASSED, f"{documents:,} documents are what their digests say")
    said = "the candidate's are what the digests say, and live's are not: live is damaged, and --force mends it"
    return Gate("rows", Outcome.FAILED, said, damaged)


async def _parked(pair: Pair) -> Gate:
    before, after = await moments.unresolved(pair.before.side), await moments.unresolved(pair.after.side)
    if not (worse := sorted(after - before)):
        return Gate("parked", Outcome.PASSED, f"{len(after)} unresolved, {len(before)} in live")
    first = ", ".join(f"{topic}/{partition}@{offset}" for topic, partition, offset in worse[:3])
    return Gate("parked", Outcome.FAILED, f"{len(worse)} events are parked that live has not parked: {first}")


async def _counts(pair: Pair, before: Tallies, after: Tallies) -> Gate:
    """Documents of each collection; another encoder may cut them into other passages."""
    here, there = tallies.by_collection(before), tallies.by_collection(after)
    wrong = [name for name in sorted(here.keys() | there.keys()) if _documents(here, name) != _documents(there, name)]
    if not wrong:
        return Gate("counts", Outcome.PASSED, f"the same number of documents in each of {len(here)} collections")
    first = ", ".join(f"{name} {_documents(there, name):,}, not {_documents(here, name):,}" for name in wrong[:3])
    documents = await _missing(pair, wrong)
    return Gate("counts", Outcome.FAILED, f"{len(wrong)} collections differ: {first}", documents)


def _documents(counts: Mapping[str, Tally], collection: str) -> int:
    return counts[collection].documents if collection in counts else 0


async def _missing(pair: Pair, collections: Iterable[str]) -> list[Differing]:
    """The first documents that only one of them has."""
    table = pair.model.tables[0]
    compared = Compared(table, key_of(table, pair.model.tables), key_of(table, pair.model.tables))
    found = list[Differing]()
    async for difference in differences(pair.before.side, pair.after.side, compared):
        if difference.document[0] in set(collections):
            found.append(_named(difference))
        if len(found) >= SHOWN:
            break
    return found
