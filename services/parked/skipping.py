"""Skip: give events up, on record, so that they count no longer and hold nothing up."""

from collections.abc import Callable, Collection, Sequence
from itertools import groupby

from projections import decisions
from projections.decisions import Parked
from schemas.errors import InvalidInput
from services.parked.planning import Asked, Chosen, Done, Outcome, is_open
from services.parked.retrying import ORDERS
from services.parked.searching import connected, parked_by
from services.settings import Settings


async def skip(
    settings: Settings,
    asked: Asked,
    *,
    planned: Callable[[Sequence[Parked]], bool] = lambda _: True,
    projections: Collection[str] = tuple(ORDERS),
) -> list[Done]:
    """Give up what is chosen; what was skipped before stays as it was. `planned` may say no to the plan.

    Raises `InvalidInput` for what can't be skipped, with nothing written, and `DatabaseAway`.
    """
    chosen = asked.chosen
    if not asked.why.strip():
        raise InvalidInput("--reason", "say why, for those who wonder later")
    async with connected(settings.dsn) as connection:
        parked = [event for event in await parked_by(connection, projections, chosen) if chosen.concerns(event)]
        before = [event for event in parked if event.place in chosen.places and event.skipped_at is not None]
        over = {event.place for event in before} - {event.place for event in parked if is_open(event)}
        left = tuple(place for place in chosen.places if place not in over)
        wanted = Chosen(left, chosen.projection).among(parked) if left or not chosen.places else []
        if not planned(wanted):
            return []
        for _, those in groupby(wanted, key=lambda event: event.projection):
            await decisions.skip(connection, list(those), asked.by, asked.why)
    return [
        *(_done(event, Outcome.SKIPPED_BEFORE) for event in before),
        *(_done(event, Outcome.SKIPPED) for event in wanted),
    ]


def _done(event: Parked, outcome: Outcome) -> Done:
    return Done(event.place, event.key, (event.projection,), outcome)
