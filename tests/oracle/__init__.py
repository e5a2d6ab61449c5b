"""The independent judge: Kafka's log folded by the contract's words alone, importing nothing of ours."""

import base64
import json
import math
import re
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

KINDS = {"nenrin.document.added.v1": "added", "nenrin.document.removed.v1": "removed"}
Version = Mapping[int, int]  # the next offset of each partition


class Record(NamedTuple):
    offset: int
    key: bytes | None
    kind: str  # added, removed, invalid, unknown
    document: dict[str, Any] | None
    time: int = 0  # the broker's, milliseconds since the epoch
    trace: str = ""  # the trace's id, if the record has a `traceparent`


class Oracle:
    """What every reader must have seen at a version. It reads when told to, and is not thread-safe."""

    def __init__(self, kafka: str, prefix: str = "") -> None:
        self._topic, admin = f"{prefix}documents", AdminClient({"bootstrap.servers": kafka})
        described = admin.describe_topics(TopicCollection([self._topic]))[self._topic].result(10)
        self.incarnation, self.positions = str(described.topic_id), {one.id: 0 for one in described.partitions}
        self.log: dict[int, list[Record]] = {at: [] for at in self.positions}
        self._good: defaultdict[tuple[int, bytes | None], list[Record]] = defaultdict(list)
        self._bad: dict[int, list[Record]] = {at: [] for at in self.positions}
        self._parked: dict[tuple[int, int], set[tuple[int, int]]] = {}
        self._at = ""
        self.follow(kafka)

    def follow(self, kafka: str) -> None:
        """Read on from the Kafka at this address, where the log is after it moved."""
        if kafka != self._at:
            reading = {"isolation.level": "read_committed", "enable.partition.eof": True, "enable.auto.commit": False}
            self._consumer = Consumer({**reading, "bootstrap.servers": kafka, "group.id": "oracle", "log_level": 2})
            self._consumer.assign([TopicPartition(self._topic, at, next_) for at, next_ in self.positions.items()])
            self._at = kafka

    def version(self, token: str) -> Version:
        """The positions that a token names, which must be of this log's incarnation."""
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        assert (content["v"], content["i"].get("documents", self.incarnation)) == (1, self.incarnation), content
        return {int(at): offset for at, offset in content["o"].get("documents", {}).items()}

    def read_past(self, version: Version, seconds: float) -> None:
        """Read on until everything below the version is known."""
        deadline = time.monotonic() + seconds
        while any(self.positions[at] < offset for at, offset in version.items()):
            assert time.monotonic() < deadline, f"the log stands at {self.positions}, short of {version}"
            for message in self._consumer.consume(1000, 0.05):
                self._take(message)

    def _take(self, message: Any) -> None:
        at, offset, key = message.partition(), message.offset(), message.key()
        self.positions[at] = offset if message.error() else offset + 1
        if message.error():  # the end of the partition, whose offset lies behind trailing markers
            return
        headers = dict(message.headers() or ())
        kind, data = read(key, message.value() or b"", headers, at, len(self.positions))
        document = {name: data.get(name) for name in ("collection", "document_id", "title", "text", "source_uri")}
        time_, trace = message.timestamp()[1], (headers.get("traceparent") or b"").decode(errors="replace")[3:35]
        added_at = datetime.fromtimestamp(time_ / 1000, UTC).isoformat(timespec="milliseconds")
        document |= {"metadata": data.get("metadata", {}), "added_at": added_at.replace("+00:00", "Z")}
        document |= {"source": {"topic": "documents", "partition": at, "offset": offset}}
        self.log[at].append(Record(offset, key, kind, document if kind == "added" else None, time_, trace))
        if kind in ("added", "removed"):
            self._good[at, key].append(self.log[at][-1])
        if kind == "invalid":
            self._bad[at].append(self.log[at][-1])

    def last(self, at: int, key: bytes | None, version: Version) -> Record | None:
        """The last valid event of a key in a partition, at a version."""
        history = self._good.get((at, key), [])
        before = bisect_left(history, version.get(at, 0), key=lambda record: record.offset)
        return history[before - 1] if before else None

    def document(self, version: Version, collection: str, name: str) -> dict[str, Any] | None:
        """The document at a version, all that a reader sees."""
        last = self.last(partition_of(key := f"{collection}/{name}".encode(), len(self.positions)), key, version)
        return last.document if last else None

    def documents(self, version: Version, collection: str = "") -> list[dict[str, Any]]:
        """All documents of a collection (or of all) at a version, ordered by id."""
        lasts = [last.document for place in self._good if (last := self.last(*place, version)) and last.document]
        found = [document for document in lasts if collection in ("", document["collection"])]
        return sorted(found, key=lambda document: str(document["document_id"]))

    def counts(self, version: Version) -> dict[str, int]:
        """How many documents each collection has at a version; empty ones left out."""
        return Counter(document["collection"] for document in self.documents(version))

    def parked(self, version: Version) -> set[tuple[int, int]]:
        """Partition and offset of the invalid events below a version that no later good event of their key heals."""
        return set[tuple[int, int]]().union(*(self._parked_in(at, version.get(at, 0)) for at in self.log))

    def _parked_in(self, at: int, below: int) -> set[tuple[int, int]]:
        """Those of one partition; kept, for many answers name the same position."""
        if (kept := self._parked.get((at, below))) is None:
            bad = [one for one in self._bad[at] if one.offset < below]
            healed = ((one, self.last(at, one.key, {at: below})) for one in bad)
            kept = {(at, one.offset) for one, good in healed if not good or good.offset < one.offset}
            if len(self._parked) > 1000:
                self._parked.clear()
            if self.positions[at] >= below:
                self._parked[at, below] = kept
        return kept


def read(key: bytes | None, value: bytes, headers: Mapping[str, bytes | None], at: int, of: int) -> tuple[str, Any]:
    """The kind and the data of a record in partition `at` of `of`: contract 1."""
    try:
        structured = (headers.get("content-type") or b"").lower().startswith(b"application/cloudevents+json")
        attributes = {name[3:]: raw or b"" for name, raw in headers.items() if name.startswith("ce_")}
        binary = {name: raw.decode(errors="surrogateescape") for name, raw in attributes.items()}
        event: Any = parsed(value) if structured else binary
        assert event["type"].encode()  # which refuses what can't be read
        if event["type"] not in KINDS:
            return "unknown", {}
        assert all(event[name].encode() for name in ("specversion", "id", "source"))
        data = _structured_data(event) if structured else parsed(value)
        assert re.fullmatch("[a-z0-9][a-z0-9_-]{0,62}", data["collection"])
        assert re.fullmatch("[^\0-\x1f\x7f-\x9f]{1,512}", data["document_id"])
        assert KINDS[event["type"]] == "removed" or _is_whole(data)
        assert key == f"{data['collection']}/{data['document_id']}".encode()
        assert partition_of(key, of) == at
        return KINDS[event["type"]], data
    except (AssertionError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return "invalid", {}


def _structured_data(event: Any) -> Any:
    raw = event.get("data_base64")
    return event["data"] if raw is None else parsed(base64.b64decode(raw, validate=True))


def parsed(value: bytes) -> Any:
    """JSON in UTF-8, no lone surrogate anywhere; `int` refuses the constants NaN and Infinity, which are no JSON."""
    content = json.loads(value.decode(), parse_constant=int)
    json.dumps(content, ensure_ascii=False).encode()
    return content


def _is_whole(data: Any) -> bool:
    metadata = data.get("metadata", {})
    values = [one for some in metadata.values() for one in (some if isinstance(some, list) else [some])]
    numbers = [one for one in values if not isinstance(one, str | None)]  # or what isfinite refuses
    assert all(-(2**63) <= one < 2**63 if isinstance(one, int) else math.isfinite(one) for one in numbers)
    assert _text("".join(one for one in [*metadata, *values] if isinstance(one, str))) is not None
    assert len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()) <= 16384
    assert all(_text(data[name]) is not None for name in ("title", "source_uri") if data.get(name) is not None)
    return len(_text(data["text"]).encode()) <= 1_000_000 and len(data.get("title") or "") <= 1000


def _text(value: str) -> str:
    assert b"\0" not in value.encode()  # which refuses lone surrogates
    return value


def partition_of(key: bytes, partitions: int) -> int:
    """The Java client's partition of a key: murmur2, sign bit off."""
    mixed, mask, padded = 0x9747B28C ^ len(key), 0xFFFFFFFF, len(key) // 4 * 4
    for start in range(0, padded, 4):
        word = int.from_bytes(key[start : start + 4], "little") * 0x5BD1E995 & mask
        mixed = (mixed * 0x5BD1E995 & mask) ^ ((word ^ word >> 24) * 0x5BD1E995 & mask)
    if key[padded:]:
        mixed = (mixed ^ int.from_bytes(key[padded:], "little")) * 0x5BD1E995 & mask
    mixed = (mixed ^ mixed >> 13) * 0x5BD1E995 & mask
    return ((mixed ^ mixed >> 15) & 0x7FFFFFFF) % partitions
