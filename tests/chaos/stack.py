"""`nenrin up` as an operator runs it, and as the kernel's killer ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from services.stack.program import launched
from tests.running import START_WITHIN, STOP_WITHIN, Running, environment

PARTITIONS = 6
SETTINGS = {
    "NENRIN_PARTITIONS": str(PARTITIONS),
    "NENRIN_PARK_LIMIT": "1000000",  # in half an hour more is written that nothing heals than a topic should have
}


class Stack:
    """One state folder, and whoever runs it now. Not for more than one thread at a time, but for its endpoints.

    Processes are started from the thread that makes this: they are to end with it.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.endpoints: Mapping[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._extras: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, scale: Mapping[str, int]) -> None:
        """Run `nenrin up` with so many instances of each service; `await_answers` waits for it."""
        self.state.mkdir(parents=True, exist_ok=True)
        asked = [part for name, count in scale.items() for part in ("--scale", f"{name}={count}")]
        command = (sys.executable, "-P", "-m", "nenrin", "up", "--free-ports", "--state", str(self.state), *asked)
        self._process = self._launched(command, "output", environment(SETTINGS))

    def await_answers(self) -> None:
        """Return when everything answers; blocks. Raises AssertionError when it ends, or takes too long."""
        deadline = time.monotonic() + START_WITHIN
        while not (endpoints := self._written()):
            status = None if self._process is None else self._process.poll()
            assert status is None, f"nenrin up ended with {status}\n{self.said()}"
            assert time.monotonic() < deadline, f"nenrin up did not answer in {START_WITHIN:.0f} s\n{self.said()}"
            time.sleep(0.05)
        self.endpoints = endpoints

    def _written(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.state / "endpoints.json").read_text())
        except FileNotFoundError:
            return {}
        return content

    @property
    def kafka(self) -> str:
        """Where Kafka is, or was last."""
        address: str = self.endpoints["kafka"]
        return address

    @property
    def postgres(self) -> str:
        """The owner's DSN of the database, now or last."""
        dsn: str = self.endpoints["postgres"]
        return dsn

    def urls(self, service: str) -> list[str]:
        """Where each instance of an HTTP service is; none while no stack is up: the ports may be others' then."""
        return [url for name, url in self._written().items() if name.partition("-")[0] == service]

    def pid(self, name: str) -> int | None:
        """The pid of a process now; None if there is none of that name."""
        pid: int | None = self._written().get("processes", {}).get(name)
        return pid

    # -- its end

    def stop(self) -> None:
        """SIGTERM, which has to end everything cleanly; blocks."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(STOP_WITHIN + 30)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"SIGTERM did not end nenrin up\n{self.said()}") from None
        finally:
            self._end_extras()
        assert status == 0, f"nenrin up ended with {status}\n{self.said()}"
        self._process = None

    def kill(self) -> None:
        """SIGKILL of the supervisor alone; what it ran is left to the kernel and to the next `up`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_WITHIN)
            self._process = None
        (self.state / "endpoints.json").unlink(missing_ok=True)  # which a killed one can't do, and we wait for the next
        self._end_extras()

    def _end_extras(self) -> None:
        for name in list(self._extras):
            self.scale_down(name, signal.SIGKILL)

    # -- more instances

    def scale_up(self, service: str) -> str | None:
        """Run another instance beside those of the supervisor, as they are configured; its name, if there was one."""
        pid = self.pid(service)
        if pid is None:
            return None
        name = f"{service}-extra-{len(self._extras) + 1}"
        try:
            settings = {k: v for k, v in psutil.Process(pid).environ().items() if k != "NENRIN_METRICS_PORT"}
        except psutil.Error:
            return None
        self._extras[name] = self._launched((sys.executable, "-P", "-m", "nenrin", service), f"{name}.log", settings)
        return name

    def scale_down(self, name: str, by: signal.Signals = signal.SIGTERM) -> int:
        """End an instance that `scale_up` started; its exit status. Blocks."""
        process = self._extras.pop(name)
        process.send_signal(by)
        try:
            return process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{name} did not end within {STOP_WITHIN:.0f} s of {by.name}\n{self.said()}") from None

    @property
    def extras(self) -> list[str]:
        """The instances that `scale_up` started, the first one first."""
        return list(self._extras)

    def _launched(
        self, command: tuple[str, ...], output: str, settings: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        with (self.state / output).open("ab") as file:
            return subprocess.Popen(
                launched(command, death_signal=signal.SIGTERM, parent=os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=dict(settings),
            )

    def said(self) -> str:
        """What everything wrote last."""
        extras = "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in self.state.glob("*.log")
        )
        return f"{Running(self._process, self.state).said()}\n{extras}" if self._process else extras
