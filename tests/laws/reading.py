"""What a reader asks, as contract 4 has it, and the law that each answer must keep."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from tests.oracle import Oracle, Version

LAG = re.compile(r"(?:events=(?P<events>\d+), seconds=(?P<seconds>[\d.e+-]+), )?state=(?P<state>[a-z_]+)")
APPENDED = 0.5  # a record is in the log a little after it got its time
STATES = {"live", "catching_up", "stalled", "unknown"}


class Question(Protocol):
    """One call of the query service, and what a good answer shows."""

    @property
    def projection(self) -> str:
        """The projection that answers."""
        ...

    def request(self) -> tuple[str, str, Any]:
        """Method, path and JSON body."""
        ...

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        """Raise AssertionError unless this is the fold at the version."""
        ...


@dataclass(frozen=True)
class GetDocument:
    """One document by its id."""

    collection: str
    document_id: str
    projection = "documents"

    def request(self) -> tuple[str, str, Any]:
        return "GET", f"/v1/collections/{self.collection}/documents/{encoded(self.document_id)}", None

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        expected = oracle.document(version, self.collection, self.document_id)
        assert status == (404 if expected is None else 200)
        assert body.get("document") == expected


@dataclass(frozen=True)
class GetDocuments:
    """Some documents in one answer, in the order asked."""

    collection: str
    ids: Sequence[str]
    projection = "documents"

    def request(self) -> tuple[str, str, Any]:
        return "POST", f"/v1/collections/{self.collection}/documents/get", {"ids": list(self.ids)}

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        assert body["documents"] == [oracle.document(version, self.collection, one) for one in self.ids]


@dataclass(frozen=True)
class ListDocuments:
    """A page; `after` is the last id of the page before, which the cursor stands for."""

    collection: str
    limit: int
    after: str = ""
    cursor: str | None = None
    projection = "documents"

    def request(self) -> tuple[str, str, Any]:
        cursor = f"&cursor={quote(self.cursor, safe='')}" if self.cursor else ""
        return "GET", f"/v1/collections/{self.collection}/documents?limit={self.limit}{cursor}", None

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        left = [one for one in oracle.documents(version, self.collection) if one["document_id"] > self.after]
        assert body["documents"] == [without_text(one) for one in left[: self.limit]]
        assert body["next_cursor"] is not None or len(left) <= self.limit
        assert body["next_cursor"] is None or len(left) >= self.limit


@dataclass(frozen=True)
class CountCollections:
    """All collections; passages are at least one for each document that has words."""

    projection = "passages"

    def request(self) -> tuple[str, str, Any]:
        return "GET", "/v1/collections", None

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        shown = {one["name"]: one["documents"] for one in body["collections"] if one["documents"]}
        assert shown == oracle.counts(version)
        for one in body["collections"]:
            worded = [document for document in oracle.documents(version, one["name"]) if document["text"].strip()]
            assert one["passages"] >= len(worded)


@dataclass(frozen=True)
class SearchText:
    """Documents whose text has this word, which no stemmer changes and no title has."""

    collection: str
    word: str
    k: int
    projection = "passages"

    def request(self) -> tuple[str, str, Any]:
        asked = {"query": self.word, "mode": "text", "k": self.k}
        return "POST", f"/v1/collections/{self.collection}/search", asked

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        matching = [
            one["document_id"] for one in oracle.documents(version, self.collection) if self.word in one["text"].split()
        ]
        found = [one["document_id"] for one in body["results"]]
        assert len(found) == min(self.k, len(matching)), (sorted(found), matching)
        assert set(found) <= set(matching), (sorted(found), matching)
        check_results(oracle, version, self.collection, body["results"])
        assert all(self.word in one["passage"]["text"].split() for one in body["results"])


@dataclass(frozen=True)
class SearchDense:
    """The nearest documents, of which some may be missed, but none may be untrue."""

    collection: str
    asked: Mapping[str, Any]
    k: int
    projection = "passages"

    def request(self) -> tuple[str, str, Any]:
        return "POST", f"/v1/collections/{self.collection}/search", {**self.asked, "mode": "dense", "k": self.k}

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        assert len(body["results"]) <= self.k
        check_results(oracle, version, self.collection, body["results"])


@dataclass(frozen=True)
class SearchHybrid:
    """The best documents by meaning and by words together; each is true, and with few of them all matches are there.

    The word is one that no stemmer changes and no title has: whoever has it has a score.
    """

    collection: str
    word: str
    k: int
    projection = "passages"

    def request(self) -> tuple[str, str, Any]:
        return "POST", f"/v1/collections/{self.collection}/search", {"query": self.word, "mode": "hybrid", "k": self.k}

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        check_results(oracle, version, self.collection, body["results"])
        documents = oracle.documents(version, self.collection)
        matching = {one["document_id"] for one in documents if self.word in one["text"].split()}
        found = {one["document_id"] for one in body["results"]}
        assert len(found) >= min(self.k, len(matching)), (sorted(found), sorted(matching))
        assert len(found) == self.k or matching <= found, (sorted(found), sorted(matching))


@dataclass(frozen=True)
class ShowProjection:
    """A projection and its generations in one snapshot: there its lag is heads minus version, to the event."""

    projection: str

    def request(self) -> tuple[str, str, Any]:
        return "GET", f"/v1/projections/{self.projection}", None

    def law(self, oracle: Oracle, version: Version, status: int, body: Any) -> None:
        assert status == 200
        (live,) = [one for one in body["generations"] if one["generation"] == body["live"]]
        same = ("generation", "encoder", "version", "lag_events", "lag_seconds", "state", "head_observed_at", "parked")
        assert {name: live[name] for name in same} == {name: body["projection"][name] for name in same}
        assert live["digest"]["documents"] == len(oracle.documents(version))
        heads = live["heads"]["documents"]
        assert set(heads) == {str(at) for at in oracle.positions}
        if live["lag_events"] is not None:
            assert live["lag_events"] == sum(max(0, head - version.get(int(at), 0)) for at, head in heads.items())


@dataclass(frozen=True)
class Answer:
    """What came back, the token that the asker had passed on, and what else it had asked for."""

    question: Question
    at_least: str | None
    status: int
    headers: Mapping[str, str]
    body: Any
    lenient: bool = False
    max_lag: float | None = None

    @property
    def token(self) -> str:
        """The version that it shows."""
        token: str = self.body["projection"]["version"]
        return token

    def judge(self, oracle: Oracle) -> None:
        """Raise AssertionError, with everything in it, unless the law holds."""
        version = oracle.version(self.token)
        oracle.read_past(version, 30)
        try:
            self._check(oracle, version)
        except AssertionError as broken:
            raise AssertionError(f"{broken}\nversion {dict(version)} of {self}") from broken

    def _check(self, oracle: Oracle, version: Version) -> None:
        check_projection(oracle, version, self.question.projection, self.body["projection"])
        check_headers(self.headers, self.body["projection"])
        floor = oracle.version(self.at_least) if self.at_least else {}
        behind = {str(at): offset - version.get(at, 0) for at, offset in floor.items() if version.get(at, 0) < offset}
        lag = self.body["projection"]["lag_seconds"]
        too_old = self.max_lag is not None and (lag is None or lag > self.max_lag)
        if self.status == 412:
            assert self.body["type"].endswith("/problems/projection-behind")
            assert self.body["shortfall"] == ({"documents": behind} if behind else {})
            assert behind or too_old
            assert not self.lenient
            assert "retry-after" in self.headers
            return
        assert self.lenient or not behind, f"the reader had passed on {dict(floor)}"
        assert self.lenient or not too_old, f"the reader allows {self.max_lag} s"
        self.question.law(oracle, version, self.status, self.body)


async def ask(  # noqa: PLR0913  # the conditions that a request may have
    client: httpx.AsyncClient,
    question: Question,
    at_least: str | None = None,
    wait: float = 0,
    *,
    lenient: bool = False,
    max_lag: float | None = None,
) -> Answer | None:
    """The answer; None while the service is down or says that it can't yet."""
    method, path, body = question.request()
    headers = {"Prefer": f"wait={wait:g}" + (", handling=lenient" if lenient else "")}
    headers |= {"Nenrin-At-Least": at_least} if at_least else {}
    headers |= {} if max_lag is None else {"Nenrin-Max-Lag": f"{max_lag:g}"}
    try:
        reply = await client.request(method, path, json=body, headers=headers)
    except httpx.TransportError:
        return None
    if reply.status_code == 503:
        return None
    assert reply.status_code in (200, 404, 412), (question, reply.text)
    return Answer(question, at_least, reply.status_code, reply.headers, reply.json(), lenient, max_lag)


def encoded(document_id: str) -> str:
    """An id as it stands in a path; the dots too, which this client would otherwise take for folders."""
    return quote(document_id, safe="").replace(".", "%2E")


def written_token(version: Version, incarnation: str) -> str:
    """A token as contract 3 has it, made by a client."""
    content = {"v": 1, "o": {"documents": {str(at): offset for at, offset in version.items()}}}
    whole = content | {"i": {"documents": incarnation}}
    return base64.urlsafe_b64encode(json.dumps(whole, separators=(",", ":")).encode()).decode().rstrip("=")


def check_projection(oracle: Oracle, version: Version, name: str, told: Mapping[str, Any]) -> None:
    """Freshness as contract 4 has it, as far as it can be known from outside."""
    assert told["name"] == name
    assert (told["encoder"] is None) == (name == "documents")
    assert isinstance(told["generation"], int)
    assert told["state"] in STATES
    assert told["parked"] == len(oracle.parked(version)), oracle.parked(version)
    unknown = told["state"] == "unknown"
    assert (told["lag_events"] is None, told["lag_seconds"] is None) == (unknown, unknown)
    if not unknown:
        assert (told["lag_events"] > 0) == (told["lag_seconds"] > 0)
        assert datetime.fromisoformat(told["head_observed_at"]).tzinfo is not None


def lag_bounds(oracle: Oracle, answer: Answer, received: float) -> tuple[int, int]:
    """The least and the most events that an answer may lack, by the broker's times of the records around it.

    All that was stamped well before the heads were observed counts, nothing that was stamped after the answer was
    `received` (seconds since the epoch). The oracle must have read beyond that.
    """
    told, version = answer.body["projection"], oracle.version(answer.token)
    observed = datetime.fromisoformat(told["head_observed_at"]).timestamp() - APPENDED
    least = most = 0
    for at, log in oracle.log.items():
        before = [one.offset + 1 for one in log if one.time < observed * 1000]
        after = [one.offset for one in log if one.time > received * 1000]
        least += max(0, (before[-1] if before else 0) - version.get(at, 0))
        most += max(0, (after[0] if after else oracle.positions[at]) - version.get(at, 0))
    return least, most


def check_headers(headers: Mapping[str, str], told: Mapping[str, Any]) -> None:
    """The headers say what the body says."""
    assert headers["nenrin-version"] == told["version"]
    lag = LAG.fullmatch(headers["nenrin-lag"])
    assert lag, headers["nenrin-lag"]
    assert lag["state"] == told["state"]
    assert (lag["events"] is None) == (told["lag_events"] is None)
    if lag["events"] is not None:
        assert int(lag["events"]) == told["lag_events"]
        assert abs(float(lag["seconds"]) - told["lag_seconds"]) < 0.01


def check_results(oracle: Oracle, version: Version, collection: str, results: Sequence[Mapping[str, Any]]) -> None:
    """Each hit is a document of the fold, with its exact title, metadata and piece of text, once, in order."""
    for one in results:
        document = oracle.document(version, collection, one["document_id"])
        assert document is not None, one
        passage = one["passage"]
        assert (one["title"], one["metadata"]) == (document["title"], document["metadata"]), (one, document)
        assert passage["text"] == document["text"][passage["start"] : passage["end"]] != "", (one, document)
    order = [(-one["score"], one["document_id"]) for one in results]
    assert order == sorted(set(order)), order
    assert len({one["document_id"] for one in results}) == len(results), order


def without_text(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as lists show it."""
    return {name: value for name, value in document.items() if name != "text"}
