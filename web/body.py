"""JSON bodies, read strictly, and described for the OpenAPI document."""

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.plugins.problem_details import ProblemDetailsException

from schemas.reading import read
from web.problems import BODY_LIMIT, problem, too_large

T = TypeVar("T")

DRAINED = 16 * BODY_LIMIT
"""How much of a refused body is still read: a client that is busy sending would never see the refusal otherwise."""


async def read_body(request: Request[Any, Any, Any], shape: type[T]) -> T:
    """The body as `shape`. Raises `InvalidInput`; a body over the limit ends in 413, an encoded one in 415.

    Whatever `Content-Type` says, the body is JSON: HTTP clients that set another one by default are many.
    """
    body = await _received(request)
    refuse_encoded(request)
    return read(body, shape)


def refuse_encoded(request: Request[Any, Any, Any]) -> None:
    """Raise a 415 for a body that says it is encoded."""
    if (encoding := _header(request, b"content-encoding") or "identity") != "identity":
        raise problem(
            415,
            "unsupported-encoding",
            "Encoded bodies are not taken",
            f"Content-Encoding is {encoding[:40]!r}; send the body without one.",
            field="Content-Encoding",
        )


async def _received(request: Request[Any, Any, Any]) -> bytes:
    announced = int(_header(request, b"content-length") or 0)
    if announced > DRAINED:
        raise _too_large()
    parts, size, more = [], 0, True
    while more and size <= DRAINED:
        message = await request.receive()
        if message["type"] != "http.request":
            raise problem(400, "cut-off", "The body was cut off", "The client went away while sending.", field="body")
        size += len(message["body"])
        if size <= BODY_LIMIT:
            parts.append(message["body"])
        # when all that was announced is there, asking whether there is more would only cost a turn of the loop
        more = message.get("more_body", False) and size != announced
    if size > BODY_LIMIT:
        raise _too_large()
    return b"".join(parts)


def _header(request: Request[Any, Any, Any], name: bytes) -> str | None:
    """Without a map of all of them, which costs more than reading the body."""
    return next((value.decode("latin-1") for each, value in request.scope["headers"] if each == name), None)


def _too_large() -> ProblemDetailsException:
    return too_large("body", f"A body has at most {BODY_LIMIT:,} bytes; split it.")


def described(shape: type[msgspec.Struct]) -> type[Operation]:
    """An `operation_class` for a handler that reads its body with `read_body`."""
    _, components = msgspec.json.schema_components([shape], ref_template="#/components/schemas/{name}")
    # Litestar renders a dict just as it renders its own Schema
    schema = cast(Schema, components[shape.__name__])

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody({"application/json": OpenAPIMediaType(schema)}, required=True)

    return Described
