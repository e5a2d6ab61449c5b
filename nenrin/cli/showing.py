"""How answers look on a terminal."""

import re
from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from nenrin.client.answers import Generation, Projection
from schemas import versions
from schemas.topics import DOCUMENTS

MANY = 6
"""Partitions: more than can be read at a glance."""

STATES = {"live": "green", "catching_up": "yellow", "stalled": "bold red", "unknown": "magenta"}


def freshness_of(projection: Projection) -> Text:
    """The line below an answer: what it has seen, and how far behind that is."""
    return Text.assemble(
        (f"{projection.name} version ", "dim"),
        (positions(projection.version), "cyan"),
        ("  lag ", "dim"),
        lag(projection),
        ("  parked ", "dim") if projection.parked else "",
        (str(projection.parked), "yellow") if projection.parked else "",
    )


def lag(of: Projection | Generation) -> Text:
    """How far behind, and what that is called. Unknown is never shown as 0."""
    style = STATES.get(of.state, "")
    if of.lag_events is None or of.lag_seconds is None:
        return Text(of.state, style)
    return Text(f"{of.lag_events:,} events, {of.lag_seconds:.2f} s, {of.state}", style)


def table_of(title: str, *columns: str) -> Table:
    """An empty table as all commands print it."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # a name that is cut off names nothing
    return table


def positions(token: str | None) -> str:
    """What a version token says: the next offset of each partition, or their sum when there are many."""
    if token is None:
        return "no version"
    offsets = versions.parse(token).offsets
    if list(offsets) == [DOCUMENTS]:
        return _listed(offsets[DOCUMENTS])
    return ", ".join(f"{topic} {_listed(offsets[topic])}" for topic in sorted(offsets)) or "nothing"


def _listed(offsets: Mapping[int, int]) -> str:
    if len(offsets) > MANY:
        return f"{sum(offsets.values()):,} in {len(offsets)} partitions"
    if set(offsets) == set(range(len(offsets))) and len(offsets) > 1:
        return "·".join(str(offsets[partition]) for partition in sorted(offsets))
    return " ".join(f"{partition}:{offsets[partition]}" for partition in sorted(offsets))


def plain(said: str, limit: int = 2_000) -> str:
    """What strangers wrote, in one line, without characters that a terminal would obey."""
    shown = "".join(character if character.isprintable() else "�" for character in said[:limit])
    return shown + ("…" if len(said) > limit else "")


def excerpt(passage: str, query: str, limit: int) -> Text:
    """The part of a passage that has most of the query's words, with those marked."""
    flat = plain(" ".join(passage.split()), len(passage))
    words = re.compile("|".join(rf"\b{re.escape(word)}" for word in _words(query)) or r"(?!)", re.IGNORECASE)
    start = _densest(flat, words, limit)
    text = Text(("…" if start else "") + flat[start : start + limit] + ("…" if start + limit < len(flat) else ""))
    text.highlight_regex(words, "bold cyan")
    return text


def _words(query: str) -> list[str]:
    """The query's words, without those too short to say anything."""
    return sorted({word.lower() for word in re.findall(r"\w+", query) if len(word) > 3})


def _densest(flat: str, words: re.Pattern[str], limit: int) -> int:
    """Where to begin an excerpt: a little before the window with the most words in it."""
    places = [found.start() for found in words.finditer(flat)]
    if not places or len(flat) <= limit:
        return 0
    best = max(places, key=lambda place: sum(place <= other < place + limit for other in places))
    return min(max(0, flat.rfind(" ", 0, max(0, best - 30)) + 1), len(flat) - limit)
