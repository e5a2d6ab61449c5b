"""What can go wrong between a client and a stack.

NenrinError
├── NoStack               nothing says where the services are
├── MalformedToken        a version token that cannot be read; of `schemas.errors`
├── Unreachable           no answer: nothing listens there, or it took too long
├── UnexpectedAnswer      an answer that no Nenrin service gives
└── Problem               problem+json (RFC 9457)
    ├── Refused           4xx: asking again won't help; `field` names the member at fault, where there is one
    │   ├── NotThere      404: no such document, generation or path
    │   └── TopicRecreated  410: the session's version belongs to a topic that is gone; begin a new one, or `forget()`
    ├── Behind            412: not as fresh as was asked for; `shortfall` counts what is missing
    └── Unavailable       503: try again; `outcome` says what became of a write
        └── CutOff        a call of many events that stopped part-way; says how far it came
"""

from typing import Any, Self

import msgspec

from nenrin.client.answers import Projection, RejectedLine
from schemas.errors import NenrinError


class NoStack(NenrinError):
    """There is no running stack where one was looked for."""


class Unreachable(NenrinError):
    """Nothing answers there, or not in time. A write may or may not have happened; repeating it is safe."""


class UnexpectedAnswer(NenrinError):
    """What answered is not a Nenrin service, or one of another version."""


class Details(msgspec.Struct, frozen=True):
    """The members of a problem that every client may want; the rest stays in `Problem.body`."""

    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    field: str = ""
    outcome: str = ""
    shortfall: dict[str, dict[str, int]] = {}
    projection: Projection | None = None
    version: str | None = None
    accepted: int | None = None
    last_line: int | None = None
    rejected_count: int = 0
    rejected: list[RejectedLine] = []
    removed: int | None = None
    last_document_id: str | None = None


class Problem(NenrinError):
    """An answer that says why there is no other. `body` is the problem as it came; `retry_after` is in seconds."""

    def __init__(self, status: int, details: Details, body: dict[str, Any], retry_after: float | None = None) -> None:
        super().__init__(f"{details.title}: {details.detail}" if details.detail else details.title or f"HTTP {status}")
        self.status = status
        self.details = details
        self.body = body
        self.retry_after = retry_after


class Refused(Problem):
    """The request breaks the contract."""

    @property
    def field(self) -> str:
        """The member at fault, "" when it is the request as a whole."""
        return self.details.field


class NotThere(Refused):
    """No such document, generation or path."""


class TopicRecreated(Refused):
    """The version counts offsets of a topic that has since been recreated, so that it says nothing any more.

    Begin a new session, or call `forget()` on this one, and read again what you know of the old topic.
    """

    @classmethod
    def seen(cls, what: str) -> Self:
        """For an answer that came from a topic made anew."""
        advice = "begin a new session, or call forget() on this one"
        return cls(410, Details("/problems/other-incarnation", "The topic was recreated", f"{what}; {advice}"), {})


class Behind(Problem):
    """The projection has not seen what was asked for."""

    @property
    def shortfall(self) -> dict[str, dict[str, int]]:
        """How many offsets each partition lacks."""
        return self.details.shortfall

    @property
    def missing(self) -> int:
        """How many offsets are missing in all."""
        return sum(sum(partitions.values()) for partitions in self.shortfall.values())


class Unavailable(Problem):
    """Something that the service needs is away for now."""

    @property
    def outcome(self) -> str:
        """Of a write: "not_written", or "unknown" when it may be in the log; repeating is safe."""
        return self.details.outcome


class CutOff(Unavailable):
    """A call of many events that a fault cut off. `version` is the token of what was taken until then.

    The session covers it already. Go on with the line after `last_line`; sending more than that again does no harm.
    """

    @property
    def version(self) -> str | None:
        """The token of what is in the log for certain."""
        return self.details.version

    @property
    def accepted(self) -> int:
        """Documents that were taken for certain."""
        return self.details.accepted or 0

    @property
    def last_line(self) -> int:
        """The last line that was dealt with, counted from 1; 0 for none."""
        return self.details.last_line or 0

    @property
    def rejected_count(self) -> int:
        """Lines up to there that were not taken because they break the contract."""
        return self.details.rejected_count

    @property
    def rejected(self) -> list[RejectedLine]:
        """The first of them, with reasons."""
        return self.details.rejected

    @property
    def removed(self) -> int:
        """Documents that were removed for certain."""
        return self.details.removed or 0

    @property
    def last_document_id(self) -> str | None:
        """The last document that was removed."""
        return self.details.last_document_id


_BY_STATUS: dict[int, type[Problem]] = {404: NotThere, 410: TopicRecreated, 412: Behind, 503: Unavailable}


def problem(status: int, body: bytes, retry_after: str | None) -> Problem:
    """The error that an answer stands for. Raises `msgspec.DecodeError` when it is no problem+json."""
    details = msgspec.json.decode(body, type=Details)
    kind = _BY_STATUS.get(status, Refused if 400 <= status < 500 else Problem)
    if kind is Unavailable and (details.accepted is not None or details.removed is not None):
        kind = CutOff
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
    return kind(status, details, msgspec.json.decode(body), seconds)
