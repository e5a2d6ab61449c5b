"""Findings about the topics: whether they are there, as the contract has them, and cover what they should. Pure."""

from collections.abc import Iterator, Sequence

from eventlog.planning import check
from schemas.errors import TopicMismatch
from schemas.mending import COPY, EMBED_AGAIN, INIT, RESET, RESET_ALL
from schemas.topics import DOCUMENTS, Topic
from services.doctor.facts import Cover, Log
from services.doctor.findings import Finding, ok, problem, together, warning


def topics(log: Log, wanted: Sequence[Topic]) -> Iterator[Finding]:
    """Settings and partitions, and what the derived topic covers of its source."""
    for topic in wanted:
        yield from _topic(log, topic)
    source, derived = (topic.name for topic in wanted)
    if source in log.topics and derived in log.topics:
        yield from _cover(log, derived)


def _topic(log: Log, wanted: Topic) -> Iterator[Finding]:
    what = f"topic {wanted.name}"
    found = log.topics.get(wanted.name)
    if found is None:
        yield problem(what, "does not exist", f"run `{INIT}`")
        return
    if found.partitions != wanted.partitions:
        yield _partitions(what, wanted, found.partitions)
        return
    try:
        check(wanted, found)
    except TopicMismatch as error:
        message, _, command = str(error).partition(" is needed: ")
        yield problem(what, message, command)
        return
    begun = [
        f"partition {partition} from offset {bounds.begin}"
        for (topic, partition), bounds in log.bounds.items()
        if topic == wanted.name and bounds.begin
    ]
    if begun:
        advice = (
            "keep its retention.ms at -1, and have nobody delete records"
            if wanted.name == DOCUMENTS
            else (f"it can't be built from whole any more: `{EMBED_AGAIN}`, when it suits")
        )
        yield warning(what, f"has lost its beginning: {', '.join(begun)}", advice)
        return
    records = sum(bounds.end - bounds.begin for (topic, _), bounds in log.bounds.items() if topic == wanted.name)
    yield ok(what, f"{found.partitions} partitions, {records:,} offsets, incarnation {found.incarnation}")


def _partitions(what: str, wanted: Topic, found: int) -> Finding:
    evidence = f"has {found} partitions, NENRIN_PARTITIONS is {wanted.partitions}"
    if wanted.name != DOCUMENTS:
        return problem(what, evidence, f"make it anew: `{EMBED_AGAIN}`")
    return problem(
        what,
        evidence,
        f"if it was made with {found}, set NENRIN_PARTITIONS={found}. If partitions were added, keys have moved to "
        f"others: stop writing, `{COPY}` copies the log into topics of that prefix with {wanted.partitions} "
        f"partitions, then run everything with NENRIN_TOPIC_PREFIX=PREFIX, and `{RESET}`",
    )


def _cover(log: Log, derived: str) -> Iterator[Finding]:
    what = "what the derived topic covers"
    found = [problem(what, message, f"`{EMBED_AGAIN}`") for message in log.damaged.values()]
    found += [each for partition, cover in log.covers.items() if (each := _covered(log, what, partition, cover))]
    if found:
        yield from together(found)
        return
    behind = sum(
        bounds.end - (log.covers[partition].last.next if partition in log.covers else bounds.begin)
        for (topic, partition), bounds in log.bounds.items()
        if topic == DOCUMENTS
    )
    yield ok(what, "all of the source" if not behind else f"all of the source but its last {behind:,} offsets")


def _covered(log: Log, what: str, partition: int, cover: Cover) -> Finding | None:
    source, bounds = log.topics[DOCUMENTS], log.bounds.get((DOCUMENTS, partition))
    if bounds is None:
        return None
    place = f"partition {partition}"
    if {cover.first.incarnation, cover.last.incarnation} != {source.incarnation}:
        was = cover.first.incarnation if cover.first.incarnation != source.incarnation else cover.last.incarnation
        return problem(what, f"{place} was embedded from incarnation {was} of {DOCUMENTS}, which is gone", _all())
    if cover.last.next > bounds.end:
        return problem(what, f"{place} goes up to offset {cover.last.next}, the source ends at {bounds.end}", _all())
    if cover.last.next < bounds.begin:
        return problem(
            what,
            f"{place} goes up to offset {cover.last.next}, the source begins at {bounds.begin}",
            f"`{EMBED_AGAIN}`",
        )
    return None


def _all() -> str:
    return f"`{RESET_ALL}` begins anew with what is in the log now"
