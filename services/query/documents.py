"""The document calls: one, many by their ids, a page of a collection."""

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from projections.documents import NAME, read
from schemas.documents import check_collection, check_document_id
from services.query import calls
from services.query.answering import Answers
from services.query.calls import AnyRequest, array
from services.query.links import links
from services.query.requests import GetBody, cursor_after, ids_of, page_of, parameters
from services.query.shapes import DocumentAnswer, DocumentsAnswer, ListAnswer
from web.body import described, read_body
from web.problems import documented
from web.raw_path import segment

PATH = "/v1/collections/{collection:str}/documents"


class _Named(msgspec.Struct):
    document_id: str


_named = msgspec.json.Decoder(_Named).decode


def handlers(answers: Answers) -> list[HTTPRouteHandler]:
    """The handlers."""

    @get(PATH + "/{document_id:str}", summary="Get a document", responses=documented(400, 404, 410, 412, 422, 503))
    async def get_document(
        collection: FromPath[str], document_id: FromPath[str], request: AnyRequest
    ) -> Response[DocumentAnswer]:
        """A document that isn't there is a 404 that carries version and lag: you know whether to wait."""
        parameters(request.scope["query_string"], ())
        collection, document_id = collection_in(collection), segment(document_id, "document_id")
        check_document_id(document_id)
        question = read.one(collection, document_id)
        reply = await calls.read(answers, request, NAME, lambda _: question)
        if not reply.answer.rows:
            raise reply.missing(f"{collection} has no document of this id at this version.")
        return reply.response(reply.links(collection, "self"), document=reply.answer.rows[0])

    @post(
        PATH + "/get",
        status_code=200,
        summary="Get documents by their ids",
        operation_class=described(GetBody),
        responses=documented(400, 404, 410, 412, 413, 415, 422, 503),
    )
    async def get_documents(collection: FromPath[str], request: AnyRequest) -> Response[DocumentsAnswer]:
        """In the order of the ids; null for those that aren't there."""
        collection = collection_in(collection)
        question = read.many(collection, ids_of(await read_body(request, GetBody)))
        reply = await calls.read(answers, request, NAME, lambda _: question)
        return reply.response(reply.links(collection), documents=array(reply.answer.rows))

    @get(PATH, summary="List a collection's documents", responses=documented(400, 404, 410, 412, 422, 503))
    async def list_documents(collection: FromPath[str], request: AnyRequest) -> Response[ListAnswer]:
        """`limit` (1 to 1,000, default 100) documents from `cursor` on; each page has its own version."""
        collection, page = collection_in(collection), page_of(request.scope["query_string"])
        question = read.page(collection, page.after, page.limit + 1)  # one more tells whether there is a next page
        reply = await calls.read(answers, request, NAME, lambda _: question)
        shown = reply.answer.rows[: page.limit]
        more = len(reply.answer.rows) > page.limit
        after = msgspec.json.encode(cursor_after(_named(shown[-1]).document_id) if more else None)
        link = links(collection, shown, reply.answer.traceparents)
        return reply.response(link, documents=array(shown), next_cursor=after)

    return [get_document, get_documents, list_documents]


def collection_in(raw: str) -> str:
    """The collection that a path names. Raises `InvalidInput`."""
    collection = segment(raw, "collection")
    check_collection(collection)
    return collection
