"""What both services really answer is what their OpenAPI documents say."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from eventlog.connection import KafkaSettings
from schemas.versions import Version
from services.command.app import command_application
from services.publishing import NOWHERE, POSTGRES
from tests.published.answers import Judge, published
from tests.running import Running

C = "/v1/collections/answers"
BEYOND = Version({"documents": {0: 2**40}}).token()
ELSEWHERE = Version({"documents": {0: 1}}, {"documents": "another-one"}).token()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def command(whole_stack: Running) -> Iterator[httpx.Client]:
    """The command service."""
    with httpx.Client(base_url=whole_stack.endpoints["command"], timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def query(whole_stack: Running) -> Iterator[httpx.Client]:
    """The query service."""
    with httpx.Client(base_url=whole_stack.endpoints["query"], timeout=60) as client:
        yield client


def test_the_command_service_answers_as_published(command: httpx.Client) -> None:
    """Every call, and every refusal that a caller can bring about."""
    judge = Judge(published("openapi-command.json"))
    document = {"text": "Rings.", "title": "A", "metadata": {"n": 1.5, "tags": ["x", None]}}
    put = "put_document"
    judge.judge(put, command.put(f"{C}/documents/a%2Fb", json=document, headers={"traceparent": TRACE}))
    judge.judge(put, command.put(f"{C}/documents/a", content=b"{"))
    judge.judge(put, command.put(f"{C}/documents/a", json={"title": "no text"}))
    judge.judge(put, command.put(f"{C}/documents/a", content=b'"' + b"a" * 5_000_000 + b'"'))
    judge.judge(put, command.put(f"{C}/documents/a", json=document, headers={"Content-Encoding": "gzip"}))
    judge.judge("delete_document", command.delete(f"{C}/documents/a"))
    judge.judge("delete_document", command.delete("/v1/collections/UPPER/documents/a"))
    lines = '{"document_id": "l1", "text": "One."}\n\n{"document_id": "l2"}\nnot json\n'
    judge.judge("post_documents", command.post(f"{C}/documents", content=lines))
    judge.judge("post_documents", command.post("/v1/collections/UPPER/documents", content=lines))
    judge.judge("post_documents", command.post(f"{C}/documents", content=lines, headers={"Content-Encoding": "gzip"}))
    judge.judge("delete_collection", command.delete("/v1/collections/answers-of-old"))
    judge.judge("delete_collection", command.delete("/v1/collections/UPPER"))
    for name in ("healthz", "readyz", "metrics"):
        judge.judge(name, command.get(f"/{name}"))
    assert {name for name, status in judge.judged if status[0] == "2"} == set(judge.operations())


async def test_the_command_service_without_kafka_answers_as_published() -> None:
    """Nothing written, nothing ready."""
    judge = Judge(published("openapi-command.json"))
    app: Any = command_application(KafkaSettings(NOWHERE), POSTGRES)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        judge.judge("put_document", await client.put(f"{C}/documents/a", json={"text": ""}))
        judge.judge("readyz", await client.get("/readyz"))
    assert judge.judged == {("put_document", "503"), ("readyz", "503")}


def test_the_query_service_answers_as_published(
    command: httpx.Client, query: httpx.Client, whole_stack: Running
) -> None:
    """Every call, with every condition, and every refusal that a caller can bring about."""
    judge = Judge(published("openapi-query.json"))
    parked = park(whole_stack)
    written = command.put(f"{C}/documents/seen", json={"text": "Rings."}, headers={"traceparent": TRACE})
    fresh = {"Nenrin-At-Least": written.headers["Nenrin-Version"], "Prefer": "wait=30, handling=lenient"}
    reads: dict[str, tuple[str, str, Any]] = {
        "search": ("POST", f"{C}/search", {"query": "rings", "mode": "text"}),
        "get_document": ("GET", f"{C}/documents/seen", None),
        "get_documents": ("POST", f"{C}/documents/get", {"ids": ["seen", "nowhere"]}),
        "list_documents": ("GET", f"{C}/documents?limit=1", None),
        "list_collections": ("GET", "/v1/collections", None),
        "list_projections": ("GET", "/v1/projections", None),
        "get_projection": ("GET", "/v1/projections/passages", None),
        "list_parked": ("GET", "/v1/projections/documents/parked?limit=1", None),
        "get_parked": ("GET", f"/v1/projections/documents/parked/{parked}", None),
    }
    conditions: list[tuple[int, dict[str, str]]] = [
        (200, fresh),
        (400, {"Nenrin-At-Least": "?"}),
        (404, {"Nenrin-Generation": "99"}),
        (410, {"Nenrin-At-Least": ELSEWHERE}),
        (412, {"Nenrin-At-Least": BEYOND}),
        (422, {"Nenrin-Max-Lag": "soon"}),
    ]
    for operation, (method, path, body) in reads.items():
        for status, headers in conditions:
            answer = query.request(method, path, json=body, headers=headers)
            assert answer.status_code == status, (operation, headers, answer.text)
            judge.judge(operation, answer)
            assert status != 200 or operation != "get_document" or "Link" in answer.headers
    refuse(judge, query)
    for name in ("healthz", "readyz", "metrics"):
        judge.judge(name, query.get(f"/{name}"))
    assert {name for name, status in judge.judged if status == "200"} == set(judge.operations())


def refuse(judge: Judge, query: httpx.Client) -> None:
    """Questions that are refused, each in its own way."""
    judge.judge("get_document", query.get(f"{C}/documents/nowhere"))
    judge.judge("get_projection", query.get("/v1/projections/nothing"))
    judge.judge("get_parked", query.get("/v1/projections/documents/parked/documents/0/99999999"))
    judge.judge("list_documents", query.get(f"{C}/documents?cursor=broken"))
    judge.judge("search", query.post(f"{C}/search", json={"vector": [1.0]}))
    judge.judge("search", query.post(f"{C}/search", content=b"["))
    judge.judge("search", query.post(f"{C}/search", content=b" " * 5_000_000))
    judge.judge("search", query.post(f"{C}/search", content=b"{}", headers={"Content-Encoding": "gzip"}))


def park(stack: Running) -> str:
    """Have an event parked by every projection; returns its place as a path."""
    places: list[tuple[int, int]] = []
    producer = Producer({"bootstrap.servers": stack.endpoints["kafka"], "partitioner": "murmur2_random"})
    document = {"collection": "answers", "document_id": str(uuid.uuid4()), "text": "its key is another"}
    headers: dict[str, str | bytes | None] = {
        "ce_specversion": "1.0",
        "ce_id": "1",
        "ce_source": "/tests",
        "ce_type": "nenrin.document.added.v1",
    }
    producer.produce(
        "documents",
        key=f"answers/{uuid.uuid4()}",
        value=json.dumps(document),
        headers=headers,
        on_delivery=lambda error, message: places.append((message.partition() or 0, message.offset() or 0)),
    )
    assert producer.flush(10) == 0
    ((partition, offset),) = places
    token = Version({"documents": {partition: offset + 1}}).token()
    with httpx.Client(base_url=stack.endpoints["query"], timeout=60) as client:
        wait = {"Nenrin-At-Least": token, "Prefer": "wait=30"}
        client.get("/v1/projections/documents", headers=wait).raise_for_status()
    return f"documents/{partition}/{offset}"
