"""Which passages go through the model together, and whose turn it is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from encoders.batching import Backlog, batches
from encoders.chunking import Piece

lengths = st.lists(st.integers(0, 300), max_size=200)


def pieces(*sizes: int) -> list[Piece]:
    return [Piece(at, at, at + 1, np.zeros(size, dtype=np.int32)) for at, size in enumerate(sizes)]


@given(lengths, st.integers(1, 2048))
def test_every_passage_is_in_one_batch_within_the_budget(sizes: list[int], budget: int) -> None:
    """No batch is more than the budget once padded, unless one passage alone is; none is lost or encoded twice."""
    grouped = batches(sizes, budget)
    assert sorted(index for group in grouped for index in group) == list(range(len(sizes)))
    assert all(len(group) == 1 or len(group) * max(sizes[at] for at in group) <= budget for group in grouped)


@given(lengths, st.integers(1, 2048))
def test_batches_hold_neighbours_in_length(sizes: list[int], budget: int) -> None:
    """A batch is never padded for a passage that is longer than the shortest of the next one."""
    order = [sizes[index] for group in batches(sizes, budget) for index in group]
    assert order == sorted(sizes)


@given(st.lists(lengths, max_size=10), st.integers(1, 1000))
def test_the_backlog_gives_out_every_passage_once_in_the_order_of_its_document(
    documents: list[list[int]], tokens: int
) -> None:
    """Whatever is added is taken, and a document's passages come in order."""
    backlog: Backlog[int] = Backlog()
    for key, sizes in enumerate(documents):
        backlog.add(key, pieces(*sizes))
    taken = []
    while waiting := len(backlog):
        part = backlog.take(tokens)
        assert len(backlog) == waiting - len(part) < waiting
        taken += part
    for key, sizes in enumerate(documents):
        assert [piece.ordinal for owner, piece in taken if owner == key] == list(range(len(sizes)))


def test_a_huge_document_does_not_hold_up_those_behind_it() -> None:
    """A document of thousands of passages is still under way when a small one that came later is done."""
    backlog: Backlog[str] = Backlog()
    backlog.add("huge", pieces(*[200] * 5000))
    backlog.take(1000)
    backlog.add("small", pieces(200, 200))
    assert [key for key, _ in backlog.take(1000)].count("small") == 2


def test_taking_from_an_empty_backlog_gives_nothing() -> None:
    """Nothing waits, nothing is taken."""
    assert Backlog[str]().take(1000) == []
