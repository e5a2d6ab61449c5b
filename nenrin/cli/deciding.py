"""`nenrin parked retry` and `nenrin parked skip`: what an operator decides about events that could not be applied."""

import asyncio
import getpass
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nenrin.cli.parked import Place, place_of
from nenrin.cli.services import settings_for
from nenrin.cli.showing import plain
from schemas.errors import InvalidInput

if TYPE_CHECKING:
    from projections.decisions import Parked
    from services.parked import Asked, Done, Step


class Order(msgspec.Struct, frozen=True):
    """What the command line says."""

    words: list[str]
    everything: bool
    projection: str | None
    by: str | None
    dry_run: bool
    state: Path | None
    as_json: bool


def retry_parked(order: Order, again: bool) -> None:
    """Append events to their topic again. Raises what can't be retried, and what is away."""
    from services.parked import retry  # noqa: PLC0415  (it imports the drivers of both servers)

    asked = _asked(order, again=again)
    planned: list[Step] = []

    def look(steps: Sequence["Step"]) -> bool:
        planned.extend(steps)
        _say(order, [_step(step) for step in steps] or ["Nothing is parked."])
        return not order.dry_run

    done = asyncio.run(
        retry(settings_for(order.state), asked, planned=look, done=lambda what: _say(order, [_done(what)]))
    )
    if order.as_json:
        print(json.dumps([_planned(step) for step in planned] if order.dry_run else [_listed(what) for what in done]))
        return
    for step in planned:
        if step.moves:
            _say(order, [f"{_where(step.place)} lies where nothing can heal it: when its copy is there, skip it"])


def skip_parked(order: Order, why: str) -> None:
    """Give events up, on record. Raises what can't be skipped, and what is away."""
    from services.parked import skip  # noqa: PLC0415

    planned: list[Parked] = []

    def look(events: Sequence["Parked"]) -> bool:
        planned.extend(events)
        return not order.dry_run

    done = asyncio.run(skip(settings_for(order.state), _asked(order, why=why), planned=look))
    if order.as_json:
        print(
            json.dumps([_listed(what) for what in done] if not order.dry_run else [_given_up(one) for one in planned])
        )
    elif order.dry_run:
        _say(order, [f"would skip {_where(one.place)} of {one.projection}" for one in planned])
    else:
        _say(order, [_done(what) for what in done] or ["Nothing is parked."])


def _asked(order: Order, *, again: bool = False, why: str = "") -> "Asked":
    from services.parked import Asked, Chosen  # noqa: PLC0415

    if bool(order.words) == order.everything:
        raise InvalidInput("PLACE", "name events as `nenrin parked list` does (documents/2@17), or say --all")
    places = _places(order.words)
    projection = order.projection or next((each.projection for each in places), None)
    chosen = Chosen(tuple((each.topic, each.partition, each.offset) for each in places), projection)
    return Asked(chosen, who(order.by), why, again)


def _places(words: Sequence[str]) -> list[Place]:
    """Places, each a word; or one that takes several, as `parked show` has it: documents documents/2@17."""
    try:
        return [place_of([word]) for word in words]
    except InvalidInput:
        one = place_of(words)
        if "@" in (one.projection or ""):
            raise
        return [one]


def who(named: str | None) -> str:
    """Who decides: who was named, else who is logged in; a user without a name by number."""
    try:
        return named or getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _say(order: Order, lines: Sequence[str]) -> None:
    if not order.as_json:
        for line in lines:
            print(plain(line), flush=True)


def _where(place: tuple[str, int, int]) -> str:
    return f"{place[0]}/{place[1]}@{place[2]}"


def _step(step: "Step") -> str:
    """A line of the plan."""
    topic, head = step.place[0], f"{_where(step.place)} ({', '.join(event.projection for event in step.events)})"
    if step.copied_as is not None:
        return (
            f"leave {head}: it was retried as {_where((topic, step.into, step.copied_as))}; --again does so once more"
        )
    if step.in_doubt:
        return f"look for {head} in {topic}/{step.into}, where a retry that was cut off may have appended it"
    moved = f", in partition {step.into}, where its key belongs" if step.moves else ""
    return f"append {head} again{moved}"


def _done(what: "Done") -> str:
    """What became of an event."""
    place = _where(what.place)
    copy = "" if what.copied_as is None else _where((what.place[0], *what.copied_as))
    return {
        "appended": f"{place} was appended again as {copy}",
        "found": f"{place} had been appended as {copy}",
        "retried_before": f"{place} was retried before, as {copy}",
        "skipped": f"{place} of {what.projections[0]} is skipped",
        "skipped_before": f"{place} of {what.projections[0]} was skipped before",
    }[what.outcome]


def _listed(what: "Done") -> dict[str, Any]:
    copy = None if what.copied_as is None else {"partition": what.copied_as[0], "offset": what.copied_as[1]}
    return _event(what.place, what.key) | {
        "projections": what.projections,
        "outcome": what.outcome.value,
        "copy": copy,
    }


def _planned(step: "Step") -> dict[str, Any]:
    names = [event.projection for event in step.events]
    return _event(step.place, step.events[0].key) | {"projections": names, "outcome": "planned", "into": step.into}


def _given_up(event: "Parked") -> dict[str, Any]:
    return _event(event.place, event.key) | {"projections": [event.projection], "outcome": "planned"}


def _event(place: tuple[str, int, int], key: bytes | None) -> dict[str, Any]:
    topic, partition, offset = place
    shown = None if key is None else key.decode(errors="backslashreplace")
    return {"topic": topic, "partition": partition, "offset": offset, "key": shown}
