"""What was delivered, as the projections see it: one function for the source, one for the derived topic. Pure."""

from projections.port import Change, Content, Entry, Nothing, Place, Refusal
from schemas import events, traceparent
from schemas.derived import decode
from schemas.embedded import Rejected, Skipped
from schemas.errors import OtherIncarnation, UndecodableRecord
from schemas.mending import EMBED_AGAIN
from schemas.records import Record
from schemas.upcasting import DOCUMENTS, PASSAGES, Types


def from_source(
    record: Record, since: int, partitions: int, types: Types = DOCUMENTS, home: int | None = None
) -> Entry:
    """A record of the source topic. `since` is where its coverage begins; for the others see `events.judge`."""
    after = record.offset + 1
    place = Place(record.topic, record.partition, record.offset, since, after, after, record.time)
    trace = events.traceparent_of(record)
    return Entry(place, _judged(record, partitions, types, home), record.key, record.value, record.headers, trace)


def _judged(record: Record, partitions: int, types: Types, home: int | None) -> Content:
    match events.judge(record, partitions, types, home):
        case events.Valid(event):
            return Change(event)
        case events.Invalid(reason):
            return Refusal(reason)
        case events.Unknown():
            return Nothing(events=1)


def from_derived(record: Record, incarnation: str, types: Types = PASSAGES) -> Entry:
    """A record of the derived topic, placed where its source record lies.

    Raises `UndecodableRecord` for what no embedder writes, `OtherIncarnation` for vectors of a topic that is gone.
    """
    event = decode(record, types)
    source = event.source
    if source.incarnation != incarnation:
        raise OtherIncarnation(
            f"{record.topic}/{record.partition} at offset {record.offset} was embedded from incarnation "
            f"{source.incarnation} of {source.topic}, now {incarnation}: `{EMBED_AGAIN}` makes it anew"
        )
    if source.partition != record.partition:
        raise UndecodableRecord(
            f"{record.topic}/{record.partition} at offset {record.offset} is about partition {source.partition}"
        )
    place = Place(
        source.topic, source.partition, source.offset, source.since, source.next, record.offset + 1, source.time
    )
    match event:
        case Skipped(events=count):
            return Entry(place, Nothing(count))
        case Rejected(reason=reason, value=value, headers=headers):
            return Entry(place, Refusal(reason), record.key, value, headers)
        case _:
            trace = traceparent.valid(record.header(traceparent.HEADER))
            return Entry(place, Change(event), record.key, record.value, record.headers, trace)


def quiet(topic: str, partition: int, since: int, reached: int) -> Entry:
    """Nothing but transaction markers and aborted records from `since` up to `reached`, the reader's position."""
    return Entry(Place(topic, partition, reached - 1, since, reached, reached, 0), Nothing())
