"""Search, and the collections that can be searched."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.problem_details import ProblemDetailsException

from projections.catalogue import Generation
from projections.passages import NAME, read
from projections.reading import Ask, Question
from schemas.errors import InvalidInput
from services.query import calls
from services.query.answering import Answers
from services.query.calls import AnyRequest, array
from services.query.documents import collection_in
from services.query.encoders import QueryEncoders
from services.query.requests import Search, SearchBody, parameters, search_of
from services.query.shapes import CollectionsAnswer, SearchAnswer
from web.body import described, read_body
from web.problems import documented, unavailable

HALF_FLOAT = 2  # bytes


def handlers(answers: Answers, encoders: QueryEncoders) -> list[HTTPRouteHandler]:
    """The handlers, encoding queries with `encoders`."""

    @post(
        "/v1/collections/{collection:str}/search",
        status_code=200,
        summary="Search a collection",
        operation_class=described(SearchBody),
        responses=documented(400, 404, 410, 412, 413, 415, 422, 503),
    )
    async def search(collection: FromPath[str], request: AnyRequest) -> Response[SearchAnswer]:
        """The `k` best documents, each by its best passage. Text search works while an encoder still loads."""
        collection = collection_in(collection)
        wanted = search_of(await read_body(request, SearchBody))
        reply = await calls.read(answers, request, NAME, _asking(collection, wanted, encoders))
        return reply.response(reply.links(collection), results=array(reply.answer.rows))

    @get("/v1/collections", summary="List collections", responses=documented(400, 404, 410, 412, 422, 503))
    async def list_collections(request: AnyRequest) -> Response[CollectionsAnswer]:
        """Collections that have documents, those without passages too."""
        parameters(request.scope["query_string"], ())
        reply = await calls.read(answers, request, NAME, lambda _: read.collections())
        return reply.response(collections=array(reply.answer.rows))

    return [search, list_collections]


def _asking(collection: str, wanted: Search, encoders: QueryEncoders) -> Ask:
    """What to ask a generation: a vector is of the encoder that made that generation's, whichever it comes to be."""

    async def by_meaning(generation: Generation) -> Question:
        vector = await _encoded(wanted.query or "", generation, encoders)
        if wanted.mode == "dense":
            return read.dense(collection, wanted.k, vector, wanted.path)
        return read.hybrid(collection, wanted.k, vector, wanted.query or "", wanted.path)

    def by_vector(generation: Generation) -> Question:
        vector = wanted.vector or b""
        _check_dimensions(vector, generation)
        return read.dense(collection, wanted.k, vector, wanted.path)

    if wanted.query is None:
        return by_vector
    if wanted.mode == "text":
        question = read.lexical(collection, wanted.k, wanted.query, wanted.path)
        return lambda _: question
    return by_meaning


async def _encoded(text: str, generation: Generation, encoders: QueryEncoders) -> bytes:
    """A text's vector by the generation's own encoder. Vectors of two encoders have nothing to do with one another."""
    encoder = encoders.ready(generation.encoder)
    if encoder is None:
        raise _unavailable(generation, encoders)
    return (await encoder.encode(text)).astype("<f2").tobytes()


def _unavailable(generation: Generation, encoders: QueryEncoders) -> ProblemDetailsException:
    state = encoders.state(generation.encoder)
    meanwhile = "search with mode text, or by vector, meanwhile"
    if encoders.unknown(generation.encoder):
        return unavailable(
            "other-encoder",
            "The generation's encoder is not known",
            f"Generation {generation.number} was made with {generation.encoder}, which is {state}; {meanwhile}.",
            field="mode",
        )
    return unavailable(
        "encoder-not-loaded",
        "Dense search is not ready",
        f"The encoder {generation.encoder} of generation {generation.number} is {state}; {meanwhile}.",
        field="mode",
    )


def _check_dimensions(vector: bytes, generation: Generation) -> None:
    if (length := len(vector) // HALF_FLOAT) != generation.dimensions:
        raise InvalidInput(
            "vector", f"{generation.encoder} makes vectors of {generation.dimensions} numbers, this one has {length}"
        )
