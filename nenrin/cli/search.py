"""`nenrin search`: answers, with the version and the lag that belong to them."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nenrin.cli.running import find_stack, session_with
from nenrin.cli.showing import excerpt, freshness_of, plain
from nenrin.client import Session, calls
from nenrin.client.answers import Count, Found, Hit
from nenrin.client.conditions import Conditions
from schemas import versions
from schemas.errors import InvalidInput

NAMED = 10
"""Collections that are named to somebody who asked for one that isn't there."""


class Question(msgspec.Struct, frozen=True):
    """What was asked, and how fresh the answer must be."""

    text: str
    collection: str
    mode: calls.Mode
    k: int
    filter: dict[str, Any] | None
    conditions: Conditions

    @property
    def call(self) -> calls.Call[Found]:
        """As the client asks it."""
        return calls.search(self.collection, self.text, mode=self.mode, k=self.k, filter=self.filter, **self.conditions)


def question(  # noqa: PLR0913, PLR0917  (an option each)
    text: str,
    collection: str,
    mode: calls.Mode,
    k: int,
    filters: str | None,
    at_least: str | None,
    wait: float,
    max_lag: float | None,
    generation: int | None,
) -> Question:
    """The question that a command line means. Raises `InvalidInput`, for a token `MalformedToken`."""
    conditions = Conditions(wait=wait)
    if at_least is not None:
        versions.parse(at_least)
        conditions["at_least"] = at_least
    if max_lag is not None:
        conditions["max_lag"] = max_lag
    if generation is not None:
        conditions["generation"] = generation
    return Question(text, collection, mode, k, None if filters is None else _filter(filters), conditions)


def _filter(given: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput("--filter", f'not a JSON object ({error}); one is \'{{"lang": "en"}}\'') from error


def search(asked: Question, state: Path | None, as_json: bool) -> None:
    """Ask, and print the answer."""
    call = asked.call
    with session_with(find_stack(state)) as session:
        answer = bytes(session.send(call.raw()))
        if as_json:
            print(answer.decode())
            return
        found = call.read(200, answer, None)
        console = Console(highlight=False)
        if not found.results:
            console.print(_why_nothing(asked, session), "")
        console.print(shown(found, asked.text))


def shown(found: Found, query: str) -> RenderableType:
    """An answer for people."""
    hits = [Padding(_hit(rank, hit, query), (0, 0, 1, 0)) for rank, hit in enumerate(found.results, 1)]
    return Group(*hits, freshness_of(found.projection))


def _hit(rank: int, hit: Hit, query: str) -> RenderableType:
    head = Text.assemble(
        (f"{rank:>2}  ", "dim"),
        (plain(hit.title or hit.document_id, 200), "bold"),
        f"  {hit.score:.3f}  ",
        (plain(hit.document_id, 200), "dim"),
    )
    return Group(head, Padding(excerpt(hit.passage.text, query, 240), (0, 0, 0, 4)))


def _why_nothing(asked: Question, session: Session) -> Text:
    there = {count.name: count for count in session.collections(at_least=None).collections}
    return Text(nothing(asked.collection, there, filtered=asked.filter is not None))


def nothing(collection: str, there: dict[str, Count], filtered: bool) -> str:
    """Why a search may have found nothing, and what to try."""
    if collection in there:
        advice = "without --filter, or with other words" if filtered else "with other words, or another --mode"
        return f"Nothing found among {there[collection].documents:,} documents of {collection}: try {advice}."
    if not there:
        return f"There is no collection {collection}, and no other one: add documents with `nenrin add`."
    largest = sorted(there.values(), key=lambda count: -count.documents)[:NAMED]
    names = ", ".join(f"{count.name} ({count.documents:,} documents)" for count in largest)
    more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
    return f"There is no collection {collection}. There are: {names}{more}."
