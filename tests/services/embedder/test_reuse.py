"""What was encoded once is not encoded again: through the embedder, its log and its restarts."""

import random
from typing import Any

from tests.services.embedder.derived_log import Derived, Writer, wait_until_covered
from tests.services.embedder.process import Start

_WORDS = ("tree", "ring", "year", "oak", "wide", "narrow", "rain", "fell", "drought", "summer", "wood", "forest")


def paragraphs(count: int, seed: int) -> list[str]:
    """Paragraphs of a few sentences, no two alike."""
    chance = random.Random(seed)
    return [
        " ".join(" ".join(chance.choices(_WORDS, k=9)).capitalize() + "." for _ in range(chance.randrange(2, 9)))
        for _ in range(count)
    ]


def versions(derived: dict[int, list[Derived]], document_id: str) -> list[dict[str, Any]]:
    """What the derived topic says of a document, oldest first."""
    records = [record for partition in derived.values() for record in partition]
    return [record.value for record in records if record.value.get("document_id") == document_id]


def vectors(version: dict[str, Any]) -> dict[str, bytes]:
    """The vector of each passage's text."""
    return {version["text"][one["start"] : one["end"]]: one["vector"] for one in version["passages"]}


def test_only_passages_whose_text_changed_are_encoded(kafka: str, installed: str, writer: Writer, start: Start) -> None:
    """Title and metadata cost nothing, a paragraph only what it touches; the embedder may be killed between.

    All other vectors are bit for bit those that the log has from before.
    """
    text = paragraphs(30, seed=1)
    process = start()

    def write(paragraphs: list[str], **members: Any) -> dict[str, Any]:
        writer.add("long", "\n\n".join(paragraphs), **members)
        writer.flush()
        return versions(wait_until_covered(kafka, installed), "long")[-1]

    first = write(text, title="one", metadata={"n": 1})
    count = len(first["passages"])
    assert process.passages() == (count, 0)

    titled = write(text, title="two", metadata={"n": 2})
    assert (titled["title"], titled["passages"]) == ("two", first["passages"])
    assert process.passages() == (count, count)

    process.kill()
    process = start()
    again = write(text, title="three")
    assert again["passages"] == first["passages"]
    assert process.passages() == (0, count)

    text[12] = paragraphs(1, seed=2)[0]
    changed = write(text)
    old, new = vectors(first), vectors(changed)
    kept = old.keys() & new.keys()
    assert {passage: new[passage] for passage in kept} == {passage: old[passage] for passage in kept}
    assert 1 <= len(new) - len(kept) <= 4
    assert process.passages() == (len(new) - len(kept), count + len(kept))
