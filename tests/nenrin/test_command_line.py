"""The command line against no stack: what it says, where it says it, and the status it ends with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nenrin.cli.app import SERVICES, app, main
from nenrin.cli.endings import Status
from nenrin.cli.parked import Place, place_of
from tests.nenrin import ending_of

COMMANDS = ("demo", "up", "add", "search", "status", "parked list", "parked show", "init", *SERVICES)
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and an environment that names no stack."""
    for name in list(os.environ):
        if name.startswith("NENRIN_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """Whoever asks a command for help is shown one way to use it."""
    shown = CliRunner().invoke(app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert f"nenrin {command}" in " ".join(shown.output.split("Example:")[1].split())


def test_the_help_lists_every_command_and_every_exit_status() -> None:
    """Nothing that works is hidden, and nothing is listed that doesn't."""
    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    assert all(f" {command.split()[0]} " in shown for command in COMMANDS)
    assert all(f"{status.value} " in shown.split("Exit status:")[1] for status in Status)


def test_help_needs_none_of_the_heavy_packages() -> None:
    """`nenrin --help` answers at once: clients and servers are imported by the commands that use them."""
    heavy = ("httpx", "torch", "faust", "sqlalchemy", "litestar", "confluent_kafka", "services", "pydantic_settings")
    program = (
        "import sys\nfrom nenrin.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: sys.exit([name for name in {heavy} if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["search", "anything"], ["search", "anything", "--json"]]
)
def test_without_a_stack_a_client_says_how_to_start_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, nothing on stdout, status 3."""
    status, said = ending_of(main, arguments, capsys)
    assert status == Status.NO_STACK
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "no running stack in .nenrin: start one with `nenrin up`" in said.err


def test_the_state_folder_is_named_by_option_or_environment(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--state` wins over NENRIN_STATE, and the advice repeats the folder."""
    monkeypatch.setenv("NENRIN_STATE", "one")
    assert "`nenrin up --state one`" in ending_of(main, ["status"], capsys)[1].err
    assert "`nenrin up --state two`" in ending_of(main, ["status", "--state", "two"], capsys)[1].err


def test_a_stack_elsewhere_is_named_by_urls(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader needs that of the query service, a writer that of the command service; the one that is missing, or
    silent, is named."""
    (elsewhere / "a.md").write_text("text")
    monkeypatch.setenv("NENRIN_QUERY", NOBODY)
    status, said = ending_of(main, ["search", "x"], capsys)
    assert status == Status.NO_STACK
    assert f"the query service at {NOBODY} does not answer" in said.err
    status, said = ending_of(main, ["add", "a.md"], capsys)
    assert status == Status.NO_STACK
    assert "NENRIN_QUERY is set, but NENRIN_COMMAND is not" in said.err
    monkeypatch.delenv("NENRIN_QUERY")
    monkeypatch.setenv("NENRIN_COMMAND", NOBODY)
    status, said = ending_of(main, ["search", "x"], capsys)
    assert status == Status.NO_STACK
    assert "this needs the query service's URL" in said.err


def test_a_folder_on_the_command_line_wins_over_urls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever names a folder never writes to a stack elsewhere."""
    monkeypatch.setenv("NENRIN_QUERY", NOBODY)
    monkeypatch.setenv("NENRIN_COMMAND", NOBODY)
    assert "no running stack in here" in ending_of(main, ["search", "x", "--state", "here"], capsys)[1].err


@pytest.mark.parametrize("content", ["", "{", "[]", '{"command": 5}', '{"kafka": "127.0.0.1:9092"}'])
def test_broken_endpoints_are_no_stack(content: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not what `nenrin up` writes is named, in one line."""
    (elsewhere / "endpoints.json").write_text(content)
    status, said = ending_of(main, ["status", "--state", "."], capsys)
    assert status == Status.NO_STACK
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nonsense"], "nonsense"),
        (["search"], "TEXT"),
        (["search", "x", "--mode", "magic"], "--mode"),
        (["search", "x", "--k", "many"], "--k"),
        (["up", "--port", "5"], "--port"),
        (["add", "x", "--format", "pdf"], "--format"),
        (["parked", "show"], "PLACE"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names what is wrong, and where help is."""
    status, said = ending_of(main, arguments, capsys)
    assert status == Status.USAGE
    assert said.err.count("\n") == 1
    assert named in said.err
    assert "--help" in said.err


def test_a_token_that_is_none_is_refused_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error in a token is found without a stack."""
    status, said = ending_of(main, ["search", "x", "--at-least", "not a token"], capsys)
    assert status == Status.REFUSED
    assert "not a version token" in said.err


def test_a_path_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """`add` names the path."""
    status, said = ending_of(main, ["add", "missing.md"], capsys)
    assert status == Status.REFUSED
    assert "missing.md" in said.err


def test_the_traceback_comes_with_debug_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default one line, and the same line after the traceback with `--debug`."""
    monkeypatch.setenv("NENRIN_DEBUG", "")  # so that what --debug sets is undone
    assert "Traceback" not in ending_of(main, ["status"], capsys)[1].err
    said = ending_of(main, ["--debug", "status"], capsys)[1].err
    assert "Traceback" in said
    assert said.splitlines()[-1].startswith("nenrin: no running stack")


@pytest.mark.parametrize(("arguments", "named"), [(["--filter", "{"], "--filter"), (["--filter", "[1]"], "--filter")])
def test_a_filter_that_is_none_is_refused_before_anything_is_asked(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one that would do."""
    status, said = ending_of(main, ["search", "x", *arguments], capsys)
    assert status == Status.REFUSED
    assert named in said.err
    assert '{"lang": "en"}' in said.err


@pytest.mark.parametrize("place", ["documents", "documents/2", "documents/2@x", "/2@17", "a b c d e"])
def test_a_place_that_is_none_is_refused_before_anything_is_asked(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one that would do."""
    status, said = ending_of(main, ["parked", "show", *place.split()], capsys)
    assert status == Status.REFUSED
    assert "documents/2@17" in said.err


@pytest.mark.parametrize(
    ("words", "projection"),
    [
        (["documents/2@17"], None),
        (["documents", "2", "17"], None),
        (["documents/2", "17"], None),
        (["passages", "documents/2@17"], "passages"),
        (["passages", "documents", "2", "17"], "passages"),
    ],
)
def test_a_place_in_the_log_can_be_written_in_many_ways(words: list[str], projection: str | None) -> None:
    """As `parked list` prints it, or in parts."""
    assert place_of(words) == Place(projection, "documents", 2, 17)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_for_completion(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a stack, a network or a file written."""
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: shell)
    status, said = ending_of(main, ["--show-completion"], capsys)
    assert not status
    assert "_NENRIN_COMPLETE" in said.out


def completed(words: str) -> list[str]:
    """What bash would offer for the last of these words."""
    done = subprocess.run(
        [sys.executable, "-m", "nenrin"],
        env=os.environ
        | {
            "_NENRIN_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_options_and_values_are_completed() -> None:
    """Collections need a stack: without one nothing is offered, and nothing is said."""
    assert completed("nenrin sea") == ["search"]
    assert completed("nenrin search --max") == ["--max-lag"]
    assert completed("nenrin search --mode de") == ["dense"]
    assert completed("nenrin search --collection x") == []
