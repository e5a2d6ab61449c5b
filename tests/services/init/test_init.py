"""`nenrin init` on a real Kafka and a real Postgres."""

import pytest
from pydantic import SecretStr

import eventlog.topics
from schemas.encoders import MINILM
from schemas.errors import DatabaseAway, LogAway, TopicMismatch
from services.init import run
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


def test_each_encoder_in_use_has_a_topic(installed: Settings) -> None:
    """After a change of the model too, and for the generation before it, as long as that can become live again."""
    execute(
        installed.dsn,
        "INSERT INTO nenrin.generations (projection, generation, encoder) VALUES ('passages', 2, 'newer-12345678');"
        "UPDATE nenrin.projections SET live = 2, previous = 1 WHERE name = 'passages'",
    )
    said = said_by(installed)
    assert any(line.startswith("make topic documents.embedded.newer-12345678: 4 partitions") for line in said)
    assert any(line.startswith(f"keep topic documents.embedded.{MINILM.name}") for line in said)
    assert said_by(installed)[-1] == "nothing to do: everything is there"


def test_what_is_away_is_named_with_its_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable to look at stands in the message."""
    monkeypatch.setattr(eventlog.topics, "ANSWER_WITHIN", 1.0)
    with pytest.raises(DatabaseAway, match="NENRIN_POSTGRES"):
        said_by(settings.model_copy(update={"postgres": SecretStr("postgresql://127.0.0.1:1/none")}))
    with pytest.raises(LogAway, match=r"NENRIN_KAFKA=127\.0\.0\.1:1"):
        said_by(settings.model_copy(update={"kafka": "127.0.0.1:1"}))


def test_it_says_what_an_upgrade_means_for_a_read_model(installed: Settings) -> None:
    """A live generation of an older shape is left as it is, and named with the command that builds the next one."""
    execute(installed.dsn, "UPDATE nenrin.generations SET shape = 0 WHERE projection = 'documents'")
    for _ in range(2):
        assert said_by(installed)[-1] == (
            "documents generation 1 was made by an older version (shape 0, now 1): it serves until generation 2 is "
            "built from the log; `nenrin up` does that, and `nenrin projections rebuild documents`"
        )
    execute(installed.dsn, "UPDATE nenrin.generations SET shape = 7 WHERE projection = 'documents'")
    assert said_by(installed)[-1].endswith("was made by a later version (shape 7, here 1): it is left as it is")
