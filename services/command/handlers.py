"""The calls of the command service. Each checks what came, has it written, and only then answers."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from schemas import documents, traceparent
from schemas.documents import (
    DocumentAdded,
    DocumentEvent,
    DocumentId,
    DocumentRemoved,
    Metadata,
    SourceUri,
    Text,
    Title,
)
from schemas.errors import InvalidInput
from schemas.versions import Token
from services.command.publisher import Publisher
from web.body import described, read_body
from web.problems import documented
from web.raw_path import segment

PATH = "/v1/collections/{collection:str}/documents/{document_id:str}"


class DocumentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document without its names, which are in the path."""

    text: Text
    title: Title | None = None
    metadata: Metadata = {}
    source_uri: SourceUri | None = None


class Written(msgspec.Struct, frozen=True):
    """The write is in the log, and this version covers it."""

    document_id: DocumentId
    version: Token


def handlers(publisher: Publisher) -> list[HTTPRouteHandler]:
    """The handlers, writing with `publisher`."""

    @put(
        PATH,
        status_code=202,
        summary="Add a document, or replace it whole",
        operation_class=described(DocumentBody),
        responses=documented(400, 413, 415, 422, 503),
    )
    async def put_document(
        collection: FromPath[str], document_id: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[Written]:
        """Answers once all in-sync replicas have the event; `Nenrin-Version` is the token that covers it."""
        names = _names(collection, document_id, request)
        body = await read_body(request, DocumentBody)
        event = DocumentAdded(*names, body.text, body.title, body.metadata, body.source_uri)
        return await _written(publisher, event, request)

    @delete(
        PATH,
        status_code=202,
        summary="Remove a document",
        responses=documented(400, 422, 503),
    )
    async def delete_document(
        collection: FromPath[str], document_id: FromPath[str], request: Request[Any, Any, Any]
    ) -> Response[Written]:
        """Removing what is not there is fine: past the returned version there is no such document."""
        return await _written(publisher, DocumentRemoved(*_names(collection, document_id, request)), request)

    return [put_document, delete_document]


def _names(collection: str, document_id: str, request: Request[Any, Any, Any]) -> tuple[str, str]:
    if request.scope["query_string"]:
        raise InvalidInput("document_id", "the address has a query, but none is known here; send ? in an id as %3F")
    return segment(collection, "collection"), segment(document_id, "document_id")


async def _written(publisher: Publisher, event: DocumentEvent, request: Request[Any, Any, Any]) -> Response[Written]:
    documents.check(event)
    version = await publisher.publish(event, traceparent.valid(request.headers.get(traceparent.HEADER)))
    token = version.token()
    return Response(Written(event.document_id, token), headers={"Nenrin-Version": token})
