"""A pytest plugin: Kafka and Postgres are those that run already, so that no mutation waits for its own."""

import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from tests.running import Running, execute

STATE = "MUTATIONS_SERVERS"
"""The environment's name for their state folder."""


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Running | None:
    """Hand out the servers that run; what an earlier session made of the template database goes first."""
    state = Path(os.environ[STATE])
    if fixturedef.argname == "template":
        dsn = json.loads((state / "endpoints.json").read_text())["postgres"]
        execute(dsn, "DROP DATABASE IF EXISTS nenrin_template WITH (FORCE)")
    if fixturedef.argname != "servers":
        return None
    servers = Running(cast(Any, None), state)
    fixturedef.cached_result = (servers, fixturedef.cache_key(request), None)
    return servers
