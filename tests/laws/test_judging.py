"""The judge must be able to say no: true answers pass, and each way to falsify one is seen."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.laws.derived import Derived, applied
from tests.laws.events import INVALID, Place, Straight, added, removed
from tests.laws.reading import (
    Answer,
    CountCollections,
    GetDocument,
    GetDocuments,
    ListDocuments,
    Question,
    SearchHybrid,
    SearchText,
    ShowProjection,
    lag_bounds,
    without_text,
    written_token,
)
from tests.oracle import Oracle

Body = dict[str, Any]
TEXTS = {"a": "word1x one", "b": "word1x two", "c": "three"}


@pytest.fixture(scope="module")
def oracle(kafka: str) -> Oracle:
    """A log of one partition: three documents, one of them replaced before, one removed one, one parked event."""
    admin = AdminClient({"bootstrap.servers": kafka})
    topic = "judging.documents"
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result()
    producer = Straight(kafka, "judging.")
    for event in (added("c", "a", "before"), added("c", "d", "gone"), removed("c", "d")):
        producer.send(event)
    for name, text in TEXTS.items():
        producer.send(added("c", name, text, title=f"title of {name}", metadata={"n": [1, None]}))
    assert producer.send(INVALID["no text"]("c", "bad")) == Place(0, 6)
    judge = Oracle(kafka, "judging.")
    judge.read_past({0: 7}, 20)
    return judge


def true_answer(oracle: Oracle, question: Question) -> Answer:
    """What an honest service says at the end of the log."""
    version = {0: 7}
    told = {
        "name": question.projection,
        "generation": 1,
        "encoder": None if question.projection == "documents" else "some-encoder",
        "version": written_token(version, oracle.incarnation),
        "lag_events": 0,
        "lag_seconds": 0,
        "state": "live",
        "head_observed_at": "2026-01-01T00:00:00.000Z",
        "parked": 1,
    }
    documents = oracle.documents(version, "c")
    live = {name: value for name, value in told.items() if name != "name"}
    live |= {"heads": {"documents": {"0": 7}}, "digest": {"documents": 3}}
    bodies: dict[type, Body] = {
        GetDocument: {"document": documents[0]},
        GetDocuments: {"documents": [documents[1], None, documents[0]]},
        ListDocuments: {"documents": [without_text(one) for one in documents[:2]], "next_cursor": "x"},
        CountCollections: {"collections": [{"name": "c", "documents": 3, "passages": 3}]},
        SearchText: {"results": [hit(one, 0.5 - place / 10) for place, one in enumerate(documents[:2])]},
        SearchHybrid: {"results": [hit(one, 0.5 - place / 10) for place, one in enumerate(documents)]},
        ShowProjection: {"live": 1, "generations": [live]},
    }
    headers = {"nenrin-version": str(told["version"]), "nenrin-lag": "events=0, seconds=0.0, state=live"}
    return Answer(question, None, 200, headers, deepcopy(bodies[type(question)]) | {"projection": told})


def hit(document: Body, score: float) -> Body:
    """A search result that is true."""
    passage = {"ordinal": 0, "start": 0, "end": len(document["text"]), "text": document["text"]}
    shown = {name: document[name] for name in ("document_id", "title", "metadata")}
    return {**shown, "score": score, "passage": passage}


QUESTIONS: dict[str, Question] = {
    "document": GetDocument("c", "a"),
    "documents": GetDocuments("c", ["b", "d", "a"]),
    "page": ListDocuments("c", 2),
    "counts": CountCollections(),
    "search": SearchText("c", "word1x", 10),
    "hybrid": SearchHybrid("c", "word1x", 10),
    "projection": ShowProjection("documents"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_true_answer_passes(oracle: Oracle, name: str) -> None:
    """The judge finds nothing where there is nothing to find."""
    true_answer(oracle, QUESTIONS[name]).judge(oracle)


def changed(name: str, value: Any) -> Callable[[Body], object]:
    """A projection that says something else about itself."""
    return lambda body: body["projection"].update({name: value})


def live(body: Body) -> Body:
    """The live generation, as a projection shows it."""
    (generation,) = body["generations"]
    return generation  # type: ignore[no-any-return]


LIES: dict[str, tuple[str, Callable[[Body], object]]] = {
    "an old text": ("document", lambda body: body["document"].update(text="before")),
    "another place": ("document", lambda body: body["document"]["source"].update(offset=0)),
    "another time": ("document", lambda body: body["document"].update(added_at="2026-01-01T00:00:00.000Z")),
    "a removed document": ("documents", lambda body: body["documents"].__setitem__(1, body["documents"][0])),
    "a missing document": ("documents", lambda body: body["documents"].__setitem__(0, None)),
    "a short page": ("page", lambda body: body["documents"].pop()),
    "a list that ends too soon": ("page", lambda body: body.update(next_cursor=None)),
    "a wrong count": ("counts", lambda body: body["collections"][0].update(documents=4)),
    "no collection": ("counts", lambda body: body["collections"].clear()),
    "fewer passages than documents": ("counts", lambda body: body["collections"][0].update(passages=2)),
    "a missing hit": ("search", lambda body: body["results"].pop()),
    "a hit twice": ("search", lambda body: body["results"].__setitem__(1, body["results"][0])),
    "a wrong order": ("search", lambda body: body["results"].reverse()),
    "a wrong piece": ("search", lambda body: body["results"][0]["passage"].update(start=1)),
    "wrong metadata": ("search", lambda body: body["results"][0].update(metadata={})),
    "a missing match of both": ("hybrid", lambda body: body["results"].pop(0)),
    "a removed hit": ("hybrid", lambda body: body["results"][2].update(document_id="d")),
    "a lag that is not heads minus version": (
        "projection",
        lambda body: live(body)["heads"]["documents"].update({"0": 8}),
    ),
    "a head too few": ("projection", lambda body: live(body)["heads"]["documents"].clear()),
    "a digest of more": ("projection", lambda body: live(body)["digest"].update(documents=4)),
    "a generation with another lag": ("projection", lambda body: live(body).update(lag_events=1)),
    "too few parked": ("document", changed("parked", 0)),
    "a version that is not the header's": ("document", changed("version", "")),
    "an unknown lag shown as 0": ("document", changed("state", "unknown")),
    "a lag without an age": ("search", changed("lag_events", 3)),
    "an encoder that made no documents": ("document", changed("encoder", "some-encoder")),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_seen(oracle: Oracle, lie: str) -> None:
    """Each of these would pass a test that only looks for success."""
    name, falsify = LIES[lie]
    answer = true_answer(oracle, QUESTIONS[name])
    falsify(answer.body)
    with pytest.raises((AssertionError, ValueError)):
        answer.judge(oracle)


def test_a_reader_that_goes_back_is_seen(oracle: Oracle) -> None:
    """An answer below the token that was passed on is untrue, whatever it shows."""
    answer = true_answer(oracle, QUESTIONS["document"])
    ahead = Answer(
        answer.question, written_token({0: 8}, oracle.incarnation), answer.status, answer.headers, answer.body
    )
    with pytest.raises(AssertionError):
        ahead.judge(oracle)


def test_a_condition_that_was_not_kept_is_seen(oracle: Oracle) -> None:
    """A strict answer that is older than allowed is untrue; a lenient one may be, and must still be a fold."""
    strict = replace(true_answer(oracle, QUESTIONS["document"]), max_lag=0.5)
    strict.judge(oracle)
    strict.body["projection"].update(lag_events=1, lag_seconds=2.0)
    late = replace(strict, headers=strict.headers | {"nenrin-lag": "events=1, seconds=2.0, state=live"})  # type: ignore[operator]
    with pytest.raises(AssertionError, match=r"allows 0\.5 s"):
        late.judge(oracle)
    lenient = replace(late, lenient=True)
    lenient.judge(oracle)
    lenient.body["document"].update(text="before")
    with pytest.raises(AssertionError):
        lenient.judge(oracle)


def test_how_many_events_an_answer_may_lack_is_known_by_the_brokers_times(oracle: Oracle) -> None:
    """What was stamped well before the heads were seen counts, what was stamped after the answer came does not."""
    answer = true_answer(oracle, QUESTIONS["document"])
    answer.body["projection"]["version"] = written_token({0: 4}, oracle.incarnation)
    times = [record.time / 1000 for record in oracle.log[0]]
    for observed, received, bounds in (
        (times[-1] + 5, times[-1] + 5, (3, 3)),
        (times[0] - 5, times[-1] + 5, (0, 3)),
        (times[0] - 5, times[0] - 1, (0, 0)),
    ):
        seen = datetime.fromtimestamp(observed, UTC).isoformat()
        answer.body["projection"]["head_observed_at"] = seen
        assert lag_bounds(oracle, answer, received) == bounds


def derived(start: int, following: int) -> Derived:
    """A record of the derived topic that covers so much."""
    return Derived(
        b"", "nenrin.passages.removed.v1", {"source": {"from": start, "next": following, "offset": following - 1}}
    )


def test_a_hole_in_the_chain_is_seen_and_a_duplicate_dropped() -> None:
    """The coverage rule, as a reader applies it."""
    whole, again, after = derived(0, 3), derived(0, 3), derived(3, 5)
    assert list(applied([whole, again, after, whole])) == [whole, after]
    with pytest.raises(AssertionError, match="a gap"):
        list(applied([whole, derived(4, 5)]))
