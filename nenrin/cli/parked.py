"""`nenrin parked`: the events that no projection could apply."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from nenrin.cli.running import find_stack, session_with
from nenrin.cli.showing import plain, table_of
from nenrin.client import Session
from nenrin.client.answers import ParkedContent, ParkedEvent
from nenrin.client.errors import NotThere
from schemas.errors import InvalidInput

_PLACE = re.compile(
    r"(?:(?P<projection>\S+) )?(?P<topic>[^\s/@]+)[/ ](?P<partition>\d{1,9})[@/ ](?P<offset>\d{1,18})", re.ASCII
)

LINES = 40
"""Of a value, as it is shown. --json has what the service hands out."""


class Place(msgspec.Struct, frozen=True):
    """Where an event lies; `projection` None: whoever has parked it."""

    projection: str | None
    topic: str
    partition: int
    offset: int


def place_of(words: Sequence[str]) -> Place:
    """The place that `[PROJECTION] TOPIC/PARTITION@OFFSET` names, spaces as good as signs. Raises `InvalidInput`."""
    given = " ".join(words)
    found = _PLACE.fullmatch(given)
    if found is None:
        raise InvalidInput("PLACE", f"{given[:80]!r} is none; write it as `nenrin parked list` does: documents/2@17")
    return Place(found["projection"], found["topic"], int(found["partition"]), int(found["offset"]))


def list_parked(state: Path | None, as_json: bool) -> None:
    """Print them, those of every projection."""
    with session_with(find_stack(state)) as session:
        events = [event for name in _projections(session) for event in _all(session, name)]
    if as_json:
        print(msgspec.json.encode([_listed(event) for event in events]).decode())
    else:
        Console(highlight=False).print(_table(events) if events else "Nothing is parked.")


def _projections(session: Session) -> list[str]:
    return [projection.name for projection in session.projections().projections]


def _all(session: Session, projection: str) -> Iterator[ParkedEvent]:
    """Every parked event of a projection, page by page."""
    page = session.parked(projection, at_least=None)
    yield from page.parked
    while page.next_cursor is not None:
        page = session.parked(projection, cursor=page.next_cursor, at_least=None)
        yield from page.parked


def _listed(event: ParkedEvent) -> dict[str, object]:
    return {name: getattr(event, name) for name in ("projection", "topic", "partition", "offset", "key", "reason")}


def _table(events: Sequence[ParkedEvent]) -> RenderableType:
    table = table_of("Parked events", "projection", "place", "key", "reason")
    for event in events:
        # what strangers wrote is text, never markup
        table.add_row(event.projection, _where(event), Text(plain(event.key or "", 60)), _why(event))
    return Group(table, Text("nenrin parked show PLACE shows one; parked retry and parked skip deal with them", "dim"))


def _why(event: ParkedEvent) -> Text:
    copy = event.retried
    if copy is None:
        return Text(plain(event.reason, 200))
    at = "?" if copy.offset is None else copy.offset
    return Text(f"{plain(event.reason, 200)} (retried as {event.topic}/{copy.partition}@{at})")


def _where(event: ParkedEvent) -> str:
    return f"{event.topic}/{event.partition}@{event.offset}"


def show_parked(words: Sequence[str], state: Path | None, as_json: bool) -> None:
    """Print one event. Raises `InvalidInput` or `NotThere` when nobody has parked it."""
    place = place_of(words)
    with session_with(find_stack(state)) as session:
        names = [place.projection] if place.projection else _projections(session)
        found = list(_parked_by(session, names, place))
    if not found:
        raise InvalidInput("PLACE", f"no projection has parked an event at {' '.join(words)}")
    if as_json:
        print(msgspec.json.encode(found[0]).decode())
    else:
        Console(highlight=False).print(shown(found))


def _parked_by(session: Session, names: Sequence[str], place: Place) -> Iterator[ParkedContent]:
    """The event as each of the projections keeps it that has parked it."""
    for name in names:
        try:
            answer = session.parked_event(name, place.topic, place.partition, place.offset, at_least=None)
        except NotThere:
            if place.projection is not None:
                raise  # the service says whether the projection or the event is unknown
        else:
            yield answer.event


def shown(found: Sequence[ParkedContent]) -> RenderableType:
    """An event for people: who could not apply it and why, its key and headers, its value."""
    event = found[0]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for each in found:
        table.add_row(f"parked by {each.projection}", Text(each.reason, "yellow"))
        table.add_row("", Text(_since(each), "dim"))
    table.add_row("key", _encoded(event.key, event.key_encoding))
    for header in event.headers:
        table.add_row(Text(plain(header.name, 80)), _encoded(header.value, header.encoding))
    head = Text(_where(event), "bold")
    return Group(head, table, "", Text(_size(event), "dim"), Padding(_value(event), (0, 0, 0, 2)))


def _since(event: ParkedEvent) -> str:
    said = [f"since {event.parked_at}"]
    if (retried := event.retried) is not None:
        copy = "a copy that may be" if retried.offset is None else f"{event.topic}/{retried.partition}@{retried.offset}"
        said.append(f"retried by {plain(retried.by)} as {copy}, {retried.at}")
    if (skipped := event.skipped) is not None:
        said.append(f"skipped by {plain(skipped.by)}, {skipped.at}: {plain(skipped.reason)}")
    if event.resolved_by is not None:
        said.append(f"resolved by the event at offset {event.resolved_by}")
    return "\n".join(said)


def _encoded(value: str | None, encoding: str) -> Text:
    if value is None:
        return Text("none", "dim")
    return Text.assemble(plain(value, 400), (" (base64)" if encoding == "base64" else "", "dim"))


def _size(event: ParkedContent) -> str:
    if event.value_bytes is None:
        return "no value"
    return f"value, {event.value_bytes:,} bytes{' (base64)' if event.value_encoding == 'base64' else ''}"


def _value(event: ParkedContent) -> RenderableType:
    """JSON laid out where it is that; otherwise the beginning as it is."""
    if event.value is None:
        return ""
    laid_out = _as_json(event.value) if event.value_encoding == "utf-8" else None
    lines = (laid_out or event.value).split("\n")
    rest = [f"… {len(lines) - LINES:,} more lines, with --json"] if len(lines) > LINES else []
    said = "\n".join(plain(line) for line in lines[:LINES])
    body = (
        Text(said)
        if laid_out is None
        else Syntax(said, "json", theme="ansi_dark", background_color="default", word_wrap=True)
    )
    return Group(body, *(Text(line, "dim") for line in rest))


def _as_json(value: str) -> str | None:
    try:
        return json.dumps(json.loads(value), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return None
