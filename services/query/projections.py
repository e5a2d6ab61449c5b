"""The projections themselves: their generations, and how far each has come."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.problem_details import ProblemDetailsException

from projections.generations import read
from projections.generations.read import Digest, Lifecycle, Overview
from projections.lag import UNKNOWN, Lag, heads_of
from projections.reading import Answer, Reader
from schemas.errors import GenerationMissing
from schemas.versions import Version
from services.query import calls
from services.query.answering import Answers, headers_of, require
from services.query.calls import AnyRequest
from services.query.conditions import Conditions
from services.query.requests import parameters
from services.query.shapes import (
    DigestShown,
    GenerationShown,
    ProjectionAnswer,
    ProjectionsAnswer,
    ProjectionShown,
)
from web.problems import documented, problem
from web.raw_path import segment

PATH = "/v1/projections"


def handlers(answers: Answers, reader: Reader) -> list[HTTPRouteHandler]:
    """The handlers."""

    @get(PATH, summary="List projections", responses=documented(400, 404, 410, 412, 422, 503))
    async def list_projections(request: AnyRequest) -> Response[ProjectionsAnswer]:
        """Every projection with its generations, in one snapshot.

        The conditions hold for each projection: its live generation, or `Nenrin-Generation` where it has that one.
        `Nenrin-Version` is what all of these have seen, `Nenrin-Lag` that of the one furthest behind.
        """
        parameters(request.scope["query_string"], ())
        asked = _asked_of_each(calls.asked_of(request), await reader.generations(fresh=True))
        await _reached(answers, request, asked)
        found = await read.overview(reader)
        chosen = [_chosen(found, name, each) for name, each in asked.items()]
        headers = headers_of(_seen_by_all(chosen).token(), _furthest_behind(chosen), calls.asked_of(request))
        return _json(ProjectionsAnswer(_projections(found)), headers)

    @get(PATH + "/{name:str}", summary="Get a projection", responses=documented(400, 404, 410, 412, 422, 503))
    async def get_projection(name: FromPath[str], request: AnyRequest) -> Response[ProjectionAnswer]:
        """Its generations, in one snapshot; version and lag are those of the live one, or of `Nenrin-Generation`."""
        parameters(request.scope["query_string"], ())
        name = await known(reader, name)
        asked = calls.asked_of(request)
        await _reached(answers, request, {name: asked})
        found = await read.overview(reader, name)
        shown, chosen = _projections(found)[0], _chosen(found, name, asked)
        body = ProjectionAnswer(shown.name, shown.live, shown.generations, chosen.standing)
        return _json(body, headers_of(chosen.standing.version, chosen.lag, asked))

    return [list_projections, get_projection]


async def known(reader: Reader, raw: str) -> str:
    """The name of a projection that there is, from its segment of a path. Raises the 404 of another one."""
    name = segment(raw, "name")
    if name not in await reader.generations() and name not in (there := await reader.generations(fresh=True)):
        raise _no_projection(name, there)
    return name


def _no_projection(name: str, there: Iterable[str]) -> ProblemDetailsException:
    known = ", ".join(there) or "none yet"
    return problem(404, "no-such-projection", "No such projection", f"{name[:80]!a} is unknown; there are: {known}.")


def _asked_of_each(asked: Conditions, known: Mapping[str, Collection[int]]) -> dict[str, Conditions]:
    """A generation's number means something to those that have it; if none has, it is asked of all, and refused."""
    having = [name for name, numbers in known.items() if asked.generation in numbers]
    live = msgspec.structs.replace(asked, generation=None)
    return {name: live if having and name not in having else asked for name in known}


async def _reached(answers: Answers, request: AnyRequest, asked: Mapping[str, Conditions]) -> None:
    """Wait, as long as is left of the patience, until each projection has seen what is asked of it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for name, each in asked.items():
        patience = max(0.0, each.wait - (loop.time() - began))
        # lag is judged where it is shown: by then it may be another
        waiting = msgspec.structs.replace(each, wait=patience, max_lag=None)
        await answers.answer(name, lambda _: read.nothing(), waiting, lambda: calls.hung_up(request))


def _chosen(found: Sequence[Overview], name: str, asked: Conditions) -> Answer:
    """The answer for which the conditions are meant; raises the 412 where it doesn't meet them."""
    for each in found:
        here = each.answer.generation
        wanted = each.lifecycle is Lifecycle.LIVE if asked.generation is None else here.number == asked.generation
        if here.projection == name and wanted:
            require(each.answer, asked)
            return each.answer
    raise GenerationMissing(f"the generation of {name} was dropped while it was read")


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
        parked=None if seen.digest is None else standing.parked,
        digest=None if seen.digest is None else _digest(seen.digest),
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


def _json(body: msgspec.Struct, headers: dict[str, str]) -> Response[Any]:
    return Response(msgspec.json.encode(body), media_type=MediaType.JSON, headers=headers)
