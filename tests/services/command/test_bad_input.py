"""Whatever breaks the contract is refused with the name of the field, and nothing of it reaches the log."""

import base64
import json
import secrets
from collections.abc import Iterator

import httpx
import pytest

from tests.services.command.conftest import Command, records

WRONG: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "body"),
    "not JSON": (b"{text: 1}", 400, "body"),
    "cut off": (b'{"text": "a', 400, "body"),
    "two values": (b'{"text": "a"} {}', 400, "body"),
    "not UTF-8": (b'{"text": "\xff"}', 400, "body"),
    "a list": (b'[{"text": "a"}]', 400, "body"),
    "null": (b"null", 400, "body"),
    "nested without end": (b'{"metadata": {"a": ' + b"[" * 100_000, 400, "body"),
    "no text": (b'{"title": "a"}', 422, "text"),
    "text is null": (b'{"text": null}', 422, "text"),
    "text is a number": (b'{"text": 1}', 422, "text"),
    "title is a list": (b'{"text": "", "title": []}', 422, "title"),
    "metadata is a list": (b'{"text": "", "metadata": []}', 422, "metadata"),
    "metadata is null": (b'{"text": "", "metadata": null}', 422, "metadata"),
    "source_uri is true": (b'{"text": "", "source_uri": true}', 422, "source_uri"),
    "unknown field": (b'{"text": "", "txet": ""}', 422, "txet"),
    "names belong in the path": (b'{"text": "", "document_id": "a"}', 422, "document_id"),
    "long text": (json.dumps({"text": "a" * 1_000_001}).encode(), 422, "text"),
    "long text of wide characters": (json.dumps({"text": "é" * 500_001}, ensure_ascii=False).encode(), 422, "text"),
    "long title": (json.dumps({"text": "", "title": "a" * 1001}).encode(), 422, "title"),
    "large metadata": (json.dumps({"text": "", "metadata": {"a": "x" * 16_400}}).encode(), 422, "metadata"),
    "nested metadata": (b'{"text": "", "metadata": {"a": {"b": 1}}}', 422, "metadata.a"),
    "lists of lists": (b'{"text": "", "metadata": {"a": [[1]]}}', 422, "metadata.a"),
    "too large an integer": (b'{"text": "", "metadata": {"a": 9223372036854775808}}', 422, "metadata.a"),
    "NaN": (b'{"text": "", "metadata": {"a": NaN}}', 422, "metadata.a"),
    "infinity": (b'{"text": "", "metadata": {"a": [-Infinity]}}', 422, "metadata.a"),
    "too large a number": (b'{"text": "", "metadata": {"a": 1e999}}', 422, "metadata[...]"),
    "U+0000 in text": (b'{"text": "a\\u0000b"}', 422, "text"),
    "U+0000 in title": (b'{"text": "", "title": "\\u0000"}', 422, "title"),
    "U+0000 in source_uri": (b'{"text": "", "source_uri": "\\u0000"}', 422, "source_uri"),
    "U+0000 in metadata": (b'{"text": "", "metadata": {"a": ["\\u0000"]}}', 422, "metadata.a"),
    "U+0000 in a key": (b'{"text": "", "metadata": {"\\u0000": 1}}', 422, "metadata.\\x00"),
    "lone surrogate in text": (b'{"text": "\\ud800"}', 422, "text"),
    "lone surrogate in title": (b'{"text": "", "title": "\\udfff"}', 422, "title"),
    "lone surrogate in metadata": (b'{"text": "", "metadata": {"a": "\\ud800"}}', 422, "metadata.a"),
    "over the limit": (b'{"text": "' + b"a" * 4 * 2**20 + b'"}', 413, "body"),
}

WRONG_PATHS = {
    "Upper/documents/a": "collection",
    "-a/documents/a": "collection",
    "a.b/documents/a": "collection",
    "a%2Fb/documents/a": "collection",
    "%00/documents/a": "collection",
    "/documents/a": "collection",
    f"{'a' * 64}/documents/a": "collection",
    "c/documents/": "document_id",
    f"c/documents/{'a' * 513}": "document_id",
    f"c/documents/{'%F0%9F%8C%B3' * 513}": "document_id",
    "c/documents/a%00": "document_id",
    "c/documents/a%0Ab": "document_id",
    "c/documents/%C2%85": "document_id",
    "c/documents/%7F": "document_id",
    "c/documents/%ED%A0%80": "document_id",
    "c/documents/%FF": "document_id",
    "c/documents/%": "document_id",
    "c/documents/%4": "document_id",
    "c/documents/a?b": "document_id",
}


@pytest.fixture(scope="module", autouse=True)
def nothing_is_written(service: Command, kafka: str, topic: str) -> Iterator[None]:
    """After all the refusals of this module, the log is empty."""
    assert service
    yield
    assert records(kafka, topic) == []


def refused(answer: httpx.Response, status: int, field: str) -> None:
    """It is a problem that names the field and says what is wrong."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["field"]) == (status, field)
    assert problem["type"].startswith("/problems/")
    assert problem["detail"]


@pytest.mark.parametrize("case", WRONG)
def test_a_bad_body_is_refused(service: Command, case: str) -> None:
    """400 for what cannot be read, 413 for too much, 422 for a member that breaks the contract."""
    body, status, field = WRONG[case]
    url = f"{service.url}/v1/collections/c/documents/a"
    refused(httpx.put(url, content=body, timeout=20), status, field)


@pytest.mark.parametrize("path", WRONG_PATHS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_bad_name_is_refused(service: Command, method: str, path: str) -> None:
    """The names in the path keep the contract as strictly as the body does."""
    url = f"{service.url}/v1/collections/{path}"
    body = b'{"text": ""}' if method == "PUT" else None
    refused(httpx.request(method, url, content=body), 422, WRONG_PATHS[path])


def test_a_record_that_no_topic_takes_is_refused(service: Command) -> None:
    """The contract sets no limit for a source_uri; the topic's limit for a record does."""
    giant = base64.b64encode(secrets.token_bytes(2_600_000)).decode()  # does not compress below the limit
    refused(service.put("a", {"text": "", "source_uri": giant}), 422, "body")


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_a_wrong_method_is_refused(service: Command, method: str) -> None:
    """And told which ones there are."""
    answer = httpx.request(method, f"{service.url}/v1/collections/c/documents/a")
    assert (answer.status_code, answer.json()["status"]) == (405, 405)
    assert "PUT" in answer.headers["allow"]
