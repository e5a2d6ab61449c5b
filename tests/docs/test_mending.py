"""The guide to position accidents: its question is asked, and each command that it advises is one that there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nenrin.cli.app import main
from tests.docs.test_examples import ROOT
from tests.running import Running, environment

PAGE = (ROOT / "docs" / "how-to" / "mend-a-position-accident.md").read_text()
ADVISED = sorted(set(re.findall(r"`nenrin ((?:projections|topics|init|doctor|status)[^`]*)`", PAGE)))


def test_a_healthy_stack_is_told_so(whole_stack: Running) -> None:
    """The page's first command, where nothing is wrong: nothing to do, and status 0."""
    (first, *_) = re.findall(r"^\$ (nenrin .+)$", PAGE, re.MULTILINE)
    env = environment({"NENRIN_STATE": str(whole_stack.state)})
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        first.split(), env=env | {"PATH": path}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "process projector" in done.stdout


@pytest.mark.parametrize("advice", ADVISED)
def test_what_is_advised_exists(advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With these options."""
    command = [word for word in advice.split() if not word.isupper()]
    with pytest.raises(SystemExit) as ending:
        main([*command, "--help"])
    assert ending.value.code in {0, None}
    said = capsys.readouterr().out
    assert all(option in said for option in command if option.startswith("--"))
