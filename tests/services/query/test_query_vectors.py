"""The vectors of questions are remembered, and never taken for those of others."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders import questions
from services.query import encoder
from services.query.encoder import QueryEncoder


class Spelling:
    """Stands for the model: the vector of a text is its characters, so no two texts share one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def describe(self) -> str:
        """What it is."""
        return "spelling"

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """The vector of a text."""
        self.asked.append(text)
        return spelled(text)


def spelled(text: str) -> NDArray[np.float32]:
    """A text's characters as numbers."""
    return np.array([ord(character) for character in text], dtype=np.float32)


@pytest.fixture
def spelling(monkeypatch: pytest.MonkeyPatch) -> Spelling:
    """The model that will be loaded."""
    model = Spelling()
    monkeypatch.setattr(questions, "load", lambda *_: model)
    return model


@pytest.fixture
def queries(spelling: Spelling) -> Iterator[QueryEncoder]:
    """The query service's encoder, loading."""
    queries = QueryEncoder()
    queries.start()
    yield queries
    queries.close()


async def test_each_question_has_its_own_vector(queries: QueryEncoder) -> None:
    """However alike they are: in case, in spaces, in all but their last character; asked anew as well."""
    asked = ["Rings", "rings", "rings ", " rings", "ring", "rings?", "a" * 2000 + "b", "a" * 2000 + "c"]
    for text in asked * 2:
        assert np.array_equal(await queries.encode(text), spelled(text)), text


async def test_a_question_is_encoded_once(
    queries: QueryEncoder, spelling: Spelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is remembered: of more questions than fit, those asked longest ago are forgotten."""
    monkeypatch.setattr(encoder, "_REMEMBERED", 2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await queries.encode(text)
    assert spelling.asked == ["a", "b", "c", "b"]


async def test_a_remembered_vector_cannot_be_changed(queries: QueryEncoder) -> None:
    """What one search did to it, the next one would see."""
    vector = await queries.encode("rings")
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 0
