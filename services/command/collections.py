"""The calls on a collection as a whole: adding documents without end, and removing all there are."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar import Request, Response, delete, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.params import FromPath
from litestar.plugins.problem_details import ProblemDetailsException

from schemas import documents, traceparent
from schemas.documents import CollectionName
from schemas.errors import (
    DatabaseAway,
    GenerationMissing,
    InvalidInput,
    LogAway,
    OtherIncarnation,
    TopicMismatch,
)
from schemas.fields import Natural
from schemas.versions import Token
from services.command.cut_off import removal_cut_off, upload_cut_off
from services.command.listing import Behind, Listing
from services.command.publisher import Publisher
from services.command.removal import Removal
from services.command.upload import DocumentLine, Rejected, Upload
from web.body import refuse_encoded
from web.problems import documented, invalid, problem
from web.raw_path import segment
from web.unread import refuse_unread

COLLECTION = "/v1/collections/{collection:str}"
AWAY = (Behind, DatabaseAway, GenerationMissing, LogAway, OtherIncarnation, TopicMismatch)


class Uploaded(msgspec.Struct, frozen=True):
    """The accepted lines are in the log, and this version covers them. `rejected` holds the first 1,000 of them."""

    accepted: Natural
    rejected_count: Natural
    rejected: list[Rejected]
    version: Token


class CollectionRemoved(msgspec.Struct, frozen=True):
    """The removal of so many documents is in the log, and this version covers all of it."""

    collection: CollectionName
    removed: Natural
    version: Token


def collection_handlers(publisher: Publisher, listing: Listing) -> list[HTTPRouteHandler]:
    """The handlers, writing with `publisher`, and finding in `listing` what there is to remove."""

    @post(
        COLLECTION + "/documents",
        status_code=200,
        summary="Add documents without end, one a line (NDJSON)",
        operation_class=_Lines,
        responses=documented(400, 415, 422, 503),
    )
    async def post_documents(collection: FromPath[str], request: Request[Any, Any, Any]) -> Response[Uploaded]:
        """Each line is a document with its `document_id`; blank lines are skipped, lines that break the contract are
        listed in the answer and hinder no other. The answer comes at the end, when all in-sync replicas have every
        accepted line. Cut off by a fault, it is a 503: every valid line up to `last_line` is in the log, `accepted`
        counts them, and `outcome` says what became of the lines behind: `not_written`, or `unknown` (some may be in the
        log). Send those again; repeating is safe.
        """
        try:
            return await _upload(publisher, collection, request)
        except InvalidInput as error:
            return refuse_unread(invalid(error), request)
        except ProblemDetailsException as error:
            return refuse_unread(error, request)

    @delete(
        COLLECTION,
        status_code=200,
        summary="Remove all documents of a collection",
        responses=documented(422, 503),
    )
    async def delete_collection(
        collection: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[CollectionRemoved]:
        """An event for each document that was acknowledged before the call; past the returned version none of them is
        left. What others add while it runs has no promised order: it may stay or go. It waits, for up to 30 s, until
        the `documents` projection has seen everything acknowledged before. Cut off by a fault, it is a 503: the first
        `removed` documents in the order of their ids, up to `last_document_id`, are removed, and `outcome` says what
        became of those behind. Calling it again goes on. A collection without documents is fine.
        """
        return await _remove(publisher, listing, segment(collection, "collection"), request)

    return [post_documents, delete_collection]


async def _upload(publisher: Publisher, raw: str, request: Request[Any, Any, Any]) -> Response[Uploaded]:
    collection = segment(raw, "collection")
    documents.check_collection(collection)
    refuse_encoded(request)
    stream = publisher.stream()
    upload = Upload(collection, stream, publisher.record)
    try:
        async with publisher.streaming(stream, _caller(request)) as trace:
            await upload.take(_chunks(request), trace)
    except LogAway as error:
        raise upload_cut_off(upload, stream, error) from error
    done, token = upload.progress, stream.version.token()
    answer = Uploaded(done.accepted, done.rejected, upload.rejected(done), token)
    return Response(answer, headers={"Nenrin-Version": token})


async def _chunks(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise problem(400, "cut-off", "The body was cut off", "The client went away while sending.", field="body")
        yield message["body"]
        more = message.get("more_body", False)


async def _remove(
    publisher: Publisher, listing: Listing, collection: str, request: Request[Any, Any, Any]
) -> Response[CollectionRemoved]:
    documents.check_collection(collection)
    if request.scope["query_string"]:  # it may be meant to remove less
        raise InvalidInput("parameters", "the address has a query, but none is known here; nothing was removed")
    stream = publisher.stream()
    removal = Removal(collection, stream, publisher.record)
    try:
        async with publisher.streaming(stream, _caller(request)) as trace:
            await removal.take(listing.pages(collection, await publisher.heads()), trace)
    except AWAY as error:
        raise removal_cut_off(removal, stream, error) from error
    token = stream.version.token()
    answer = CollectionRemoved(collection, removal.progress.removed, token)
    return Response(answer, headers={"Nenrin-Version": token})


def _caller(request: Request[Any, Any, Any]) -> str | None:
    return traceparent.valid(request.headers.get(traceparent.HEADER))


@dataclass
class _Lines(Operation):
    """Describes the body for the OpenAPI document."""

    def __post_init__(self) -> None:
        _, components = msgspec.json.schema_components([DocumentLine], ref_template="#/components/schemas/{name}")
        # Litestar renders a dict just as it renders its own Schema
        schema = cast(Schema, components["DocumentLine"])
        self.request_body = RequestBody({"application/x-ndjson": OpenAPIMediaType(schema)}, required=True)
