"""What `nenrin up` does after an upgrade that changed a read model: build it anew, while the old one serves."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg

from projections.database import connect
from projections.generations.shapes import Outdated, look, outdated
from schemas.errors import NenrinError
from services.stack.program import launched
from services.stack.python_services import PythonServices

Say = Callable[[str], None]


async def upgrade(python: PythonServices, log: Path, say: Say) -> None:
    """Rebuild and promote what an older version made. A failure is said and ends nothing: the next start tries anew."""
    try:
        for each in [each for each in await _outdated(python.postgres) if each.is_older]:
            say(f"{each}; {log} tells how far it is")
            say(_ending(each, await _rebuild(python, each.projection, log), log))
    except (NenrinError, asyncpg.PostgresError, OSError) as error:
        say(f"whether read models are of this version could not be seen to: {error}")


async def _outdated(dsn: str) -> list[Outdated]:
    connection = await connect(dsn, application="nenrin up")
    try:
        return outdated(await look(connection))
    finally:
        connection.terminate()


async def _rebuild(python: PythonServices, projection: str, log: Path) -> int:
    """Run the operator's own command; it goes with us, and goes on where it stopped when it is run again."""
    command = python.command("projections", "rebuild", projection, "--by", "nenrin up")
    with log.open("ab", buffering=0) as output:
        process = await asyncio.create_subprocess_exec(
            *launched(command, death_signal=signal.SIGKILL, parent=os.getpid()),
            env=python.environment(),
            cwd=python.state,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _ending(each: Outdated, status: int, log: Path) -> str:
    if status == 0:
        return f"{each.projection} is of this version now"
    return (
        f"{each.projection} could not be replaced (status {status}), and its older generation goes on serving: "
        f"{log} says why; `nenrin projections rebuild {each.projection}` tries again"
    )
