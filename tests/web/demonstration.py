"""A small service, run as a process of its own: what `web` promises is seen from outside."""

import asyncio
import sys
from typing import Any

import msgspec
from litestar import Request, get, put
from litestar.datastructures import State

from schemas.errors import LogAway, MalformedToken, OtherIncarnation
from web.application import application
from web.body import described, read_body
from web.documenting import Vocabulary
from web.problems import documented
from web.raw_path import segment
from web.readiness import Readiness
from web.registry import Registry
from web.serving import serve

ERRORS: dict[str, Exception] = {
    "token": MalformedToken("not one"),
    "incarnation": OtherIncarnation("made anew"),
    "log": LogAway("unknown", "no acknowledgement"),
    "bug": RuntimeError("a secret detail"),
}


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent."""

    text: str


@get("/errors/{name:str}")
async def raising(name: str) -> None:
    """Raise one of our errors."""
    raise ERRORS[name]


@get("/patience/{seconds:float}")
async def patience(seconds: float, state: State) -> dict[str, float]:
    """Answer late."""
    state["arrived"] = state.get("arrived", 0) + 1
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@get("/arrived")
async def arrived(state: State) -> int:
    """How many asked for patience so far."""
    count: int = state.get("arrived", 0)
    return count


@get("/v1/limited")
async def limited(limit: int = 1) -> dict[str, int]:
    """Take a number."""
    return {"limit": limit}


@put(
    "/v1/collections/{collection:str}/documents/{document_id:str}",
    operation_class=described(Body),
    responses=documented(400, 422),
)
async def echo(collection: str, document_id: str, request: Request[Any, Any, Any]) -> dict[str, object]:
    """Say what came."""
    body = await read_body(request, Body)
    return {
        "collection": segment(collection, "collection"),
        "document_id": segment(document_id, "document_id"),
        "length": len(body.text),
    }


async def readiness() -> Readiness:
    """One thing is there, another is not."""
    return Readiness({"log": "ok", "database": "not reached"}, notes={"model": "loading"})


if __name__ == "__main__":
    app = application(
        Vocabulary("Demonstration"),
        [raising, patience, arrived, limited, echo],
        readiness=readiness,
        registry=Registry(),
    )
    serve(app, "127.0.0.1", int(sys.argv[1]), grace=1.0)
