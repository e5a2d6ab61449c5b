"""Answers that are JSON already, sent without going through Litestar's rendering, cookies and header maps again."""

from collections.abc import Mapping
from typing import Any, TypeVar

from litestar import Response
from litestar.types import ASGIApp, Receive, Scope, Send

T = TypeVar("T")


class Prepared(Response[T]):
    """A 200 whose body is made; `T` is its shape, for the OpenAPI document. Nothing of a `Response`'s own is used."""

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self._body = body
        self._headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode("ascii")),
            *((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()),
        ]

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        """Itself: nothing is left to make."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and body."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
