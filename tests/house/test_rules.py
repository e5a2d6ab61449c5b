"""The house keeps its own rules: layout, imports, types and style are checked like any other promise."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"schemas", "eventlog", "encoders", "web", "projections", "services", "nenrin", "tests", "benchmarks"}
NOT_A_NAME = {"utils", "util", "helpers", "helper", "common", "commons", "manager", "managers", "misc"}


@pytest.mark.parametrize(
    "check",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "."), ("lint-imports",)],
    ids=lambda check: " ".join(check[:2]),
)
def test_the_code_keeps_to(check: tuple[str, ...]) -> None:
    """Style, types and the direction of imports, as pyproject.toml states them."""
    command = [str(Path(sys.executable).with_name(check[0])), *check[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_one_of_the_house() -> None:
    """A folder with Python in it is a room that the README names; a new one is a decision."""
    rooms = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/**/*.py")}
    assert rooms == ROOMS


def test_modules_are_named_for_what_they_are_about() -> None:
    """No module is a drawer for what found no place."""
    found = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.stem in NOT_A_NAME]
    assert not found
