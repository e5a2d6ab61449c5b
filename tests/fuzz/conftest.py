"""What is fuzzed whole runs on a stack of its own: what it leaves in the log, other readers cannot read."""

import os
import secrets
from collections.abc import Generator, Iterator

import pytest

from tests.running import Running, up


@pytest.fixture(scope="session")
def seed() -> int:
    """Printed by pytest where a test fails; `NENRIN_TEST_SEED` draws the same again."""
    chosen = int(os.environ.get("NENRIN_TEST_SEED") or secrets.randbits(32))
    print(f"NENRIN_TEST_SEED={chosen}")
    return chosen


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`nenrin up` for the tests of this folder alone, and no longer than they run."""
    with up(tmp_path_factory.mktemp("fuzzed")) as program:
        yield program


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed on a stack shows what the stack's processes said."""
    report = yield
    program = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(program, Running):
        report.sections.append(("the stack", program.said()))
    return report
