"""The reference of the metrics is what the processes expose, and they expose what it says."""

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.background import status
from services.heads.app import readiness as heads_readiness
from services.heads.metrics import Metrics as HeadsMetrics
from services.projector.app import readiness as projector_readiness
from services.projector.follower import Standing
from tests.running import Running
from web.readiness import Readiness
from web.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| ([^|]*) \|$", re.MULTILINE)
SECTIONS = {
    "command": ("Every process", "HTTP services", "Command service"),
    "query": ("Every process", "HTTP services", "Query service"),
    "embedder": ("Every process", "Embedder"),
    "projector": ("Every process", "Projector"),
    "heads": ("Every process", "Heads probe"),
}
Metric = tuple[str, str]
"""A metric's type and meaning."""


def documented() -> dict[str, dict[str, tuple[Metric, frozenset[str]]]]:
    """By section and name: type and meaning, and labels."""
    parts = SECTION.split(PAGE.read_text())
    return {
        title: {
            name: ((kind, meaning), frozenset(re.findall(r"`(\w+)`", labels)))
            for name, kind, labels, meaning in ROW.findall(text)
        }
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def exposed(text: str) -> dict[str, tuple[Metric, frozenset[str]]]:
    """By name, as PromQL has it: type and meaning, and the labels of its samples, where it has some."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = ((family.type, family.documentation), frozenset(labels))
    return found


@pytest.mark.parametrize("process", SECTIONS)
def test_the_reference_and_the_process_say_the_same(whole_stack: Running, process: str) -> None:
    """Names, types and meanings are equal, and no sample has a label that isn't documented."""
    urls = json.loads((whole_stack.state / "metrics.json").read_text())
    shown = exposed(httpx.get(urls[process]).text)
    page = documented()
    told = {name: row for section in SECTIONS[process] for name, row in page[section].items()}
    assert {name: metric for name, (metric, _) in shown.items()} == {name: metric for name, (metric, _) in told.items()}
    for name, (_, labels) in shown.items():
        assert labels <= told[name][1], name


def test_every_process_of_the_stack_answers_that_it_is_ready(whole_stack: Running) -> None:
    """That is what `endpoints.json` waits for, in the processes without an API too."""
    urls = json.loads((whole_stack.state / "metrics.json").read_text())
    assert set(urls) == set(SECTIONS)
    for url in urls.values():
        ready = httpx.get(url.removesuffix("metrics") + "readyz")
        assert ready.status_code == 200
        assert set(ready.json()["dependencies"].values()) == {"ok"}


def asked(path: str, readiness: Readiness) -> tuple[str, bytes]:
    """What a background process answers: its status line, and the body."""
    said: list[str] = []
    answer = status(Registry(), lambda: readiness)
    body = b"".join(answer({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda line, *_: said.append(line)))
    return said[0], body


def test_a_background_process_says_what_is_missing() -> None:
    """A problem, in the words of the HTTP services; health does not depend on it, and other paths are nothing."""
    line, body = asked("/readyz", Readiness({"encoder": "loading", "partitions": "ok"}))
    assert line.startswith("503")
    problem = json.loads(body)
    assert (problem["type"], problem["missing"]) == ("/problems/not-ready", {"encoder": "loading"})
    assert asked("/readyz", Readiness({"encoder": "ok"}))[0].startswith("200")
    assert asked("/healthz", Readiness({"encoder": "loading"}))[0].startswith("200")
    assert asked("/elsewhere", Readiness())[0].startswith("404")
    assert b"process_start_time_seconds" in asked("/metrics", Readiness())[1]


def test_the_probe_is_ready_once_it_has_recorded() -> None:
    """Never is not a moment ago: before the first look the age is no number."""
    metrics = HeadsMetrics(Registry())
    assert heads_readiness(metrics.age).missing
    metrics.recorded()
    assert not heads_readiness(metrics.age).missing
    assert heads_readiness(1.5).missing


def test_a_projector_is_ready_once_all_that_it_follows_is_claimed() -> None:
    """However many partitions that are, and however each stands; following nothing is not being ready."""
    settled, other = Standing("documents", True, "stopped: a gap"), Standing("passages generation 2", False, "going on")
    assert not projector_readiness([settled]).missing
    assert projector_readiness([settled, other]).missing == {"partitions": "not claimed: passages generation 2"}
    assert projector_readiness([]).missing
