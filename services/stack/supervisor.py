"""The embedded stack as one object: `async with Stack(folder) as stack`.

Kafka and Postgres start together, then `nenrin init` runs, then Nenrin's own processes start together. What dies is
started again. Everything ends in the reverse order, or with this process, however it ends. Encoders that are added
while it runs get embedders of their own.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from services import disk
from services.stack.assigning import EMBEDDER
from services.stack.errors import StartFailed
from services.stack.files import StateFolder
from services.stack.kafka import Kafka
from services.stack.ports import Ports
from services.stack.postgres import Passwords, Postgres
from services.stack.process import Process, State
from services.stack.program import Program, run_to_end
from services.stack.python_services import SERVICES, PythonServices, service_of
from services.stack.record import end_last_run

if TYPE_CHECKING:
    from services.stack.embedders import Embedders

START_WITHIN = 120.0
TEND_EVERY = 1.0
LOOK_EVERY = 1.0
"""Seconds between two looks which encoders there are."""
SERVERS = ("kafka", "postgres")


class Stack:
    """Everything on this machine, in one state folder.

    `services` names what runs beside Kafka and Postgres, in any number of instances (`embedder`, `embedder-2`);
    with none of them nothing is initialised either, and the two servers are all there is. `watch` is told whenever
    a process starts, answers, dies or is stopped, and `say` what else a person may want to know, in a line.
    """

    def __init__(  # noqa: PLR0913  (two of them are whom it tells)
        self,
        state: Path,
        *,
        free_ports: bool = False,
        partitions: int = 4,
        services: Sequence[str] = SERVICES,
        watch: Callable[[Process], None] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder = StateFolder(state.resolve())
        self.processes: dict[str, Process] = {}
        self._free_ports = free_ports
        self._partitions = partitions
        self._services = services
        self._watch = watch
        self._say = say
        self._embedders: Embedders | None = None
        self._answered = False
        self._unwritten = False
        self._resources = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    @property
    def endpoints(self) -> dict[str, Any]:
        """What `endpoints.json` says: where everything answers, and the pids of the processes."""
        http = [process for name, process in self.processes.items() if service_of(name) in {"command", "query"}]
        urls = {process.program.name: process.program.url for process in http}
        return {**urls, "kafka": self.kafka.address, "postgres": self.postgres.dsn, "processes": self.pids}

    @property
    def pids(self) -> dict[str, int]:
        """The processes that aren't stopped."""
        return {name: process.pid for name, process in self.processes.items() if process.pid is not None}

    def pid(self, name: str) -> int:
        """The pid of one of them."""
        return self.pids[name]

    async def lasts(self) -> None:
        """Wait for as long as everything can be kept running; raise what ends that."""
        await together(*(process.lasts() for process in self.processes.values()))

    async def stop(self, name: str) -> None:
        """Stop one process, and leave it so."""
        await self.processes[name].stop()

    async def start(self, name: str) -> None:
        """Start one process that was stopped, or another instance of a service; return when it answers."""
        if name not in self.processes:
            self._add(name)
        await self.processes[name].start()

    async def _open(self) -> None:
        self._resources.enter_context(self.folder.locked())
        for file in (self.folder.endpoints, self.folder.metrics):
            file.unlink(missing_ok=True)
        await asyncio.to_thread(end_last_run, self.folder.record)
        await self._configure()
        self._resources.push_async_callback(self._close)
        tending = asyncio.create_task(self._tend(), name="tend the stack")
        self._resources.callback(tending.cancel)
        try:
            async with asyncio.timeout(START_WITHIN):
                await self._start_all()
        except TimeoutError:
            raise StartFailed(f"not everything answers after {START_WITHIN:.0f} s:\n{self._silent()}") from None
        self._answered = True
        self._write_down()
        if self._services:
            going_on = asyncio.create_task(self._go_on(), name="upgrade, and embed with what is added")
            self._resources.push_async_callback(_ended, going_on)

    async def _go_on(self) -> None:
        """What is done once everything answers, and no error of which ends anything."""
        from services.stack.upgrading import upgrade  # noqa: PLC0415  (its drivers take a while to import)

        async with asyncio.TaskGroup() as group:
            group.create_task(upgrade(self.python, self.folder.log("rebuild"), self._say))
            if self._embedders is not None:
                group.create_task(self._keep_embedding(self._embedders))

    async def _configure(self) -> None:
        state = self.folder.path
        ports = Ports.free() if self._free_ports else Ports()
        ports.check((*SERVERS, "controller", *(name for name in self._services if hasattr(ports, name))))
        passwords = Passwords.kept_in(self.folder.passwords)
        self.kafka = await Kafka.installed(state / "kafka", ports.kafka, ports.controller)
        self.postgres = Postgres.installed(state / "postgres", ports.postgres, passwords)
        self.python = PythonServices(
            state, ports, self._partitions, self.kafka.address, self.postgres.dsn, self.postgres.reader_dsn
        )

    async def _start_all(self) -> None:
        await together(self.kafka.prepare(), self.postgres.prepare())
        await together(*(self.start(name) for name in SERVERS))
        if self._services:
            await self._initialise()
            await self._choose_encoder()
            await together(*(self.start(name) for name in self._services))

    def _add(self, name: str) -> None:
        self.processes[name] = Process(self._program(name), self.folder.log(name), self._changed)

    def _program(self, name: str) -> Program:
        if self._embedders is not None and (encoder := self._embedders.encoder(name)) is not None:
            return self.python.embedder(name, encoder, backfill=self._embedders.backfills(name))
        servers = {"kafka": self.kafka.program, "postgres": self.postgres.program}
        return servers.get(name, partial(self.python.program, name))()

    async def _choose_encoder(self) -> None:
        """Embed for the generation that is live as the stack starts."""
        from services.stack.embedders import Embedders  # noqa: PLC0415  (its drivers are imported while servers start)

        instances = [name for name in self._services if service_of(name) == EMBEDDER]
        self._embedders = embedders = Embedders(self.postgres.dsn, instances)
        self._resources.callback(embedders.close)
        await embedders.choose()

    async def _keep_embedding(self, embedders: "Embedders") -> None:
        """Have an embedder for each encoder that is used or was added, and none for others."""
        while True:
            ended, begun = await embedders.look()
            for name in ended:
                await self.processes.pop(name).stop()
            for name in begun:
                self._add(name)
                self.processes[name].begin()
            if ended:
                self._write_down()
            await asyncio.sleep(LOOK_EVERY)

    async def _initialise(self) -> None:
        """Make topics, roles and the control schema, or check them."""
        status, output = await run_to_end(self.python.command("init"), self.python.environment(), self.folder.path)
        self.folder.log("init").write_text(output)
        if status:
            raise StartFailed(f"nenrin init ended with status {status}:\n{output}")

    async def _close(self) -> None:
        """End everything, the servers last, and leave no trace of a running stack."""
        self._answered = False
        for file in (self.folder.endpoints, self.folder.metrics):
            file.unlink(missing_ok=True)
        clients = [process for name, process in self.processes.items() if name not in SERVERS]
        servers = [process for name, process in self.processes.items() if name in SERVERS]
        for group in (clients, servers):
            await asyncio.gather(*(process.stop() for process in group))
        self.folder.record.unlink(missing_ok=True)

    def _changed(self, process: Process) -> None:
        """Write down what runs now, for clients and for whoever must clean up after us."""
        if process.state in {State.STARTING, State.STOPPED}:
            self._write_down()
        if self._watch is not None:
            self._watch(process)

    def _write_down(self) -> None:
        """Write the record and the endpoints; a disk that is full now is tried again, for the stack goes on."""
        identities = {name: process.identity for name, process in self.processes.items()}
        try:
            self.folder.write(self.folder.record, {name: one._asdict() for name, one in identities.items() if one})
            self._write_endpoints()
        except OSError:
            self._unwritten = True
        else:
            self._unwritten = False

    async def _tend(self) -> None:
        """Now and again write what could not be written, and see which server's disk is full."""
        while True:
            await asyncio.sleep(TEND_EVERY)
            if self._unwritten:
                self._write_down()
            for process in self.processes.values():
                self._look_at_disk(process)

    def _look_at_disk(self, process: Process) -> None:
        trouble = disk.shortage(process.program.data)
        if bool(trouble) != bool(process.trouble):
            process.trouble = trouble
            self._changed(process)
            if not trouble:
                process.begin_anew()  # a start on a full disk may hang, and not go on when there is room

    def _write_endpoints(self) -> None:
        if self._answered:
            urls = {name: process.program.metrics for name, process in self.processes.items()}
            self.folder.write(self.folder.metrics, {name: url for name, url in urls.items() if url})
            self.folder.write(self.folder.endpoints, self.endpoints)

    def _silent(self) -> str:
        silent = [process for process in self.processes.values() if process.state is not State.RUNNING]
        return "\n".join(f"{process.program.name} is {process.state}; {process.last_words()}" for process in silent)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait((task,))


async def together(*steps: Coroutine[Any, Any, None]) -> None:
    """Run steps at the same time; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
