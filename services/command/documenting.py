"""The command service's words in its OpenAPI document."""

from typing import Any

import msgspec

from schemas.documents import CollectionName, DocumentId
from schemas.versions import Version
from web.documenting import Call, Json, Vocabulary
from web.problem_types import ProblemType

_TOKEN = Version({"documents": {2: 18}}, {"documents": "bGV0dGVycy1hbmQtZGlnaXRz"}).token()
_DOCUMENT: Json = {
    "text": "A tree adds one ring every year.",
    "title": "Rings",
    "metadata": {"lang": "en", "year": 2024, "tags": ["wood", "time"]},
    "source_uri": "https://example.org/rings",
}
_LINE: Json = {"document_id": "guides/rings.md", **_DOCUMENT}
_WRITTEN = {"document_id": "guides/rings.md", "version": _TOKEN}

_ABOUT = """\
Takes writes and answers when Kafka has them, acknowledged by all in-sync replicas.

Every answer holds a version token. Send it with a read (`Nenrin-At-Least`), and the read has seen the write. Refusals
are [problems](https://www.rfc-editor.org/rfc/rfc9457) that name the field at fault; `outcome` says whether anything may
have been written. Repeating a write is always safe."""


def _in_path(name: str, type_: Any, about: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": about,
        "schema": msgspec.json.schema(type_),
    }


def _given(description: str) -> Json:
    return {"type": "string", "description": description}


VOCABULARY = Vocabulary(
    "Nenrin command service",
    about=_ABOUT,
    tags={
        "Documents": "Add, replace and remove documents.",
        "Collections": "Whole collections at once.",
        "Status": "How the service is.",
    },
    calls={
        "put_document": Call("Documents", ("traceparent",), ("Nenrin-Version",), _DOCUMENT, _WRITTEN),
        "delete_document": Call("Documents", ("traceparent",), ("Nenrin-Version",), None, _WRITTEN),
        "post_documents": Call(
            "Collections",
            ("traceparent",),
            ("Nenrin-Version",),
            _LINE,
            {
                "accepted": 2,
                "rejected_count": 1,
                "rejected": [{"line": 3, "error": "text: missing"}],
                "version": _TOKEN,
            },
        ),
        "delete_collection": Call(
            "Collections",
            ("traceparent",),
            ("Nenrin-Version",),
            None,
            {"collection": "handbook", "removed": 2, "version": _TOKEN},
        ),
    },
    parameters={
        "collection": _in_path("collection", CollectionName, "A collection; it needs no making."),
        "document_id": _in_path(
            "document_id", DocumentId, "Percent-encoded once: `/` as `%2F`. Nothing in it is normalised."
        ),
        "traceparent": {
            "name": "traceparent",
            "in": "header",
            "description": "W3C Trace Context. It travels with the event to the row, and back in an answer's `Link`.",
            "schema": {"type": "string"},
        },
    },
    headers={
        "Nenrin-Version": {
            "description": "The version token that covers the write.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        },
        "Retry-After": {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer", "minimum": 0},
        },
    },
    problems={
        "log-away": ProblemType(
            503,
            "Kafka did not acknowledge within 5 seconds, or 100 bulk calls are open already. `outcome` says what that "
            "means; cut off in the middle of a bulk call, the other members say how far it is.",
            (
                "outcome",
                "accepted",
                "last_line",
                "rejected_count",
                "rejected",
                "version",
            ),
        ),
        "removal-cut-off": ProblemType(
            503,
            "The removal of a collection ended before all of it was removed; `detail` says why. Call it again to go "
            "on. With `shortfall`, the `documents` projection has not seen everything written before the call.",
            ("outcome", "removed", "last_document_id", "version", "shortfall"),
        ),
    },
    members={
        "accepted": {"type": "integer", "minimum": 0, "description": "Lines that are in the log."},
        "last_line": {"type": "integer", "minimum": 0, "description": "Every valid line up to this one is in the log."},
        "rejected_count": {"type": "integer", "minimum": 0},
        "rejected": {"type": "array", "items": {"$ref": "#/components/schemas/Rejected"}},
        "removed": {"type": "integer", "minimum": 0, "description": "Documents that were removed before the fault."},
        "last_document_id": {"type": ["string", "null"], "description": "The last of them."},
        "version": _given("The token that covers what was written."),
        "shortfall": {
            "type": "object",
            "description": "How many offsets the projection lacks, by topic and partition.",
            "additionalProperties": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        },
    },
    problem_headers={503: ("Retry-After",)},
)
