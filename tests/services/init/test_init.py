"""`nenrin init` on a real Kafka and a real Postgres."""

import pytest
from pydantic import SecretStr

import eventlog.topics
from schemas.encoders import MINILM
from schemas.errors import DatabaseAway, LogAway, TopicMismatch
from services.init import run
from services.init.installing import OtherEncoder
from services.settings import Settings
from tests.running import execute


def said_by(settings: Settings) -> list[str]:
    """What an init says, line by line."""
    lines: list[str] = []
    run(settings, lines.append)
    return lines


def test_the_plan_comes_first_and_is_carried_out_once(settings: Settings) -> None:
    """Topics and both projections are announced and made; the second time there is nothing to do."""
    first = said_by(settings)
    assert [line.split(":")[0] for line in first] == [
        "make topic documents",
        f"make topic documents.embedded.{MINILM.name}",
        "create documents, generation 1",
        "create passages, generation 1",
        "done",
    ]
    assert "4 partitions, 1 copy" in first[0]
    again = said_by(settings)
    assert again[-1] == "nothing to do: everything is there"
    assert all(line.startswith("keep topic") for line in again[:-1])


def test_another_number_of_partitions_is_refused(installed: Settings) -> None:
    """A topic keeps the partitions that it was made with; the message says which setting fits."""
    with pytest.raises(TopicMismatch, match="set it to 4"):
        said_by(installed.model_copy(update={"partitions": 5}))


def test_vectors_of_another_encoder_are_refused(installed: Settings) -> None:
    """An embedder would write where no projection reads, and search would fall behind for ever."""
    execute(installed.dsn, "UPDATE nenrin.generations SET encoder = 'older-12345678' WHERE projection = 'passages'")
    with pytest.raises(OtherEncoder, match="older-12345678"):
        said_by(installed)


def test_what_is_away_is_named_with_its_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable to look at stands in the message."""
    monkeypatch.setattr(eventlog.topics, "ANSWER_WITHIN", 1.0)
    with pytest.raises(DatabaseAway, match="NENRIN_POSTGRES"):
        said_by(settings.model_copy(update={"postgres": SecretStr("postgresql://127.0.0.1:1/none")}))
    with pytest.raises(LogAway, match=r"NENRIN_KAFKA=127\.0\.0\.1:1"):
        said_by(settings.model_copy(update={"kafka": "127.0.0.1:1"}))
