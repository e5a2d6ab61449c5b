"""The embedder as a process, on a real broker with the real model."""

import random
import signal
import time
from collections import Counter

import numpy as np

from schemas.encoders import MINILM
from schemas.partitions import partition_of
from tests.eventlog.writing import make_topic, remove_topic
from tests.services.embedder.derived_log import (
    ADDED,
    PARTITIONS,
    SOURCE,
    Derived,
    Writer,
    covered,
    read_derived,
    wait_until_covered,
)
from tests.services.embedder.process import Process, Start

REMOVED = b"nenrin.document.removed.v1"
STOP_WITHIN = 10.0


def all_of(derived: dict[int, list[Derived]], kind: str) -> list[Derived]:
    """Every derived record of a kind."""
    return [record for records in derived.values() for record in records if record.kind == kind]


def test_every_kind_of_event_has_its_record(kafka: str, installed: str, writer: Writer, start: Start) -> None:
    """Documents get vectors, removals and invalid events are carried on, unknown types are skipped: all is covered.

    The derived record lies in the partition of its source, with its key and trace.
    """
    writer.add("plain", "A tree grows a ring each year. " * 40, title="t", metadata={"n": 1}, source_uri="u")
    writer.add("empty", "")
    writer.event("traced", {"text": "x"}, traceparent=b"00-1-2-01")
    writer.event("plain", {}, REMOVED)
    writer.event("later", {}, b"nenrin.document.renamed.v1")
    writer.raw(b"c/bad", b"\xff not json", headers={"ce_type": ADDED})
    writer.raw(b"c/bare", b"{}", headers={})
    writer.raw(None, None, headers={"ce_type": REMOVED})
    key = b"c/elsewhere"
    wrong = (partition_of(key, PARTITIONS) + 1) % PARTITIONS
    data = b'{"collection":"c","document_id":"elsewhere","text":"x"}'
    writer.raw(key, data, headers={"ce_type": ADDED}, partition=wrong)
    writer.flush()
    start()
    derived = wait_until_covered(kafka, installed)
    kinds = Counter(record.kind for records in derived.values() for record in records)
    assert kinds == {"embedded": 3, "removed": 1, "rejected": 4, "skipped": 1}
    embedded = {record.value["document_id"]: record for record in all_of(derived, "embedded")}
    plain = embedded["plain"].value
    assert (plain["title"], plain["metadata"], plain["source_uri"]) == ("t", {"n": 1}, "u")
    assert len(plain["passages"]) > 1
    for passage in plain["passages"]:
        vector = np.frombuffer(passage["vector"], dtype="<f2").astype(np.float32)
        assert vector.shape == (MINILM.dimensions,)
        assert abs(float(np.linalg.norm(vector)) - 1) < 0.01
        assert plain["text"][passage["start"] : passage["end"]].strip()
    assert embedded["empty"].value["passages"] == []
    assert embedded["traced"].headers["traceparent"] == b"00-1-2-01"
    assert embedded["plain"].key == b"c/plain"
    rejected = {record.key: record.value for record in all_of(derived, "rejected")}
    assert rejected[b"c/bad"]["value"] == b"\xff not json"
    assert rejected[None]["value"] is None
    assert "murmur2" in rejected[key]["reason"]


def test_markers_at_a_quiet_end_are_covered_within_a_second(
    kafka: str, installed: str, writer: Writer, start: Start
) -> None:
    """Behind a transaction the derived topic still reaches the end of the source, so lag can be zero."""
    writer.add("first", "x")
    writer.flush()
    start()
    wait_until_covered(kafka, installed)
    transactional = Writer(kafka, installed, **{"transactional.id": installed})
    transactional.producer.init_transactions(30)
    for finish in (transactional.producer.commit_transaction, transactional.producer.abort_transaction):
        transactional.producer.begin_transaction()
        for number in range(8):
            transactional.add(f"d{number}", "x")
        transactional.flush()
        finish(30)
    finished = time.monotonic()
    derived = wait_until_covered(kafka, installed)
    assert time.monotonic() - finished < 1.5  # one second, and the time that reading it all takes here
    assert len(all_of(derived, "embedded")) == 9
    assert all(records[-1].kind == "skipped" for records in derived.values() if len(records) > 1)
    assert all(record.source["time"] > 1_600_000_000_000 for record in all_of(derived, "embedded"))


def test_killed_again_and_again_it_covers_each_event_once_and_in_order(
    kafka: str, installed: str, writer: Writer, start: Start
) -> None:
    """The tail of the output says where to go on: after SIGKILLs at random moments nothing is missing or repeated.

    Two run at a time, so partitions change hands as well.
    """
    chance = random.Random(7)
    running = [start(), start()]
    written = 0
    for _ in range(3):
        for _ in range(40):
            writer.add(f"d{written}", "word " * chance.randrange(60))
            written += 1
        writer.flush()
        time.sleep(chance.uniform(0.5, 3.0))
        victim = chance.randrange(2)
        running[victim].kill()
        running[victim] = start()
    derived = wait_until_covered(kafka, installed)
    ids = Counter(record.value["document_id"] for record in all_of(derived, "embedded"))
    assert ids == {f"d{number}": 1 for number in range(written)}


def test_a_megabyte_on_one_line_leaves_others_their_turn(
    kafka: str, installed: str, writer: Writer, start: Start
) -> None:
    """The largest document allowed takes a while; documents of other partitions don't wait for it."""
    start()
    words = random.Random(1)
    writer.add("huge", " ".join(f"{words.randrange(10**6):06d}" for _ in range(20_000)))
    writer.flush()
    time.sleep(1.0)
    huge = partition_of(b"c/huge", PARTITIONS)
    others = [f"d{number}" for number in range(40) if partition_of(f"c/d{number}".encode(), PARTITIONS) != huge]
    for document_id in others:
        writer.add(document_id, "small")
    writer.flush()
    deadline = time.monotonic() + 60
    while len(all_of(derived := read_derived(kafka, installed), "embedded")) < len(others):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert covered(derived)[huge] == 0


def test_sigterm_ends_it_at_once_and_another_takes_over(
    kafka: str, installed: str, writer: Writer, start: Start
) -> None:
    """It leaves the group, so the other has its partitions long before a session would have timed out."""
    one, _ = start(), start()
    writer.add("a", "x")
    writer.flush()
    wait_until_covered(kafka, installed)
    one.popen.send_signal(signal.SIGTERM)
    assert one.ended(STOP_WITHIN) == 0
    stopped = time.monotonic()
    for number in range(8):
        writer.add(f"d{number}", "x")
    writer.flush()
    wait_until_covered(kafka, installed)
    assert time.monotonic() - stopped < 5.0


def test_a_recreated_source_stops_it_with_a_clear_error(
    kafka: str, installed: str, writer: Writer, start: Start
) -> None:
    """Offsets of the new topic would be taken for those of the old one: better none than wrong vectors."""
    writer.add("a", "x")
    writer.flush()
    first = start()
    wait_until_covered(kafka, installed)
    first.kill()
    remove_topic(kafka, installed + SOURCE)
    make_topic(kafka, installed + SOURCE, PARTITIONS)
    second = start()
    assert "`nenrin projections reset --embed-again`" in stopped(second, "topic documents was recreated: ")
    assert "Traceback" not in second.said()


def test_another_number_of_partitions_stops_it_with_a_clear_error(kafka: str, installed: str, start: Start) -> None:
    """A document's events would no longer be in one order."""
    remove_topic(kafka, installed + SOURCE)
    make_topic(kafka, installed + SOURCE, PARTITIONS + 1)
    process = start()
    stopped(process, "topic documents has 5 partitions, but NENRIN_PARTITIONS is 4")


def stopped(process: Process, reason: str) -> str:
    """The line with which it stops; it lives on, and waits for whoever mends that."""
    deadline = time.monotonic() + 60
    while not (lines := [line for line in process.said().splitlines() if "embedding stopped" in line]):
        assert time.monotonic() < deadline, process.said()
        time.sleep(0.05)
    assert reason in lines[0]
    assert process.popen.poll() is None
    return lines[0]
