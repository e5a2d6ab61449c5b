"""The guides to replay: each command that they show is one that there is, with these options."""

import re
import shlex

import pytest

from nenrin.cli.app import main
from tests.docs.test_examples import ROOT

PAGES = sorted((ROOT / "docs" / "how-to").glob("replay-*.md"))
SHOWN = re.compile(r"^ *\$ (?:NENRIN_\w+=\S+ )*(?:\.venv/bin/)?nenrin (.+?)$", re.MULTILINE)
NAMED = re.compile(r"`(?:NENRIN_\w+=\S+ )*nenrin ((?:[a-z-]+)(?: [^`]*)?)`")
COMMANDS = sorted(
    {found for page in PAGES for pattern in (SHOWN, NAMED) for found in pattern.findall(page.read_text())}
)


def test_the_pages_show_what_there_is_to_know() -> None:
    """Every command of the replay is on one of them."""
    words = {" ".join(command.split()[:2]) for command in COMMANDS}
    assert {f"projections {name}" for name in ("list", "rebuild", "promote", "rollback", "retire", "verify")} <= words
    assert {"encoders add", "encoders list", "encoders remove"} <= words
    assert any(command.startswith("diff ") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_shown_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that isn't there, or lacks its value, is refused before the help is shown."""
    with pytest.raises(SystemExit) as ending:
        main([*shlex.split(command), "--help"])
    assert ending.value.code in {0, None}, capsys.readouterr().err
    assert "Usage" in capsys.readouterr().out
