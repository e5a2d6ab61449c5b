"""Several instances of a service: what is asked for, what runs, and where clients find them."""

from pathlib import Path

import pytest

from services.stack.errors import BadScale
from services.stack.ports import Ports
from services.stack.python_services import PythonServices
from services.stack.scale import scaled
from services.stack.supervisor import Stack


def test_other_services_run_once_and_instances_are_numbered_from_two() -> None:
    """The first instance keeps the service's own name, so a client of one instance needs to know of no others."""
    assert scaled([]) == ("command", "embedder", "projector", "heads", "query")
    names = scaled(["query=2", "embedder=3", "heads=1"])
    assert names == (
        "command",
        "embedder",
        "embedder-2",
        "embedder-3",
        "projector",
        "heads",
        "query",
        "query-2",
    )


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("kafka=2", "kafka runs once"),
        ("postgres=2", "postgres runs once"),
        ("indexer=2", "there is no service 'indexer'; name one of command, embedder"),
        ("embedder-2=2", "there is no service 'embedder-2'"),
        ("", "there is no service ''"),
        ("embedder", "'' is no number of instances"),
        ("embedder=0", "'0' is no number of instances; give one from 1 on, as in embedder=2"),
        ("embedder=-1", "'-1' is no number"),
        ("embedder=two", "'two' is no number"),
        ("embedder=²", "'²' is no number"),
    ],
)
def test_what_cannot_be_scaled_is_refused(asked: str, why: str) -> None:
    """The refusal names the service or the number, and shows how it is written."""
    with pytest.raises(BadScale) as refusal:
        scaled([asked])
    assert why in str(refusal.value)


def test_each_instance_has_a_port_of_its_own_and_the_first_the_known_one(tmp_path: Path) -> None:
    """Clients find the first where it always is; the second listens elsewhere, and its metrics are there too."""
    services = PythonServices(tmp_path, Ports(), 4, "127.0.0.1:9092", "postgresql://owner", "postgresql://reader")
    first, second = services.program("query"), services.program("query-2")
    assert first.url == "http://127.0.0.1:8081"
    assert second.url != first.url
    assert second.url == f"http://127.0.0.1:{second.environment['NENRIN_PORT']}"
    assert second.metrics == f"{second.url}/metrics"


async def test_a_scaled_stack_says_where_each_instance_is(tmp_path: Path) -> None:
    """`endpoints.json` has the first instances' URLs under the services' names and the others' beside them."""
    services = ("command", "command-2", "heads", "heads-2")
    async with Stack(tmp_path, free_ports=True, services=services) as stack:
        endpoints = stack.endpoints
        assert set(endpoints) == {"command", "command-2", "kafka", "postgres", "processes"}
        assert endpoints["command"] != endpoints["command-2"]
        assert list(endpoints["processes"]) == ["kafka", "postgres", *services]
