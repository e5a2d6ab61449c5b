"""The projections themselves: their generations, how far each has come, and what they have parked."""

import asyncio
import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.problem_details import ProblemDetailsException

from projections.generations import read
from projections.generations.read import Digest, Lifecycle, Overview, ParkedRow
from projections.lag import UNKNOWN, Lag, heads_of
from projections.reading import Answer, Reader
from schemas.errors import GenerationMissing
from schemas.versions import Version
from services.query import calls
from services.query.answering import Answers, headers_of
from services.query.calls import AnyRequest
from services.query.conditions import Conditions
from services.query.requests import parameters
from services.query.shapes import (
    DigestShown,
    GenerationShown,
    HeaderShown,
    ParkedAnswer,
    ParkedShown,
    ProjectionAnswer,
    ProjectionsAnswer,
    ProjectionShown,
)
from web.problems import documented, problem
from web.raw_path import segment

PATH = "/v1/projections"


def handlers(answers: Answers, reader: Reader) -> list[HTTPRouteHandler]:
    """The handlers."""

    @get(PATH, summary="List projections", responses=documented(400, 410, 412, 422, 503))
    async def list_projections(request: AnyRequest) -> Response[ProjectionsAnswer]:
        """Every projection with its generations, in one snapshot.

        `Nenrin-Version` is what all live generations have seen, `Nenrin-Lag` that of the one furthest behind.
        """
        parameters(request.scope["query_string"], ())
        asked = msgspec.structs.replace(calls.asked_of(request), generation=None)
        for name in await reader.generations(fresh=True):
            asked = await _met(answers, request, name, asked)
        found = await read.overview(reader)
        lives = [each.answer for each in found if each.lifecycle is Lifecycle.LIVE]
        headers = headers_of(_seen_by_all(lives).token(), _furthest_behind(lives), asked)
        return _json(ProjectionsAnswer(_projections(found)), headers)

    @get(PATH + "/{name:str}", summary="Get a projection", responses=documented(400, 404, 410, 412, 422, 503))
    async def get_projection(name: FromPath[str], request: AnyRequest) -> Response[ProjectionAnswer]:
        """Its generations, in one snapshot; version and lag are those of the live one, or of `Nenrin-Generation`."""
        parameters(request.scope["query_string"], ())
        name = await _known(reader, name)
        asked = calls.asked_of(request)
        await _met(answers, request, name, asked)
        found = await read.overview(reader, name)
        shown, chosen = _projections(found)[0], _chosen(found, asked)
        body = ProjectionAnswer(shown.name, shown.live, shown.generations, chosen.standing)
        return _json(body, headers_of(chosen.standing.version, chosen.lag, asked))

    @get(PATH + "/{name:str}/parked", summary="List parked events", responses=documented(400, 404, 410, 412, 422, 503))
    async def list_parked(name: FromPath[str], request: AnyRequest) -> Response[ParkedAnswer]:
        """The events that could not be applied, and that no later good event of the same key has healed."""
        parameters(request.scope["query_string"], ())
        name = await _known(reader, name)
        reply = await calls.read(answers, request, name, lambda _: read.parked())
        shown = [_parked(name, row) for row in read.parked_rows(reply.answer.rows)]
        return reply.response(parked=msgspec.json.encode(shown))

    return [list_projections, get_projection, list_parked]


async def _known(reader: Reader, raw: str) -> str:
    name = segment(raw, "name")
    if name not in await reader.generations() and name not in (there := await reader.generations(fresh=True)):
        raise _no_projection(name, there)
    return name


def _no_projection(name: str, there: Iterable[str]) -> ProblemDetailsException:
    known = ", ".join(there) or "none yet"
    return problem(404, "no-such-projection", "No such projection", f"{name[:80]!a} is unknown; there are: {known}.")


async def _met(answers: Answers, request: AnyRequest, name: str, asked: Conditions) -> Conditions:
    """Raise the problem unless a projection meets the conditions; returns them with what is left of the patience."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await answers.answer(name, lambda _: read.nothing(), asked, lambda: calls.hung_up(request))
    return msgspec.structs.replace(asked, wait=max(0.0, asked.wait - (loop.time() - began)))


def _chosen(found: Sequence[Overview], asked: Conditions) -> Answer:
    for each in found:
        number = each.answer.generation.number
        if number == asked.generation or (asked.generation is None and each.lifecycle is Lifecycle.LIVE):
            return each.answer
    raise GenerationMissing("the generation was dropped while it was read")


def _projections(found: Sequence[Overview]) -> list[ProjectionShown]:
    grouped: dict[str, list[Overview]] = {}
    for each in found:
        grouped.setdefault(each.answer.standing.name, []).append(each)
    return [
        ProjectionShown(name, each[0].answer.frame.live, [_generation(one) for one in each])
        for name, each in grouped.items()
    ]


def _generation(seen: Overview) -> GenerationShown:
    standing = seen.answer.standing
    heads = heads_of(seen.answer.frame.partitions)
    return GenerationShown(
        generation=standing.generation,
        lifecycle=seen.lifecycle.value,
        state=standing.state,
        encoder=standing.encoder,
        version=standing.version,
        heads={topic: {str(number): head for number, head in ends.items()} for topic, ends in heads.items()},
        head_observed_at=standing.head_observed_at,
        lag_events=standing.lag_events,
        lag_seconds=standing.lag_seconds,
        parked=standing.parked,
        digest=_digest(seen.digest),
    )


def _digest(digest: Digest) -> DigestShown:
    return DigestShown(digest.documents, digest.passages, f"{digest.content:016x}", f"{digest.vectors:016x}")


def _seen_by_all(answers: Sequence[Answer]) -> Version:
    """The greatest version that all of them cover: per partition, the least position."""
    offsets: dict[str, dict[int, int]] = {}
    incarnations: dict[str, str] = {}
    for answer in answers:
        incarnations |= answer.version.incarnations
        for topic, positions in answer.version.offsets.items():
            least = offsets.setdefault(topic, {})
            for partition, offset in positions.items():
                least[partition] = min(offset, least.get(partition, offset))
    return Version(offsets, incarnations)


def _furthest_behind(answers: Sequence[Answer]) -> Lag:
    """The lag of the one that is furthest behind; unknown is further than any number."""
    lags = [answer.lag for answer in answers]
    known = [(lag.seconds, lag.events, lag) for lag in lags if lag.seconds is not None]
    if not known or len(known) < len(lags):
        return UNKNOWN
    return max(known, key=lambda each: each[:2])[2]


def _parked(projection: str, row: ParkedRow) -> ParkedShown:
    (key, key_encoding), (value, value_encoding) = _text(row.key), _text(row.value)
    headers = msgspec.msgpack.decode(row.headers, type=list[tuple[str, bytes | None]])
    return ParkedShown(
        projection,
        row.topic,
        row.partition,
        row.offset,
        key,
        key_encoding,
        row.reason,
        value,
        value_encoding,
        row.value_bytes,
        [HeaderShown(name, *_text(content)) for name, content in headers],
        row.parked_at,
    )


def _text(raw: bytes | None) -> tuple[str | None, str]:
    """Bytes as text where they are UTF-8, otherwise as base64; and which of the two."""
    if raw is None:
        return None, "utf-8"
    try:
        return raw.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii"), "base64"


def _json(body: msgspec.Struct, headers: dict[str, str]) -> Response[Any]:
    return Response(msgspec.json.encode(body), media_type=MediaType.JSON, headers=headers)
