"""Documents that belong where a test wants them, and their way into an inbox."""

import itertools
import json
from typing import NamedTuple

from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from schemas.documents import ADDED, key_of
from schemas.partitions import partition_of
from schemas.records import Record

_numbers = itertools.count()
HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/"), ("ce_type", ADDED.encode()))


class Added(NamedTuple):
    """A document of one partition of two."""

    id: str
    text: str


def added(partition: int, text: str) -> Added:
    """A new document whose key belongs to `partition`."""
    ids = (f"d{number}" for number in _numbers)
    return Added(next(id_ for id_ in ids if partition_of(key_of("c", id_), 2) == partition), text)


def deliver(inbox: Inbox, partition: int, *documents: Added) -> None:
    """Let documents arrive behind those that are there."""
    place = TopicPartition("documents", partition)
    for document in documents:
        offset = inbox.expected(place)
        value = json.dumps({"collection": "c", "document_id": document.id, "text": document.text}).encode()
        record = Record("documents", partition, offset, 0, key_of("c", document.id), value, HEADERS)
        delivered = Delivered(place, inbox.session, offset, offset + 1, record)
        inbox.fetched(delivered)
        inbox.put(delivered)
