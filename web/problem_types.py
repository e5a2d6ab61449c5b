"""The types of problems, for those who must tell them apart: what each means, and what it carries beside RFC 9457's.

A test holds this list against the code that raises them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

Schema = dict[str, Any]


class ProblemType(msgspec.Struct, frozen=True):
    """A type's usual status, what it means, and which extension members (of `MEMBERS` or a service's own) it has."""

    status: int
    about: str
    members: tuple[str, ...] = ()


MEMBERS: Mapping[str, Schema] = {
    "field": {"type": "string", "description": "The member, parameter or header at fault."},
    "outcome": {
        "enum": ["not_written", "unknown"],
        "description": "`not_written`: never handed to Kafka. `unknown`: may be in the log; repeating is safe.",
    },
    "missing": {"type": "object", "additionalProperties": {"type": "string"}},
    "dependencies": {"type": "object", "additionalProperties": {"type": "string"}},
    "notes": {"type": "object", "additionalProperties": {"type": "string"}},
}

SHARED: Mapping[str, ProblemType] = {
    "unreadable-body": ProblemType(400, "The body is not JSON, or not UTF-8.", ("field",)),
    "cut-off": ProblemType(400, "The client went away while it sent the body.", ("field",)),
    "no-such-path": ProblemType(404, "Nothing is served at this path."),
    "method-not-allowed": ProblemType(405, "The path does not answer to this method; `Allow` says to which."),
    "too-large": ProblemType(413, "More than is taken at once.", ("field",)),
    "unsupported-encoding": ProblemType(415, "A body with a `Content-Encoding`.", ("field",)),
    "invalid-input": ProblemType(422, "`field` breaks the contract; nothing was written.", ("field",)),
    "refused": ProblemType(400, "HTTP that the server itself refuses; the status is HTTP's own."),
    "internal-error": ProblemType(500, "A fault of the service; its log says more."),
    "generation-outdated": ProblemType(
        503, "Another version of Nenrin made the tables; they have to be made anew from the log."
    ),
    "newer-schema": ProblemType(503, "A later version of Nenrin has migrated the database: replace this one."),
    "stopping": ProblemType(503, "The service is about to end; another one, or the next, answers."),
    "not-ready": ProblemType(503, "Something that an answer needs is missing.", ("missing", "dependencies", "notes")),
}
"""What both services answer with."""
