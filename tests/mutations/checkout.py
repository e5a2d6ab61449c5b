"""A copy of the checkout, and the suite run in it: its own packages, this interpreter's libraries."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from services.stack.program import launched
from tests.mutations.shared_servers import STATE

ROOT = Path(__file__).parents[2]
WITHIN = 900.0
"""Seconds for one run. A mutation may make a test wait for ever."""
_LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "build", "node_modules")


class Run(msgspec.Struct, frozen=True):
    """What one run of tests came to: the first line of each failure, by test; and of what broke before a test ran."""

    passed: frozenset[str]
    failed: dict[str, str]
    broken: dict[str, str]
    seconds: float
    ended: str = ""
    """Why there is no report, where there is none."""

    def red(self, test: str) -> str | None:
        """Why a test (any of its parameters) failed; None where it did not."""
        return next((why for name, why in self.failed.items() if name.partition("[")[0] == test), None)

    def green(self, test: str) -> bool:
        """Whether a test ran, and passed with all of its parameters."""
        names = {name.partition("[")[0] for name in (*self.failed, *self.broken)}
        return test not in names and any(name.partition("[")[0] == test for name in self.passed)


@contextmanager
def copied() -> Iterator[Path]:
    """The checkout as it is now, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="nenrin-mutation-") as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
        yield copy


def check_packages(copy: Path) -> None:
    """Raise `AssertionError` unless what runs in the copy imports the copy, and not what is installed."""
    code = "import schemas, eventlog, encoders, web, projections, services, nenrin, sys\n" + (
        "print(*(sys.modules[n].__file__ for n in 'schemas eventlog encoders web projections services nenrin'.split()))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=_environment(copy), cwd=copy, capture_output=True, text=True, check=True
    )
    strangers = [path for path in done.stdout.split() if not Path(path).is_relative_to(copy)]
    assert not strangers, f"not of the copy in {copy}: {strangers}"


def run(copy: Path, servers: Path, tests: Sequence[str]) -> Run:
    """Run tests (all of them, if none is named) in a copy, on the Kafka and Postgres whose state folder is given."""
    report = copy.parent / "report.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.mutations.shared_servers", f"--junitxml={report}"]
    pytest = (sys.executable, "-P", "-m", "pytest", *options, *tests)
    command = launched(pytest, death_signal=signal.SIGTERM, parent=os.getpid())
    environment = _environment(copy) | {STATE: str(servers)}
    began = time.monotonic()
    with (copy.parent / "output").open("w+") as output:
        status = _waited_for(
            subprocess.Popen(command, cwd=copy, env=environment, stdout=output, stderr=output, start_new_session=True)
        )
        output.seek(0)
        said = output.read()
    seconds = time.monotonic() - began
    if not report.exists():
        return Run(frozenset(), {}, {}, seconds, f"{status}: {said[-2000:]}")
    return _read(report, seconds)


def _waited_for(process: "subprocess.Popen[bytes]") -> str:
    try:
        return f"pytest ended with {process.wait(WITHIN)}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"not done within {WITHIN:.0f} s"


def _read(report: Path, seconds: float) -> Run:
    passed: set[str] = set()
    failed: dict[str, str] = {}
    broken: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        if (failure := case.find("failure")) is not None:
            failed[name] = failure.get("message", "").partition("\n")[0]
        elif (error := case.find("error")) is not None:
            broken[name] = error.get("message", "").partition("\n")[0]
        elif case.find("skipped") is None:
            passed.add(name)
    return Run(frozenset(passed), failed, broken, seconds)


def _environment(copy: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(copy)}
