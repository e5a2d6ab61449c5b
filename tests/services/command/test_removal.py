"""Removing a collection whole: an event for each document that was acknowledged before, and nothing else."""

import asyncio
import json
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Message

from projections import reading
from projections.reading import Reader
from schemas.errors import DatabaseAway
from schemas.versions import Version, parse
from services.command import listing
from services.command.listing import Behind, Listing
from services.settings import Settings
from tests.running import Running
from tests.services.command.conftest import Command, command, ends, reader, records
from tests.services.command.test_writes import TRACE, headers_of


@pytest.fixture
def collection() -> str:
    """A collection of this test's own."""
    return f"r{secrets.token_hex(4)}"


@pytest.fixture
def remover(whole_stack: Running, tmp_path: Path) -> Iterator[Command]:
    """A command service of this test's own, on the log that a projector follows."""
    with command(whole_stack.endpoints["kafka"], "", tmp_path, whole_stack.endpoints["postgres"]) as service:
        service.until_ready()
        yield service


def body(count: int) -> bytes:
    """As many documents, as NDJSON."""
    return b"".join(json.dumps({"document_id": f"a/{number}", "text": ""}).encode() + b"\n" for number in range(count))


def left(whole_stack: Running, collection: str, token: str) -> list[str]:
    """The ids that a reader finds who has seen a version."""
    answer = httpx.get(
        f"{whole_stack.endpoints['query']}/v1/collections/{collection}/documents",
        headers={"Nenrin-At-Least": token, "Prefer": "wait=30"},
        timeout=40,
    ).raise_for_status()
    return [document["document_id"] for document in answer.json()["documents"]]


def removals_of(kafka: str, collection: str) -> list[Message]:
    """The events that remove documents of a collection."""
    return [
        record
        for record in records(kafka, "documents")
        if (record.key() or b"").startswith(f"{collection}/".encode())
        and headers_of(record)["ce_type"] == "nenrin.document.removed.v1"
    ]


def test_a_collection_is_removed(whole_stack: Running, remover: Command, collection: str) -> None:
    """All that was acknowledged before the call, though no reader may have seen it yet; not its neighbour's."""
    kept = remover.upload(body(3), f"{collection}-kept")
    uploaded = remover.upload(body(2_500), collection)
    assert uploaded.json()["accepted"] == 2_500
    answer = httpx.delete(
        f"{remover.url}/v1/collections/{collection}", headers={"traceparent": TRACE}, timeout=60
    ).raise_for_status()
    said = answer.json()
    assert (said["collection"], said["removed"]) == (collection, 2_500)
    assert answer.headers["nenrin-version"] == said["version"]
    assert left(whole_stack, collection, said["version"]) == []
    assert len(left(whole_stack, f"{collection}-kept", kept.headers["nenrin-version"])) == 3
    removals = [headers_of(record) for record in removals_of(whole_stack.endpoints["kafka"], collection)]
    assert len(removals) == len({each["ce_id"] for each in removals}) == 2_500
    assert all(each["traceparent"].startswith(TRACE[:35]) for each in removals)


def test_nothing_to_remove(remover: Command, collection: str) -> None:
    """A collection that never was is as gone as one that was removed."""
    remover.upload(body(1), collection)
    assert remover.remove(collection).json()["removed"] == 1
    for name in (collection, f"{collection}-never"):
        answer = remover.remove(name)
        assert (answer.status_code, answer.json()["removed"]) == (200, 0)
        assert parse(answer.json()["version"]) == Version()
    assert remover.remove("Upper").json()["field"] == "collection"


def test_a_removal_takes_no_query(remover: Command, collection: str) -> None:
    """Who sends one means less than all."""
    remover.upload(body(1), collection)
    refused = remover.remove(f"{collection}?document_id=b")
    assert (refused.status_code, refused.json()["field"]) == (422, "parameters")
    assert remover.remove(collection).json()["removed"] == 1


def test_a_killed_removal_is_gone_on_with(
    whole_stack: Running, remover: Command, collection: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A process that dies amid its removals has written some of them; calling again removes what is left."""
    kafka, postgres = whole_stack.endpoints["kafka"], whole_stack.endpoints["postgres"]
    remover.upload(body(6_000), collection)
    with (
        command(kafka, "", tmp_path_factory.mktemp("killed"), postgres) as killed,
        reader(kafka) as consumer,
    ):
        killed.until_ready()
        before = ends(consumer, "documents")
        calling = threading.Thread(target=_ignored, args=(killed, collection))
        calling.start()
        while ends(consumer, "documents") == before:
            assert calling.is_alive()
        os.kill(killed.process.pid, signal.SIGKILL)
        calling.join()
    said = remover.remove(collection).json()
    assert left(whole_stack, collection, said["version"]) == []
    removals = removals_of(kafka, collection)
    assert len({record.key() for record in removals}) == 6_000
    # the killed process had requests under way when the list was made, so some may be there twice
    assert said["removed"] < 6_000 <= len(removals)


def _ignored(service: Command, collection: str) -> None:
    try:
        service.remove(collection)
    except httpx.TransportError:
        return


def test_without_postgres(service: Command, collection: str) -> None:
    """Only this call needs it: the service is ready, takes writes, and notes what has to wait."""
    ready = service.ready()
    assert (ready.status_code, ready.json()["dependencies"]) == (200, {"kafka": "ok"})
    assert "removing whole collections has to wait" in ready.json()["notes"]["postgres"]
    assert service.put("a", {"text": ""}).status_code == 202
    answer = service.remove(collection)
    said = answer.json()
    assert (answer.status_code, said["removed"], said["last_document_id"]) == (503, 0, None)
    assert (said["outcome"], parse(said["version"])) == ("not_written", Version())
    assert int(answer.headers["retry-after"]) > 0


async def test_a_postgres_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its silence is put into words, where it is asked how it is and where it is needed."""
    monkeypatch.setattr(listing, "STATE_WITHIN", 0.1)
    monkeypatch.setattr(reading, "CONNECT_WITHIN", 0.1)
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, Reader(f"postgresql://127.0.0.1:{port}/silent").reading() as reads:
        silence = Listing(reads)
        assert (await silence.state()).endswith("no answer in time")
        with pytest.raises(DatabaseAway, match="no answer in time"):
            await anext(silence.pages("c", Version()))


async def test_a_projection_that_is_behind(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it has not seen could be missed, so nothing is listed, and the shortfall is said."""
    monkeypatch.setattr(listing, "PATIENCE", 0.2)
    async with Reader(installed.reader_dsn).reading() as reads:
        with pytest.raises(Behind) as behind:
            await anext(Listing(reads).pages("c", Version({"documents": {0: 0, 2: 7}})))
    assert behind.value.shortfall == {"documents": {2: 7}}
