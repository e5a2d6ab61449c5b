"""Gates: what a candidate has to show before readers are sent to it, held against live at one version."""

from functools import partial
from pathlib import Path

import asyncpg
import msgspec

from projections import models
from projections.catalogue import Catalogue, Generation
from projections.writer import Writer
from schemas.errors import NenrinError
from services.replay import neighbours
from services.replay.judging import Pair, judged
from services.replay.pausing import NotPaused, at_one_version
from services.replay.progress import Phase, Progress, Silent
from services.replay.report import Gate, Gates, Outcome
from services.settings import Settings


class NoCandidate(NenrinError):
    """A generation that can't become live, whatever it holds; the message says why."""


class Asked(msgspec.Struct, frozen=True):
    """What is asked beyond the rest. `queries`: a file of them, one in a line, or JSON Lines with "query".

    `min_overlap`: the share of neighbours, 0 to 1, that another encoder has to have in common with the live one; None:
    it is told, and not judged.
    """

    queries: Path | None = None
    min_overlap: float | None = None


NOTHING_MORE = Asked()


async def gate(  # noqa: PLR0913  (the last two are for those who have more to say)
    hold: asyncpg.Connection,
    settings: Settings,
    projection: str,
    generation: int,
    *,
    asked: Asked = NOTHING_MORE,
    progress: Progress | None = None,
) -> Gates:
    """Hold a generation against the live one. `hold` keeps projectors from it (`holding.hold`), and is not used up.

    The live one serves and moves all the while; the candidate then stands at the version of the comparison. Raises
    `NoCandidate`, `InvalidInput` for a file of queries, and what keeps it from being written: `OtherIncarnation`,
    `PositionLost`, `Gap`, `UndecodableRecord`, `GenerationOutdated`, `LogAway`, `DatabaseAway`.
    """
    known = await Catalogue(hold.fetch).look()
    live, candidate = known.pick(projection), known.pick(projection, generation)
    _check(live, candidate)
    questions = () if asked.queries is None else neighbours.questions(asked.queries)
    model = models.model(projection, candidate.language or settings.text_language)
    writer = Writer(model, generation, settings.dsn, park_limit=settings.park_limit)
    show = partial((progress or Silent()).show, Phase.GATES)
    show()
    try:
        async with at_one_version(settings, writer, candidate, live, show) as (before, after):
            pair = Pair(model, live, candidate, before, after)
            compared = neighbours.Compared(before.side, after.side, (live.encoder, candidate.encoder), settings.device)
            found = await judged(pair)
            found += await neighbours.gates(compared, hold, questions, asked.min_overlap)
    except NotPaused as error:
        return Gates(projection, generation, live.number, None, [Gate("version", Outcome.UNKNOWN, str(error))])
    return Gates(projection, generation, live.number, before.standing.version.token(), found)


def _check(live: Generation, candidate: Generation) -> None:
    if live.number == candidate.number:
        raise NoCandidate(f"generation {live.number} of {live.projection} is live already")
    if candidate.ended:
        raise NoCandidate(
            f"{candidate.schema} has ended: nothing keeps it up with the log; "
            f"`nenrin projections rebuild {candidate.projection}` makes one that can become live"
        )
