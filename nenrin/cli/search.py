"""`nenrin search`: answers, with the version and the lag that belong to them."""

from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from nenrin.cli.running import find
from nenrin.cli.showing import excerpt, freshness_of
from nenrin.client import Freshness, Session, calls
from nenrin.client.answers import Found, Hit
from schemas import versions


class Question(msgspec.Struct, frozen=True):
    """What was asked, and how fresh the answer must be."""

    text: str
    collection: str
    mode: str
    k: int
    at_least: str | None
    wait: float

    @property
    def freshness(self) -> Freshness:
        """As the client asks for it. Raises `MalformedToken`."""
        return Freshness(versions.parse(self.at_least) if self.at_least else None, self.wait)


def search(question: Question, state: Path | None, as_json: bool) -> None:
    """Ask, and print the answer."""
    call = calls.search(question.collection, question.text, question.mode, question.k, question.freshness)
    stack = find(state)
    with Session(stack.command, stack.query) as session:
        response = session.exchange(call)
    found = call.read(response.status_code, response.content, response.headers.get("retry-after"))
    if as_json:
        print(response.text)
    else:
        Console(highlight=False).print(shown(found, question))


def shown(found: Found, question: Question) -> RenderableType:
    """An answer for people."""
    hits: list[RenderableType] = [
        Padding(_hit(rank, hit, question.text), (0, 0, 1, 0)) for rank, hit in enumerate(found.results, 1)
    ]
    nothing = Text(f"Nothing found in collection {question.collection}.\n")
    return Group(*(hits or [nothing]), freshness_of(found.projection))


def _hit(rank: int, hit: Hit, query: str) -> RenderableType:
    head = Text.assemble(
        (f"{rank:>2}  ", "dim"),
        (hit.title or hit.document_id, "bold"),
        f"  {hit.score:.3f}  ",
        (hit.document_id, "dim"),
    )
    return Group(head, Padding(excerpt(hit.passage.text, query, 240), (0, 0, 0, 4)))
