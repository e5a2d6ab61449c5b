"""The coverage rule under any interleaving of embedders that each believe to be the only one. Pure.

What is proven here: a writer that begins behind any tail it may have read, and sends a batch only after the one before
is in the log, can't make a gap. Its first record begins where a record of the log ended, each later one where the one
before it ended, and a reader has always passed the end of every record that it was shown. So whatever others have
written in between, however late a batch arrives: a record begins at or below the position, is applied or dropped.
"""

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventlog.delivery import Delivered, TopicPartition
from projections.port import Entry, Nothing
from projections.positions import Position, after, continuing
from schemas.derived import decode
from schemas.documents import REMOVED
from schemas.errors import Gap
from schemas.records import Record
from services.embedder.work import Origin, Output, judge, outputs
from services.entries import from_derived
from tests.laws.derived import Derived, applied

PLACE = TopicPartition("documents", 0)
INCARNATION = "incarnation-1"
EVENT, INVALID, UNKNOWN, HOLE = "event", "invalid", "unknown", "hole"
VALUE = json.dumps({"collection": "c", "document_id": "d"}).encode()


def source_record(offset: int, kind: str) -> Record:
    """A record of the source; a removal is an event that needs no model."""
    type_ = "org.example.other" if kind == UNKNOWN else REMOVED
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/"), ("ce_type", type_.encode()))
    return Record("documents", 0, offset, 0, b"c/d", b"{" if kind == INVALID else VALUE, headers)


def delivered(source: list[str], position: int, most: int, *, quiet: bool) -> list[Delivered]:
    """What a session that stands at `position` is handed next: records, and at a quiet end the markers behind them."""
    found: list[Delivered] = []
    since = position
    for offset in range(position, len(source)):
        if source[offset] != HOLE and len(found) < most:
            found.append(Delivered(PLACE, 1, since, offset + 1, source_record(offset, source[offset])))
            since = offset + 1
    if quiet and len(found) < most and since < len(source):
        found.append(Delivered(PLACE, 1, since, len(source), None))
    return found


class Writer:
    """An embedder's idea of one partition: where it goes on, and the batch whose acknowledgement it waits for."""

    def __init__(self) -> None:
        self.next: int | None = None
        self.on_its_way: list[Output] = []

    def send(self, source: list[str], most: int, *, quiet: bool) -> None:
        """Make the derived records of what comes next."""
        assert self.next is not None
        deliveries = delivered(source, self.next, most, quiet=quiet)
        works = [judge(one, 1) for one in deliveries]
        self.on_its_way = list(outputs(works, Origin(INCARNATION, "an-encoder"), 1_000_000))
        self.next = deliveries[-1].next if deliveries else self.next


def recorded(log: list[Output]) -> list[Record]:
    """The derived partition as a consumer gets it."""
    return [Record("derived", 0, at, 0, one.key, one.value, tuple(one.headers)) for at, one in enumerate(log)]


def read(log: list[Output], sizes: int = 1000) -> tuple[Position, list[Entry]]:
    """What the projection applies of a derived partition, in batches of a size, and where it stands then."""
    entries = [from_derived(record, INCARNATION) for record in recorded(log)]
    position, whole = Position(0, 0), []
    for start in range(0, len(entries), sizes):
        batch = entries[start : start + sizes]
        whole += continuing(position, batch)
        position = after(position, batch)
    return position, whole


def seen_from_outside(log: list[Output]) -> list[int]:
    """The same by the reading of contract 1 that the derived topic is judged by."""
    records = [
        Derived(one.key, dict(one.headers)["ce_type"].decode(), embedded_content(record))
        for one, record in zip(log, recorded(log), strict=True)
    ]
    return [record.source["offset"] for record in applied(records) if not record.type.endswith("skipped.v1")]


def embedded_content(record: Record) -> dict[str, Any]:
    """The coverage that a derived record states."""
    source = decode(record).source
    return {"source": {"from": source.since, "next": source.next, "offset": source.offset}}


class Embedders(RuleBasedStateMachine):
    """Two writers, and a third that comes later; batches that are lost, late or doubled up by another's."""

    writers: Bundle[Writer] = Bundle("writers")

    def __init__(self) -> None:
        super().__init__()
        self.source: list[str] = []
        self.log: list[Output] = []
        self.abroad: list[list[Output]] = []

    @initialize(target=writers)
    def first(self) -> Writer:
        """There is always one."""
        return Writer()

    @rule(target=writers)
    def another(self) -> Writer:
        """One that was just started."""
        return Writer()

    @rule(kinds=st.lists(st.sampled_from([EVENT, EVENT, INVALID, UNKNOWN, HOLE, HOLE]), min_size=1, max_size=6))
    def append(self, kinds: list[str]) -> None:
        """Producers write; what is here is committed, and stays as it is."""
        self.source += kinds

    @rule(writer=writers, behind=st.sampled_from([0, 0, 0, 1, 3, 100]))
    def claim(self, writer: Writer, behind: int) -> None:
        """Read the tail, perhaps of a while ago, and begin there. What was on its way may arrive all the same."""
        self.die(writer)
        log = self.log[: max(0, len(self.log) - behind)]
        writer.next = decode(recorded(log)[-1]).source.next if log else 0

    @rule(writer=writers, most=st.integers(1, 5), quiet=st.booleans())
    def send(self, writer: Writer, most: int, quiet: bool) -> None:
        """Hand the next batch to Kafka, where none is on its way."""
        if writer.next is not None and not writer.on_its_way:
            writer.send(self.source, most, quiet=quiet)

    @rule(writer=writers)
    def acknowledge(self, writer: Writer) -> None:
        """The batch is in the log, and the writer knows."""
        self.log += writer.on_its_way
        writer.on_its_way = []

    @rule(writer=writers)
    def die(self, writer: Writer) -> None:
        """The process ends, and nobody knows what becomes of its batch."""
        if writer.on_its_way:
            self.abroad.append(writer.on_its_way)
        writer.next, writer.on_its_way = None, []

    @precondition(lambda self: self.abroad)
    @rule(choice=st.randoms(use_true_random=False))
    def arrive_late(self, choice: Any) -> None:
        """A batch of a dead process gets into the log after all."""
        self.log += self.abroad.pop(choice.randrange(len(self.abroad)))

    @invariant()
    def readable(self) -> None:
        """Never a gap; each event below the position once, in order; batches cut anywhere give the same."""
        position, whole = read(self.log)
        events = [entry.place.offset for entry in whole if not isinstance(entry.content, Nothing)]
        assert events == [at for at in range(position.next) if self.source[at] in (EVENT, INVALID)]
        assert seen_from_outside(self.log) == events
        assert read(self.log, 1) == read(self.log, 3) == (position, whole)

    def teardown(self) -> None:
        """Whatever happened: one that is left alone brings the reader to the end."""
        last = Writer()
        self.claim(last, 0)
        while last.next != len(self.source):
            self.send(last, 5, True)
            self.acknowledge(last)
        self.readable()
        assert read(self.log)[0].next == len(self.source)


Embedders.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestAnyInterleaving = Embedders.TestCase


def test_a_writer_that_goes_on_after_a_lost_batch_leaves_a_gap() -> None:
    """The one thing that must not be: it is why any error of a send ends the embedder before another."""
    source, writer, log = [EVENT] * 4, Writer(), list[Output]()
    writer.next = 0
    writer.send(source, 2, quiet=True)
    writer.on_its_way = []
    writer.send(source, 2, quiet=True)
    log += writer.on_its_way
    with pytest.raises(Gap):
        read(log)
    with pytest.raises(AssertionError, match="a gap"):
        seen_from_outside(log)
