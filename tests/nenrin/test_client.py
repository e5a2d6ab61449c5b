"""The client: what it sends, what it makes of answers, what it remembers."""

import math
from collections.abc import Iterator
from typing import Any, assert_type

import httpx
import msgspec
import pytest

import nenrin
from nenrin import AsyncSession, Draft, Session, TopicRecreated, answers
from nenrin.client import calls
from nenrin.client.documents import blocks
from nenrin.client.errors import (
    Behind,
    CutOff,
    NoStack,
    NotThere,
    Problem,
    Refused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from schemas.errors import MalformedToken
from schemas.versions import Version
from tests.nenrin.scripted import Answer, ask, at, found, opened, projection, refusal, serving, written

BOTH = pytest.mark.parametrize("kind", [Session, AsyncSession])
NOWHERE = "http://127.0.0.1:9"  # nobody listens at "discard"


@BOTH
def test_an_id_is_encoded_once_and_whole(kind: type[Session]) -> None:
    """Slashes, dots, percent signs and any script survive the path."""
    with serving(written(at(1))) as service:
        ask(kind, service.url, lambda session: session.add("c", "a/../b%2F 年輪?", "text", title="t"))
    (asked,) = service.asked
    path = "/v1/collections/c/documents/a%2F..%2Fb%252F%20%E5%B9%B4%E8%BC%AA%3F"
    assert (asked.method, asked.path) == ("PUT", path)
    assert msgspec.json.decode(asked.body) == {"text": "text", "title": "t"}


def test_an_id_of_dots_alone_is_not_a_step_up() -> None:
    """`..` is an id like any other, and must not be normalised away."""
    with serving(written(at(1))) as service:
        ask(Session, service.url, lambda session: session.remove("c", ".."))
    assert service.asked[0].path == "/v1/collections/c/documents/%2E%2E"


@BOTH
def test_what_is_no_json_is_sent_for_the_service_to_refuse(kind: type[Session]) -> None:
    """NaN does not silently become null, nor a lone surrogate something else: the refusal names the field."""
    with serving(refusal(422)) as service, pytest.raises(Refused):
        ask(kind, service.url, lambda session: session.add("c", "a", "\ud800", metadata={"size": float("nan")}))
    assert service.asked[0].body == b'{"text": "\\ud800", "metadata": {"size": NaN}}'


@BOTH
def test_a_read_asks_for_all_that_the_session_wrote_and_saw(kind: type[Session]) -> None:
    """Tokens of writes and of answers are merged, carried by every read, and never go back."""
    stale = Answer(200, {"collections": [], "projection": projection(at(1, 1))}, {"Nenrin-Version": at(1, 1).token()})
    script = (written(at(5)), found(at(7, 2)), found(at(3, 4)), stale)
    with serving(*script) as service, opened(kind, service.url) as session:
        session.add("c", "a", "text")
        session.search("c", "q")
        session.search("c", "q", lenient=True)
        session.collections()
        token = session.token
    carried = [asked.headers.get("Nenrin-At-Least") for asked in service.asked]
    assert carried == [None, at(5).token(), at(7, 2).token(), at(7, 4).token()]
    assert [asked.preferences for asked in service.asked[1:3]] == [["wait=10.000"], ["wait=10.000", "handling=lenient"]]
    assert token == at(7, 4).token()


def test_a_read_may_ask_for_something_else() -> None:
    """Another version, none, a bound on the lag, another generation, another wait: for this call alone."""
    with serving(found(at(5))) as service, Session(service.url, service.url, token=at(5).token(), wait=3) as session:
        session.search("c", "q", at_least=at(2).token(), wait=0.5)
        session.search("c", "q", at_least=None, max_lag=2, generation=4)
        session.search("c", "q")
    one, two, three = service.asked
    assert (one.headers["Nenrin-At-Least"], one.preferences) == (at(2).token(), ["wait=0.500"])
    assert "Nenrin-At-Least" not in two.headers
    assert (two.headers["Nenrin-Max-Lag"], two.headers["Nenrin-Generation"]) == ("2.000", "4")
    assert (three.headers["Nenrin-At-Least"], three.preferences) == (at(5).token(), ["wait=3.000"])


@pytest.mark.parametrize("token", ["", "token\n", f"{at(5).token()}\n", "年輪", "a=="])
def test_what_is_no_token_is_refused_before_it_is_sent(token: str) -> None:
    """What HTTP could not carry, or a service would refuse: the error names it."""
    with (
        serving() as service,
        Session(service.url, service.url) as session,
        pytest.raises(MalformedToken, match="Nenrin-At-Least: not a version token"),
    ):
        session.search("c", "q", at_least=token)
    assert service.asked == []


def test_no_wait_is_too_long() -> None:
    """A service waits 30 seconds at most, and who says "for ever" means that."""
    with serving(found(at(5))) as service, Session(service.url, service.url, token=at(5).token()) as session:
        session.search("c", "q", wait=math.inf)
    assert service.asked[0].preferences == ["wait=30.000"]


def test_a_search_is_sent_as_it_was_asked() -> None:
    """Words or a vector, mode, k and filter; what is left out is left to the service."""
    with serving(found(at(1))) as service, Session(service.url, service.url) as session:
        session.search("c", "q", mode="text", k=3, filter={"year": {"$gte": 2020}})
        session.search("c", vector=(1, 0.5))
    bodies = [msgspec.json.decode(asked.body) for asked in service.asked]
    assert bodies[0] == {"query": "q", "mode": "text", "k": 3, "filter": {"year": {"$gte": 2020}}}
    assert bodies[1] == {"vector": [1.0, 0.5], "k": 10}


def test_looking_at_projections_waits_for_nothing() -> None:
    """To see how far behind they are is what that is for."""
    with serving(Answer(200, {"projections": []})) as service:
        ask(Session, service.url, lambda session: session.projections(), token=at(5).token())
    assert "Nenrin-At-Least" not in service.asked[0].headers


@BOTH
def test_a_404_has_been_seen_too(kind: type[Session]) -> None:
    """That a document is not there is an answer: what comes after must not be older."""
    with serving(refusal(404, at(4), projection=projection(at(4)))) as service, opened(kind, service.url) as session:
        with pytest.raises(NotThere):
            session.document("c", "a")
        assert session.token == at(4).token()


@BOTH
def test_a_recreated_topic_ends_a_session_until_it_forgets(kind: type[Session]) -> None:
    """410, or a write into the new topic: either says to begin anew, and `forget` does."""
    new = at(1, incarnation="y")
    script = (refusal(410), written(new), found(new))
    with serving(*script) as service, opened(kind, service.url, token=at(5).token()) as session:
        with pytest.raises(TopicRecreated):
            session.search("c", "q")
        with pytest.raises(TopicRecreated, match=r"incarnations of documents.*forget\(\)"):
            session.add("c", "a", "text")
        session.forget()
        session.search("c", "q")
        assert session.token == new.token()
    assert "Nenrin-At-Least" not in service.asked[-1].headers


@BOTH
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (422, Refused),
        (404, NotThere),
        (410, TopicRecreated),
        (412, Behind),
        (503, Unavailable),
        (500, Problem),
    ],
)
def test_a_problem_is_an_error_with_its_members(kind: type[Session], status: int, error: type[Problem]) -> None:
    """Status, field, outcome, shortfall and all other members are there to act on."""
    body = {
        "title": "T",
        "detail": "D",
        "field": "text",
        "outcome": "unknown",
        "shortfall": {"documents": {"0": 3, "2": 1}},
        "projection": projection(at(1)),
    }
    with serving(Answer(status, body, {"Retry-After": "2"})) as service, pytest.raises(error, match="T: D") as caught:
        ask(kind, service.url, lambda session: session.projections(), retry_for=0)
    raised = caught.value
    assert type(raised) is error
    assert (raised.status, raised.retry_after, raised.body["field"]) == (status, 2, "text")
    assert raised.details.projection == msgspec.convert(projection(at(1)), answers.Projection)
    if isinstance(raised, Behind):
        assert (raised.missing, raised.shortfall) == (4, {"documents": {"0": 3, "2": 1}})
    if isinstance(raised, Unavailable):
        assert raised.outcome == "unknown"
    if isinstance(raised, Refused):
        assert raised.field == "text"


@BOTH
def test_a_load_that_was_cut_off_says_how_far_it_came(kind: type[Session]) -> None:
    """What was taken is counted and covered, so that the caller can go on behind it; nothing is sent twice."""
    members: dict[str, Any] = {"accepted": 2, "last_line": 3, "version": at(9).token(), "outcome": "unknown"}
    load = [Draft("a", "A"), {"document_id": "b", "text": "B", "title": "T"}]
    with serving(refusal(503, **members)) as service, opened(kind, service.url) as session:
        with pytest.raises(CutOff) as caught:
            session.add_many("c", load)
        token = session.token
    error = caught.value
    assert (error.accepted, error.last_line, error.version, error.outcome) == (2, 3, at(9).token(), "unknown")
    assert token == at(9).token()
    (asked,) = service.asked
    assert asked.headers["content-type"] == "application/x-ndjson"
    lines = [msgspec.json.decode(line) for line in asked.body.splitlines()]
    assert lines == [{"document_id": "a", "text": "A"}, {"document_id": "b", "text": "B", "title": "T"}]


def test_documents_are_taken_from_their_source_as_they_are_sent() -> None:
    """A block is ready when its documents have been read, and no later one has."""
    taken: list[int] = []

    def source() -> Iterator[Draft]:
        for number in range(1000):
            taken.append(number)
            yield Draft(str(number), "x" * 1000)

    sent = blocks(source())
    first = next(sent)
    assert len(first.splitlines()) == len(taken) < 70
    assert sum(len(block.splitlines()) for block in sent) == 1000 - len(first.splitlines())


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>"), httpx.Response(200, json={}), httpx.Response(502, text="Bad Gateway")],
)
def test_another_program_on_the_port_is_recognised(answer: httpx.Response) -> None:
    """What is not our JSON is no answer of ours, and the message asks whether that is a Nenrin service."""
    http = httpx.Client(transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(UnexpectedAnswer, match="is that a Nenrin query service"):
        Session("http://command", "http://query", http=http).collections()


def test_silence_names_the_service_and_its_address() -> None:
    """Nothing listens there, or it takes too long: either way somebody should look at that service."""
    with pytest.raises(Unreachable, match=rf"command service at {NOWHERE} does not answer \(.+\)"):
        ask(Session, NOWHERE + "/", lambda session: session.add("c", "a", "text"), retry_for=0)


def test_a_client_of_ones_own_stays_open() -> None:
    """Whoever made it closes it."""
    http = httpx.Client()
    Session(NOWHERE, NOWHERE, http=http).close()
    assert not http.is_closed


def test_members_that_are_not_known_yet_are_passed_over() -> None:
    """A newer service may say more."""
    body = msgspec.json.encode({"collections": [], "new": 1, "projection": projection(at(1)) | {"new": 2}})
    assert calls.collections().read(200, body, None).projection.version == at(1).token()


def test_the_services_json_can_be_had_as_it_came() -> None:
    """For whoever prints it, with all members."""
    answer = Answer(200, {"projections": [], "new": 1})
    with serving(answer) as service:
        raw = ask(Session, service.url, lambda session: session.send(calls.projections().raw()))
    assert msgspec.json.decode(bytes(raw)) == {"projections": [], "new": 1}


def test_where_the_services_are(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs, else a state folder, else the environment; what is missing is said."""
    for name in ("NENRIN_COMMAND", "NENRIN_QUERY", "NENRIN_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoStack, match=r"no running stack in \.nenrin: start one with `nenrin up"):
        Session()
    with pytest.raises(NoStack, match="knows no query service"):
        Session("http://command").collections()
    with pytest.raises(NoStack, match="give one as http://localhost:8081"):
        Session(query="localhost:8081")
    (tmp_path / "endpoints.json").write_text('{"kafka": "k:1", "postgres": "p"}')
    with pytest.raises(NoStack, match="without Nenrin's services"):
        Session(state=tmp_path)
    with serving(found(at(1))) as service:
        (tmp_path / "endpoints.json").write_text(f'{{"command": "{service.url}", "query": "{service.url}"}}')
        for name, value in (("NENRIN_STATE", str(tmp_path)), ("NENRIN_COMMAND", service.url)):
            monkeypatch.setenv(name, value)
            monkeypatch.setenv("NENRIN_QUERY", service.url if name == "NENRIN_COMMAND" else "")
            with Session() as session:
                session.search("c", "q")
    assert len(service.asked) == 2


def test_a_token_that_is_none_is_refused_at_once() -> None:
    """Before anything is sent."""
    with pytest.raises(nenrin.MalformedToken):
        Session(NOWHERE, NOWHERE, token="nonsense!")


def test_everything_is_in_one_place() -> None:
    """`nenrin` has all names that it lists, and no others."""
    assert all(getattr(nenrin, name) is not None for name in nenrin.__all__)
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = nenrin.nothing_of_ours


async def types_are_known(session: Session, later: AsyncSession) -> None:
    """Never run: mypy holds that both sessions have the same calls, typed for each."""
    assert_type(session.search("c", "q", k=3, wait=1), answers.Found)
    assert_type(await later.search("c", "q", k=3, wait=1), answers.Found)
    assert_type(await later.documents("c", ["a"]), answers.Documents)
    session.search("c", "q", patience=1)  # type: ignore[call-arg]
    session.search("c", "q", mode="fuzzy")  # type: ignore[arg-type]
    later.search("c", "q").results  # type: ignore[attr-defined]  # noqa: B018


def test_a_new_session_has_seen_nothing() -> None:
    """Its token is a token all the same: that of nothing."""
    assert Session(NOWHERE, NOWHERE).token == Version().token()
