"""What the tests share: one Kafka and one Postgres a session, and Nenrin whole for those that need every process."""

import asyncio
import json
import secrets
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr

import services.init
from projections.control.install import install
from services.settings import Settings
from tests import alone, grouping
from tests.running import Databases, Running, as_reader, clone, execute, running, until_it_embeds, up, with_database

WHOLE_STACK = pytest.StashKey[ExitStack]()
"""What ends the stack of `whole_stack`."""

pytest.register_assert_rewrite("tests.laws.reading", "tests.laws.derived")  # so that a broken law shows its values


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Kafka and Postgres, nothing in them. What Postgres is told to write survives a kill, but no loss of power."""
    with running(tmp_path_factory.mktemp("servers"), "services.stack.dev") as program:
        for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            execute(program.endpoints["postgres"], statement)
        yield program


@pytest.fixture(scope="session")
def kafka(servers: Running) -> str:
    """Where clients bootstrap from: one broker a session, so tests keep apart by `topic_prefix`."""
    address: str = servers.endpoints["kafka"]
    return address


@pytest.fixture
def topic_prefix() -> str:
    """What this test's topics begin with."""
    return f"t{secrets.token_hex(4)}."


@pytest.fixture(scope="session")
def reader_password(servers: Running) -> str:
    """The password that the embedded Postgres gave its reading role."""
    password: str = json.loads((servers.state / "passwords.json").read_text())["reader"]
    return password


@pytest.fixture(scope="session")
def template(servers: Running, reader_password: str) -> str:
    """A database with the control schema and nothing in it, that every test's own is a copy of."""
    owner: str = servers.endpoints["postgres"]
    execute(owner, "CREATE DATABASE nenrin_template")
    asyncio.run(install(with_database(owner, "nenrin_template"), (), reader_password))
    return "nenrin_template"


@pytest.fixture
def postgres(servers: Running, template: str, reader_password: str) -> Iterator[Databases]:
    """A migrated database of this test's own."""
    owner: str = servers.endpoints["postgres"]
    name = f"test_{secrets.token_hex(4)}"
    clone(owner, name, template)
    yield Databases(with_database(owner, name), as_reader(owner, name, reader_password))
    execute(owner, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(kafka: str, postgres: Databases, topic_prefix: str) -> Settings:
    """What a service is told that works on this test's topics and database."""
    return Settings(
        kafka=kafka,
        postgres=SecretStr(postgres.owner),
        postgres_reader=SecretStr(postgres.reader),
        partitions=4,
        topic_prefix=topic_prefix,
    )


@pytest.fixture
def installed(settings: Settings) -> Settings:
    """`nenrin init` done: topics made, and the first generations of every projection."""
    services.init.run(settings)
    return settings


@pytest.fixture(scope="session")
def whole_stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Running]:
    """`nenrin up`, for the tests that need every process and leave each of them running."""
    with ExitStack() as stack:
        program = stack.enter_context(up(tmp_path_factory.mktemp("up")))
        until_it_embeds(program)
        pytestconfig.stash[WHOLE_STACK] = stack
        yield program


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and have what tests start end by Ctrl-C.

    A shell starts what it runs in the background with SIGINT ignored, and every process below inherits that.
    """
    config.addinivalue_line("markers", alone.MARKER)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> grouping.Grouped:
    """Tests that share a stack go to one worker."""
    return grouping.Grouped(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers run, the longest groups are begun first."""
    if hasattr(config, "workerinput"):
        grouping.order(items)
    else:  # a worker's own errors are not told
        grouping.check(items)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Where several workers run, the whole stack ends with the last test that needs it; idle it would take CPU time."""
    if hasattr(item.config, "workerinput") and grouping.is_last(item, nextitem) and WHOLE_STACK in item.config.stash:
        item.config.stash[WHOLE_STACK].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Where several workers run, those tests that have to be alone are."""
    with alone.in_turn(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed on a stack shows what the stack's processes said."""
    report = yield
    program = getattr(item, "funcargs", {}).get("whole_stack")
    if report.failed and isinstance(program, Running):
        report.sections.append(("the stack", program.said()))
    return report
