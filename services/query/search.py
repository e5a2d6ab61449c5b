"""Search, and the collections that can be searched."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.problem_details import ProblemDetailsException

from projections.passages import NAME, read
from projections.reading import Ask, Generation, Question
from schemas.errors import InvalidInput
from services.query import calls
from services.query.answering import Answers
from services.query.calls import AnyRequest, array
from services.query.documents import collection_in
from services.query.encoder import QueryEncoder
from services.query.requests import Search, SearchBody, parameters, search_of
from services.query.shapes import CollectionsAnswer, SearchAnswer
from web.body import described, read_body
from web.problems import documented, unavailable

HALF_FLOAT = 2  # bytes


def handlers(answers: Answers, encoder: QueryEncoder) -> list[HTTPRouteHandler]:
    """The handlers, encoding queries with `encoder`."""

    @post(
        "/v1/collections/{collection:str}/search",
        status_code=200,
        summary="Search a collection",
        operation_class=described(SearchBody),
        responses=documented(400, 404, 410, 412, 413, 415, 422, 503),
    )
    async def search(collection: FromPath[str], request: AnyRequest) -> Response[SearchAnswer]:
        """The `k` best documents, each by its best passage. Text search works while the encoder still loads."""
        collection = collection_in(collection)
        wanted = search_of(await read_body(request, SearchBody))
        vector = await _vector(wanted, encoder)
        reply = await calls.read(answers, request, NAME, _asking(collection, wanted, vector, encoder))
        return reply.response(reply.links(collection), results=array(reply.answer.rows))

    @get("/v1/collections", summary="List collections", responses=documented(400, 404, 410, 412, 422, 503))
    async def list_collections(request: AnyRequest) -> Response[CollectionsAnswer]:
        """Collections that have documents, those without passages too."""
        parameters(request.scope["query_string"], ())
        reply = await calls.read(answers, request, NAME, lambda _: read.collections())
        return reply.response(collections=array(reply.answer.rows))

    return [search, list_collections]


async def _vector(wanted: Search, encoder: QueryEncoder) -> bytes | None:
    if wanted.query is None or wanted.mode == "text":
        return wanted.vector
    if not encoder.ready:
        raise _not_loaded(encoder)
    return (await encoder.encode(wanted.query)).astype("<f2").tobytes()


def _not_loaded(encoder: QueryEncoder) -> ProblemDetailsException:
    why = "is loading" if encoder.failure is None else f"could not be loaded: {encoder.failure}"
    return unavailable(
        "encoder-not-loaded",
        "Dense search is not ready",
        f"The encoder {encoder.encoder.name} {why}; search with mode text, or by vector, meanwhile.",
        field="mode",
    )


def _asking(collection: str, wanted: Search, vector: bytes | None, encoder: QueryEncoder) -> Ask:
    def ask(generation: Generation) -> Question:
        if vector is None:
            return read.lexical(collection, wanted.k, wanted.query or "", wanted.path)
        if wanted.query is None:
            _check_dimensions(vector, generation)
            return read.dense(collection, wanted.k, vector, wanted.path)
        _check_encoder(encoder, generation)
        if wanted.mode == "dense":
            return read.dense(collection, wanted.k, vector, wanted.path)
        return read.hybrid(collection, wanted.k, vector, wanted.query, wanted.path)

    return ask


def _check_dimensions(vector: bytes, generation: Generation) -> None:
    if (length := len(vector) // HALF_FLOAT) != generation.dimensions:
        raise InvalidInput(
            "vector", f"{generation.encoder} makes vectors of {generation.dimensions} numbers, this one has {length}"
        )


def _check_encoder(encoder: QueryEncoder, generation: Generation) -> None:
    """Vectors of two encoders have nothing to do with one another."""
    if generation.encoder != encoder.encoder.name:
        raise unavailable(
            "other-encoder",
            "The query's encoder is not the generation's",
            f"Generation {generation.number} was made with {generation.encoder}, this service encodes with "
            f"{encoder.encoder.name}: search with mode text, or by vector.",
            field="mode",
        )
