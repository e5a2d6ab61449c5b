"""What another encoder changes: which documents are near to each other, and whether the index finds them."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import msgspec
import numpy as np

from projections import encoders
from projections.generations.comparing import Side
from projections.passages import neighbours
from projections.passages.neighbours import Sampled
from schemas.errors import InvalidInput
from services.replay.report import Gate, Outcome

if TYPE_CHECKING:
    from encoders.questions import QuestionsToVectors

SAMPLED = 100
"""Passages that are drawn: the mean of as many shares is off by 0.03 or less, two times of three."""
NEAREST = 10
LEAST_RECALL = 0.9
"""Of the nearest passages, on average, that the index must find; pgvector's defaults find 0.95 and more."""
QUERIES = 1_000
"""Queries that are asked of a file, at most."""


class Compared(msgspec.Struct, frozen=True):
    """The two generations, and the encoder of each. `device`: where queries are encoded."""

    before: Side
    after: Side
    encoders: tuple[str | None, str | None]
    device: str


def questions(file: Path) -> list[str]:
    """The queries in a file: one in a line, or JSON Lines with "query". Raises `InvalidInput`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--queries", f"{file} can't be read: {error}") from error
    found = [_question(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InvalidInput("--queries", f"{file} has no query in it")
    return found[:QUERIES]


def _question(file: Path, number: int, line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line.strip()
    try:
        asked = json.loads(line)["query"]
    except (ValueError, KeyError) as error:
        raise InvalidInput("--queries", f'{file}, line {number}: no JSON object with "query": {error}') from error
    if not isinstance(asked, str):
        raise InvalidInput("--queries", f"{file}, line {number}: query is no text")
    return asked


async def gates(
    compared: Compared, hold: asyncpg.Connection, asked: Sequence[str], min_overlap: float | None
) -> list[Gate]:
    """The gates of a new encoder; none where there are no vectors, or the same. Raises `DatabaseAway`."""
    if None in compared.encoders:
        return []
    if compared.encoders[0] == compared.encoders[1]:
        same = "the same encoder"
        return [Gate(name, Outcome.NOT_APPLICABLE, same) for name in ("index recall", "overlap")]
    await neighbours.search_as_readers_do(compared.after.connection)
    drawn = await neighbours.sample(compared.after, SAMPLED)
    found = [await _recall(compared.after, drawn), await _overlap(compared, drawn, min_overlap)]
    return [*found, await _asked(compared, hold, asked, min_overlap)] if asked else found


async def _recall(side: Side, drawn: Sequence[Sampled]) -> Gate:
    shares = [share for each in drawn if (share := await neighbours.recall(side, each, NEAREST)) is not None]
    if not shares:
        return Gate("index recall", Outcome.NOT_APPLICABLE, "there are no passages to ask for")
    mean = float(np.mean(shares))
    said = (
        f"the index finds {mean:.3f} of the {NEAREST} nearest of {len(shares)} sampled passages, needed: {LEAST_RECALL}"
    )
    return Gate("index recall", Outcome.PASSED if mean >= LEAST_RECALL else Outcome.FAILED, said)


async def _overlap(compared: Compared, drawn: Sequence[Sampled], least: float | None) -> Gate:
    """Of each sampled passage, asked with its own vector in either generation."""
    shares = []
    for each in drawn:
        if (old := await neighbours.vector_at(compared.before, each)) is None:
            continue
        where = each.collection, each.document_id
        here = await neighbours.documents(compared.before, old, NEAREST, *where)
        there = await neighbours.documents(compared.after, each.vector, NEAREST, *where)
        shares.append(_share(here, there))
    return _judged("overlap", shares, f"of {len(shares)} sampled passages", least)


async def _asked(compared: Compared, hold: asyncpg.Connection, asked: Sequence[str], least: float | None) -> Gate:
    """Of each query, encoded by each generation's own encoder."""
    loaded = [await _load(hold, name, compared.device) for name in compared.encoders if name is not None]
    shares = []
    for query in asked:
        vectors = [await asyncio.to_thread(_encoded, encoder, query) for encoder in loaded]
        here = await neighbours.documents(compared.before, vectors[0], NEAREST)
        there = await neighbours.documents(compared.after, vectors[1], NEAREST)
        shares.append(_share(here, there))
    return _judged("overlap of queries", shares, f"of {len(shares)} queries", least)


async def _load(hold: asyncpg.Connection, name: str, device: str) -> "QuestionsToVectors":
    from encoders import questions as loading  # noqa: PLC0415  (it imports an inference engine)

    known = await encoders.find(hold, name)
    return await asyncio.to_thread(loading.load, known.encoder, device, known.folder)


def _encoded(encoder: "QuestionsToVectors", query: str) -> bytes:
    return encoder.encode_query(query).astype("<f2").tobytes()


def _share(here: set[tuple[str, str]], there: set[tuple[str, str]]) -> float:
    """How much two sets of neighbours have in common; all, where neither has any."""
    most = max(len(here), len(there))
    return len(here & there) / most if most else 1.0


def _judged(name: str, shares: Sequence[float], of: str, least: float | None) -> Gate:
    if not shares:
        return Gate(name, Outcome.NOT_APPLICABLE, "there are no passages to ask for")
    mean = float(np.mean(shares))
    said = f"{mean:.3f} of the {NEAREST} nearest documents {of} are the same (lowest {min(shares):.1f})"
    if least is None:
        return Gate(name, Outcome.PASSED, f"{said}; told, not judged")
    return Gate(name, Outcome.PASSED if mean >= least else Outcome.FAILED, f"{said}, needed: {least}")
