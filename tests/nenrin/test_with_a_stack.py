"""The command line against a whole stack."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Message, Producer

from nenrin.cli.app import main
from nenrin.cli.endings import Status
from schemas.documents import ADDED
from schemas.versions import Version, parse
from tests.nenrin import ending_of
from tests.running import Running, environment


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three notes in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    for name, text in (
        ("bread.md", "# Bread\n\nKnead the dough and let it rise overnight."),
        ("ships.md", "# Ships\n\nA brigantine has two masts."),
        ("leer.txt", ""),
    ):
        (tmp_path / "notes" / name).write_text(text)
    return tmp_path


def test_what_was_added_is_found_with_its_token(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`add` prints a token; a search that asks for it covers what was added."""
    state = ["--state", str(whole_stack.state), "--collection", "cli-notes"]
    status, said = ending_of(main, ["add", "notes", "--json", *state], capsys)
    assert status == Status.DONE, said.err
    added = json.loads(said.out)
    assert (added["added"], added["left_out"]) == (3, [])
    fresh = ["--at-least", added["version"], "--wait", "30"]
    status, said = ending_of(main, ["search", "brigantine", "--mode", "text", "--json", *fresh, *state], capsys)
    assert status == Status.DONE, said.err
    found = json.loads(said.out)
    assert [hit["document_id"] for hit in found["results"]] == ["notes/ships.md"]
    assert found["results"][0]["title"] == "Ships"
    wanted, seen = parse(added["version"]), parse(found["projection"]["version"])
    assert all(seen.next("documents", place) >= next_ for place, next_ in wanted.offsets["documents"].items())


def test_an_answer_for_people_says_what_it_has_seen(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plain output has the title, the excerpt, the version and the lag; `add` says how to read it back."""
    state = ["--state", str(whole_stack.state), "--collection", "cli-people"]
    said = ending_of(main, ["add", "notes", *state], capsys)[1]
    assert "3 documents added" in said.out
    token = said.out.split("--at-least ")[1].split()[0]
    search = ["search", "dough", "--mode", "text", "--at-least", token, "--wait", "30", *state]
    shown = ending_of(main, search, capsys)[1].out
    assert "Bread" in shown
    assert "Knead the dough" in shown
    assert "version" in shown
    assert "events" in shown


def test_files_that_cannot_be_documents_are_named_and_the_others_added(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bad file in a folder does not stop the rest, and is not passed over in silence."""
    (notes / "notes" / "latin.txt").write_bytes(b"caf\xe9")
    (notes / "notes" / "nul.txt").write_bytes(b"a\0b")
    state = ["--state", str(whole_stack.state), "--collection", "cli-bad"]
    status, said = ending_of(main, ["add", "notes", "--json", *state], capsys)
    assert status == Status.FAILED
    report = json.loads(said.out)
    assert report["added"] == 3
    assert {left["path"] for left in report["left_out"]} == {"notes/latin.txt", "notes/nul.txt"}
    assert said.err.startswith("nenrin: 2 of 5 were not added")


def test_what_is_not_yet_seen_is_status_4(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """A version beyond the head can't be covered: the line says what is behind, the status is its own."""
    far = Version({"documents": {0: 10**9}}).token()
    status, said = ending_of(
        main, ["search", "x", "--mode", "text", "--at-least", far, "--state", str(whole_stack.state)], capsys
    )
    assert status == Status.BEHIND
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_input_that_the_service_refuses_is_status_5(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """The service's own words, naming the field."""
    status, said = ending_of(
        main, ["search", "x", "--mode", "text", "-k", "0", "--state", str(whole_stack.state)], capsys
    )
    assert status == Status.REFUSED
    assert "k" in said.err


def test_status_tells_processes_and_projections(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Every process with its pid, every projection with its lag; as JSON, and for people."""
    status, said = ending_of(main, ["status", "--json", "--state", str(whole_stack.state)], capsys)
    assert status == Status.DONE, said.err
    report = json.loads(said.out)
    assert {name: process["pid"] for name, process in report["processes"].items()} == whole_stack.pids
    assert all(process["alive"] for process in report["processes"].values())
    assert {projection["name"] for projection in report["projections"]} == {"documents", "passages"}
    shown = ending_of(main, ["status", "--state", str(whole_stack.state)], capsys)[1].out
    assert all(word in shown for word in ("embedder", "passages", "documents", "runs"))


def test_status_lives_on_a_terminal_and_as_lines(whole_stack: Running) -> None:
    """`--watch` looks again and again, with events a second; Ctrl-C ends it with status 0. Also from URLs alone."""
    command = [sys.executable, "-P", "-m", "nenrin", "status", "--watch", "--every", "0.2"]
    settings = {"NENRIN_QUERY": str(whole_stack.endpoints["query"])}
    with subprocess.Popen(
        command, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        shown = ""
        while "events/s" not in shown:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            shown += line
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (Status.DONE, "")
    assert "not known here" in shown, "the command service's URL was not given"
    assert "passages" in shown + rest


def test_a_search_can_be_filtered_and_bounded(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--filter over metadata; an answer that may not lag, from a generation that exists; another one is refused."""
    (notes / "rows.csv").write_text("id,text,lang\na,brigantine,en\nb,brigantine,de\n")
    state = ["--state", str(whole_stack.state), "--collection", "cli-filtered"]
    token = json.loads(ending_of(main, ["add", "rows.csv", "--json", *state], capsys)[1].out)["version"]
    ask = ["search", "brigantine", "--mode", "text", "--json", "--at-least", token, "--wait", "30", *state]
    status, said = ending_of(main, [*ask, "--filter", '{"lang": "de"}', "--max-lag", "60", "--generation", "1"], capsys)
    assert status == Status.DONE, said.err
    assert [hit["document_id"] for hit in json.loads(said.out)["results"]] == ["b"]
    status, said = ending_of(main, [*ask, "--generation", "99"], capsys)
    assert status == Status.REFUSED
    assert "99" in said.err


def test_nothing_found_says_what_there_is(
    whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The collections, to somebody who named one that isn't there; status 0, for that is an answer."""
    state = ["--state", str(whole_stack.state)]
    added = json.loads(ending_of(main, ["add", "notes", "--json", "-c", "cli-there", *state], capsys)[1].out)
    ask = ["search", "quux", "--mode", "text", "--at-least", added["version"], "--wait", "30", *state]
    status, said = ending_of(main, [*ask, "-c", "cli-nowhere"], capsys)
    assert status == Status.DONE
    assert "There is no collection cli-nowhere. There are: " in said.out
    said = ending_of(main, [*ask, "-c", "cli-there"], capsys)[1]
    assert "Nothing found among 3 documents of cli-there" in " ".join(said.out.split())
    assert json.loads(ending_of(main, [*ask, "-c", "cli-nowhere", "--json"], capsys)[1].out)["results"] == []


def test_collections_are_completed(whole_stack: Running, notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell is offered those of the stack in the folder that the line names."""
    state = ["--state", str(whole_stack.state)]
    added = json.loads(ending_of(main, ["add", "notes", "--json", "-c", "cli-shell", *state], capsys)[1].out)
    ending_of(main, ["search", "x", "--mode", "text", "--at-least", added["version"], "--wait", "30", *state], capsys)
    words = f"nenrin search --state {whole_stack.state} -c cli-sh"
    asked = {"_NENRIN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = _nenrin(**asked)
    assert (done.stdout.split(), done.stderr) == (["cli-shell"], "")


def test_parked_events_are_listed_and_shown(whole_stack: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """`list --json` as the contract has it; `show` with headers and value, whoever parked it."""
    offset, partition = _send_what_will_be_parked(whole_stack)
    state = ["--state", str(whole_stack.state)]
    after = Version({"documents": {partition: offset + 1}}).token()
    status, _ = ending_of(main, ["search", "x", "--mode", "text", "--at-least", after, "--wait", "30", *state], capsys)
    assert status == Status.DONE
    listed = json.loads(ending_of(main, ["parked", "list", "--json", *state], capsys)[1].out)
    reason = "key: does not match the data: {collection}/{document_id} was expected"
    place = {"topic": "documents", "partition": partition, "offset": offset, "key": "cli/parked", "reason": reason}
    ours = [event for event in listed if (event["partition"], event["offset"]) == (partition, offset)]
    assert {"projection": "passages", **place} in ours
    status, said = ending_of(main, ["parked", "show", f"documents/{partition}@{offset}", *state], capsys)
    assert status == Status.DONE, said.err
    said = said._replace(out=" ".join(said.out.split()))
    assert all(words in said.out for words in (reason, "cli/parked", "ce_type", '"document_id": "another"'))
    shown = ending_of(
        main, ["parked", "show", "passages", "documents", str(partition), str(offset), "--json", *state], capsys
    )
    event = json.loads(shown[1].out)
    assert (event["projection"], event["reason"]) == ("passages", reason)
    assert json.loads(event["value"])["document_id"] == "another"
    status, said = ending_of(main, ["parked", "show", f"documents/{partition}@999999", *state], capsys)
    assert status == Status.REFUSED
    assert "no projection has parked" in said.err


def _send_what_will_be_parked(stack: Running) -> tuple[int, int]:
    """An event whose key is not that of its data, straight to Kafka; its offset and partition."""
    placed: list[Message] = []
    producer = Producer({"bootstrap.servers": stack.endpoints["kafka"], "partitioner": "murmur2_random"})
    producer.produce(
        "documents",
        key="cli/parked",
        value=json.dumps({"collection": "cli", "document_id": "another", "text": "words"}),
        headers=[
            (f"ce_{name}", value)
            for name, value in (("specversion", b"1.0"), ("id", b"1"), ("source", b"/tests"), ("type", ADDED.encode()))
        ],
        on_delivery=lambda error, message: placed.append(message),
    )
    assert producer.flush(30) == 0
    return placed[0].offset() or 0, placed[0].partition() or 0


def test_init_with_everything_there_does_nothing(whole_stack: Running) -> None:
    """It says so, and what it found; twice in a row."""
    for _ in range(2):
        done = _nenrin("init", "--state", str(whole_stack.state))
        assert done.returncode == 0, done.stderr
        assert "nothing to do" in done.stdout


def test_init_refuses_another_number_of_partitions(whole_stack: Running) -> None:
    """A topic that is there has the partitions that it has: one line says which, and what to set."""
    done = _nenrin("init", "--state", str(whole_stack.state), NENRIN_PARTITIONS="7")
    assert done.returncode == Status.FAILED
    assert done.stderr.count("\n") == 1
    assert "NENRIN_PARTITIONS" in done.stderr


def _nenrin(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "nenrin", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
