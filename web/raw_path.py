"""Paths as they were sent: a document id may hold slashes, dots and percent signs, and none of them may be lost.

Litestar routes on the decoded path and folds empty segments together, so `a%2Fb` would become two segments and `a//b`
one. `RawPath` has it route on the path as it was sent; handlers decode the one segment they want with `segment`, once.
"""

import re
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from schemas.errors import InvalidInput

MARK = "\0"
"""Stands before a segment that the router must not fold or take for a word of its own; no HTTP client can send it."""

_DOCUMENT = re.compile(r"(/v1/collections/[^/]*/documents/)([^/]*)")
_EMPTY = re.compile(r"(?<=/)(?=/|$)")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


class RawPath:
    """Wraps a Litestar application so that it routes on the path as it was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route on the raw path."""
        if scope["type"] == ScopeType.HTTP:
            scope["path"] = routed(scope["raw_path"].decode("latin-1"), scope["method"])
        await self._app(scope, receive, send)


def routed(raw: str, method: str) -> str:
    """The path that Litestar's router sees for a raw path (bytes as latin-1).

    A document's id is marked, so that the ids `get` and the empty one are ids too; only POST has words of its own
    there, and OPTIONS asks for them.
    """
    if method not in ("POST", "OPTIONS") and (found := _DOCUMENT.fullmatch(raw)):
        raw = f"{found[1]}{MARK}{found[2]}"
    return _EMPTY.sub(MARK, raw) if raw.startswith("/v1/") else raw


def segment(raw: str, field: str) -> str:
    """Decode one segment of a routed path. Raises `InvalidInput` naming `field`."""
    raw = raw.removeprefix(MARK)
    if broken := _BROKEN.search(raw):
        raise InvalidInput(field, f"the % at {broken.start()} begins no percent-encoding; send % itself as %25")
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(field, "not UTF-8 once percent-decoded; encode its UTF-8 bytes") from error
