"""The client: what it sends, what it makes of answers, what it remembers."""

import httpx
import msgspec
import pytest

from nenrin.client import Freshness, Session, calls
from nenrin.client.answers import Projection
from nenrin.client.errors import (
    Behind,
    NotThere,
    OtherTopic,
    Problem,
    Refused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from schemas.versions import Version

PROJECTION = Projection("passages", 1, "e30", "live", 0, 0.0)


def session_with(answer: httpx.Response | Exception, asked: list[httpx.Request] | None = None) -> Session:
    """A session whose services always answer so."""

    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Session("http://command", "http://query/", httpx.Client(transport=httpx.MockTransport(handle)))


def written(version: Version) -> httpx.Response:
    """What the command service answers."""
    return httpx.Response(202, json={"document_id": "a", "version": version.token()})


def test_an_id_is_encoded_once_and_whole() -> None:
    """Slashes, dots, percent signs and any script survive the path."""
    asked: list[httpx.Request] = []
    session_with(written(Version()), asked).put("c", "a/../b%2F 年輪?", "text", title="t")
    (request,) = asked
    assert request.method == "PUT"
    assert request.url.raw_path == b"/v1/collections/c/documents/a%2F..%2Fb%252F%20%E5%B9%B4%E8%BC%AA%3F"
    assert msgspec.json.decode(request.content) == {"text": "text", "title": "t"}


def test_an_id_of_dots_alone_is_not_a_step_up() -> None:
    """`..` is an id like any other, and must not be normalised away."""
    asked: list[httpx.Request] = []
    session_with(written(Version()), asked).remove("c", "..")
    assert asked[0].url.raw_path == b"/v1/collections/c/documents/%2E%2E"


def test_what_a_session_wrote_adds_up() -> None:
    """`written` covers every write, also one in another partition."""
    session = session_with(written(Version({"documents": {0: 5}}, {"documents": "x"})))
    session.put("c", "a", "text")
    session.written = Version({"documents": {0: 2, 1: 7}}, {"documents": "x"})
    session.remove("c", "a")
    assert session.written == Version({"documents": {0: 5, 1: 7}}, {"documents": "x"})


def test_a_reader_asks_for_a_version_and_says_how_long_it_waits() -> None:
    """As the headers of the contract."""
    asked: list[httpx.Request] = []
    found = httpx.Response(200, json={"results": [], "projection": msgspec.to_builtins(PROJECTION)})
    version = Version({"documents": {0: 1}})
    answer = session_with(found, asked).search("c", "q", mode="text", k=3, freshness=Freshness(version, 5))
    assert answer.projection == PROJECTION
    assert asked[0].headers["Nenrin-At-Least"] == version.token()
    assert asked[0].headers["Prefer"] == "wait=5.000"
    assert msgspec.json.decode(asked[0].content) == {"query": "q", "mode": "text", "k": 3}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (422, Refused),
        (404, NotThere),
        (410, OtherTopic),
        (412, Behind),
        (503, Unavailable),
        (500, Problem),
    ],
)
def test_a_problem_is_an_error_with_its_members(status: int, kind: type[Problem]) -> None:
    """Status, field, outcome, shortfall and all other members are there to act on."""
    body = {
        "title": "T",
        "detail": "D",
        "field": "text",
        "outcome": "unknown",
        "shortfall": {"documents": {"0": 3, "2": 1}},
        "projection": msgspec.to_builtins(PROJECTION),
    }
    session = session_with(httpx.Response(status, json=body, headers={"Retry-After": "2"}))
    with pytest.raises(kind, match="T: D") as caught:
        session.projections()
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.retry_after, error.details.projection) == (status, 2, PROJECTION)
    if isinstance(error, Behind):
        assert error.missing == 4
    if isinstance(error, Unavailable):
        assert error.outcome == "unknown"
    if isinstance(error, Refused):
        assert error.field == "text"


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>"), httpx.Response(200, json={}), httpx.Response(502, text="Bad Gateway")],
)
def test_another_program_on_the_port_is_recognised(answer: httpx.Response) -> None:
    """What is not our JSON is no answer of ours, and the message asks whether that is a Nenrin service."""
    with pytest.raises(UnexpectedAnswer, match="is that a Nenrin query service"):
        session_with(answer).collections()


def test_silence_names_the_service_and_its_address() -> None:
    """Nothing listens there, or it takes too long: either way somebody should look at that service."""
    with pytest.raises(Unreachable, match=r"command service at http://command does not answer \(no route\)"):
        session_with(httpx.ConnectError("no route")).put("c", "a", "text")


def test_members_that_are_not_known_yet_are_passed_over() -> None:
    """A newer service may say more."""
    body = msgspec.json.encode(
        {"collections": [], "new": 1, "projection": msgspec.to_builtins(PROJECTION) | {"new": 2}}
    )
    assert calls.collections().read(200, body, None).projection == PROJECTION
