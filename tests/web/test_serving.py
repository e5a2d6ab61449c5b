"""What a client sees of `web`: problems, status pages, limits, and a service that leaves."""

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tests.web.conftest import Demonstration, demonstration

DOCUMENT = "/v1/collections/c/documents/"


def raw(served: Demonstration, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are, for clients tidy paths up; return status, headers and body."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def put(served: Demonstration, path: str, body: bytes = b'{"text":""}', *headers: str) -> tuple[int, dict[str, object]]:
    """PUT to a path that is sent as it is."""
    lines = [f"PUT {path} HTTP/1.1", "Host: here", "Connection: close", f"Content-Length: {len(body)}", *headers]
    status, _, answer = raw(served, "\r\n".join([*lines, "", ""]).encode() + body)
    return status, json.loads(answer)


@pytest.mark.parametrize(
    ("path", "document_id"),
    [
        ("a%2Fb", "a/b"),
        ("a%2F%2Fb", "a//b"),
        ("..", ".."),
        ("%2E%2E%2F..", "../.."),
        ("%252F", "%2F"),
        ("a%20b%3F", "a b?"),
        ("%E5%B9%B4%E8%BC%AA", "年輪"),
        ("a+b;c", "a+b;c"),
        ("get", "get"),
        ("", ""),
    ],
)
def test_ids_come_through_the_server(served: Demonstration, path: str, document_id: str) -> None:
    """The server and the framework leave the path alone: what was encoded is what the handler gets."""
    status, answer = put(served, DOCUMENT + path)
    assert (status, answer["document_id"]) == (200, document_id)


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/nothing", 404, "no-such-path"),
        (DOCUMENT + "a/b", 404, "no-such-path"),
        ("/healthz", 405, "method-not-allowed"),
        (DOCUMENT + "%ff", 422, "invalid-input"),
    ],
)
def test_every_refusal_is_a_problem(served: Demonstration, path: str, status: int, slug: str) -> None:
    """Also what the framework refuses by itself, where its own answer would be another JSON or a page of HTML."""
    found, answer = put(served, path)
    assert (found, answer["status"], answer["type"]) == (status, status, f"/problems/{slug}")
    assert answer["title"]
    assert answer["detail"]


def test_no_page_of_html_is_an_answer(served: Demonstration) -> None:
    """The framework has one for unknown paths below its documentation."""
    answer = httpx.get(served.url + "/docs/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_wrong_method_names_the_right_ones(served: Demonstration) -> None:
    """A 405 without `Allow` would leave the caller guessing."""
    answer = httpx.post(served.url + "/healthz")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("name", "status", "member"),
    [
        ("token", 400, {"field": "Nenrin-At-Least"}),
        ("incarnation", 410, {"type": "/problems/other-incarnation"}),
        ("log", 503, {"outcome": "unknown"}),
        ("bug", 500, {"type": "/problems/internal-error"}),
    ],
)
def test_our_errors_have_their_problems(served: Demonstration, name: str, status: int, member: dict[str, str]) -> None:
    """One place maps errors to answers; what was not foreseen is a 500 without a word of the traceback."""
    answer = httpx.get(f"{served.url}/errors/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json().items() >= member.items()
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"\xff", 400, "body"),
        (b"[1]", 400, "body"),
        (b"{}", 422, "text"),
        (b'{"text": 1}', 422, "text"),
        (b'{"text": "", "more": 1}', 422, "more"),
        (b'{"text": "\\ud800"}', 422, "text"),
        (b'{"text": NaN}', 422, "text"),
    ],
)
def test_bad_bodies_name_the_field(served: Demonstration, body: bytes, status: int, field: str) -> None:
    """400 where the body cannot be read at all, 422 where a member is wrong."""
    found, answer = put(served, DOCUMENT + "a", body)
    assert (found, answer["field"]) == (status, field)


@pytest.mark.parametrize("size", [4 * 2**20 + 1, 40 * 2**20])
def test_a_body_over_the_limit_is_refused_where_the_client_sees_it(served: Demonstration, size: int) -> None:
    """A client that still sends must get the 413, not a broken connection."""
    answer = httpx.put(served.url + DOCUMENT + "a", content=b"x" * size, timeout=60)
    assert (answer.status_code, answer.json()["field"]) == (413, "body")


def test_a_body_at_the_limit_is_taken(served: Demonstration) -> None:
    """The limit itself is allowed."""
    around = len(b'{"text":""}')
    answer = httpx.put(served.url + DOCUMENT + "a", content=b'{"text":"' + b"x" * (4 * 2**20 - around) + b'"}')
    assert answer.json()["length"] == 4 * 2**20 - around


def test_a_chunked_body_is_measured_too(served: Demonstration) -> None:
    """Without a Content-Length the limit holds for what arrives."""
    answer = httpx.put(served.url + DOCUMENT + "a", content=(b"x" * 2**20 for _ in range(6)), timeout=60)
    assert answer.status_code == 413


def test_an_encoded_body_is_refused(served: Demonstration) -> None:
    """Read as it is, it would be called broken JSON."""
    status, answer = put(served, DOCUMENT + "a", b'{"text":""}', "Content-Encoding: gzip")
    assert (status, answer["field"]) == (415, "Content-Encoding")


def test_a_bad_query_parameter_is_named(served: Demonstration) -> None:
    """The framework's own validation speaks our language."""
    answer = httpx.get(served.url + "/v1/limited?limit=many")
    assert (answer.status_code, answer.json()["field"]) == (422, "limit")


def test_huge_headers_are_refused(served: Demonstration) -> None:
    """Not with a problem, for the server answers before us, but in order: 431."""
    status, _, _ = raw(served, b"GET /healthz HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 2**20 + b"\r\n\r\n")
    assert status == 431


def test_readiness_says_what_is_missing(served: Demonstration) -> None:
    """Alive is one thing, ready another; a note alone would not make a service unready."""
    assert httpx.get(served.url + "/healthz").status_code == 200
    answer = httpx.get(served.url + "/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, {"database": "not reached"})
    assert answer.json()["dependencies"]["log"] == "ok"
    assert answer.headers["retry-after"]


def test_many_connections_are_open_at_once(served: Demonstration) -> None:
    """More than the waiters that a service allows: who waits must not keep it from answering anybody else."""
    address = urlsplit(served.url)
    begun, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(begun, min(most, 4_096)), most))
    with ExitStack() as stack:
        for _ in range(1_100):
            stack.enter_context(socket.create_connection((address.hostname, address.port)))
        assert httpx.get(served.url + "/healthz", timeout=10).status_code == 200


def test_requests_are_measured_by_route(served: Demonstration) -> None:
    """Routes are labels, paths are not: a million documents must not make a million series."""
    put(served, DOCUMENT + "measured")
    answer = httpx.get(served.url + "/metrics")
    assert answer.headers["content-type"] == CONTENT_TYPE_LATEST
    metrics = answer.text
    route = 'route="/v1/collections/{collection}/documents/{document_id}",status="200"'
    assert f'nenrin_http_request_seconds_count{{method="PUT",{route}}}' in metrics
    assert "measured" not in metrics


def test_the_interface_is_described(served: Demonstration) -> None:
    """The OpenAPI document knows path, body and problems."""
    described = httpx.get(served.url + "/openapi.json").json()
    operation = described["paths"][DOCUMENT.replace("/c/", "/{collection}/") + "{document_id}"]["put"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == ["text"]
    assert operation["responses"]["422"] == {"$ref": "#/components/responses/422"}
    assert "application/problem+json" in described["components"]["responses"]["422"]["content"]


def test_the_documentation_needs_no_internet(served: Demonstration) -> None:
    """Every script and style that the page names is served from here."""
    page = httpx.get(served.url + "/docs").text
    named = [part.split('"')[0] for part in page.replace("src=", "href=").split('href="')[1:]]
    assert len(named) >= 4
    for address in named:
        assert address.startswith("/docs/"), address
        assert httpx.get(served.url + address).status_code == 200
    script = httpx.get(served.url + "/docs/swagger-ui-bundle.js").text
    assert 'PACKAGE_VERSION:"4' not in script, "versions before 5 cannot show OpenAPI 3.1"


def test_a_taken_port_is_an_error(served: Demonstration) -> None:
    """The server could share the port with its twin, and half the requests would go astray."""
    again = subprocess.run(
        [sys.executable, "-m", "tests.web.demonstration", str(served.port)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert again.returncode != 0
    assert b"Address already in use" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_leaving_answers_what_is_in_flight(tmp_path: Path, number: signal.Signals) -> None:
    """On a signal, short requests end, long ones learn that the service leaves, and the process exits with 0."""
    answers: dict[str, int] = {}

    def ask(seconds: str) -> None:
        answers[seconds] = httpx.get(f"{service.url}/patience/{seconds}", timeout=60).status_code

    with demonstration(tmp_path / "log") as service:
        asking = [threading.Thread(target=ask, args=(seconds,)) for seconds in ("0.6", "50.0")]
        for thread in asking:
            thread.start()
        while httpx.get(service.url + "/arrived").json() < len(asking):
            time.sleep(0.02)
        service.process.send_signal(number)
        assert service.process.wait(10) == 0
        for thread in asking:
            thread.join()
    assert answers == {"0.6": 200, "50.0": 503}
