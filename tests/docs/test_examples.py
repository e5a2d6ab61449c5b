"""What the documentation shows is run: Python and bash as they stand, commands where they are marked `<!-- run -->`."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import Running, environment

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BASH = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"^<!-- file: (.+?) -->\n```[a-z]+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^<!-- run -->\n```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OWN_SERVERS = "run-on-your-own-kafka-and-postgres.md"
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def holding(pattern: re.Pattern[str]) -> list[Path]:
    """The pages with an example of this kind."""
    return [page for page in PAGES if pattern.search(page.read_text())]


def run(command: list[str], stack: Running, folder: Path = ROOT) -> None:
    """Run an example as a reader would, beside a running stack."""
    ends = stack.endpoints
    settings = {
        "NENRIN_STATE": str(stack.state),
        "NENRIN_KAFKA": ends["kafka"],
        "NENRIN_POSTGRES": ends["postgres"],
        "NENRIN_COMMAND": ends["command"],
        "NENRIN_QUERY": ends["query"],
    }
    done = subprocess.run(
        command, cwd=folder, env=environment(settings), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)[:200]}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", holding(PYTHON), ids=lambda page: page.name)
def test_python_examples_run(page: Path, whole_stack: Running) -> None:
    """Every block of Python on a page, in order, as one program."""
    run([sys.executable, "-c", "\n".join(PYTHON.findall(page.read_text()))], whole_stack)


@pytest.mark.parametrize("page", holding(COMMANDS), ids=lambda page: page.name)
def test_commands_run(page: Path, whole_stack: Running) -> None:
    """Every marked command of a page, in order."""
    for block in COMMANDS.findall(page.read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                run(shlex.split(line[2:]), whole_stack)


@pytest.mark.parametrize(
    "page", [page for page in holding(BASH) if page.name != OWN_SERVERS], ids=lambda page: page.name
)
def test_bash_examples_run(page: Path, whole_stack: Running, tmp_path: Path) -> None:
    """Every block of bash on a page, in order, as one script that ends at the first failure."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    run(["bash", "-euo", "pipefail", "-c", "\n".join(BASH.findall(page.read_text()))], whole_stack, tmp_path)


@pytest.mark.parametrize("page", holding(SHOWN), ids=lambda page: page.name)
def test_files_are_shown_as_they_are(page: Path) -> None:
    """A program on a page is the program that is run."""
    for name, shown in SHOWN.findall(page.read_text()):
        assert shown == (page.parent / name).read_text(), f"{page.name} shows another {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links and pictures exist."""
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing
