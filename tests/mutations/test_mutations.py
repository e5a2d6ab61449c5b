"""The mutations themselves must not rot: each still breaks what it says it breaks."""

from pathlib import Path

import pytest

from tests.mutations.catalogue import MUTATIONS
from tests.mutations.checkout import ROOT
from tests.mutations.mutation import Mutation, Rotten


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_code(mutation: Mutation) -> None:
    """Its text stands in its file once, what it makes of it is Python, and the tests that must turn red exist."""
    mutated = mutation.mutated(ROOT / mutation.file)
    compile(mutated, mutation.file, "exec")
    for test in mutation.tests:
        file, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(), test


def test_mutations_have_names_of_their_own() -> None:
    """So that each can be run alone; and each says which tests must turn red."""
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert all(mutation.tests for mutation in MUTATIONS)


@pytest.mark.parametrize("source", ["nothing of it", "x = 1\nx = 1\n"], ids=["gone", "twice"])
def test_a_rotten_mutation_is_refused(tmp_path: Path, source: str) -> None:
    """Where the text is gone, or stands twice, nothing is changed, and the message names mutation and file."""
    (tmp_path / "a.py").write_text(source)
    with pytest.raises(Rotten, match=r"broken: a.py has this (0|2) times"):
        Mutation("broken", "It holds.", "a.py", "x = 1\n", "x = 2\n", ("t",)).apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == source
