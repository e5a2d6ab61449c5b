"""The command line against a whole stack."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nenrin.cli.app import main
from nenrin.cli.endings import Status
from schemas.versions import Version, parse
from tests.nenrin import ending_of
from tests.running import Running, environment


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three notes in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    for name, text in (
        ("bread.md", "# Bread\n\nKnead the dough and let it rise overnight."),
        ("ships.md", "# Ships\n\nA brigantine has two masts."),
        ("leer.txt", ""),
    ):
        (tmp_path / "notes" / name).write_text(text)
    return tmp_path


def test_what_was_added_is_found_with_its_token(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`add` prints a token; a search that asks for it covers what was added."""
    state = ["--state", str(whole_stack.state), "--collection", "cli-notes"]
    status, said = ending_of(main, ["add", "notes", "--json", *state], capsys)
    assert status == Status.DONE, said.err
    added = json.loads(said.out)
    assert (added["added"], added["left_out"]) == (3, [])
    fresh = ["--at-least", added["version"], "--wait", "30"]
    status, said = ending_of(main, ["search", "brigantine", "--mode", "text", "--json", *fresh, *state], capsys)
    assert status == Status.DONE, said.err
    found = json.loads(said.out)
    assert [hit["document_id"] for hit in found["results"]] == ["notes/ships.md"]
    assert found["results"][0]["title"] == "Ships"
    wanted, seen = parse(added["version"]), parse(found["projection"]["version"])
    assert all(seen.next("documents", place) >= next_ for place, next_ in wanted.offsets["documents"].items())


def test_an_answer_for_people_says_what_it_has_seen(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plain output has the title, the excerpt, the version and the lag; `add` says how to read it back."""
    state = ["--state", str(whole_stack.state), "--collection", "cli-people"]
    said = ending_of(main, ["add", "notes", *state], capsys)[1]
    assert "3 documents added" in said.out
    token = said.out.split("--at-least ")[1].split()[0]
    search = ["search", "dough", "--mode", "text", "--at-least", token, "--wait", "30", *state]
    shown = ending_of(main, search, capsys)[1].out
    assert "Bread" in shown
    assert "Knead the dough" in shown
    assert "version" in shown
    assert "events" in shown


def test_files_that_cannot_be_documents_are_named_and_the_others_added(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bad file in a folder does not stop the rest, and is not passed over in silence."""
    (notes / "notes" / "latin.txt").write_bytes(b"caf\xe9")
    (notes / "notes" / "nul.txt").write_bytes(b"a\0b")
    state = ["--state", str(whole_stack.state), "--collection", "cli-bad"]
    status, said = ending_of(main, ["add", "notes", "--json", *state], capsys)
    assert status == Status.FAILED
    report = json.loads(said.out)
    assert report["added"] == 3
    assert {left["path"] for left in report["left_out"]} == {"notes/latin.txt", "notes/nul.txt"}
    assert said.err.startswith("nenrin: 2 of 5 files were not added")


def test_what_is_not_yet_seen_is_status_4(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """A version beyond the head can't be covered: the line says what is behind, the status is its own."""
    far = Version({"documents": {0: 10**9}}).token()
    status, said = ending_of(
        main, ["search", "x", "--mode", "text", "--at-least", far, "--state", str(whole_stack.state)], capsys
    )
    assert status == Status.BEHIND
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_input_that_the_service_refuses_is_status_5(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """The service's own words, naming the field."""
    status, said = ending_of(
        main, ["search", "x", "--mode", "text", "-k", "0", "--state", str(whole_stack.state)], capsys
    )
    assert status == Status.REFUSED
    assert "k" in said.err


def test_status_tells_processes_and_projections(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Every process with its pid, every projection with its lag; as JSON, and for people."""
    status, said = ending_of(main, ["status", "--json", "--state", str(whole_stack.state)], capsys)
    assert status == Status.DONE, said.err
    report = json.loads(said.out)
    assert {name: process["pid"] for name, process in report["processes"].items()} == whole_stack.pids
    assert all(process["alive"] for process in report["processes"].values())
    assert {projection["name"] for projection in report["projections"]} == {"documents", "passages"}
    shown = ending_of(main, ["status", "--state", str(whole_stack.state)], capsys)[1].out
    assert all(word in shown for word in ("embedder", "passages", "documents", "runs"))


def test_init_with_everything_there_does_nothing(whole_stack: Running) -> None:
    """It says so, and what it found; twice in a row."""
    for _ in range(2):
        done = _nenrin("init", "--state", str(whole_stack.state))
        assert done.returncode == 0, done.stderr
        assert "nothing to do" in done.stdout


def test_init_refuses_another_number_of_partitions(whole_stack: Running) -> None:
    """A topic that is there has the partitions that it has: one line says which, and what to set."""
    done = _nenrin("init", "--state", str(whole_stack.state), NENRIN_PARTITIONS="7")
    assert done.returncode == Status.FAILED
    assert done.stderr.count("\n") == 1
    assert "NENRIN_PARTITIONS" in done.stderr


def _nenrin(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "nenrin", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
