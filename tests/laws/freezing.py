"""An embedder that freezes in the worst moment: it has encoded a batch, and not sent it.

Run as a program. Of several, the first to come there freezes, and writes its pid into the file NENRIN_STATE/frozen.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nenrin.cli import main
from services.embedder.producer import Producer
from services.embedder.work import Output

KEY = b"c/freeze"
FILE = "frozen"

_send = Producer.send


async def _freeze_and_send(self: Producer, partition: int, outputs: Sequence[Output]) -> None:
    if any(output.key == KEY for output in outputs):
        with suppress(FileExistsError), (Path(os.environ["NENRIN_STATE"]) / FILE).open("x") as file:
            file.write(str(os.getpid()))
            file.flush()
            os.kill(os.getpid(), signal.SIGSTOP)
    await _send(self, partition, outputs)


if __name__ == "__main__":
    Producer.send = _freeze_and_send  # type: ignore[method-assign]
    main()
