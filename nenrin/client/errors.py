"""What can go wrong between a client and a stack.

NenrinError
├── Unreachable           no answer: nothing listens there, or it took too long
├── UnexpectedAnswer      an answer that no Nenrin service gives
└── Problem               problem+json (RFC 9457)
    ├── Refused           4xx: asking again won't help; `field` names the member at fault, where there is one
    │   ├── NotThere      404: no such document, generation or path
    │   └── OtherTopic    410: the token belongs to a topic that has since been recreated
    ├── Behind            412: not as fresh as was asked for; `shortfall` counts what is missing
    └── Unavailable       503: try again; `outcome` says what became of a write
"""

from typing import Any

import msgspec

from nenrin.client.answers import Projection
from schemas.errors import NenrinError


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


class Problem(NenrinError):
    """An answer that says why there is no other. `body` is the problem as it came."""

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


class OtherTopic(Refused):
    """The version counts offsets of a topic that has since been recreated: forget it and read again."""


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


_BY_STATUS: dict[int, type[Problem]] = {404: NotThere, 410: OtherTopic, 412: Behind, 503: Unavailable}


def problem(status: int, body: bytes, retry_after: str | None) -> Problem:
    """The error that an answer stands for. Raises `msgspec.DecodeError` when it is no problem+json."""
    details = msgspec.json.decode(body, type=Details)
    kind = _BY_STATUS.get(status, Refused if 400 <= status < 500 else Problem)
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return kind(status, details, msgspec.json.decode(body), seconds)
