"""After an upgrade that changes a read model `nenrin up` serves the old generation, and promotes the next one."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

import services.init
from schemas.versions import Version
from services.settings import Settings
from tests.laws.events import Straight, added
from tests.running import START_WITHIN, Running, as_reader, execute, running, up

DOCUMENTS = 20
OLDER = "UPDATE nenrin.generations SET shape = 0 WHERE projection = 'documents'"


def made_by_an_older_version(state: Path) -> str:
    """Leave a state folder whose live generation of `documents` has shape 0, with documents; returns their token."""
    with running(state, "services.stack.dev") as servers:
        kafka, owner = servers.endpoints["kafka"], servers.endpoints["postgres"]
        reader = as_reader(owner, "nenrin", json.loads((state / "passwords.json").read_text())["reader"])
        settings = Settings(
            kafka=kafka, postgres=SecretStr(owner), postgres_reader=SecretStr(reader), partitions=4, topic_prefix=""
        )
        services.init.run(settings)
        execute(owner, OLDER)
        producer = Straight(kafka)
        for number in range(DOCUMENTS):
            producer.hand(added("c", f"{number:03}", f"text {number}"))
        offsets: dict[int, int] = {}
        for place in producer.flush():
            offsets[place.partition] = max(offsets.get(place.partition, 0), place.offset + 1)
    return Version({"documents": offsets}).token()


def ask(query: httpx.Client, path: str, token: str) -> Any:
    """What a reader gets who asks for that much of the log; nothing may fail."""
    answer = query.get(path, headers={"Nenrin-At-Least": token, "Prefer": "wait=20"})
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


def live(query: httpx.Client, projection: str) -> int:
    """The number of its live generation."""
    number: int = query.get(f"/v1/projections/{projection}").raise_for_status().json()["live"]
    return number


def read_until_promoted(stack: Running, token: str) -> list[int]:
    """Read all the while; returns the generations that answered, in order."""
    answered: list[int] = []
    deadline = time.monotonic() + START_WITHIN
    with httpx.Client(base_url=stack.endpoints["query"], timeout=30) as query:
        while not answered or answered[-1] == 1:
            assert time.monotonic() < deadline, stack.said()
            page = ask(query, f"/v1/collections/c/documents?limit={2 * DOCUMENTS}", token)
            assert len(page["documents"]) == DOCUMENTS
            answered.append(page["projection"]["generation"])
        assert live(query, "documents") == 2
        assert live(query, "passages") == 1
        generations = query.get("/v1/projections/documents").json()["generations"]
    assert [(each["generation"], each["lifecycle"]) for each in generations] == [(1, "previous"), (2, "live")]
    assert generations[0]["digest"] == generations[1]["digest"]
    return answered


def test_an_older_shape_serves_until_the_next_is_promoted(tmp_path: Path) -> None:
    """It says what it will do, answers from the old generation meanwhile, and then from the new one; once."""
    token = made_by_an_older_version(tmp_path)
    with up(tmp_path) as stack:
        answered = read_until_promoted(stack, token)
        said = stack.said()
    assert answered[0] == 1
    assert answered == sorted(answered)
    assert (
        "documents generation 1 was made by an older version (shape 0, now 1): it serves until generation 2 is built"
        in said
    )
