"""The events that a projection could not apply: listed without their contents, and each of them whole."""

import base64
import re
from codecs import getincrementaldecoder

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.problem_details import ProblemDetailsException

from projections.generations import parked
from projections.generations.parked import FIRST, KEY_SHOWN, VALUE_SHOWN, ParkedRow, Position
from projections.reading import Reader
from schemas.errors import InvalidInput
from services.query import calls
from services.query.answering import Answers, read_headers
from services.query.calls import AnyRequest, Reply
from services.query.projections import PATH, known
from services.query.requests import MOST, broken_cursor, limit_of, parameters
from services.query.shapes import (
    HeaderShown,
    ParkedAnswer,
    ParkedEventAnswer,
    ParkedShown,
    ParkedWholeShown,
    RetriedShown,
    SkippedShown,
)
from web.problems import documented, problem
from web.raw_path import segment

_PLACE = re.compile(r"(?P<topic>[A-Za-z0-9._-]{1,249})/(?P<partition>\d{1,9})@(?P<offset>\d{1,18})", re.ASCII)


def handlers(answers: Answers, reader: Reader) -> list[HTTPRouteHandler]:
    """The handlers."""

    @get(PATH + "/{name:str}/parked", summary="List parked events", responses=documented(400, 404, 410, 412, 422, 503))
    async def list_parked(name: FromPath[str], request: AnyRequest) -> Response[ParkedAnswer]:
        """The events that could not be applied, that no later good event of their key has healed and nobody skipped.

        In the order of the log, at most `limit` (1,000 by default) after `cursor`, without headers and values.
        """
        asked = {
            key: value for key, value in parameters(request.scope["query_string"], ("limit", "cursor")).items() if value
        }
        name, limit = await known(reader, name), limit_of(asked.get("limit", str(MOST)))
        question = parked.page(_after(asked["cursor"]) if "cursor" in asked else FIRST, limit + 1)
        reply = await calls.read(answers, request, name, lambda _: question)
        rows = parked.rows(reply.answer.rows)
        cursor = _cursor(rows[limit - 1]) if len(rows) > limit else None
        shown = [_shown(name, row) for row in rows[:limit]]
        return reply.response(parked=msgspec.json.encode(shown), next_cursor=msgspec.json.encode(cursor))

    @get(
        PATH + "/{name:str}/parked/{topic:str}/{partition:str}/{offset:str}",
        summary="Get a parked event",
        responses=documented(400, 404, 410, 412, 422, 503),
    )
    async def get_parked(
        name: FromPath[str], topic: FromPath[str], partition: FromPath[str], offset: FromPath[str], request: AnyRequest
    ) -> Response[ParkedEventAnswer]:
        """One event with its headers and the first 64 KiB of its value, resolved or not."""
        parameters(request.scope["query_string"], ())
        place = f"{segment(topic, 'topic')}/{segment(partition, 'partition')}@{segment(offset, 'offset')}"
        name, position = await known(reader, name), _position(place)
        reply = await calls.read(answers, request, name, lambda _: parked.one(position))
        if not reply.answer.rows:
            raise _not_parked(name, place, reply)
        return reply.response(event=msgspec.json.encode(_whole(name, reply.answer.rows[0])))

    return [list_parked, get_parked]


def _position(place: str) -> Position:
    found = _PLACE.fullmatch(place)
    if found is None or int(found["partition"]) >= 2**31:
        raise InvalidInput("place", f"not a topic, a partition and an offset: {place[:80]!a}")
    return found["topic"], int(found["partition"]), int(found["offset"])


def _cursor(row: ParkedRow) -> str:
    return f"{row.topic}/{row.partition}@{row.offset}"


def _after(cursor: str) -> Position:
    try:
        return _position(cursor)
    except InvalidInput as error:
        raise broken_cursor() from error


def _not_parked(name: str, place: str, reply: Reply) -> ProblemDetailsException:
    return problem(
        404,
        "no-such-parked-event",
        "No such parked event",
        f"{name} has parked nothing at {place}, at this version.",
        headers=read_headers(reply.answer, reply.conditions),
        projection=reply.answer.standing,
    )


def _shown(projection: str, row: ParkedRow) -> ParkedShown:
    key, encoding = text(row.key, KEY_SHOWN)
    return ParkedShown(
        projection,
        row.topic,
        row.partition,
        row.offset,
        key,
        encoding,
        row.reason,
        row.value_bytes,
        row.parked_at,
        row.resolved_by,
        None if row.retried is None else RetriedShown(**msgspec.structs.asdict(row.retried)),
        None if row.skipped is None else SkippedShown(**msgspec.structs.asdict(row.skipped)),
    )


def _whole(projection: str, raw: bytes) -> ParkedWholeShown:
    row = parked.whole(raw)
    value, encoding = text(row.value, VALUE_SHOWN)
    headers = msgspec.msgpack.decode(row.headers, type=list[tuple[str, bytes | None]])
    listed = msgspec.structs.asdict(_shown(projection, row))
    return ParkedWholeShown(**listed, headers=_headers(headers), value=value, value_encoding=encoding)


def _headers(headers: list[tuple[str, bytes | None]]) -> list[HeaderShown]:
    """Headers until they are as long as a value may be shown."""
    shown: list[HeaderShown] = []
    room = VALUE_SHOWN
    for name, content in headers:
        room -= len(name) + len(content or b"")
        if room < 0:
            break
        shown.append(HeaderShown(name, *text(content, VALUE_SHOWN)))
    return shown


def text(raw: bytes | None, shown: int) -> tuple[str | None, str]:
    """Bytes as text where they are UTF-8, otherwise as base64; and which of the two.

    `shown` bytes are all that is left of longer ones: then a character that was cut in two does not count.
    """
    if raw is None:
        return None, "utf-8"
    try:
        return getincrementaldecoder("utf-8")().decode(raw, final=len(raw) < shown), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii"), "base64"
