"""The query service's words in its OpenAPI document."""

from typing import Any

import msgspec

from projections.reading import Standing
from schemas.documents import CollectionName, DocumentId
from schemas.versions import Version
from services.query.conditions import LONGEST_WAIT
from services.query.requests import MOST, PAGE
from web.documenting import Call, Json, Vocabulary
from web.problem_types import ProblemType

_TOKEN = Version({"documents": {0: 41, 1: 17, 2: 18, 3: 9}}, {"documents": "bGV0dGVycy1hbmQtZGlnaXRz"}).token()
_ENCODER = "all-minilm-l6-v2-1a2b3c4d"
_SEEN: Json = {
    "version": _TOKEN,
    "lag_events": 0,
    "lag_seconds": 0.0,
    "state": "live",
    "head_observed_at": "2026-11-21T13:30:00.125+00:00",
    "parked": 0,
}
_PASSAGES = {"name": "passages", "generation": 1, "encoder": _ENCODER, **_SEEN}
_DOCUMENTS = {"name": "documents", "generation": 1, "encoder": None, **_SEEN}
_METADATA = {"lang": "en", "year": 2024}
_LISTED = {
    "collection": "handbook",
    "document_id": "guides/rings.md",
    "title": "Rings",
    "metadata": _METADATA,
    "source_uri": "https://example.org/rings",
    "added_at": "2026-11-21T13:29:58.731Z",
    "source": {"topic": "documents", "partition": 2, "offset": 17},
}
_DOCUMENT = {**_LISTED, "text": "A tree adds one ring every year."}
_SEARCH = {"query": "what do tree rings record?", "k": 3, "filter": {"lang": "en", "year": {"$gte": 2020}}}
_FOUND = {
    "document_id": "guides/rings.md",
    "title": "Rings",
    "score": 0.7312,
    "passage": {"ordinal": 0, "start": 0, "end": 32, "text": "A tree adds one ring every year."},
    "metadata": _METADATA,
}

_ABOUT = f"""\
Reads Postgres, never Kafka. Every answer says exactly how much of the log it has seen: `Nenrin-Version` is a token of
it, `Nenrin-Lag` how far that is behind.

- **Read your own writes**: send the token of a write as `Nenrin-At-Least`, and how long you would wait for it as
  `Prefer: wait=5` (seconds, at most {LONGEST_WAIT:g}).
- **Bounded staleness**: `Nenrin-Max-Lag: 2` refuses an answer that is more than two seconds old. An unknown lag never
  meets it.
- What isn't reached is a `412` with the shortfall, or the stale answer all the same with `Prefer: handling=lenient`."""

_TOKEN_SCHEMA: Json = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}
_READ = ("Nenrin-At-Least", "Nenrin-Max-Lag", "Prefer", "Nenrin-Generation", "traceparent")
_SAYS = ("Nenrin-Version", "Nenrin-Lag", "Preference-Applied")
_LINKS = (*_SAYS, "Link")


def _in(place: str, name: str, schema: Json, about: str, **more: Any) -> Json:
    return {"name": name, "in": place, "description": about, "schema": schema, **more}


def _in_path(name: str, schema: Json, about: str) -> Json:
    return _in("path", name, schema, about, required=True)


_PARAMETERS = {
    "collection": _in_path("collection", msgspec.json.schema(CollectionName), "A collection."),
    "document_id": _in_path(
        "document_id",
        msgspec.json.schema(DocumentId),
        "Percent-encoded once: `/` as `%2F`. Nothing in it is normalised.",
    ),
    "name": _in_path("name", {"type": "string", "examples": ["documents", "passages"]}, "A projection."),
    "topic": _in_path(
        "topic",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,249}$", "examples": ["documents"]},
        "Of the parked record.",
    ),
    "partition": _in_path(
        "partition", {"type": "integer", "minimum": 0, "maximum": 10**9 - 1}, "Of the parked record."
    ),
    "offset": _in_path("offset", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, "Of the parked record."),
    "limit": _in(
        "query",
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST},
        f"How many at most; {PAGE} documents, or {MOST:,} parked events, where nothing is said.",
    ),
    "cursor": _in("query", "cursor", {"type": "string"}, "`next_cursor` of the page before, unchanged."),
    "Nenrin-At-Least": _in(
        "header",
        "Nenrin-At-Least",
        _TOKEN_SCHEMA,
        "A version token: the answer has seen at least this much. Sent twice, the tokens are merged.",
    ),
    "Nenrin-Max-Lag": _in(
        "header",
        "Nenrin-Max-Lag",
        {"type": "number", "minimum": 0},
        "Seconds that the answer may lag behind the log at most; an unknown lag is too much.",
    ),
    "Prefer": _in(
        "header",
        "Prefer",
        {"type": "string", "examples": ["wait=5", "wait=5, handling=lenient"]},
        f"RFC 7240. `wait`: seconds to wait for `Nenrin-At-Least`, at most {LONGEST_WAIT:g}, 0 by default. "
        "`handling=lenient`: the stale answer instead of a 412.",
    ),
    "Nenrin-Generation": _in(
        "header", "Nenrin-Generation", {"type": "integer", "minimum": 0}, "Another generation than the live one."
    ),
    "traceparent": _in("header", "traceparent", {"type": "string"}, "W3C Trace Context: the caller's span."),
}

_HEADERS = {
    "Nenrin-Version": {"description": "The version of the answer, as a token.", "schema": _TOKEN_SCHEMA},
    "Nenrin-Lag": {
        "description": "How far that is behind; without numbers where nobody knows.",
        "schema": {
            "type": "string",
            "pattern": r"^(events=[0-9]+, seconds=[0-9.e-]+, state=(live|catching_up|stalled)|state=unknown)$",
            "examples": ["events=5, seconds=0.41, state=live", "state=unknown"],
        },
    },
    "Preference-Applied": {
        "description": "Which preferences were honoured, waiting needed or not.",
        "schema": {"type": "string", "examples": ["wait=5"]},
    },
    "Link": {
        "description": "RFC 8288. Links to the first 10 documents of the answer whose events carried a trace, "
        '`rel="item"` (`rel="self"` for the one document asked for), with it as the parameter `traceparent`.',
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 0},
    },
}

_PROBLEMS = {
    "malformed-token": ProblemType(
        400, "`Nenrin-At-Least` is no token, or names a topic or partition that doesn't exist.", ("field",)
    ),
    "broken-cursor": ProblemType(400, "`cursor` is of no page.", ("field",)),
    "no-such-document": ProblemType(404, "There is none at the version that `projection` tells.", ("projection",)),
    "no-such-parked-event": ProblemType(404, "Nothing is parked there, at that version.", ("projection",)),
    "no-such-generation": ProblemType(
        404, "`Nenrin-Generation` doesn't exist, or its rows are still loaded.", ("field", "projection")
    ),
    "no-such-projection": ProblemType(404, "No projection of this name."),
    "other-incarnation": ProblemType(
        410, "The token is of a topic that was recreated: forget it, and read again.", ("field",)
    ),
    "projection-behind": ProblemType(412, "The answer would be older than was asked for.", ("shortfall", "projection")),
    "database-away": ProblemType(503, "Postgres cannot be reached."),
    "not-installed": ProblemType(503, "`nenrin init` hasn't been here, or a generation was just dropped."),
    "too-many-waiters": ProblemType(503, "As many requests wait as the service will hold."),
    "encoder-not-loaded": ProblemType(
        503, "The generation's encoder is not loaded yet; `text` mode and vectors are answered meanwhile.", ("field",)
    ),
    "other-encoder": ProblemType(
        503, "The generation was made with an encoder that nobody has added here.", ("field",)
    ),
}

_MEMBERS: dict[str, Json] = {
    "projection": {"$ref": "#/components/schemas/Standing"},
    "shortfall": {
        "type": "object",
        "description": "Events that are missing, by topic and partition; empty where only the lag is too high.",
        "additionalProperties": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "examples": [{"documents": {"0": 3}}],
    },
}

VOCABULARY = Vocabulary(
    "Nenrin query service",
    about=_ABOUT,
    tags={
        "Search": "By meaning, by words, by both; and what can be searched.",
        "Documents": "As they were last written.",
        "Projections": "Generations, positions, lag, and what was parked.",
        "Status": "How the service is.",
    },
    calls={
        "search": Call("Search", _READ, _LINKS, _SEARCH, {"results": [_FOUND], "projection": _PASSAGES}),
        "list_collections": Call(
            "Search",
            _READ,
            _SAYS,
            None,
            {"collections": [{"name": "handbook", "documents": 12, "passages": 97}], "projection": _PASSAGES},
        ),
        "get_document": Call("Documents", _READ, _LINKS, None, {"document": _DOCUMENT, "projection": _DOCUMENTS}),
        "get_documents": Call(
            "Documents",
            _READ,
            _LINKS,
            {"ids": ["guides/rings.md", "nowhere"]},
            {"documents": [_DOCUMENT, None], "projection": _DOCUMENTS},
        ),
        "list_documents": Call(
            "Documents",
            ("limit", "cursor", *_READ),
            _LINKS,
            None,
            {"documents": [_LISTED], "next_cursor": None, "projection": _DOCUMENTS},
        ),
        "list_projections": Call("Projections", _READ, _SAYS),
        "get_projection": Call("Projections", _READ, _SAYS),
        "list_parked": Call("Projections", ("limit", "cursor", *_READ), _SAYS),
        "get_parked": Call("Projections", _READ, _SAYS),
    },
    parameters=_PARAMETERS,
    headers=_HEADERS,
    problems=_PROBLEMS,
    members=_MEMBERS,
    problem_headers={404: _SAYS, 412: (*_SAYS, "Retry-After"), 503: ("Retry-After",)},
    shapes=(Standing,),
)
