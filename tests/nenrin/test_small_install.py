"""`pip install nenrin` is small: the client and the commands that talk to a stack need no server, driver or model."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

from tests.nenrin.small_install import foreign
from tests.running import Running, environment

BEGIN = """
import json, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    names = frozenset(json.loads(sys.stdin.read()))

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"no module {name}: `pip install nenrin` does not bring it", name=name)

sys.meta_path.insert(0, Missing())
"""
CLIENT = """
import asyncio, nenrin
with nenrin.Session() as session:
    session.add(sys.argv[1], "rings", "A tree adds one ring every year.")
    assert session.search(sys.argv[1], "ring", mode="text").results[0].document_id == "rings"

async def later():
    async with nenrin.AsyncSession(token=session.token) as other:
        return await other.document(sys.argv[1], "rings")

assert asyncio.run(later()).document.text
"""
COMMANDS = """
from nenrin.cli import main
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit as end:
        assert not end.code, command
"""


def alone(program: str, *arguments: str, stack: Running | None = None, folder: Path | None = None) -> str:
    """Run a program where nothing is installed but the base dependencies; what it prints."""
    settings = {} if stack is None else {"NENRIN_STATE": str(stack.state)}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *arguments],
        input=json.dumps(sorted(foreign())),
        env=environment(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_hidden_is_what_matters() -> None:
    """The drivers, the servers and the models are among the hidden; the HTTP client is not."""
    hidden = foreign()
    heavy = {"torch", "faust", "asyncpg", "aiokafka", "confluent_kafka", "litestar", "sqlalchemy", "numpy", "structlog"}
    assert heavy | {"pydantic_settings", "langchain_core", "llama_index"} <= hidden
    assert not {"httpx", "msgspec", "rich", "typer", "nenrin", "schemas"} & hidden


def test_a_session_works(whole_stack: Running) -> None:
    """It writes and searches, and so does the one for an event loop."""
    alone(CLIENT, f"small-{secrets.token_hex(4)}", stack=whole_stack)


def test_commands_work(whole_stack: Running) -> None:
    """Help, and looking at a stack."""
    said = alone(COMMANDS, "--help", "status --json", "parked list --json", stack=whole_stack)
    assert "Usage" in said


def test_files_are_added_and_found(whole_stack: Running, tmp_path: Path) -> None:
    """`nenrin add` and `nenrin search`."""
    (tmp_path / "ring.md").write_text("# Ring\n\nA tree adds one ring every year.")
    there = f"--collection small-{secrets.token_hex(4)} --json"
    added = json.loads(alone(COMMANDS, f"add ring.md {there}", stack=whole_stack, folder=tmp_path))
    search = f"search ring --mode text --wait 30 --at-least {added['version']} {there}"
    found = json.loads(alone(COMMANDS, search, stack=whole_stack))
    assert [hit["document_id"] for hit in found["results"]] == ["ring.md"]
