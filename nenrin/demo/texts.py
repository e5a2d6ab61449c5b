"""What the demo adds: Python's own language reference, or a folder of the user's."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import msgspec

from nenrin.cli.corpus.finding import Wanted, find
from nenrin.cli.corpus.items import Taken
from nenrin.cli.corpus.prose import title_of
from nenrin.cli.corpus.reading import read
from nenrin.client import Draft
from schemas.errors import InvalidInput

ENOUGH = 600_000
"""Characters: what two cores embed in about half a minute."""


class Corpus(msgspec.Struct, frozen=True):
    """Documents to add, and questions to ask of them."""

    name: str
    collection: str
    drafts: Sequence[Draft]
    questions: Sequence[str]
    passed_over: int = 0

    @property
    def characters(self) -> int:
        """The size of all texts."""
        return sum(len(draft.text) for draft in self.drafts)


def language_reference() -> Corpus:
    """The language reference that ships inside Python, as `help()` shows it."""
    drafts = [Draft(name, text, title_of(text).replace('"', "") or name) for name, text in sorted(topics.items())]
    questions = (
        "run cleanup code even when something fails",
        "make objects of my class usable as dictionary keys",
    )
    return Corpus("Python's language reference (pydoc_data.topics)", "python", drafts, questions)


def folder(path: Path) -> Corpus:
    """The text files of a folder, as many as a demo has time for, with some of their titles as questions."""
    found = find([path], Path.cwd(), Wanted()).sources.values()
    drafts = list(_enough(item.draft for source in found for item in read(source) if isinstance(item, Taken)))
    if not drafts:
        raise InvalidInput("FOLDER", f"{path} holds no texts that `nenrin add` would take")
    questions = tuple(dict.fromkeys(drafts[place].title or drafts[place].document_id for place in (0, -1)))
    return Corpus(str(path), "demo", drafts, questions, passed_over=max(0, len(found) - len(drafts)))


def _enough(drafts: Iterable[Draft]) -> Iterator[Draft]:
    characters = 0
    for draft in drafts:
        yield draft
        characters += len(draft.text)
        if characters > ENOUGH:
            return
