"""What takes long to compile is compiled while the examples of other pages run."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running import environment

GO = Path(__file__).parents[2] / "docs" / "how-to" / "produce" / "go"
# half a minute on a machine that has never compiled Go: most of it is Go's own library, so without cgo or optimising
BUILD = ("go", "build", "-mod=readonly", "-gcflags=all=-N -l", "-ldflags=-s -w")


class Build(NamedTuple):
    """A build under way, and the program that it makes."""

    process: "subprocess.Popen[str]"
    program: Path


@pytest.fixture(scope="session", autouse=True)
def go_build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build | None]:
    """The build of the Go producer; None where there is no Go."""
    if shutil.which("go") is None:
        yield None
        return
    program = tmp_path_factory.mktemp("go") / "produce"
    with subprocess.Popen(
        [*BUILD, "-o", str(program), "."],
        cwd=GO,
        env=environment({"CGO_ENABLED": "0"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield Build(process, program)
        process.kill()
