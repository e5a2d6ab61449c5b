"""`nenrin parked retry` and `skip` against a whole stack."""

import json
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from nenrin.cli.app import main
from nenrin.cli.endings import Status
from nenrin.client import Session
from schemas.documents import ADDED, key_of
from schemas.partitions import partition_of
from schemas.versions import Version
from tests.nenrin import Said, ending_of
from tests.running import Running

PARTITIONS = 4
KEY = key_of("cli-decided", "a")
HOME = partition_of(KEY, PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS


def send_to_the_wrong_partition(stack: Running) -> int:
    """A good event where no other producer would put it; its offset."""
    placed: list[Message] = []
    names = {"specversion": b"1.0", "id": b"1", "source": b"/tests", "type": ADDED.encode()}
    value = json.dumps({"collection": "cli-decided", "document_id": "a", "text": "words"})
    producer = Producer({"bootstrap.servers": stack.endpoints["kafka"]})
    headers: list[tuple[str, str | bytes | None]] = [(f"ce_{name}", content) for name, content in names.items()]
    producer.produce("documents", value, KEY, AWAY, lambda _, message: placed.append(message), headers=headers)
    assert producer.flush(30) == 0
    return placed[0].offset() or 0


def seen(stack: Running, partition: int, offset: int) -> None:
    """Wait until both projections are behind an offset."""
    token = Version({"documents": {partition: offset + 1}}).token()
    with Session(state=stack.state) as session:
        session.page("cli-decided", at_least=token, wait=30)
        session.collections(at_least=token, wait=30)


def listed(said: Said) -> Any:
    """What a command printed with --json."""
    return json.loads(said.out)


def test_an_event_is_planned_retried_and_skipped(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """From the wrong partition to its key's, where it is applied; then the original is given up, with a reason."""
    offset = send_to_the_wrong_partition(whole_stack)
    seen(whole_stack, AWAY, offset)
    place, state = f"documents/{AWAY}@{offset}", ["--state", str(whole_stack.state)]
    status, said = ending_of(main, ["parked", "retry", place, "--dry-run", *state], capsys)
    assert status == Status.DONE, said.err
    assert said.out.startswith(
        f"append {place} (documents, passages) again, in partition {HOME}, where its key belongs"
    )
    (done,) = listed(ending_of(main, ["parked", "retry", place, "--json", *state], capsys)[1])
    assert (done["outcome"], done["copy"]["partition"], done["key"]) == ("appended", HOME, KEY.decode())
    said = ending_of(main, ["parked", "retry", place, *state], capsys)[1]
    assert f"was retried before, as documents/{HOME}@{done['copy']['offset']}" in said.out
    assert "skip it" in said.out
    seen(whole_stack, HOME, done["copy"]["offset"])
    with Session(state=whole_stack.state) as session:
        assert session.document("cli-decided", "a", at_least=None).document.text == "words"
    said = ending_of(main, ["parked", "skip", place, "--reason", "moved", "--by", "eve", "--json", *state], capsys)[1]
    assert {(one["outcome"], *one["projections"]) for one in listed(said)} == {
        ("skipped", "documents"),
        ("skipped", "passages"),
    }
    status, said = ending_of(main, ["parked", "skip", place, "--reason", "again", *state], capsys)
    assert (status, "was skipped before" in said.out) == (Status.DONE, True)
    said = ending_of(main, ["parked", "list", "--json", *state], capsys)[1]
    assert (AWAY, offset) not in [(one["partition"], one["offset"]) for one in listed(said)]
    said = ending_of(main, ["parked", "show", place, *state], capsys)[1]
    assert "skipped by eve" in said.out
    assert "moved" in said.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["retry"], Status.REFUSED, "name events"),
        (["retry", "documents/0@1", "--all"], Status.REFUSED, "name events"),
        (["retry", "documents"], Status.REFUSED, "write it as `nenrin parked list` does"),
        (["retry", "documents/0@999999999"], Status.REFUSED, "nothing is parked at"),
        (["retry", "--all", "--projection", "nobody"], Status.REFUSED, "there is no 'nobody'"),
        (["skip", "documents/0@999999999", "--reason", "x"], Status.REFUSED, "nothing is parked at"),
        (["skip", "--all", "--reason", " "], Status.REFUSED, "say why"),
        (["skip", "documents/0@1"], Status.USAGE, "--reason"),
    ],
)
def test_what_makes_no_sense_is_said(
    whole_stack: Running,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: Status,
    words: str,
) -> None:
    """In one line, with a status of its own, and nothing is written."""
    ended, said = ending_of(main, ["parked", *arguments, "--state", str(whole_stack.state)], capsys)
    assert ended == status
    assert said.err.count("\n") == 1
    assert words in said.err
    assert said.out == ""


def test_without_servers_it_says_what_is_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """Postgres comes first: it knows what is parked."""
    monkeypatch.setenv("NENRIN_POSTGRES", f"postgresql://127.0.0.1:{unused_tcp_port}/x")
    monkeypatch.setenv("NENRIN_KAFKA", f"127.0.0.1:{unused_tcp_port}")
    status, said = ending_of(main, ["parked", "retry", "--all"], capsys)
    assert (status, said.out) == (Status.FAILED, "")
    assert said.err.startswith("nenrin: Postgres: ")
