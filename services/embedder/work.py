"""One source record on its way to its derived record. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec
from opentelemetry.trace import Span

from encoders.chunking import Piece
from eventlog.delivery import Delivered
from schemas import embedded, events
from schemas.documents import DocumentAdded, DocumentRemoved
from schemas.embedded import Derived, Kind, Passage, Rejected, Skipped, Source
from schemas.events import Invalid, Judgement, Unknown, Valid
from schemas.records import Record
from schemas.traceparent import HEADER


class Output(msgspec.Struct, frozen=True):
    """A derived record, ready to be sent."""

    kind: Kind
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes in the log, a little more than it takes."""
        head = sum(len(name) + len(value) + 10 for name, value in self.headers)
        return 64 + len(self.key or b"") + len(self.value) + head


class Work(msgspec.Struct, eq=False):
    """A delivery, what it was judged to be, and the vectors that are there already."""

    delivered: Delivered
    judged: Judgement | None
    pieces: Sequence[Piece] = ()
    vectors: list[bytes] = []
    missing: int = 0
    traceparent: str | None = None
    span: Span | None = None

    @property
    def text(self) -> str | None:
        """What there is to encode."""
        if isinstance(self.judged, Valid) and isinstance(self.judged.event, DocumentAdded):
            return self.judged.event.text
        return None

    @property
    def is_ready(self) -> bool:
        """Whether its derived record can be written."""
        return self.missing == 0

    @property
    def is_skipped(self) -> bool:
        """Whether nothing but its place in the log goes into the derived topic."""
        return self.judged is None or isinstance(self.judged, Unknown)

    def cut_into(self, pieces: Sequence[Piece]) -> None:
        """Say which passages its text has."""
        self.pieces = pieces
        self.missing = len(pieces)
        self.vectors = [b""] * len(pieces)

    def encoded(self, piece: Piece, vector: bytes) -> None:
        """Add the vector of one passage."""
        self.vectors[piece.ordinal] = vector
        self.missing -= 1


def judge(delivered: Delivered, partitions: int) -> Work:
    """Decide what a delivery is; a quiet end is nothing to judge."""
    record = delivered.record
    if record is None:
        return Work(delivered, None)
    return Work(delivered, events.judge(record, partitions), traceparent=events.traceparent_of(record))


class Origin(msgspec.Struct, frozen=True):
    """What every derived record says of where it comes from and what made it."""

    incarnation: str
    encoder: str


def outputs(works: Sequence[Work], origin: Origin, limit: int, time: int = 0) -> Iterator[Output]:
    """The derived records of consecutive deliveries of one partition. Neighbours that are skipped share one.

    A record over `limit` bytes becomes a rejected one. `time` is the broker's time of the record before these: a
    stretch of markers has none of its own.
    """
    for is_skipped, run in groupby(works, key=lambda work: work.is_skipped):
        together = list(run)
        times = [work.delivered.record.time for work in together if work.delivered.record is not None]
        if is_skipped:
            time = times[-1] if times else time
            yield _skipped(together, origin, time)
        else:
            time = times[-1]
            yield from (_carried(work, origin, limit) for work in together)


def _skipped(works: Sequence[Work], origin: Origin, time: int) -> Output:
    first, last = works[0].delivered, works[-1].delivered
    source = _source(last, origin, offset=last.next - 1, since=first.since, time=time)
    unknown = sum(work.judged is not None for work in works)
    return _output(Skipped(source, unknown), None, origin)


def _carried(work: Work, origin: Origin, limit: int) -> Output:
    """The derived record of one event; it has the key and the trace of its source."""
    record = work.delivered.record
    assert record is not None
    source = _source(work.delivered, origin, offset=record.offset, since=work.delivered.since, time=record.time)
    # one that isn't valid goes on as it came, if it is text: it is not the embedder's to judge
    sent = record.header(HEADER) if work.traceparent is None else work.traceparent.encode()
    trace = sent if sent is not None and sent.isascii() else None
    output = _output(_derived(work, record, source), record, origin, trace)
    if output.size <= limit:
        return output
    reason = f"its derived record of {output.size:,} bytes is over the limit of {limit:,}; split the document"
    whole = _output(_rejected(record, source, reason), record, origin, trace)
    if whole.size <= limit:
        return whole
    # the source's own bytes are too many, now that they are not compressed; its key may be what is too long
    keyed = _output(Rejected(source, reason, None), record, origin)
    return keyed if keyed.size <= limit else _output(Rejected(source, reason, None), None, origin)


def _derived(work: Work, record: Record, source: Source) -> Derived:
    match work.judged:
        case Valid(event=DocumentAdded() as added):
            return embedded.embedded(source, added, _passages(work))
        case Valid(event=DocumentRemoved() as removed):
            return embedded.removed(source, removed)
        case Invalid(reason=reason):
            return _rejected(record, source, reason)
    raise AssertionError(f"{work.judged!r} is not for the derived topic")


def _passages(work: Work) -> tuple[Passage, ...]:
    return tuple(
        Passage(piece.ordinal, piece.start, piece.end, vector)
        for piece, vector in zip(work.pieces, work.vectors, strict=True)
    )


def _rejected(record: Record, source: Source, reason: str) -> Rejected:
    return Rejected(source, reason, record.value, record.headers)


def _source(delivered: Delivered, origin: Origin, *, offset: int, since: int, time: int) -> Source:
    place = delivered.place
    return Source(place.topic, place.partition, offset, origin.incarnation, since, delivered.next, time)


def _output(event: Derived, record: Record | None, origin: Origin, trace: bytes | None = None) -> Output:
    return Output(
        event.kind,
        None if record is None else record.key,
        embedded.encode(event),
        embedded.headers(event, origin.encoder, trace),
    )
