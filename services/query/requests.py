"""What callers send: bodies, parameters and cursors, checked before the database is asked. Pure."""

import base64
import binascii
import re
from math import hypot, isfinite
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
import numpy as np
from litestar.plugins.problem_details import ProblemDetailsException
from msgspec import Meta

from projections.passages.filters import path_of
from schemas.documents import DocumentId, check_characters, check_document_id
from schemas.encoders import QUERY_CHARACTERS
from schemas.errors import InvalidInput
from web.problems import problem

MODES = ("hybrid", "dense", "text")
MOST = 1_000
"""The largest `k`, `limit` and number of `ids`."""
PAGE = 100

_LIMIT = re.compile(r"[0-9]{1,9}")


_FILTER = (
    "Over metadata: `$eq $ne $in $nin $gt $gte $lt $lte $exists $and $or $not`, at most 20 deep. Keys and operators "
    "are a conjunction; an array matches if one element does."
)


def _said(**schema: Any) -> Meta:
    """What the OpenAPI document says of a member; the functions below check it, and say more when it is broken."""
    return Meta(extra_json_schema=schema)


class SearchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search: by words (`query`) or by a vector. `mode`: hybrid where there are words, otherwise dense."""

    query: Annotated[str, _said(minLength=1, maxLength=QUERY_CHARACTERS)] | None = None
    vector: Annotated[list[float], _said(minItems=1)] | None = None
    mode: Annotated[str, _said(enum=MODES)] | None = None
    k: Annotated[int, _said(minimum=1, maximum=MOST)] = 10
    filter: Annotated[dict[str, Any], _said(description=_FILTER)] = {}


class GetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ids of the documents to get."""

    ids: Annotated[list[DocumentId], _said(maxItems=MOST)]


class Search(msgspec.Struct, frozen=True):
    """A search that can be carried out. `vector` is of length 1, or absent; `path` is the filter."""

    mode: str
    k: int
    path: str | None
    query: str | None
    vector: bytes | None


def search_of(body: SearchBody) -> Search:
    """Check a search. Raises `InvalidInput`, naming the field."""
    if body.query is None and body.vector is None:
        raise InvalidInput("query", "missing; give query (words) or vector")
    if body.query is not None and body.vector is not None:
        raise InvalidInput("vector", "given beside query; give one of them")
    if not 1 <= body.k <= MOST:
        raise InvalidInput("k", f"1 to {MOST:,} documents, got {body.k}")
    mode = _mode(body)
    path = path_of(body.filter) if body.filter else None
    if body.query is not None:
        _check_query(body.query)
    return Search(mode, body.k, path, body.query, None if body.vector is None else unit(body.vector))


def _mode(body: SearchBody) -> str:
    if body.mode is None:
        return "dense" if body.query is None else "hybrid"
    if body.mode not in MODES:
        raise InvalidInput("mode", f"one of {', '.join(MODES)}; got {body.mode[:40]!a}")
    if body.query is None and body.mode != "dense":
        raise InvalidInput("mode", f"{body.mode} needs the words of a query; by vector alone, search dense")
    return body.mode


def _check_query(query: str) -> None:
    check_characters("query", query)
    if not query.strip():
        raise InvalidInput("query", "empty; give some words")
    if len(query) > QUERY_CHARACTERS:
        raise InvalidInput("query", f"at most {QUERY_CHARACTERS:,} characters, got {len(query):,}")


def unit(vector: list[float]) -> bytes:
    """A vector scaled to length 1, as the little-endian float16 in which vectors are kept. Raises `InvalidInput`.

    Cosine doesn't depend on length, so that nothing is too large or too small for float16.
    """
    length = hypot(*vector)
    if not isfinite(length):
        return unit(_smaller(vector))
    if length == 0.0:
        raise InvalidInput("vector", "empty or all zeros: it points nowhere")
    return (np.array(vector) / length).astype("<f2").tobytes()


def _smaller(vector: list[float]) -> list[float]:
    """The same direction, for a vector whose length is beyond float64."""
    if not all(map(isfinite, vector)):
        raise InvalidInput("vector", "not finite numbers only")
    largest = max(map(abs, vector))
    return [value / largest for value in vector]


def ids_of(body: GetBody) -> list[str]:
    """Check the ids of documents. Raises `InvalidInput`."""
    if len(body.ids) > MOST:
        raise InvalidInput("ids", f"at most {MOST:,}, got {len(body.ids):,}")
    for number, document_id in enumerate(body.ids):
        try:
            check_document_id(document_id)
        except InvalidInput as error:
            raise InvalidInput(f"ids[{number}]", error.message) from error
    return body.ids


class Page(msgspec.Struct, frozen=True):
    """Which documents of a list: `limit` of them, after the id `after`."""

    after: str = ""
    limit: int = PAGE


def page_of(query_string: bytes) -> Page:
    """Read the parameters of a list; an empty one is as good as none. Raises `InvalidInput`, or a problem."""
    asked = {name: value for name, value in parameters(query_string, ("limit", "cursor")).items() if value}
    limit = limit_of(asked.get("limit", str(PAGE)))
    return Page(after_cursor(asked["cursor"]) if "cursor" in asked else "", limit)


def limit_of(asked: str) -> int:
    """How long a page may be. Raises `InvalidInput`."""
    if not _LIMIT.fullmatch(asked) or not 1 <= int(asked) <= MOST:
        raise InvalidInput("limit", f"a number from 1 to {MOST:,}, got {asked[:40]!a}")
    return int(asked)


def parameters(query_string: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters of an address, each known and given once. Raises `InvalidInput`."""
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise InvalidInput("parameters", "not UTF-8 once percent-decoded") from error
    for name, value in pairs:
        if name not in known:
            expected = f"known are {', '.join(known)}" if known else "none are known here; send ? in an id as %3F"
            raise InvalidInput(name[:80] or "parameters", f"unknown parameter; {expected}")
        if name in found:
            raise InvalidInput(name, "given twice")
        found[name] = value
    return found


def cursor_after(document_id: str) -> str:
    """The cursor that stands after a document."""
    return base64.urlsafe_b64encode(msgspec.json.encode([1, document_id])).rstrip(b"=").decode("ascii")


def broken_cursor() -> ProblemDetailsException:
    """The problem of a cursor that no page of ours can have held."""
    return problem(
        400, "broken-cursor", "Broken cursor", "Not a cursor; use the next_cursor of a page, unchanged.", field="cursor"
    )


def after_cursor(cursor: str) -> str:
    """The id after which a cursor stands. Raises the problem of a broken one."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        _, document_id = msgspec.json.decode(raw, type=tuple[int, str])
        check_document_id(document_id)
    except (binascii.Error, ValueError, msgspec.DecodeError, InvalidInput) as error:
        raise broken_cursor() from error
    if cursor_after(document_id) != cursor:
        raise broken_cursor()
    return document_id
