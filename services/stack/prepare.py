"""The last step of set-up, `python -m services.stack.prepare`: what takes long and is done once.

Fetch Kafka, teach its JVM to start fast, and export the graph that encodes questions.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import jgo
from jgo.maven import Artifact
from rich.progress import track

from encoders.exported import places, readable
from encoders.folder import packaged
from schemas.encoders import MINILM
from services.stack.errors import StartFailed
from services.stack.kafka import Kafka, kafka_home
from services.stack.ports import Ports
from services.stack.process import Process

KAFKA = "org.apache.kafka:kafka_2.13:4.3.0"
LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
PATIENCE = 60.0


def main() -> None:
    """Do what isn't done yet."""
    home = kafka_home()
    if not (home / "jars").is_dir():
        print(f"Downloading Apache Kafka, 45 MB of jars, to {home}", flush=True)
        try:
            fetch(home / "jars")
        except OSError as error:  # requests' errors are of this kind too
            sys.exit(
                f"Kafka's jars could not be fetched: {error}\nCheck the network or its proxy, then run this again."
            )
    if not (home / "kafka.aot").exists():
        print("Starting Kafka once, so that its JVM can keep the classes it loads (65 MB, about 12 s)", flush=True)
        asyncio.run(record_classes(home))
    export_graph()


def export_graph() -> None:
    """Make what the query service encodes questions with; without it torch does, so no outcome is an error."""
    if not readable(places(MINILM, packaged(MINILM))):
        print("Exporting the encoder of questions as an ONNX graph, and checking it against torch (5 s)", flush=True)
        subprocess.run([sys.executable, "-P", "-m", "encoders.export"], stdout=subprocess.DEVNULL, check=False)


def fetch(folder: Path) -> None:
    """Resolve and download the jars; an interrupted download leaves nothing that looks finished."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f"jars.{os.getpid()}")
    unfinished.mkdir()
    try:
        for artifact in track(artifacts(), description="Kafka jars"):
            shutil.copy(artifact.resolve(), unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def artifacts() -> list[Artifact]:
    """Kafka with its dependencies, and of the log binding only the jar itself.

    Resolved together, the binding's imports would win over Kafka's and bring another version of its client.
    """
    return [*jgo.resolve(KAFKA), jgo.resolve(LOG_BINDING)[0]]


async def record_classes(home: Path) -> None:
    """Run a throw-away broker; the JVM writes its cache when the broker stops.

    It cuts every later start from 2.6 s to 0.7 s. A start without the cache works too, so no outcome is an error.
    """
    ports = Ports.free()
    cache = home / f"kafka.aot.{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="nenrin-kafka-") as folder:
        kafka = Kafka(Path(folder), ports.kafka, ports.controller, home)
        await kafka.prepare()
        patient = replace(kafka.program(f"-XX:AOTCacheOutput={cache}"), stop_patience=PATIENCE)
        broker = Process(patient, Path(folder, "kafka.log"), lambda _: None)
        try:
            await broker.start()
            await broker.stop()
            cache.rename(home / "kafka.aot")
        except (StartFailed, FileNotFoundError):
            print("the JVM kept no cache: Kafka will start all the same, 2 s slower", file=sys.stderr)


if __name__ == "__main__":
    main()
