"""What docs/api holds is current, whole, and true of itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.command.documenting import VOCABULARY as COMMAND
from services.publishing import FOLDER, published
from services.query.documenting import VOCABULARY as QUERY
from tests.published.answers import Json, Judge
from tests.published.answers import published as document
from web.problem_types import SHARED, ProblemType

ROOT = Path(__file__).parents[2]
SERVICES = {"openapi-command.json": COMMAND, "openapi-query.json": QUERY}
RAISED = re.compile(r'(?:\bproblem\(\s*(?:\d+|[a-z_.]+),\s*"|\bunavailable\(\s*"|"/problems/)([a-z-]+)"')


def test_what_is_published_is_current() -> None:
    """A change of a type or a call changes what is published, in the same commit."""
    made = published()
    there = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.rglob("*.json")}
    stale = [name for name in made.keys() | there.keys() if made.get(name) != there.get(name)]
    assert not stale, f"{sorted(stale)} are not current: run `python -m services.publishing`"


@pytest.mark.parametrize("name", SERVICES)
def test_every_call_is_described(name: str) -> None:
    """No call is left with what can be read off its code alone."""
    for operation, call in Judge(document(name)).operations().items():
        assert call["tags"] != ["Other"], f"{operation} is not in the service's vocabulary"
        assert call["summary"], operation
        assert call["description"], operation
        assert all(set(each) == {"$ref"} for each in call.get("parameters", ())), operation


@pytest.mark.parametrize("name", SERVICES)
def test_references_lead_somewhere(name: str) -> None:
    """Every reference names something that is there."""
    whole = document(name)
    for reference in _references(whole):
        found: Any = whole
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


@pytest.mark.parametrize("name", SERVICES)
def test_examples_are_true(name: str) -> None:
    """An example follows the schema beside it."""
    judge = Judge(document(name))
    for path, methods in judge.document["paths"].items():
        for method, call in methods.items():
            for place, content in _contents(call):
                if "example" in content:
                    pointer = f"/paths/{path.replace('/', '~1')}/{method}/{place}/schema"
                    judge.check(content["example"], pointer)


def _contents(call: Json) -> Iterator[tuple[str, Json]]:
    places = {"requestBody": call.get("requestBody", {})}
    places |= {f"responses/{status}": each for status, each in call["responses"].items()}
    for place, each in places.items():
        for media, content in each.get("content", {}).items():
            yield f"{place}/content/{media.replace('/', '~1')}", content


def test_every_problem_that_is_raised_is_known() -> None:
    """The types in the code are the types that are published; 499 is read by nobody."""
    sources = [*ROOT.glob("web/*.py"), *ROOT.glob("services/command/*.py"), *ROOT.glob("services/query/*.py")]
    raised = {slug for source in sources for slug in RAISED.findall(source.read_text())}
    known = {*SHARED, *COMMAND.problems, *QUERY.problems}
    assert raised - {"hung-up"} == known


def test_every_problem_is_in_the_reference() -> None:
    """The page's table has exactly these rows."""
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    shown = {line for line in page.splitlines() if re.match(r"\| `[a-z-]+` \| \d{3} \|", line)}
    assert shown == {_row(slug, type_) for slug, type_ in {**SHARED, **COMMAND.problems, **QUERY.problems}.items()}


def _row(slug: str, type_: ProblemType) -> str:
    members = ", ".join(f"`{name}`" for name in type_.members)
    return f"| `{slug}` | {type_.status} | {type_.about} | {members} |"
