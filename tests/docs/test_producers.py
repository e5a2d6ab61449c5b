"""The producers in other languages: each writes straight to Kafka, makes its own token, and reads its own writes."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from schemas.versions import parse
from services.stack.kafka import kafka_home
from tests.docs.conftest import Build
from tests.running import Running, environment

PROGRAMS = Path(__file__).parents[2] / "docs" / "how-to" / "produce"
WITHIN = 180.0
"""Seconds. A first build compiles the language's own library and fetches the client; later ones take a second."""


def needs(*tools: str) -> None:
    """Skip where a toolchain isn't installed."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed here")


def run(command: list[str], folder: Path, stack: Running, **settings: str) -> str:
    """What a program prints, run in its folder beside a stack."""
    ends = {"NENRIN_KAFKA": stack.endpoints["kafka"], "NENRIN_QUERY": stack.endpoints["query"]}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(ends | settings),
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def holds(stack: Running, collection: str, token: str) -> None:
    """The program's own token covers all its documents: ids of several scripts, in more than one partition."""
    listed = httpx.get(
        f"{stack.endpoints['query']}/v1/collections/{collection}/documents", headers={"Nenrin-At-Least": token}
    )
    documents = listed.raise_for_status().json()["documents"]
    assert [each["document_id"] for each in documents] == sorted(
        ["oak", "年輪/第一章", "été à Orléans", "a/b?c#d", "🌲", "50%25"]
    )
    assert set(parse(token).offsets["documents"]) == {each["source"]["partition"] for each in documents}
    assert len(parse(token).offsets["documents"]) > 1


def test_node_reads_its_own_writes(whole_stack: Running, tmp_path: Path) -> None:
    """kafkajs' default partitioner agrees with ours."""
    needs("node", "npm")
    folder = shutil.copytree(PROGRAMS / "node", tmp_path / "node")
    run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--prefer-offline"], folder, whole_stack)
    holds(whole_stack, "from-node", run(["node", "produce.mjs"], folder, whole_stack))


def test_java_reads_its_own_writes(whole_stack: Running) -> None:
    """Kafka's own client, from the embedded Kafka's jars."""
    needs("java", "javac")
    jars = str(kafka_home() / "jars" / "*")
    printed = run(["java", "-Xshare:auto", "-cp", jars, "Produce.java"], PROGRAMS / "java", whole_stack)
    holds(whole_stack, "from-java", printed.splitlines()[-1])


def test_go_reads_its_own_writes(whole_stack: Running, tmp_path: Path, go_build: Build | None) -> None:
    """franz-go's default partitioner agrees with ours; its dependencies are the pinned ones, and go.sum vouches."""
    needs("go")
    assert go_build is not None
    said, _ = go_build.process.communicate(timeout=WITHIN)
    assert go_build.process.returncode == 0, said
    holds(whole_stack, "from-go", run([str(go_build.program)], tmp_path, whole_stack))
