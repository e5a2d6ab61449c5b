"""The guide to one's own Kafka and Postgres, followed to the letter: from empty servers to a search."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.stack.ports import free_ports
from tests.docs.test_examples import BASH, OWN_SERVERS, ROOT
from tests.running import Databases, environment

PORTS = re.compile(r"\b(8080|8081|910[1-3])\b")
ENDING = "trap 'kill $(jobs -p); wait' EXIT\n"


def test_the_guide_works(kafka: str, postgres: Databases, topic_prefix: str) -> None:
    """Only the ports are others than the guide's, for something may listen there."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    page = (ROOT / "docs" / "how-to" / OWN_SERVERS).read_text()
    script = "\n".join(BASH.findall(page))
    guide = sorted(set(PORTS.findall(script)))
    ports = dict(zip(guide, map(str, free_ports()), strict=False))
    settings = {
        "NENRIN_KAFKA": kafka,
        "NENRIN_POSTGRES": postgres.owner,
        "NENRIN_POSTGRES_READER": postgres.reader,
        "NENRIN_TOPIC_PREFIX": topic_prefix,
        "NENRIN_PARTITIONS": "2",
    }
    env = environment(settings)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", ENDING + PORTS.sub(lambda found: ports[found[0]], script)],
        env=env | {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'"document_id" ?: ?"rings"', done.stdout), done.stdout
