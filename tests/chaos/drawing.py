"""What is written and asked, at random: small documents, large ones, and every kind of event."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.laws.events import INVALID, Event, added, removed, structured, unknown
from tests.laws.reading import (
    CountCollections,
    GetDocument,
    GetDocuments,
    ListDocuments,
    Question,
    SearchDense,
    SearchText,
)
from tests.oracle import partition_of

COLLECTIONS = ("novels", "notes")
ARCHIVE = "archive"
"""The collection of large documents: text searches there would keep the judge busy with their words."""
NAMES = (*(f"d{number}" for number in range(40)), "a/b c.txt", "年輪/7", "ünïcode", "%2F", "..", "Z z")
LARGE_NAMES = tuple(f"volume {number}" for number in range(6))
TOPIC_WORDS = tuple(f"topic{number}x" for number in range(8))
PROSE = ("rings", "of", "a", "tree", "grow", "with", "each", "year", "and", "tell", "how", "much", "rain", "there")
# Large texts are made of these few, so that their passages are many and most of their vectors known.
PARAGRAPHS = tuple(
    " ".join(f"In {year} the ring was {'narrow' if year % 3 else 'wide'}." for year in range(first, first + 12))
    for first in range(1000, 1060, 12)
)
DIMENSIONS = 384  # of the encoder that every stack begins with


@dataclass(frozen=True)
class Draft:
    """A document before it is written; without a text it is to be removed."""

    collection: str
    name: str
    text: str | None
    fields: Mapping[str, Any]

    @property
    def key(self) -> bytes:
        """The key of its events."""
        return f"{self.collection}/{self.name}".encode()


def some_draft(chance: random.Random, word: str, removals: float = 0.25) -> Draft:
    """A document with a word of its own; one or two in a hundred are hundreds of kB large, some are empty."""
    if chance.random() < 0.015:
        return Draft(ARCHIVE, chance.choice(LARGE_NAMES), large(chance, word), fields(chance))
    collection = chance.choice((*COLLECTIONS, *COLLECTIONS, *COLLECTIONS, ARCHIVE))
    name = chance.choice(LARGE_NAMES if collection == ARCHIVE else NAMES)
    return Draft(collection, name, None if chance.random() < removals else small(chance, word), fields(chance))


def small(chance: random.Random, word: str) -> str:
    """A text of one passage; now and then an empty one."""
    words = [word, *chance.sample(TOPIC_WORDS, 2), *chance.sample(PROSE, 6)]
    return " ".join(words) if chance.random() < 0.95 else ""


def large(chance: random.Random, word: str) -> str:
    """A text of 120 to 300 kB, which is up to a thousand passages."""
    size = chance.randrange(120_000, 300_000) // len(PARAGRAPHS[0])
    return "\n\n".join([f"{word} is the name of this volume.", *chance.choices(PARAGRAPHS, k=size)])


def fields(chance: random.Random) -> dict[str, Any]:
    """What else a document may have."""
    metadata: Mapping[str, Any] = {
        "lang": chance.choice(("en", "年")),
        "year": chance.randrange(1900, 2100),
        "weight": chance.choice((0.5, 1e21, -0.0, 7)),
        "no": None,
    }
    every = {"title": f"title {chance.randrange(1000)}", "metadata": metadata, "source_uri": "file:///a%20b"}
    return {name: value for name, value in every.items() if chance.random() < 0.5}


def some_event(chance: random.Random, word: str, partitions: int) -> tuple[str, Event]:
    """A kind of event, and one of it: what a careful, a careless or a strange producer writes."""
    draft = some_draft(chance, word, removals=0)
    whole = added(draft.collection, draft.name, draft.text, **draft.fields)
    wrong = (partition_of(draft.key, partitions) + 1) % partitions
    makers: dict[str, Callable[[], Event]] = {
        "added": lambda: whole,
        "removed": lambda: removed(draft.collection, draft.name),
        "structured": lambda: structured(whole),
        "unknown": lambda: unknown(draft.collection, draft.name),
        "wrong partition": lambda: replace(whole, partition=wrong),
        "invalid": lambda: INVALID[chance.choice(list(INVALID))](draft.collection, draft.name),
    }
    (kind,) = chance.choices(list(makers), (56, 20, 6, 6, 2, 10))
    return kind, makers[kind]()


@dataclass(frozen=True)
class SearchHybrid(SearchDense):
    """The nearest documents by vector and by words; what it shows must be true, as of a dense search."""

    def request(self) -> tuple[str, str, Any]:
        """Method, path and JSON body."""
        method, path, asked = super().request()
        return method, path, {**asked, "mode": "hybrid"}


QUESTIONS: tuple[type, ...] = (
    GetDocument,
    GetDocuments,
    ListDocuments,
    CountCollections,
    SearchText,
    SearchDense,
    SearchHybrid,
)


def some_question(chance: random.Random, kind: type, recent: Sequence[tuple[str, str]]) -> Question:
    """A random question of a kind. `recent` are words that were written lately, each with its collection."""
    collection = chance.choice((*COLLECTIONS, *COLLECTIONS, ARCHIVE, "empty"))
    names = LARGE_NAMES if collection == ARCHIVE else NAMES
    by_text = {"query": " ".join(chance.sample(PROSE, 4))}
    by_vector = {"vector": some_vector(chance)}
    makers: dict[type, Callable[[], Question]] = {
        GetDocument: lambda: GetDocument(collection, chance.choice(names)),
        GetDocuments: lambda: GetDocuments(collection, chance.choices([*names, "never written"], k=12)),
        ListDocuments: lambda: ListDocuments(collection, chance.choice((1, 10, 1000))),
        CountCollections: CountCollections,
        SearchText: lambda: SearchText(*some_word(chance, recent), chance.choice((1, 5, 1000))),
        SearchDense: lambda: SearchDense(collection, chance.choice((by_text, by_vector)), chance.choice((1, 10, 100))),
        SearchHybrid: lambda: SearchHybrid(collection, by_text, chance.choice((1, 20))),
    }
    return makers[kind]()


def some_word(chance: random.Random, recent: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Where to look for what: the word of one text that was written lately, or one that many texts have."""
    own = [place for place in recent if place[0] in COLLECTIONS]
    return (
        chance.choice(own)
        if own and chance.random() < 0.5
        else (chance.choice(COLLECTIONS), chance.choice(TOPIC_WORDS))
    )


def some_vector(chance: random.Random) -> list[float]:
    """A direction."""
    return [chance.gauss(0, 1) for _ in range(DIMENSIONS)]
