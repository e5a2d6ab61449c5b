"""The parts of the embedded stack that can be judged without starting it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.stack.errors import StartFailed
from services.stack.files import StateFolder
from services.stack.ports import Ports
from services.stack.postgres import Passwords
from services.stack.process import Backoff, Process, State
from services.stack.program import Program, launched
from services.stack.python_services import PythonServices
from services.stack.record import end_last_run, recorded
from services.stack.status import line, memory


def sleeper(folder: Path, *, code: str = "import time; time.sleep(60)") -> Process:
    """A process that does as little as possible."""
    program = Program("sleeper", (sys.executable, "-I", "-S", "-c", code), {}, folder, answers=at_once)
    return Process(program, folder / "sleeper.log", lambda _: None)


async def at_once() -> bool:
    """Ready from the first moment."""
    return True


async def never() -> bool:
    """Not ready, however often one asks."""
    return False


def test_a_service_is_told_where_everything_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another instance of a service runs the same command; only HTTP services get a port."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    services = PythonServices(tmp_path, Ports(), 4, "127.0.0.1:9092", "postgresql://owner", "postgresql://reader")
    second, query = services.program("embedder-2"), services.program("query")
    assert second.command[-3:] == ("-m", "nenrin", "embedder")
    assert "NENRIN_PORT" not in second.environment
    assert "PYTHONDONTWRITEBYTECODE" not in second.environment
    assert query.url == "http://127.0.0.1:8081"
    assert query.environment["NENRIN_POSTGRES_READER"] == "postgresql://reader"


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups")
def test_who_steps_back_does_so_among_sessions_too() -> None:
    """A nice value alone counts only within a session, and each process of a stack is one."""
    code = "import os; print(os.getpriority(os.PRIO_PROCESS, 0), open('/proc/self/autogroup').read())"
    command = launched((sys.executable, "-I", "-S", "-c", code), nice=5)
    nice, group = subprocess.check_output(command, text=True, start_new_session=True).split(maxsplit=1)
    assert int(nice) == 5
    assert group.split()[1:] == ["nice", "5"]


def test_passwords_are_made_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    """A second start must find the password that the cluster was made with."""
    file = StateFolder(tmp_path).passwords
    assert Passwords.kept_in(file) == Passwords.kept_in(file)
    assert file.stat().st_mode & 0o077 == 0


async def test_once_there_is_room_nothing_waits_to_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What kept a process from starting is gone: its wait, however long, is over."""
    monkeypatch.setattr(Backoff, "after", lambda *_: 60.0)
    process = sleeper(tmp_path)
    await process.start()
    before = process.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(20):
        while process.state is not State.WAITING:  # noqa: ASYNC110  # as a supervisor would look
            await asyncio.sleep(0.01)
        process.begin_anew()
        while process.pid == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await process.stop()


async def test_a_process_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """The refusal carries the end of its log, which says why."""
    broken = sleeper(tmp_path, code="import sys; sys.exit('no such model')")
    broken.program = Program("broken", broken.program.command, {}, tmp_path, answers=never)
    with pytest.raises(StartFailed, match=r"(?s)broken ends with status 1 at each start.*no such model"):
        await broken.start()
    assert broken.state is State.FAILED


async def test_a_frozen_process_can_be_stopped(tmp_path: Path) -> None:
    """A process that was stopped by SIGSTOP is woken, so that it can follow the request to end."""
    frozen = sleeper(tmp_path)
    await frozen.start()
    assert frozen.pid is not None
    os.kill(frozen.pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        await frozen.stop()
    assert frozen.pid is None


async def test_a_change_is_one_readable_line(tmp_path: Path) -> None:
    """Name, state and pid, for whoever reads the output of `nenrin up` in a file."""
    process = sleeper(tmp_path)
    await process.start()
    assert line(process).split()[1:] == ["sleeper", "running", "pid", str(process.pid)]
    assert memory(process).endswith("MiB")
    await process.stop()
    assert line(process).split()[1:] == ["sleeper", "stopped"]


def test_only_what_the_last_run_started_is_ended(tmp_path: Path) -> None:
    """A pid that meanwhile belongs to another process is left alone: the record knows when each began."""
    ours, other = (subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)")) for _ in range(2))
    record = {
        name: one._asdict()
        for name, process in {"ours": ours, "other": other}.items()
        if (one := recorded(process.pid, signal.SIGTERM))
    }
    record["other"]["began"] -= 3600
    (tmp_path / "run.json").write_text(json.dumps(record))
    end_last_run(tmp_path / "run.json")
    assert not psutil.pid_exists(ours.pid) or ours.wait(5) == -signal.SIGTERM
    assert other.poll() is None
    other.kill()
    other.wait()
