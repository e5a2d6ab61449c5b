"""A change of the model, by one command, on a whole stack that is written to and read from all the while."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from encoders.finding import located
from encoders.questions import QuestionsToVectors, load
from encoders.reading import encoder_of
from schemas.encoders import MINILM
from tests.encoders.models import save
from tests.running import Running, environment, until_it_embeds, up

WITHIN = 400.0
"""Seconds for a command, on a busy machine."""
CLOSE = 0.01
"""Between the score of an answer and the one of its texts' vectors: those travel as float16, in other batches."""
SUBJECTS = ("oak", "birch", "river", "rain", "frost", "ring", "storm", "valley")
MODES = ("dense", "hybrid", "text")


class Seen(NamedTuple):
    """An answer to a search, and the question."""

    query: str
    mode: str
    generation: int
    encoder: str
    results: list[dict[str, Any]]


def text_of(number: int) -> str:
    """What a document says, for ever."""
    chance = random.Random(number)
    return f"Of the {chance.choice(SUBJECTS)} in the year {1000 + number} one tells of {chance.choice(SUBJECTS)}."


class Client:
    """Writes and reads until it is told to stop; remembers what it saw, and everything that went wrong."""

    def __init__(self, endpoints: dict[str, Any]) -> None:
        self._command = f"{endpoints['command']}/v1/collections/trees/documents"
        self._query = f"{endpoints['query']}/v1/collections/trees/search"
        self.there: set[int] = set()
        self.seen: list[Seen] = []
        self.wrong: list[str] = []
        self.token = ""
        self._stop = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """One writer and three readers."""
        threads = [
            threading.Thread(target=self._write),
            *(threading.Thread(target=self._read, args=(n,)) for n in (1, 2, 3)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def add(self, http: httpx.Client, number: int) -> None:
        """Add a document."""
        self._wrote(http.put(f"{self._command}/{number}", json={"text": text_of(number)}), number)
        self.there.add(number)

    def search(self, http: httpx.Client, query: str, mode: str, **headers: str) -> Seen | None:
        """Ask; whatever is no answer is wrong."""
        answer = http.post(self._query, json={"query": query, "mode": mode, "k": 5}, headers=headers)
        if answer.status_code != 200:
            self.wrong.append(f"{mode} search: {answer.status_code} {answer.text}")
            return None
        body = answer.json()
        found = Seen(query, mode, body["projection"]["generation"], body["projection"]["encoder"], body["results"])
        self.seen.append(found)
        return found

    def _write(self) -> None:
        with httpx.Client(timeout=30) as http:
            for number in count(1000):
                if self._stop.wait(0.1):
                    return
                self.add(http, number)
                if number % 3 == 0:
                    self._wrote(http.delete(f"{self._command}/{number - 30}"), number - 30)
                    self.there.discard(number - 30)

    def _wrote(self, answer: httpx.Response, number: int) -> None:
        if answer.status_code != 202:
            self.wrong.append(f"document {number}: {answer.status_code} {answer.text}")
        self.token = answer.headers.get("Nenrin-Version", self.token)

    def _read(self, seed: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(timeout=30) as http:
            while not self._stop.wait(0.1):
                self.search(http, f"{chance.choice(SUBJECTS)} and {chance.choice(SUBJECTS)}", chance.choice(MODES))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`nenrin up`: its encoders change, so it is nobody else's."""
    with up(tmp_path_factory.mktemp("changing")) as program:
        until_it_embeds(program)
        yield program


def nenrin(stack: Running, *arguments: str) -> str:
    """Run a command of ours on the stack; what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nenrin", *arguments, "--state", str(stack.state)],
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
        env=environment({}),
    )
    assert done.returncode == 0, f"{done.stderr}\n{stack.said()}"
    return done.stdout


class Scores:
    """What an encoder would give the passages of an answer, made anew from their texts."""

    def __init__(self, encoders: dict[str, QuestionsToVectors]) -> None:
        self._encoders = encoders
        self._vectors: dict[tuple[str, str], Any] = {}

    def others(self, each: Seen) -> list[str]:
        """The scores of a dense answer that its encoder doesn't give: of another one's vectors, or of a mixture."""
        expected = {found["score"]: self._score(each, found["passage"]["text"]) for found in each.results}
        return [f"{each}: {score} for {said}" for said, score in expected.items() if abs(said - score) > CLOSE]

    def _score(self, each: Seen, text: str) -> float:
        return float(self._vector(each.encoder, each.query) @ self._vector(each.encoder, text))

    def _vector(self, encoder: str, text: str) -> Any:
        if (encoder, text) not in self._vectors:
            self._vectors[encoder, text] = self._encoders[encoder].encode_query(text)
        return self._vectors[encoder, text]


def test_the_model_changes_under_load(stack: Running, tmp_path: Path) -> None:
    """Nothing fails, every answer names its encoder and is that one's alone, and the way back is open.

    The second encoder's vectors are of another size, and `nenrin up` embeds with both from then on.
    """
    model = save(tmp_path / "second")
    second = encoder_of(located(str(model)))
    client = Client(stack.endpoints)
    with httpx.Client(timeout=30) as http:
        for number in range(40):
            client.add(http, number)
        waits = {"Nenrin-At-Least": client.token, "Prefer": "wait=30"}
        assert client.search(http, "oak", "dense", **waits)
        with client.at_work():
            report = json.loads(nenrin(stack, "encoders", "add", str(model), "--promote", "--json"))
            after = client.search(http, "oak", "dense")
        assert (report["encoder"], report["promoted"]) == (second.name, True)
        assert after is not None
        assert (after.generation, after.encoder) == (report["generation"], second.name)

        assert client.wrong == []
        pairs = Counter((each.generation, each.encoder) for each in client.seen)
        assert set(pairs) == {(1, MINILM.name), (report["generation"], second.name)}
        assert set(stack.pids) >= {"embedder", "embedder-2"}
        encoders = {MINILM.name: load(), second.name: load(second, folder=model)}
        assert {len(each.encode_query("oak")) for each in encoders.values()} == {384, 64}
        scores = Scores(encoders)
        assert [wrong for each in client.seen if each.mode == "dense" for wrong in scores.others(each)] == []

        nenrin(stack, "projections", "rollback", "passages")
        waits["Nenrin-At-Least"] = client.token
        for generation, encoder in pairs:
            counted = http.get(
                f"{stack.endpoints['query']}/v1/collections", headers={**waits, "Nenrin-Generation": str(generation)}
            )
            assert counted.status_code == 200, counted.text
            (trees,) = counted.json()["collections"]
            assert (trees["documents"], counted.json()["projection"]["encoder"]) == (len(client.there), encoder)
        back = client.search(http, "oak", "dense")
        assert back is not None
        assert (back.generation, back.encoder) == (1, MINILM.name)
        assert client.wrong == []
    ends_when_nothing_uses_it(stack, second.name, report["generation"])


def ends_when_nothing_uses_it(stack: Running, name: str, generation: int) -> None:
    """An encoder whose generation is retired can be removed: its embedder ends, and the service's own goes on."""
    (listed,) = [each for each in json.loads(nenrin(stack, "encoders", "list", "--json")) if each["name"] == name]
    assert listed["covered"] == listed["records"]
    assert [(use["generation"], use["live"]) for use in listed["generations"]] == [(generation, False)]
    nenrin(stack, "projections", "retire", "passages", str(generation))
    nenrin(stack, "encoders", "remove", name, "--delete-topic")
    deadline = time.monotonic() + WITHIN
    while "embedder-2" in stack.pids:
        assert time.monotonic() < deadline, stack.said()
        time.sleep(0.1)
    assert "embedder" in stack.pids
