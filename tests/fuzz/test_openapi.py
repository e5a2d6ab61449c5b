"""Schemathesis on both services: nothing that follows their documents, or breaks them, is answered otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import Running, environment

SECONDS = int(os.environ.get("NENRIN_FUZZ_SECONDS") or 8)


@pytest.mark.parametrize("service", ["command", "query"])
def test_a_service_keeps_its_openapi_document(service: str, stack: Running, seed: int, tmp_path: Path) -> None:
    """Every check, in every phase: no 5xx, answers as published, wrong requests refused and right ones not."""
    url = stack.endpoints[service]
    before = stack.pids
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url, "--no-color"]
    told = ["--seed", str(seed), "--max-time", str(SECONDS), "--continue-on-failure", "--warnings", "off"]
    root = Path(__file__).parents[2]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(root)}
    ran = subprocess.run(
        [*command, *told], cwd=tmp_path, env=environment(hooks), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    assert stack.pids == before, "a process died of what it was sent"
