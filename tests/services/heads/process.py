"""The heads probe as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.settings import Settings
from services.stack.program import launched
from tests.running import environment

Process = subprocess.Popen[bytes]
RUN = "from services.heads import run; from services.settings import Settings; run(Settings.load())"


@contextmanager
def heads(settings: Settings, log: Path) -> Iterator[Process]:
    """Run the probe until the end of the block; unless it was killed by then, it must end cleanly."""
    told = {
        "NENRIN_KAFKA": settings.kafka,
        "NENRIN_POSTGRES": settings.dsn,
        "NENRIN_TOPIC_PREFIX": settings.topic_prefix,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            launched((sys.executable, "-P", "-c", RUN)), env=environment(told), stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        killed = process.poll() == -signal.SIGKILL
        process.terminate()
        status = process.wait(10)
    assert killed or status == 0, log.read_text()
