"""Answering before a body was read whole: many clients look for an answer only once they have sent everything."""

import asyncio
from typing import Any

from litestar import Request, Response
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.response.base import ASGIResponse
from litestar.types import HTTPResponseBodyEvent, Receive, Send

QUIET = 0.2
"""Seconds without a byte after which nothing more is expected."""

PATIENCE = 60.0
"""Seconds for the rest of a body that nobody needs any more."""


def refuse_unread(problem: ProblemDetailsException, request: Request[Any, Any, Any]) -> Response[Any]:
    """The problem as an answer that is sent at once, while what still comes of the body is thrown away."""
    response = problem.to_response(request)
    return _Unread(
        response.content, status_code=response.status_code, headers=response.headers, media_type=response.media_type
    )


class _Unread(Response[Any]):
    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> ASGIResponse:
        """As usual, but with an end that waits."""
        plain = super().to_asgi_response(app, request, **options)
        return _Draining(
            body=plain.body, status_code=plain.status_code, headers=self.headers, media_type=self.media_type
        )


class _Draining(ASGIResponse):
    _should_set_content_length = False  # once it is complete the server closes the connection, on a client that sends

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send the body; end it when the request has ended."""
        answer: HTTPResponseBodyEvent = {"type": "http.response.body", "body": self.body, "more_body": True}
        await send(answer)
        await _drain(receive)
        end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(end)


async def _drain(receive: Receive) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await asyncio.wait_for(receive(), QUIET)
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except (TimeoutError, asyncio.CancelledError):  # the answer is out already; when the service stops, it just ends
        return
