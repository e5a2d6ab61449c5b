"""`nenrin add` against a whole stack."""

import io
import json
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from nenrin.cli.app import main
from nenrin.cli.endings import Status
from nenrin.client import Session
from nenrin.client.answers import Document
from tests.nenrin import ending_of
from tests.running import Running, environment

Adds = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def collection() -> str:
    """A collection of this test's own."""
    return f"add-{secrets.token_hex(6)}"


@pytest.fixture
def session(whole_stack: Running) -> Iterator[Session]:
    """A reader that the tests look with."""
    with Session(state=whole_stack.state, wait=30) as opened:
        yield opened


@pytest.fixture
def adds(whole_stack: Running, folder: Path, collection: str, capsys: pytest.CaptureFixture[str]) -> Adds:
    """Runs `nenrin add --json` and gives its report, with the exit status as `status` and stderr as `said`."""

    def run(*arguments: str) -> dict[str, Any]:
        state = ["--state", str(whole_stack.state), "--collection", collection, "--json"]
        status, said = ending_of(main, ["add", *arguments, *state], capsys)
        report: dict[str, Any] = json.loads(said.out) if said.out else {}
        return report | {"status": status or 0, "said": said.err}

    return run


def document(session: Session, collection: str, document_id: str, token: str) -> Document | None:
    """A document as it is at a version."""
    session.cover(token)
    (found,) = session.documents(collection, [document_id]).documents
    return found


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    """Added, unchanged, left out."""
    return report["added"], report["unchanged"], report["left_out_count"]


def test_what_is_unchanged_is_not_written_again(folder: Path, adds: Adds, session: Session, collection: str) -> None:
    """The second run writes nothing; a change of the text, title or metadata alone is written; --force writes all."""
    (folder / "a.md").write_text("# A\n\ntext")
    (folder / "rows.csv").write_text("id,text,title,year\nx,words,T,2020\ny,words,T,2020\n")
    first = adds(".")
    assert (first["status"], counts(first)) == (0, (3, 0, 0))
    again = adds(".")
    assert (again["status"], counts(again)) == (0, (0, 3, 0))
    (folder / "rows.csv").write_text("id,text,title,year\nx,words,T,2021\ny,words,New,2020\n")
    assert counts(adds(".")) == (2, 1, 0)
    assert counts(adds(".", "--number-column", "year")) == (2, 1, 0), "2021 is not the text 2021"
    forced = adds(".", "--force", "--number-column", "year")
    assert counts(forced) == (3, 0, 0)
    changed = document(session, collection, "x", forced["version"])
    assert changed is not None
    assert (changed.title, changed.metadata) == ("T", {"year": 2021})


def test_of_one_id_the_last_line_wins(folder: Path, adds: Adds, session: Session, collection: str) -> None:
    """Also when it says what readers see already, and others have been written before it."""
    old, new = '{"id": "a", "text": "old"}\n', '{"id": "a", "text": "new"}\n'
    (folder / "a.jsonl").write_text(old)
    adds("a.jsonl")
    (folder / "a.jsonl").write_text(new + old)
    report = adds("a.jsonl")
    assert counts(report) == (2, 0, 0)
    found = document(session, collection, "a", report["version"])
    assert found is not None
    assert found.text == "old"


def test_a_write_just_before_is_seen_by_the_comparison(
    folder: Path, adds: Adds, session: Session, collection: str
) -> None:
    """What readers see is trusted only once it covers the log as it was: a document changed elsewhere comes back."""
    (folder / "a.txt").write_text("ours")
    adds("a.txt")
    for number in range(3):
        session.add(collection, "a.txt", f"theirs {number}")
        report = adds("a.txt")
        assert counts(report) == (1, 0, 0)
        found = document(session, collection, "a.txt", report["version"])
        assert found is not None
        assert found.text == "ours"


def test_bad_lines_and_files_are_left_out_and_the_rest_is_added(folder: Path, adds: Adds) -> None:
    """Each with its file and line, and the exit status says so."""
    (folder / "rows.jsonl").write_text('{"id": "a", "text": "A"}\nnonsense\n{"id": "c", "text": 5}\n')
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    (folder / "page.html").write_text("<title>P</title><p>Hello</p>")
    report = adds(".")
    assert (report["status"], counts(report)) == (Status.FAILED, (2, 0, 3))
    assert [(left["path"], left.get("line")) for left in report["left_out"]] == [
        ("latin.txt", None),
        ("rows.jsonl", 2),
        ("rows.jsonl", 3),
    ]
    assert report["said"].startswith("nenrin: 3 of 5 were not added; the first is latin.txt: text: not UTF-8")
    assert report["said"].count("\n") == 1


def test_more_documents_than_a_page_holds(folder: Path, adds: Adds, session: Session, collection: str) -> None:
    """They arrive in order, all of them, and are all compared the next time."""
    lines = [json.dumps({"id": f"d{number}", "text": ""}) for number in range(2_500)]
    (folder / "many.jsonl").write_text("\n".join(lines))
    first = adds("many.jsonl")
    assert counts(first) == (2_500, 0, 0)
    assert counts(adds("many.jsonl")) == (0, 2_500, 0)
    assert document(session, collection, "d2499", first["version"]) is not None


@pytest.mark.parametrize(
    ("content", "arguments", "document_id"),
    [
        ("# T\n\nwords", ("--id", "notes/from stdin"), "notes/from stdin"),
        ("<title>T</title>words", ("--id", "page", "--format", "html"), "page"),
        ('{"id": "line", "text": "words", "title": "T"}\n', ("--format", "jsonl"), "line"),
        ("key,text,title\ncell,words,T\n", ("--format", "csv", "--id-column", "key"), "cell"),
    ],
)
def test_standard_input_is_a_file_too(  # noqa: PLR0913, PLR0917  (fixtures and cases)
    monkeypatch: pytest.MonkeyPatch,
    adds: Adds,
    session: Session,
    collection: str,
    content: str,
    arguments: tuple[str, ...],
    document_id: str,
) -> None:
    """One text with an id, or many documents in a format."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    report = adds("-", *arguments)
    assert (report["status"], counts(report)) == (0, (1, 0, 0))
    found = document(session, collection, document_id, report["version"])
    assert found is not None
    assert (found.title, "words" in found.text, found.source_uri) == ("T", True, None)


@contextmanager
def watching(stack: Running, folder: Path, collection: str) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    """`nenrin add --watch --remove-deleted` on a folder, once it watches; and what it prints."""
    command = [sys.executable, "-P", "-m", "nenrin", "add", str(folder), "--watch", "--remove-deleted"]
    process = subprocess.Popen(
        [*command, "--state", str(stack.state), "--collection", collection],
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    patience = threading.Timer(120, process.kill)  # a line that never comes must not be waited for
    patience.start()
    try:
        assert "watching" in process.stderr.readline()
        yield process, process.stdout
    finally:
        patience.cancel()
        process.kill()
        process.wait()


def test_watching_adds_what_changes_and_removes_what_is_deleted(
    whole_stack: Running, tmp_path: Path, session: Session, collection: str
) -> None:
    """Each round is told in a line; Ctrl-C ends it with totals and status 0."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("one")
    (folder / "rows.jsonl").write_text('{"id": "x", "text": "X"}\n')
    with watching(whole_stack, folder, collection) as (process, out):
        assert "2 added, 0 unchanged, 0 removed" in out.readline()
        (folder / "a.md").write_text("one and two")
        assert "3 added, 0 unchanged, 0 removed" in out.readline()
        (folder / "rows.jsonl").rename(folder / "renamed.jsonl")  # gives the same documents
        assert "3 added, 1 unchanged, 0 removed" in out.readline()
        (folder / "renamed.jsonl").unlink()
        assert "3 added, 1 unchanged, 1 removed" in out.readline()
        process.send_signal(signal.SIGINT)
        rest = out.read()
        assert process.wait(30) == Status.DONE
    assert "3 documents added, 1 unchanged, 1 removed" in rest
    token = rest.split("--at-least ")[1].split()[0]
    changed = document(session, collection, "notes/a.md", token)
    assert changed is not None
    assert changed.text == "one and two"
    assert document(session, collection, "x", token) is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("-",), "--id"),
        (("-", "--id", "x", "--format", "csv"), "--id"),
        (("a.md", "--id", "x"), "--id"),
        (("a.md", "--watch"), "--watch"),
        ((".", "--remove-deleted"), "--remove-deleted"),
        (("empty",), "no file to add"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    folder: Path, adds: Adds, arguments: tuple[str, ...], named: str
) -> None:
    """In a line that names the option, and nothing is written."""
    (folder / "a.md").write_text("text")
    (folder / "empty").mkdir()
    report = adds(*arguments)
    assert report["status"] == Status.REFUSED
    assert named in report["said"]
    assert report["said"].count("\n") == 1
