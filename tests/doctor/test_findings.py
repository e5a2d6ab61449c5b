"""What the doctor finds when nothing is wrong, and when a server is away."""

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from nenrin.cli.app import main
from projections.generations.holding import hold, holding
from services.doctor import Finding, Level, asking, examine
from services.doctor.facts import Database, Generation, Position
from services.doctor.installation import installation
from services.settings import Settings
from tests.running import execute


class Nenrin:
    """The command, against the servers of an installation."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = self.complained = ""

    def run(self, *arguments: str) -> int:
        """Run one, and return its exit status."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        self.said, self.complained = self._capsys.readouterr()
        return int(ending.value.code or 0)


@pytest.fixture
def nenrin(installed: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nenrin:
    """The command, told of the servers by its environment."""
    told = {
        "NENRIN_KAFKA": installed.kafka,
        "NENRIN_POSTGRES": installed.dsn,
        "NENRIN_TOPIC_PREFIX": installed.topic_prefix,
        "NENRIN_PARTITIONS": str(installed.partitions),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return Nenrin(capsys)


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def problems(settings: Settings) -> dict[str, str]:
    """What is wrong, with its advice."""
    return {each.what: each.advice or "" for each in examine(settings, None) if each.level is Level.PROBLEM}


def test_what_nobody_has_claimed_is_a_problem_and_its_status_is_1(nenrin: Nenrin) -> None:
    """A fresh installation without a projector and a probe: everything fits, but nothing runs."""
    assert nenrin.run("doctor", "--json") == 1
    found = {each["what"]: each for each in json.loads(nenrin.said)["findings"]}
    assert {what for what, each in found.items() if each["level"] == "problem"} == {
        "who writes documents generation 1",
        "who writes passages generation 1",
        "heads",
    }
    assert found["topic documents"]["level"] == "ok"
    assert "they fit the log" in found["positions of passages generation 1"]["evidence"]
    assert found["Kafka"]["advice"] is None


def test_a_table_for_people_ends_with_what_to_do(nenrin: Nenrin) -> None:
    """Every advice stands in it once, and whole."""
    assert nenrin.run("doctor") == 1
    _, _, advice = nenrin.said.partition("To do:")
    assert advice.count("see that a projector runs") == 1
    assert "see that the heads probe runs\n    for: heads" in advice


def test_a_server_that_is_away_hides_nothing_of_the_other(
    installed: Settings, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and what can be judged without it is judged."""
    monkeypatch.setattr(asking, "ANSWER_WITHIN", 1.0)
    without_kafka = problems(installed.model_copy(update={"kafka": nobody}))
    assert "NENRIN_KAFKA" in without_kafka["Kafka"]
    assert "heads" in without_kafka
    without_postgres = examine(installed.model_copy(update={"postgres": SecretStr(f"postgresql://{nobody}/x")}), None)
    found = {each.what: each.level for each in without_postgres}
    assert (found["Postgres"], found["topic documents"]) == (Level.PROBLEM, Level.OK)


def test_a_missing_topic_an_old_schema_and_too_much_parked_are_named(installed: Settings) -> None:
    """Each with what to do."""
    for statement in (
        "UPDATE nenrin.alembic_version SET version_num = '0001'",
        "UPDATE nenrin.generations SET encoder = 'older-12345678' WHERE projection = 'passages'",
        'INSERT INTO documents_g1.parked (topic, partition, "offset", reason, headers) '
        "SELECT 'documents', 0, n, 'bad', '' FROM generate_series(1, 1000) n",
    ):
        execute(installed.dsn, statement)
    found = problems(installed)
    assert found["control schema"] == "run `nenrin init`"
    assert found["encoder of passages generation 1"].startswith("`nenrin projections reset passages --embed-again`")
    assert "nenrin parked list" in found["parked events of documents generation 1"]
    assert problems(installed.model_copy(update={"topic_prefix": "nowhere."}))["topic documents"] == "run `nenrin init`"


def test_generations_beside_the_live_one_are_as_they_should_be(installed: Settings) -> None:
    """Nobody is told to do anything about one that is held; one that nobody loads, or follows, is named."""
    make = (
        "CREATE SCHEMA documents_g{0}; CREATE TABLE documents_g{0}.positions (LIKE documents_g1.positions);"
        "INSERT INTO documents_g{0}.positions SELECT * FROM documents_g1.positions;"
        "INSERT INTO nenrin.generations (projection, generation, loaded_at) VALUES ('documents', {0}, {1})"
    )
    for number, loaded in ((2, "now()"), (3, "NULL"), (4, "now()")):
        execute(installed.dsn, make.format(number, loaded))
    execute(installed.dsn, "UPDATE nenrin.generations SET ended_at = now() WHERE generation = 4")
    beside = {each.what: each for each in examine(installed, None) if each.what.startswith("documents generation")}
    assert {each.level for each in beside.values()} == {Level.WARNING}
    assert "[0, 1, 2, 3]" in beside["documents generation 2"].evidence
    assert "`nenrin projections rebuild documents`" in (beside["documents generation 3"].advice or "")
    assert len(beside) == 2

    held = asyncio.run(_while_held(installed))
    assert held.level is Level.OK
    assert "nenrin rebuild by ana" in held.evidence


async def _while_held(settings: Settings) -> Finding:
    async with holding(settings.dsn, "rebuild by ana") as holder:
        await hold(holder, "documents", 3)
        found = await asyncio.to_thread(examine, settings, None)
    return next(each for each in found if each.what == "documents generation 3")


def test_heads_of_partitions_that_no_projection_reads_don_t_matter() -> None:
    """The log was copied into a topic of fewer partitions: what was seen of the others grows old for ever."""
    now = datetime.now(UTC)
    positions = tuple(Position("documents", each, 0, 0, "i", 1, now, None, True) for each in range(2))
    live = (Generation("documents", 2, None, positions, 0),)
    seen = {("documents", each): now - timedelta(seconds=each) for each in range(2)}
    left = {("documents", 2): now - timedelta(hours=1)}
    assert heads(Database(now, "2", "2", live, seen | left)) == (Level.OK, "recorded 1.00 s ago")
    assert heads(Database(now, "2", "2", live, left)) == (Level.PROBLEM, "never recorded: lag is unknown")


def heads(database: Database) -> tuple[Level, str]:
    """What is found about them."""
    return next((each.level, each.evidence) for each in installation(database, 1) if each.what == "heads")


def test_nothing_to_look_at_has_a_status_of_its_own(nenrin: Nenrin, tmp_path: Path) -> None:
    """No stack in the folder."""
    assert nenrin.run("doctor", "--state", str(tmp_path)) == 3
    assert "no running stack" in nenrin.complained


def test_a_reset_of_what_does_not_exist_is_refused(nenrin: Nenrin) -> None:
    """It names what there is."""
    assert nenrin.run("projections", "reset", "answers") == 5
    assert "documents, passages" in nenrin.complained
