"""Sessions with a whole stack: users see their own writes, in threads, in tasks, and from one process to the next."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer

from nenrin import AsyncSession, Behind, Draft, NotThere, Refused, Session
from schemas.versions import Version, parse, shortfall
from tests.running import Running, environment


@pytest.fixture
def session(whole_stack: Running) -> Iterator[Session]:
    """A new session with the stack."""
    with Session(state=whole_stack.state) as session:
        yield session


@pytest.fixture
def collection() -> str:
    """One that nobody else uses."""
    return f"client-{secrets.token_hex(4)}"


def test_a_session_sees_each_of_its_writes_at_once(session: Session, collection: str) -> None:
    """By search, by id and in the list, added, replaced and removed, without a wait or a token of one's own."""
    for number in range(5):
        session.add(collection, "log", f"Entry {number} of the keeper.", title="Log", metadata={"number": number})
        (hit,) = session.search(collection, "keeper", mode="text", filter={"number": number}).results
        assert (hit.passage.text, hit.title) == (f"Entry {number} of the keeper.", "Log")
        assert session.document(collection, "log").document.metadata == {"number": number}
    assert [page.documents[0].document_id for page in session.list(collection)] == ["log"]
    session.remove(collection, "log")
    assert session.search(collection, "keeper", mode="text").results == []
    with pytest.raises(NotThere):
        session.document(collection, "log")


async def test_tasks_share_a_session(whole_stack: Running, collection: str) -> None:
    """Forty tasks write and read at once, each finds its own; the session covers all of it in the end."""

    async def write_and_read(session: AsyncSession, number: int) -> None:
        written = await session.add(collection, f"d{number}", f"Word{number}x alone.")
        found = await session.search(collection, f"word{number}x", mode="text")
        assert [hit.document_id for hit in found.results] == [f"d{number}"]
        assert not shortfall(parse(written.version), session.version)

    async with AsyncSession(state=whole_stack.state) as session:
        await asyncio.gather(*(write_and_read(session, number) for number in range(40)))
        pages = [page async for page in session.list(collection, limit=15)]
    assert [len(page.documents) for page in pages] == [15, 15, 10]


def test_threads_share_a_session(session: Session, collection: str) -> None:
    """The same with threads, and no answer is older than what the session had seen when it was asked."""

    def write_and_read(number: int) -> None:
        session.add(collection, f"d{number}", f"Word{number}y alone.")
        before = session.version
        found = session.search(collection, f"word{number}y", mode="text")
        assert [hit.document_id for hit in found.results] == [f"d{number}"]
        assert not shortfall(before, parse(found.projection.version))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_and_read, range(40)))


ANOTHER = """
import sys
from nenrin import Session
state, token, collection, number = sys.argv[1:]
with Session(state=state, token=token) as session:
    seen = session.document(collection, "baton").document.text
    assert session.search(collection, seen, mode="text").results[0].passage.text == seen
    session.add(collection, "baton", f"Process {number}")
    print(session.token, seen)
"""


def test_a_token_goes_from_process_to_process(session: Session, whole_stack: Running, collection: str) -> None:
    """Each sees what the one before wrote, and this one, in the end, the last."""
    session.add(collection, "baton", "Process 0")
    token = session.token
    for number in (1, 2):
        said = subprocess.run(
            [sys.executable, "-c", ANOTHER, str(whole_stack.state), token, collection, str(number)],
            env=environment({}),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        token, _, seen = said.partition(" ")
        assert seen.strip() == f"Process {number - 1}"
    session.cover(token)
    assert session.document(collection, "baton").document.text == "Process 2"


def test_what_cannot_be_seen_yet_is_said_with_its_shortfall(session: Session, collection: str) -> None:
    """A version beyond the head: counted to the event when nobody waits for it, or taken as it is when asked so."""
    document = session.add(collection, "a", "Here.")
    ahead = {partition: offset + 3 for partition, offset in parse(document.version).offsets["documents"].items()}
    token = Version({"documents": ahead}).token()
    session.document(collection, "a")
    with pytest.raises(Behind) as caught:
        session.document(collection, "a", at_least=token, wait=0)
    assert caught.value.missing == 3
    assert caught.value.shortfall == {"documents": {str(partition): 3 for partition in ahead}}
    assert session.document(collection, "a", at_least=token, wait=0, lenient=True).document.text == "Here."


def test_many_documents_are_added_in_one_go(session: Session, collection: str) -> None:
    """Taken from a generator; what breaks the contract is in the answer by its line, and hinders no other."""

    def source() -> Iterator[Draft | dict[str, object]]:
        for number in range(120):
            yield Draft(f"d{number:03}", f"Text {number}", metadata={"number": number})
        yield {"document_id": "bad", "text": "x", "metadata": {"size": float("nan")}}
        yield {"document_id": "last", "text": "The last one."}

    answer = session.add_many(collection, source())
    assert (answer.accepted, answer.rejected_count) == (121, 1)
    assert answer.rejected[0].line == 121
    assert "NaN" in answer.rejected[0].error
    found = session.documents(collection, ["last", "bad", "d007"]).documents
    assert [document and document.text for document in found] == ["The last one.", None, "Text 7"]
    assert sum(len(page.documents) for page in session.list(collection, limit=50)) == 121


def test_a_collection_is_removed_whole(session: Session, collection: str) -> None:
    """An event for each document; right after it nothing is there any more."""
    session.add_many(collection, (Draft(f"d{number}", "Text") for number in range(30)))
    session.search(collection, "text")  # it is there
    removed = session.remove_collection(collection)
    assert (removed.collection, removed.removed) == (collection, 30)
    assert [page.documents for page in session.list(collection)] == [[]]
    assert session.search(collection, "text").results == []


def test_bad_input_is_refused_by_name(session: Session) -> None:
    """The service's own words, and the field."""
    with pytest.raises(Refused) as caught:
        session.search("Not a name", "q")
    assert caught.value.field == "collection"


def test_parked_events_are_shown_whole(session: Session, whole_stack: Running, collection: str) -> None:
    """An event that no projection can apply: where it lies, why, and what is in it."""
    delivered: list[tuple[int | None, int | None]] = []
    producer = Producer({"bootstrap.servers": whole_stack.endpoints["kafka"], "partitioner": "murmur2_random"})
    event = {"collection": collection, "document_id": "a", "text": 7}
    headers: dict[str, str | bytes | None] = {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/test",
        "ce_type": "nenrin.document.added.v1",
        "content-type": "application/json",
        "raw": b"\xff",
    }
    producer.produce(
        "documents",
        json.dumps(event),
        f"{collection}/a",
        headers=headers,
        on_delivery=lambda _, message: delivered.append((message.partition(), message.offset())),
    )
    producer.flush(20)
    ((partition, offset),) = delivered
    assert partition is not None
    assert offset is not None
    session.cover(Version({"documents": {partition: offset + 1}}).token())
    for projection in ("documents", "passages"):
        parked = [one for one in session.parked(projection).parked if one.key == f"{collection}/a"]
        assert [(one.topic, one.partition, one.offset) for one in parked] == [("documents", partition, offset)]
        assert "text" in parked[0].reason
        assert parked[0].parked_at is not None
        whole = session.parked_event(projection, "documents", partition, offset).event
        assert json.loads(whole.value or "") == event
        assert ("raw", "base64") in {(header.name, header.encoding) for header in whole.headers}
    session.add(collection, "a", "healed")
    assert not [one for one in session.parked("documents").parked if one.key == f"{collection}/a"]
