"""The folds: pure, last event wins, independent of how the log is cut."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from projections import digests
from projections.digests import Tally
from projections.documents import Documents
from projections.passages import Passages
from projections.port import Entry, Folded, ReadModel
from tests.projections.logs import added, embedded, refused, removed, unembedded

ids = st.sampled_from(["a", "b", "c"])
texts = st.sampled_from(["", "one", "two", "zwei"])


def held_after(model: ReadModel, batches: Sequence[Sequence[Entry]]) -> tuple[dict[str, Folded], dict[str, Tally]]:
    """What a database would hold, and the tallies kept beside it, after these batches."""
    held: dict[str, Folded] = {}
    tallies: dict[str, Tally] = {}
    for batch in batches:
        folded = model.evolve(batch)
        old = [held.pop(item.document_id) for item in folded if item.document_id in held]
        replaced = [(item.collection, Tally(1, item.passages, item.content, item.vectors)) for item in old]
        for collection, moved in digests.changes(folded, replaced).items():
            tallies[collection] = tallies.get(collection, Tally()).plus(moved)
        held |= {item.document_id: item for item in folded if item.documents}
    return held, tallies


def recounted(held: dict[str, Folded]) -> Tally:
    """The tally of what is held, counted from nothing."""
    total = Tally()
    for item in held.values():
        total = total.plus(Tally(1, item.passages, item.content, item.vectors))
    return total


@given(st.lists(st.tuples(ids, texts, st.booleans()), max_size=25), st.data())
def test_documents_do_not_depend_on_batches(history: list[tuple[str, str, bool]], data: st.DataObject) -> None:
    """Folding in any batches gives what folding one by one gives, and the digest is that of the rows held."""
    log = [added(n, key, text) if add else removed(n, key) for n, (key, text, add) in enumerate(history)]
    check_batches(Documents(), log, data)


@given(st.lists(st.tuples(ids, texts, st.integers(-1, 3)), max_size=25), st.data())
def test_passages_do_not_depend_on_batches(history: list[tuple[str, str, int]], data: st.DataObject) -> None:
    """The same for documents with their vectors, documents without passages included."""
    log = [
        embedded(n, key, text, pieces) if pieces >= 0 else unembedded(n, key)
        for n, (key, text, pieces) in enumerate(history)
    ]
    check_batches(Passages(), log, data)


def check_batches(model: ReadModel, log: list[Entry], data: st.DataObject) -> None:
    """Compare one cut of a log with the finest one."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=5)))
    batches = [log[a:b] for a, b in zip([0, *cuts], [*cuts, len(log)], strict=True)]
    held, tallies = held_after(model, batches)
    assert held == held_after(model, [[entry] for entry in log])[0]
    assert tallies.get("c", Tally()) == recounted(held)


def test_an_event_that_is_refused_changes_nothing() -> None:
    """A parked event is a no-op in the fold."""
    assert Documents().evolve([refused(0)]) == []


def test_a_passage_is_cut_in_code_points() -> None:
    """Offsets count characters, not bytes or UTF-16 units."""
    (folded,) = Passages().evolve([embedded(0, text="é𝄞z")])
    assert folded.rows["passages"][0][4] == 3
    assert folded.rows["passages"][0][6] == "é𝄞z"


def test_a_trace_is_kept_and_is_no_part_of_the_content() -> None:
    """How an event travelled moves no digest: a replay by another embedder is the same content."""
    for model, entry in ((Documents(), added(0)), (Passages(), embedded(0))):
        traced = msgspec.structs.replace(entry, traceparent="00-trace")
        (plain,), (told,) = model.evolve([entry]), model.evolve([traced])
        column = model.columns("documents").index("traceparent")
        assert (plain.rows["documents"][0][column], told.rows["documents"][0][column]) == (None, "00-trace")
        assert (plain.content, plain.vectors) == (told.content, told.vectors)
