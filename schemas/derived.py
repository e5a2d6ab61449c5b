"""Reading a record of the derived topic."""

import msgspec

from schemas.embedded import Derived
from schemas.errors import UndecodableRecord
from schemas.records import Record
from schemas.upcasting import PASSAGES, Types, newest


def decode(record: Record, types: Types = PASSAGES) -> Derived:
    """Read a derived record, as of the newest version of its type.

    Raises `UndecodableRecord`: only an embedder writes here, so that is never routine.
    """
    kind = record.header("ce_type") or b""
    known = types.get(kind.decode(errors="replace"))
    place = f"{record.topic}/{record.partition} at offset {record.offset}"
    if known is None:
        raise UndecodableRecord(
            f"{place}: not a derived record that this version of Nenrin knows (its ce_type is {kind!r})"
        )
    try:
        event: Derived = newest(msgspec.msgpack.decode(record.value or b"", type=known.shape), known.steps)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableRecord(f"{place}: {error}") from error
    return event
