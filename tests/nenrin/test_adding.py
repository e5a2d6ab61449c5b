"""Documents on their way to the log: pages in order, what is cut off is sent again, what is uncertain is written."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from nenrin import Session, Unavailable
from nenrin.cli import adding, comparing
from nenrin.cli.adding import PAGE_DOCUMENTS, Adding
from nenrin.cli.comparing import Comparison, Marked, UnknownHead, head, same
from nenrin.cli.corpus.items import Item, LeftOut, Taken
from nenrin.cli.totals import KEPT, Totals
from nenrin.client.answers import Document
from nenrin.client.documents import Draft
from schemas.versions import Version
from tests.nenrin.scripted import HANG_UP, Answer, Service, at, projection, refusal, serving

CUT_OFF = refusal(503, accepted=1, last_line=1, outcome="unknown", version=at(1).token())


def accepted(count: int, *rejected: tuple[int, str]) -> Answer:
    """What the command service answers to a page."""
    lines = [{"line": line, "error": error} for line, error in rejected]
    body = {"accepted": count, "rejected_count": len(lines), "rejected": lines, "version": at(9).token()}
    return Answer(200, body, {"Nenrin-Version": at(9).token()})


def taken(document_id: str, text: str = "", line: int | None = None) -> Taken:
    """A document that was read."""
    return Taken(Draft(document_id, text), "file", 1, line)


def add(service: Service, items: Iterable[Item], totals: Totals) -> None:
    """Add without comparing."""
    with Session(service.url, service.url, retry_for=0) as session:
        Adding(session, "c", totals, None).add(items)


def sent(service: Service) -> list[list[str]]:
    """The ids of each page, as the service was sent them."""
    return [[json.loads(line)["document_id"] for line in asked.body.splitlines()] for asked in service.asked]


def test_documents_travel_in_pages_and_in_order() -> None:
    """None is lost between two pages, and reading is never far ahead of what is sent."""
    ids = [str(number) for number in range(2 * PAGE_DOCUMENTS + 1)]
    totals = Totals()
    with serving(accepted(PAGE_DOCUMENTS), accepted(PAGE_DOCUMENTS), accepted(1)) as service:
        add(service, (taken(document_id) for document_id in ids), totals)
    pages = sent(service)
    assert [len(page) for page in pages] == [PAGE_DOCUMENTS, PAGE_DOCUMENTS, 1]
    assert [document_id for page in pages for document_id in page] == ids
    assert totals.added == len(ids)


@pytest.mark.parametrize("trouble", [CUT_OFF, refusal(503, outcome="not_written"), Answer(HANG_UP, {})])
def test_a_page_that_is_cut_off_is_sent_again_whole(trouble: Answer) -> None:
    """A restart of Kafka or of the service is waited out; documents count once, whatever it took."""
    totals = Totals()
    with serving(trouble, trouble, accepted(2)) as service:
        add(service, [taken("a"), taken("b")], totals)
    assert sent(service) == [["a", "b"]] * 3
    assert totals.added == 2


def test_a_service_that_stays_away_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was acknowledged until then is counted."""
    monkeypatch.setattr(adding, "RETRY_FOR", 0.3)
    totals = Totals()
    with serving(CUT_OFF) as service, pytest.raises(Unavailable):
        add(service, [taken("a"), taken("b")], totals)
    assert totals.added == 1


def test_what_the_service_refuses_is_named_by_file_and_line() -> None:
    """Its lines are those of the page; users know those of their files."""
    totals = Totals()
    with serving(accepted(1, (2, "text: no"))) as service:
        add(service, [taken("a", line=7), LeftOut("file", "not JSON", 8), taken("b", line=9)], totals)
    assert [str(item) for item in totals.left_out] == ["file:8: not JSON", "file:9: text: no"]
    assert (totals.added, totals.left_out_count) == (1, 2)


def test_a_million_reasons_are_counted_and_a_thousand_kept() -> None:
    """Memory does not grow with the number of bad lines."""
    totals = Totals()
    for number in range(2 * KEPT):
        totals.leave_out(LeftOut("file", "bad", number))
    report = json.loads(totals.report("token"))
    assert (report["left_out_count"], len(report["left_out"])) == (2 * KEPT, KEPT)


def test_the_report_is_json_whatever_files_are_called() -> None:
    """A name that is no UTF-8 comes out of the file system with lone surrogates, which JSON cannot hold."""
    totals = Totals()
    totals.leave_out(LeftOut("caf\udce9.txt", "bad"))
    report = msgspec.json.decode(totals.report("token"))
    assert report["left_out"] == [{"path": "caf?.txt", "error": "bad"}]


def standing(observed_at: str | None, *heads: int | None) -> Answer:
    """What the query service answers about the projection `documents`."""
    generation: dict[str, Any] = {
        "generation": 1,
        "state": "live",
        "version": at(0, 0).token(),
        "heads": {"documents": {str(number): offset for number, offset in enumerate(heads)}},
        "head_observed_at": observed_at,
    }
    return Answer(200, {"name": "documents", "live": 1, "generations": [generation]}, {})


def documents(*found: dict[str, Any] | None) -> Answer:
    """What the query service answers about some ids."""
    return Answer(
        200, {"documents": list(found), "projection": projection(at(5, 5))}, {"Nenrin-Version": at(5, 5).token()}
    )


def test_the_head_is_one_that_was_observed_from_now_on() -> None:
    """What is known next may have been looked at before a write: only the second observation cannot be older."""
    with (
        serving(standing("t1", 1, 1), standing("t1", 1, 1), standing("t2", 2, 2), standing("t3", 3, 4)) as service,
        Session(service.url, service.url) as session,
    ):
        assert head(session) == Version({"documents": {0: 3, 1: 4}}, {"documents": "x"}).token()


@pytest.mark.parametrize("later", [standing("t2", 1), standing("t3", None, 4), standing("t3")])
def test_a_head_that_is_not_observed_is_unknown(monkeypatch: pytest.MonkeyPatch, later: Answer) -> None:
    """Unknown is not 0."""
    monkeypatch.setattr(comparing, "WAIT", 0.2)
    with (
        serving(standing("t1", 1), standing("t2", 1), later) as service,
        Session(service.url, service.url) as session,
        pytest.raises(UnknownHead),
    ):
        head(session)


@pytest.mark.parametrize("reads", [refusal(412), refusal(503), Answer(HANG_UP, {})])
def test_when_what_is_there_is_uncertain_everything_is_written(reads: Answer) -> None:
    """And nobody is asked again for the next page."""
    with (
        serving(standing("t1", 1), standing("t2", 1), reads) as service,
        Session(service.url, service.url, retry_for=0) as session,
    ):
        comparison = Comparison(session, "c")
        page = [taken("a"), taken("b")]
        assert comparison.changed(page) == page
        asked = len(service.asked)
        assert comparison.changed(page) == page
        assert len(service.asked) == asked


def test_an_id_that_was_written_counts_as_changed_from_then_on() -> None:
    """The read model may not show the first write yet, and the last one has to win."""
    there = {"collection": "c", "document_id": "a", "text": "old", "added_at": "t"}
    with (
        serving(standing("t1", 1, 1), standing("t2", 1, 1), standing("t3", 1, 1), documents(there)) as service,
        Session(service.url, service.url) as session,
    ):
        comparison = Comparison(session, "c")
        assert comparison.changed([taken("a", "old")]) == []
        both = [taken("a", "new"), taken("a", "old")]
        assert comparison.changed(both) == both
        assert comparison.changed([taken("a", "old")]) == [taken("a", "old")]
    assert service.asked[3].headers["Nenrin-At-Least"] == at(1, 1).token()


@pytest.mark.parametrize(
    ("draft", "is_same"),
    [
        (Draft("a", "text", "T", {"n": 1, "m": [True]}, "u"), True),
        (Draft("a", "text", "T", {"m": [True], "n": 1}, "u"), True),
        (Draft("a", "text", "T", {"n": 1, "m": [1]}, "u"), False),
        (Draft("a", "text", "T", {"n": 1.0, "m": [True]}, "u"), False),
        (Draft("a", "text", "T", {"n": 1}, "u"), False),
        (Draft("a", "text", None, {"n": 1, "m": [True]}, "u"), False),
        (Draft("a", "text ", "T", {"n": 1, "m": [True]}, "u"), False),
        (Draft("a", "text", "T", {"n": 1, "m": [True]}), False),
    ],
)
def test_every_member_is_compared(draft: Draft, is_same: bool) -> None:
    """Text, title, metadata with its types, and source."""
    there = Document(
        collection="c",
        document_id="a",
        added_at="t",
        text="text",
        title="T",
        metadata={"n": 1, "m": [True]},
        source_uri="u",
    )
    assert same(draft, there) is is_same
    assert not same(draft, None)


def test_marks_are_kept_in_memory_that_does_not_grow() -> None:
    """A marked id is always known; one that is not hardly ever is."""
    marked = Marked()
    for number in range(100_000):
        marked.mark(f"marked {number}")
    assert all(marked.has(f"marked {number}") for number in range(100_000))
    assert sum(marked.has(f"other {number}") for number in range(10_000)) < 100
