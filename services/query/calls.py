"""One read over HTTP: the request's conditions, the answer, and the response that carries both."""

from typing import Any, Literal

import msgspec
from litestar import Request, Response
from litestar.plugins.problem_details import ProblemDetailsException

from projections.reading import Answer, Ask
from services import tracing
from services.query.answering import Answers, not_found, read_headers
from services.query.conditions import Conditions, conditions
from services.query.links import LINKED, links
from web.prepared import Prepared

AnyRequest = Request[Any, Any, Any]


class Reply(msgspec.Struct, frozen=True):
    """An answer, and the conditions that it meets."""

    answer: Answer
    conditions: Conditions

    def response(self, link: str = "", **members: bytes) -> Response[Any]:
        """The response with these members, JSON already, and the member `projection`; `link` is a header's value."""
        body = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in members.items())
        headers = read_headers(self.answer, self.conditions)
        if link:
            headers["Link"] = link
            tracing.link_to(self.answer.traceparents[:LINKED])
        return Prepared(b'{%b,"projection":%b}' % (body, self.answer.projection()), headers)

    def links(self, collection: str, rel: Literal["item", "self"] = "item") -> str:
        """Links to this answer's documents with their traces."""
        return links(collection, self.answer.rows, self.answer.traceparents, rel)

    def missing(self, detail: str) -> ProblemDetailsException:
        """The 404 of what isn't there at this version."""
        return not_found(self.answer, self.conditions, detail)


def array(rows: tuple[bytes, ...]) -> bytes:
    """Rows as a JSON array."""
    return b"[%b]" % b",".join(rows)


async def read(answers: Answers, request: AnyRequest, projection: str, ask: Ask) -> Reply:
    """Read for a request, under its own conditions. Raises what `Answers.answer` raises, and `InvalidInput`."""
    asked = asked_of(request)
    return Reply(await answers.answer(projection, ask, asked, lambda: hung_up(request)), asked)


def asked_of(request: AnyRequest) -> Conditions:
    """The conditions of a request. Raises `InvalidInput`."""
    return conditions(request.scope["headers"])


async def hung_up(request: AnyRequest) -> None:
    """Returns when the client is gone; what is left of a body is passed over."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
